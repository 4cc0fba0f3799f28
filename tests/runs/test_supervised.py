"""Recipes of `kind: supervised`, from file to report; what is wrong with the data is said in one line, before anything is written."""

import json
import re

import pytest

from steelyard.cli.root import main
from steelyard.errors import InputError, RunError
from steelyard.recipes.loading import load_recipe, parse_recipe
from steelyard.report import write_report
from steelyard.runlog import RunLog
from steelyard.runs._domain_data import load_domains
from steelyard.runs.progress import QuietProgress
from steelyard.runs.supervised import SupervisedRun
from steelyard.training import SupervisedResult, train

TEXTS = [{"text": f"word {i % 7} of page {i}", "domain": "en" if i < 60 else "sw" if i < 68 else "lo"} for i in range(69)]


@pytest.fixture
def scratch_recipe(jsonl):
    def make(rows=TEXTS, **changes):
        content = {
            "name": "tiny",
            "kind": "supervised",
            "model": {"scratch": {"width": 16, "layers": 1, "heads": 2, "context": 32}},
            "data": {"source": str(jsonl(rows, "texts.jsonl")), "held_out": {"share": 0.1, "least": 2}},
            "training": {"steps": 8, "batch_size": 6, "max_tokens": 16, "pack": True, "learning_rate": 1e-2},
            "validation": {"every": 2},
            "checkpoint": {"every": 4},
        }
        for key, value in changes.items():
            part, _, name = key.partition("__")
            content[part] = {**content.get(part, {}), name: value} if name else value
        return content

    return make


def test_a_run_from_nothing_leaves_losses_counts_a_model_and_a_report(scratch_recipe, tmp_path):
    result = train(parse_recipe(scratch_recipe()), out=tmp_path / "run")
    assert isinstance(result, SupervisedResult)
    assert set(result.losses) == {"en", "sw"}
    log = RunLog(tmp_path / "run")
    assert [v["step"] for v in log.validations()] == [0, 2, 4, 6, 8]
    assert log.validations()[-1]["loss"] < log.validations()[0]["loss"] - 0.3
    assert [step["step"] for step in log.steps()] == list(range(1, 9))
    assert all(sum(step["draws"].values()) == 6 for step in log.steps())
    # A cooldown from 5 to 1: the small domain has a larger share in the first half.
    first, second = (sum(step["draws"].get("sw", 0) for step in log.steps()[half]) for half in (slice(4), slice(4, 8)))
    assert first > second
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert data["rows"] == 69
    assert data["domains"]["sw"]["held_out"] == 2
    assert data["domains"]["lo"]["held_out"] == 0
    from transformers import AutoModelForCausalLM, AutoTokenizer

    final = tmp_path / "run" / "checkpoints" / "final"
    assert AutoModelForCausalLM.from_pretrained(final).num_parameters() > 1000
    assert AutoTokenizer.from_pretrained(final).decode(AutoTokenizer.from_pretrained(final).encode("né")) == "né"
    page = write_report([tmp_path / "run"]).read_text()
    assert "nothing held out" in page
    assert "Loss against size" in page
    assert "cooldown, stratified" in page


