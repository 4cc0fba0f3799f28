"""The plan of a recipe is what its run draws from: kept, held out, packed and left out as the run does it."""

import json
from collections import Counter

import pytest
import yaml

from steelyard.cli.root import main
from steelyard.errors import InputError
from steelyard.mixture import Cooldown, count_domains, plan_mixture
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs._plan import plan_of_recipe
from steelyard.runs._prompts import load_prompts
from steelyard.runs.progress import QuietProgress
from steelyard.training import train


@pytest.fixture
def supervised(jsonl):
    def make(rows, *, training=None, **data):
        content = {
            "name": "tiny",
            "kind": "supervised",
            "model": {"scratch": {"width": 16, "layers": 1, "heads": 2, "context": 64}},
            "data": {"source": str(jsonl(rows)), "held_out": {"share": 0.5, "least": 1, "most": 500}, **data},
            "mixture": {"schedule": "cooldown:5,1,0.5"},
            "training": {"steps": 10, "batch_size": 8, "max_tokens": 32, **(training or {})},
            "validation": {"every": 10},
        }
        return content

    return make


LONG = [{"text": f"{i} " + "x" * 60, "domain": "en" if i < 40 else "sw"} for i in range(50)]
REPEATED = [{"text": f"{i % 9}", "domain": "en" if i % 3 else "sw"} for i in range(60)]
PROMPTS = [{"q": f"{i}" + ("x" * 40 if i % 4 == 0 else ""), "a": str(i), "domain": "en" if i < 40 else "sw"} for i in range(50)]


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (LONG, {}),
        (LONG, {"training": {"pack": True}}),
        (LONG, {"keep": "{{ text | length > 30 and not text.startswith('1') }}"}),
        (REPEATED, {"repeats": True}),
        (REPEATED, {}),
        (PROMPTS, {"prompt": "{{ q }}", "completion": "{{ a }}"}),
    ],
)
def test_the_plan_of_a_supervised_recipe_is_what_its_run_saw(supervised, tmp_path, rows, options):
    recipe = parse_recipe(supervised(rows, **options))
    plan = plan_of_recipe(recipe)
    train(recipe, out=tmp_path / "run")
    seen = json.loads((tmp_path / "run" / "data.json").read_text())["domains"]
    assert {domain.name: domain.size for domain in plan.domains} == {name: counts["examples"] for name, counts in seen.items()}
    drawn = Counter()
    for step in RunLog(tmp_path / "run").steps():
        drawn.update(step["draws"])
    for domain in plan.domains:
        # Stratified draws follow the schedule to within one a batch, and over a run much closer.
        assert drawn[domain.name] == pytest.approx(domain.draws, abs=2)
        assert drawn[domain.name] / seen[domain.name]["examples"] == pytest.approx(domain.epochs, abs=2 / domain.size)


def test_the_plan_of_prompts_is_without_those_that_are_held_out(tiny_recipe, jsonl, tmp_path):
    rows = [{"prompt": f"{i}+1=", "answer": str(i + 1), "domain": "rare" if i % 10 == 9 else "common"} for i in range(48)]
    tiny_recipe["prompts"] = {"source": str(jsonl(rows)), "validation": {"size": 8}, "test": {"size": 20}}
    tiny_recipe["mixture"] = {"schedule": "constant:1"}
    recipe = parse_recipe(tiny_recipe)
    plan = plan_of_recipe(recipe)
    kept = Counter(row["domain"] for row in load_prompts(recipe.prompts).train)
    assert {domain.name: domain.size for domain in plan.domains} == kept
    assert kept.total() == 20
    with pytest.raises(InputError, match="draws every prompt once an epoch: give it a mixture to plan"):
        plan_of_recipe(parse_recipe({**tiny_recipe, "mixture": None}))


def test_a_run_says_at_its_start_what_will_be_seen_too_often(supervised, tmp_path):
    class Told(QuietProgress):
        lines = ()

        def message(self, text):
            self.lines = (*self.lines, text)

    rows = [{"text": f"{i}", "domain": "en" if i < 400 else "sw"} for i in range(404)]
    told = Told()
    train(parse_recipe(supervised(rows, training={"steps": 40})), out=tmp_path / "run", progress=told)
    assert any(line.startswith("sw (2) would be seen") for line in told.lines)


