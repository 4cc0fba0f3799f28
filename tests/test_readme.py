"""The README tells the truth: its Python runs, its recipe checks, its commands and files exist."""

import contextlib
import io
import re
from pathlib import Path

import yaml

from steelyard.recipes.loading import parse_recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_its_python_prints_what_it_says():
    for block in blocks("python"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(block, {})
        expected = re.findall(r"^print\(.*\)  # (.*)$", block, re.M)
        assert expected
        assert printed.getvalue().splitlines() == expected


def test_its_recipe_checks(tmp_path):
    (tmp_path / "mine.py").write_text("def polite(completions, **columns):\n    return [0.0] * len(completions)\n")
    (block,) = blocks("yaml")
    recipe = parse_recipe(yaml.safe_load(block))
    assert [objective.name for objective in recipe.build_objectives(base=tmp_path)] == ["accuracy", "conciseness", "polite"]


def test_the_recipe_of_the_mixture_page_checks_and_its_words_parse():
    from steelyard.mixture import parse_schedule

    page = (ROOT / "docs" / "mixture.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    assert parse_recipe(yaml.safe_load(block)).kind == "supervised"
    words = re.findall(r"^\| `([^|]*?)` \|", page, re.M)
    assert len(words) == 9
    for word in (word for cell in words for word in cell.split("`, `") if not word.startswith("shares")):
        parse_schedule(word)


def test_the_page_of_the_judge_names_every_kind_of_check_and_its_python_runs():
    from steelyard.rubric import check_kinds

    page = (ROOT / "docs" / "judge.md").read_text(encoding="utf-8")
    for kind in check_kinds():
        assert f"`{kind}`" in page, kind
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    names = {}
    exec(block, names)
    assert (names["verdict"].winner, names["verdict"].decided_by, names["verdict"].calls) == ("a", "checks", 0)


def test_every_file_it_points_to_is_there():
    for place in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / place).exists(), place


def test_its_make_targets_and_commands_exist():
    from typer.main import get_command

    from steelyard.cli.root import app

    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\S+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for command in re.findall(r"^    steelyard (\w+)", README, re.M):
        assert command in get_command(app).commands