def test_a_killed_run_goes_on_bit_for_bit_and_the_page_compares_it(scratch_recipe, tmp_path, monkeypatch):
    recipe = parse_recipe(scratch_recipe())
    train(recipe, out=tmp_path / "whole")
    from steelyard.runs import supervised

    on_step, made = supervised.SupervisedRecorder.on_step, []

    def dies(self, record):
        on_step(self, record)
        made.append(record)
        if record["step"] == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(supervised.SupervisedRecorder, "on_step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=tmp_path / "part")
    monkeypatch.setattr(supervised.SupervisedRecorder, "on_step", on_step)
    train(recipe, out=tmp_path / "part", resume=True)
    whole, part = RunLog(tmp_path / "whole"), RunLog(tmp_path / "part")
    assert [v["losses"] for v in part.validations()] == [v["losses"] for v in whole.validations()]
    without = [{k: v for k, v in step.items() if k != "seconds"} for step in part.steps()]
    assert without == [{k: v for k, v in step.items() if k != "seconds"} for step in whole.steps()]
    # A run that is over is not trained again.
    train(recipe, out=tmp_path / "part", resume=True)
    assert part.validations() == RunLog(tmp_path / "part").validations()
    assert len(part.validations()) == 5
    assert "one seed a run" in write_report([tmp_path / "whole", tmp_path / "part"]).read_text()


def test_data_that_shrank_is_refused_with_both_values(scratch_recipe, tmp_path):
    content = scratch_recipe()
    train(parse_recipe(content), out=tmp_path / "run")
    scratch_recipe(TEXTS[1:])
    with pytest.raises(InputError, match=r"the run began on 69 rows \(checksum \w+\), and now there are 68 \(\w+\)"):
        train(parse_recipe(content), out=tmp_path / "run", resume=True)


def test_prompts_of_reinforcement_learning_are_drawn_by_domain_and_checked_as_well(tiny_recipe, jsonl, tmp_path):
    rows = [{"prompt": f"{i}+1=", "answer": str(i + 1), "domain": "rare" if i % 10 == 9 else "common"} for i in range(48)]
    path = jsonl(rows)
    tiny_recipe["prompts"] = {"source": str(path), "validation": {"size": 8}}
    tiny_recipe["mixture"] = {"schedule": "cooldown:inf,1,0.5"}
    recipe = parse_recipe(tiny_recipe)
    train(recipe, out=tmp_path / "run")
    draws = [step["draws"] for step in RunLog(tmp_path / "run").steps()]
    assert draws[:2] == [{"common": 2, "rare": 2}] * 2
    assert sum(d.get("rare", 0) for d in draws[2:]) <= 1
    page = write_report([tmp_path / "run"]).read_text()
    assert "How the mixture drew the prompts" in page
    assert re.search(r"<td>rare</td><td>[45]</td><td>(25.0|31.2)%</td>", page)
    jsonl(rows[:-1])
    with pytest.raises(InputError, match=r"the run began on 48 rows .* now there are 47"):
        train(recipe, out=tmp_path / "run", resume=True)


def test_files_by_domain_prompts_and_completions_and_adapters(scratch_recipe, jsonl, tiny_policy_dir, tmp_path):
    rows = [{"q": f"{i}+1=", "a": str(i + 1)} for i in range(12)]
    sources = {"en": str(jsonl(rows, "en.jsonl")), "sw": str(jsonl(rows[:4], "sw.jsonl"))}
    content = scratch_recipe(
        model={"name": str(tiny_policy_dir), "lora": {"rank": 2, "alpha": 4}},
        data={"source": sources, "prompt": "{{ q }}", "completion": "{{ a }}"},
        training={"steps": 2, "batch_size": 4, "micro_batch": 2, "max_tokens": 16},
        mixture={"schedule": "constant:5", "by": "scalarization"},
    )
    result = train(parse_recipe(content), out=tmp_path / "run")
    assert set(result.losses) == {"en", "sw"}
    assert (tmp_path / "run" / "checkpoints" / "final" / "adapter_model.safetensors").is_file()


def test_the_command_ends_in_a_table_and_a_report(scratch_recipe, tmp_path, capsys, monkeypatch):
    import yaml

    (tmp_path / "r.yaml").write_text(yaml.safe_dump(scratch_recipe()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["steelyard", "train", "r.yaml", "--set", "training.steps=2"])
    with pytest.raises(SystemExit, match="0"):
        main()
    out = capsys.readouterr().out
    assert "held-out loss" in out
    assert "report: runs/tiny/report.html" in out
    assert "nothing held out" in out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__txt": "x"}, "unknown key 'txt' in data (did you mean 'text'?)"),
        ({"model__name": "sums"}, "model: a model has either a `name` or is made from `scratch`"),
        ({"model": {"scratch": {"width": 30, "heads": 4}}}, "heads must divide width = 30"),
        ({"mixture__schedule": "cooldwn"}, "unknown schedule 'cooldwn' (did you mean 'cooldown'?)"),
        ({"mixture__schedule": "constant:0"}, "a temperature must be positive"),
        ({"mixture": {"schedule": "adaptive", "draw": "independent"}}, "only they can change on the way"),
        ({"training__micro_batch": 4}, "micro_batch must divide batch_size = 6, but is 4"),
        ({"training__max_tokens": 64}, "does not fit model.scratch.context = 32"),
        ({"data__held_out": {"least": 4, "most": 1}}, "least = 4 rows of a domain are more than most = 1"),
        ({"data__source": {"en": "a.jsonl", "sw": "a.jsonl"}}, "two domains have one source"),
        ({"data__prompt": "{{ text }}"}, "prompt and completion go together"),
        ({"kind": "supervized"}, "unknown kind 'supervized': use one of reinforcement, supervised (did you mean 'supervised'?)"),
    ],
)
def test_a_recipe_that_does_not_check_says_where(scratch_recipe, changes, message):
    with pytest.raises(InputError) as caught:
        parse_recipe(scratch_recipe(**changes), where="r.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "data", "message"),
    [
        ([*TEXTS[:60], '{"text": "torn'], {}, ":61: not a JSON object"),
        ([*TEXTS, {"text": " ", "domain": "en"}], {}, "row 70: the text is empty"),
        ([*TEXTS, {"text": "a", "domain": None}], {}, "row 70: the domain is empty"),
        ([{"txt": "a", "domain": "en"}], {}, "no column 'text' (found: txt, domain (did you mean 'txt'?))"),
        ([{"text": "a", "domain": "en"}] * 3, {}, "a mixture needs two domains at least, but all rows belong to 'en'"),
        ([{"text": "a", "domain": "en"}, {"text": "a", "domain": "sw"}], {}, "every domain has a single row"),
        (TEXTS, {"keep": "{{ text }}"}, "data.keep must give True or False, but gave 'word 0 of page 0'"),
        (TEXTS, {"keep": "False"}, "data.keep lets no row"),
        (TEXTS, {"text": "{{ txt }}"}, "'txt' is undefined (columns found: text, domain)"),
        ([*TEXTS, {"text": float("nan"), "domain": "en"}], {}, "row 70: the text is empty"),
        ([*TEXTS, {"text": "a", "domain": float("nan")}], {}, "row 70: the domain is empty"),
        ([*TEXTS, {"text": None, "domain": "en"}], {"text": "{{ text }}"}, "row 70: the text is empty"),
        ([*TEXTS, {"text": "a", "domain": None}], {"domain": "{{ domain }}"}, "row 70: the domain is empty"),
        (TEXTS, {"source": "absent.jsonl"}, "no file 'absent.jsonl'"),
    ],
)
def test_data_that_cannot_be_used_is_named_by_row(scratch_recipe, tmp_path, rows, data, message):
    content = scratch_recipe(rows)
    content["data"].update(data)
    with pytest.raises(InputError) as caught:
        train(parse_recipe(content), out=tmp_path / "run")
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_repeats_are_left_out_and_counted(scratch_recipe):
    content = scratch_recipe([*TEXTS, *TEXTS[:5], {**TEXTS[0], "domain": "sw"}])
    found = load_domains(parse_recipe(content).data)
    assert found.repeats == {"en": 5}
    assert len(found.train) + len(found.held_out) == 70
    content["data"]["repeats"] = True
    kept = load_domains(parse_recipe(content).data)
    assert len(kept.train) + len(kept.held_out) in range(70, 76)
    assert {(row["domain"], row["text"]) for row in kept.train}.isdisjoint((row["domain"], row["text"]) for row in kept.held_out)
    assert load_domains(parse_recipe(content).data).repeats == {}