def called(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["steelyard", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code


def test_the_command_plans_a_recipe_and_prints_json(supervised, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(supervised(LONG)))
    assert called(monkeypatch, "mix", "r.yaml", "--json", "--set", "training.steps=20") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"] == 20
    assert {domain["name"]: domain["size"] for domain in plan["domains"]} == {"en": 20.0, "sw": 5.0}
    assert called(monkeypatch, "mix", "r.yaml", "--steps", 5) == 2
    assert "--steps: a recipe says its own; change it with --set" in capsys.readouterr().err
    assert called(monkeypatch, "mix", "r.yaml") == 0
    assert (tmp_path / "mix.png").is_file()


def test_sizes_may_be_given_in_any_unit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sizes.json").write_text('{"en": 2.5e12, "sw": 3e9}')
    assert (
        called(
            monkeypatch, "mix", "--sizes", "sizes.json", "--unit", "tokens", "--steps", 1000, "--batch-size", 4_000_000, "--json"
        )
        == 0
    )
    plan = json.loads(capsys.readouterr().out)
    assert [domain["size"] for domain in plan["domains"]] == [2.5e12, 3e9]
    for content, message in (
        ("[1]", "sizes are a JSON object"),
        ('{"en": 0}', "the size of 'en' must be a positive number"),
        ("{", "not valid JSON"),
    ):
        (tmp_path / "sizes.json").write_text(content)
        assert called(monkeypatch, "mix", "--sizes", "sizes.json", "--steps", 1) == 2
        assert message in capsys.readouterr().err
    assert called(monkeypatch, "mix", "--sizes", "absent.json", "--steps", 1) == 2
    assert called(monkeypatch, "mix", "x.txt") == 2
    assert "--steps is missing" in capsys.readouterr().err


def test_of_many_domains_the_twenty_worst_are_warned_of_and_the_rest_counted():
    sizes = [10**6] + [i + 1 for i in range(50)]
    plan = plan_mixture(sizes, Cooldown(start=float("inf")), num_samples=10**5, batch_size=100, max_epochs=2)
    assert len(plan.warnings) == 21
    assert plan.warnings[0].startswith("1 (1) would be seen")
    assert plan.warnings[-1] == "30 more domains would be seen more than 2 times"


def test_what_lies_beside_data_is_no_domain(tmp_path):
    for name in ("en.jsonl", "sw.jsonl"):
        (tmp_path / name).write_text('{"text": "a"}\n')
    for name in ("README.md", "SOURCE.md", "LICENSE", "dataset_info.json", "notes.md", ".hidden"):
        (tmp_path / name).write_text("# words\nof description\n")
    assert count_domains([str(tmp_path)]) == {"en": 1, "sw": 1}
    (tmp_path / "table.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"table.xlsx: cannot count .xlsx: data end in .*; convert it, or move it away"):
        count_domains([str(tmp_path)])
    (tmp_path / "table.xlsx").unlink()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "model.bin").write_bytes(b"\0")
    with pytest.raises(InputError, match=r"model.bin: cannot count .bin"):
        count_domains([str(tmp_path)])


def test_splits_are_no_domains_and_are_not_added_up(tmp_path):
    for domain in ("en", "sw"):
        (tmp_path / domain).mkdir()
        (tmp_path / domain / "train.jsonl").write_text('{"text": "a"}\n' * 9)
    assert count_domains([str(tmp_path)]) == {"en": 9, "sw": 9}
    (tmp_path / "en" / "test.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(
        InputError, match=r"test and train look like a data set's splits, which are no domains and are not added up"
    ):
        count_domains([str(tmp_path)])
    with pytest.raises(InputError, match="look like a data set's splits"):
        count_domains([str(tmp_path / "en")])
    # Shards of one split are one domain.
    (tmp_path / "en" / "test.jsonl").unlink()
    (tmp_path / "en" / "train-00001-of-00002.jsonl").write_text('{"text": "a"}\n')
    assert count_domains([str(tmp_path)]) == {"en": 10, "sw": 9}


def test_files_of_parallel_text_are_domains_by_their_language(tmp_path):
    for language, lines in (("en", 3), ("sw", 2), ("pt-BR", 1)):
        (tmp_path / f"train.{language}").write_text("a line\n" * lines)
    assert count_domains([str(tmp_path)]) == {"en": 3, "pt-BR": 1, "sw": 2}
    files = [str(tmp_path / f"train.{language}") for language in ("en", "sw")]
    assert count_domains(files) == {"en": 3, "sw": 2}
