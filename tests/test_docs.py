"""The pages in docs/ are true: those made from the code are up to date, and what the others say to do is done."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from steelyard.errors import InputError
from steelyard.recipes import find_recipe, load_recipe, parse_recipe, recipe_names, recipe_schema
from steelyard.runlog import RunLog
from steelyard.runs import train

DOCS = Path(__file__).parents[1] / "docs"
EXTENDING = (DOCS / "extending.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["api", "reference"])
def test_a_page_that_is_made_from_the_code_is_up_to_date(page):
    made = subprocess.run([sys.executable, DOCS / f"make_{page}.py"], capture_output=True, text=True, check=True).stdout
    assert made == (DOCS / f"{page}.md").read_text(encoding="utf-8"), f"docs/{page}.md: run make docs"


# Extending ---------------------------------------------------------------------------------------------------------------------------------


def block(language, beginning):
    """The page's code block that begins so, after its docstring or comment."""
    found = [code for code in re.findall(rf"```{language}\n(.*?)```", EXTENDING, re.S) if beginning in code]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def own(tmp_path):
    (tmp_path / "worst_first.py").write_text(block("python", "class WorstFirst"))
    (tmp_path / "worst-first.yaml").write_text(block("yaml", "name: worst-first"))
    return tmp_path


def test_the_pages_weighting_has_thirty_lines_and_trains_by_its_recipe(own):
    lines = [line for line in (own / "worst_first.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 32
    train(own / "worst-first.yaml", out=own / "run")
    steps = RunLog(own / "run").steps()
    assert len(steps) == 3
    for step in steps:
        weights, means = step["weights"], {name: one["mean"] for name, one in step["rewards"].items()}
        furthest = max(means, key=lambda name: {"accuracy": 0.9}.get(name, 1.0) - means[name])
        assert max(weights, key=weights.get) == furthest
        assert sum(weights.values()) == pytest.approx(1)
    assert len({tuple(step["weights"].values()) for step in steps}) > 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "sharpness: 8",
            "sharpnes: 8",
            r"unknown key 'sharpnes' in weighting.worst_first.py:WorstFirst \(did you mean 'sharpness'\?\)",
        ),
        ("sharpness: 8", "sharpness: 0", "sharpness: input should be greater than 0, but found 0"),
        ("check: boxed", "check: boxd", r"unknown kind of check 'boxd' \(did you mean 'boxed'\?\)"),
    ],
)
def test_what_the_page_says_of_mistakes_is_so(own, old, new, message):
    path = own / "worst-first.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        train(path, out=own / "run")
    assert not (own / "run").exists()


ADDED = {
    "class WorstFirst": "weighting",
    "class Sawtooth": "mixture/schedules",
    "def _calm": "checks",
    "def asking": "objectives",
}
"""The page's four files, and the rooms into which it says to put them."""