def test_the_shipped_recipe_from_nothing_runs(jsonl, tmp_path):
    path = jsonl(TEXTS, "texts.jsonl")
    changes = [f"data.source={path}", "training.steps=1", "training.batch_size=2", "model.scratch.layers=1"]
    assert set(train(load_recipe("bytes-scratch", changes=changes), out=tmp_path / "run").losses) == {"en", "sw"}


def test_prompts_that_fill_max_tokens_are_told_and_a_domain_that_vanishes_is_refused(scratch_recipe, jsonl, tmp_path):
    def recipe(long_rows):
        rows = [{"q": f"{i}+1=", "a": str(i), "domain": "en"} for i in range(20)]
        rows += [{"q": str(i) + "x" * (40 if i < long_rows else 4), "a": str(i), "domain": "sw"} for i in range(10)]
        data = {"source": str(jsonl(rows)), "prompt": "{{ q }}", "completion": "{{ a }}", "held_out": {"share": 0.1}}
        return parse_recipe(scratch_recipe(data=data, training={"steps": 1, "batch_size": 4, "max_tokens": 16}))

    class Told(QuietProgress):
        lines = ()

        def message(self, text):
            self.lines = (*self.lines, text)

    told = Told()
    train(recipe(4), out=tmp_path / "some", progress=told)
    assert any(re.match(r"sw: \d of \d+ training rows are left out, since their prompts alone fill", line) for line in told.lines)
    with pytest.raises(InputError, match="domain 'sw': all 9 training rows are left out"):
        train(recipe(10), out=tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_run_killed_before_it_began_can_be_resumed(scratch_recipe, tmp_path, monkeypatch):
    recipe = parse_recipe(scratch_recipe())

    def dies(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SupervisedRun, "trainer", dies)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, out=tmp_path / "run")
    train(recipe, out=tmp_path / "run", resume=True)
    assert len(RunLog(tmp_path / "run").validations()) == 5


def test_a_run_that_diverges_ends_in_one_line(scratch_recipe, tmp_path):
    content = scratch_recipe(training__learning_rate=1e30, training__max_grad_norm=1e30)
    with pytest.raises(RunError, match="lower the learning rate"):
        train(parse_recipe(content), out=tmp_path / "run")


def test_an_adaptive_cooldown_without_held_out_rows_is_refused_at_once(scratch_recipe, tmp_path):
    rows = [{"text": f"text {i}", "domain": "en" if i < 30 else "sw"} for i in range(31)]
    content = scratch_recipe(rows, mixture={"schedule": "adaptive"})
    with pytest.raises(InputError, match="none has held-out rows"):
        train(parse_recipe(content), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_examples_longer_than_the_model_takes_are_refused_before_anything_is_written(scratch_recipe, tiny_policy_dir, tmp_path):
    content = scratch_recipe(model={"name": str(tiny_policy_dir)}, training__max_tokens=4096)
    with pytest.raises(InputError, match=r"training.max_tokens = 4096, but the model takes 64 tokens at most"):
        train(parse_recipe(content), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_key_that_yaml_reads_as_no_text_is_to_be_quoted(tmp_path):
    (tmp_path / "r.yaml").write_text("name: a\nkind: supervised\ndata: {source: {en: en.jsonl, no: no.jsonl}}\n")
    with pytest.raises(InputError, match=r"YAML reads the key False in data.source as no text: put it in quotes"):
        load_recipe(str(tmp_path / "r.yaml"))


def test_a_run_that_cannot_begin_leaves_a_linked_folder_as_it_was(scratch_recipe, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    with pytest.raises(InputError, match="late names 'xx', which is no domain"):
        train(parse_recipe(scratch_recipe(mixture={"schedule": "late:xx@0.5"})), out=tmp_path / "linked")
    assert list((tmp_path / "real").iterdir()) == []


def test_a_prompt_without_a_domain_is_named(tiny_recipe, jsonl, tmp_path):
    rows = [{"prompt": f"{i}+1=", "answer": str(i + 1), "domain": None if i == 2 else "one"} for i in range(12)]
    tiny_recipe["prompts"] = {"source": str(jsonl(rows)), "domain": "{{ domain }}", "validation": {"size": 2}}
    tiny_recipe["mixture"] = {"schedule": "constant:1"}
    with pytest.raises(InputError, match="prompt 3: a mixture needs every prompt's domain"):
        train(parse_recipe(tiny_recipe), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mixture_that_does_not_fit_the_prompts_is_refused_before_anything_is_written(tiny_recipe, tmp_path):
    tiny_recipe["prompts"]["domain"] = "{{ prompt | length }}"
    tiny_recipe["mixture"] = {"schedule": "late:nonsense@0.5"}
    with pytest.raises(InputError, match="late names 'nonsense', which is no domain"):
        train(parse_recipe(tiny_recipe), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