def test_one_file_in_its_room_makes_each_of_them_known_everywhere(own):
    """In a copy of the package with the page's four files, and nothing else changed."""
    import shutil

    import steelyard

    place = own / "copy" / "steelyard"
    shutil.copytree(Path(steelyard.__file__).parent, place, ignore=shutil.ignore_patterns("__pycache__"))
    for beginning, room in ADDED.items():
        code = block("python", beginning)
        if room == "weighting":
            # What the page says to do.
            code = code.replace("class WorstFirst", '@METHODS.add("worst-first")\nclass WorstFirst')
            code = code.replace("from steelyard import Weighting\n", "from steelyard.weighting.base import METHODS, Weighting\n")
            code = code.replace(
                "from steelyard.weighting import present_moments\n", "from steelyard.weighting.base import present_moments\n"
            )
        (place / room / "added.py").write_text(code)
    script = """
import json, steelyard, torch
from steelyard import check
from steelyard.mixture import parse_schedule, schedule_forms
from steelyard.recipes import load_recipe, parse_recipe, recipe_schema
from steelyard.weighting import METHODS
assert "copy" in steelyard.__file__
content = load_recipe("sums-fixed").model_dump(mode="json")
content["weighting"] = {"method": "worst-first", "sharpness": 2}
content["objectives"] += [{"kind": "check", "check": "calm", "options": {"at_most": 0}}, {"kind": "asking", "options": {"mark": "!"}}]
content["mixture"] = {"schedule": "sawtooth:5,1,4"}
recipe = parse_recipe(content)
objectives = recipe.build_objectives()
scores = [o.scores(prompts=["p"], completions=["Oh!"]) for o in objectives[-2:]]
schedule = parse_schedule("sawtooth:5,1,4")
print(json.dumps([type(recipe.build_weighting(objectives)).__name__, scores, schedule_forms()["sawtooth"], schedule.temperature(0.125),
    "worst-first" in json.dumps(recipe_schema()), "sawtooth" in recipe_schema()["$defs"]["MixtureConfig"]["properties"]["schedule"]["pattern"]]))
"""
    environment = {"PYTHONPATH": str(own / "copy"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == ["WorstFirst", [[0.0], [1.0]], "sawtooth, or sawtooth:HIGH,LOW,TEETH", 3.0, True, True]
    page = subprocess.run(
        [sys.executable, DOCS / "make_reference.py"], capture_output=True, text=True, env=environment, check=True
    ).stdout
    for heading in ("### worst-first", "### sawtooth", "### asking", "### check calm"):
        assert heading in page
    assert "| `sharpness` | number > 0 | `4.0` | how much more the furthest one counts" in page
    for command, word in (("mix", "sawtooth:HIGH,LOW,TEETH"), ("judge", "calm")):
        said = subprocess.run(
            [sys.executable, "-m", "steelyard", command, "--help"], capture_output=True, text=True, env=environment
        )
        assert word in said.stdout


# The schema of a recipe ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validator():
    schema = recipe_schema()
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def recipes_of_the_readme():
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    return [text for text in re.findall(r"```yaml\n(.*?)```", readme, re.S) if "objectives:" in text]


def test_the_schema_accepts_every_recipe_that_ships_and_those_of_the_pages(validator):
    texts = [find_recipe(name).read_text(encoding="utf-8") for name in recipe_names()]
    texts += [*recipes_of_the_readme(), block("yaml", "name: worst-first")]
    assert len(texts) >= 9
    for text in texts:
        assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize("name", recipe_names())
def test_the_schema_accepts_a_recipe_as_a_run_folder_has_it(validator, name):
    resolved = load_recipe(name).model_dump(mode="json")
    assert [error.message for error in validator.iter_errors(resolved)] == []


@pytest.mark.parametrize(
    "change",
    [
        {"wieghting": {}},
        {"weighting": {"method": "fixd"}},
        {"weighting": {"method": "gradient-influence", "mu": -1}},
        {"weighting": {"method": "gradient-influence", "muu": 1}},
        {"weighting": {"method": "fixed", "normalize": "some"}},
        {"weighting": {}},
        {"objectives": [{"kind": "clarty"}, {"kind": "accuracy"}]},
        {"objectives": [{"kind": "clarity", "options": {"min_step": 2}}, {"kind": "accuracy"}]},
        {"objectives": [{"kind": "clarity", "options": {"min_steps": 0}}, {"kind": "accuracy"}]},
        {"objectives": [{"kind": "format"}, {"kind": "accuracy"}]},
        {"objectives": [{"kind": "check", "check": "ifevl"}, {"kind": "accuracy"}]},
        {"objectives": [{"kind": "check", "check": "words", "options": {"at_most": -1}}, {"kind": "accuracy"}]},
        {"objectives": [{"kind": "check", "check": "starts-with"}, {"kind": "accuracy"}]},
        {"mixture": {"schedule": "cooldwn"}},
        {"algorithm": {"steps": 0}},
        {"kind": "supervised"},
        {"kind": "both"},
    ],
)
def test_the_schema_refuses_what_a_recipe_refuses(validator, change):
    content = {**yaml.safe_load(find_recipe("sums-fixed").read_text(encoding="utf-8")), **change}
    assert list(validator.iter_errors(content))
    with pytest.raises(InputError):
        parse_recipe(content).build_objectives()


def test_the_schema_knows_what_a_recipe_takes(validator):
    content = yaml.safe_load(find_recipe("sums-fixed").read_text(encoding="utf-8"))
    for change in (
        {"weighting": {"method": "mine.py:Mine", "anything": 1}},
        {"objectives": [{"kind": "check", "check": "words", "options": {"at_most": 3}, "name": "short"}, {"function": "a.py:b"}]},
        {"mixture": {"schedule": "piecewise:0=5,0.5=1"}},
        {"weighting": {"method": "lagrangian", "maximize": "clarity", "at_least": {"accuracy": 0.5}}},
    ):
        assert [error.message for error in validator.iter_errors({**content, **change})] == []


def test_the_makers_are_scripts_that_import_nothing_at_import():
    for page in ("api", "reference"):
        spec = importlib.util.spec_from_file_location(f"make_{page}", DOCS / f"make_{page}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.lines()[0].startswith("# ")
