"""A recipe whose judge is one of the objectives, or each principle of its rubric."""

import json
import time

import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from steelyard.cli.root import main
from steelyard.errors import InputError, RewardError, RunError
from steelyard.llm import Client
from steelyard.models.loading import load_policy
from steelyard.objectives import Objective
from steelyard.recipes.loading import load_recipe, parse_recipe
from steelyard.report import write_report
from steelyard.rubric import MetaRubric, PairwiseJudge, ProgrammaticJudge
from steelyard.rubric_reward import RubricReward
from steelyard.runlog import RunLog
from steelyard.runs.progress import QuietProgress
from steelyard.tasks.sums import sums_rows
from steelyard.training import PolicyTrainer, train, use_references


@pytest.fixture(scope="module")
def judge():
    measures = {"correctness": lambda prompt, answer: answer.count("1"), "economy": lambda prompt, answer: -len(answer)}
    with ProgrammaticJudge(measures, steps=(0.5, 3.0)) as server:
        yield server


def with_judge(recipe, server, **options):
    recipe["objectives"] = [
        {"kind": "conciseness"},
        {"kind": "rubric", "base_url": server.url, "model": "m", "retries": 0, **options},
    ]
    return parse_recipe(recipe)


class Lines(QuietProgress):
    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)


def test_a_judge_is_an_objective_of_a_recipe(tiny_recipe, judge, tmp_path):
    said = Lines()
    result = train(with_judge(tiny_recipe, judge, orders="one"), out=tmp_path / "run", progress=said)
    log = RunLog(result.path)
    # 4 prompts of 4 answers a step and 8 to validate, in one order.
    assert any(
        line.startswith("judge 'rubric' (bootstrap): at most 12 questions an update and 8 a validation") for line in said.lines
    )
    points = [validation["point"]["rubric"] for validation in log.validations()]
    assert points[0] == 0.5
    assert all(0 <= point <= 1 for point in points)
    rewards = pq.read_table(result.path / "answers").to_pandas().filter(like="rubric").iloc[:, 0].dropna().tolist()
    assert set(rewards) <= {-1.0, 0.0, 1.0}
    # The start's answers to test prompts were kept, so that the end is compared with them.
    tested = {
        policy["step"]: policy["values"]["rubric"]
        for policy in json.loads((result.path / "pareto.json").read_text())["test"]["policies"]
    }
    assert tested.get(0, 0.5) == 0.5


def test_an_answers_reward_is_explained(tiny_recipe, judge, tmp_path, monkeypatch, capsys):
    train(with_judge(tiny_recipe, judge, reference="round-robin"), out=tmp_path / "run", progress=QuietProgress())

    def called(*words):
        monkeypatch.setattr("sys.argv", ["steelyard", "explain", str(tmp_path / "run"), *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        seen = capsys.readouterr()
        return stop.value.code or 0, seen.out, seen.err

    rows = RunLog(tmp_path / "run").answers(step=2)
    said = [json.loads(row["said/rubric"]) for row in rows]
    assert all(len(each) == 3 for each in said)  # every other answer of the group
    scores = []
    for row, each in zip(rows, said, strict=True):
        signs = [(1 if one["side"] == "a" else -1) * one["verdicts"][0]["score"] / 2 for one in each]
        scores.append(sum(signs) / 3)
        assert row["reward/rubric"] == pytest.approx(scores[-1])
    code, out, _ = called("--step", 2, "--objective", "rubric", "--limit", 3)
    assert code == 0
    assert "update 2: 16 of 16 answers" in out
    assert "13 more" in out
    lowest = scores.index(min(scores)) + 1
    code, out, _ = called("--step", 2, "--answer", lowest)
    assert (code, "comparison 3 of 3" in out, "advantage:" in out) == (0, True, True)
    _, out, _ = called("--step", 2, "--verdict", "lost")
    assert (
        f"update 2: {sum(any((one['verdicts'][0]['winner'] in 'ab') and one['verdicts'][0]['winner'] != one['side'] for one in each) for each in said)} of 16"
        in out
    )
    # Answers that one objective likes more than the others to their prompt, and another less.
    groups = {}
    for row in rows:
        groups.setdefault(row["prompt"], []).append(row)
    torn = sum(
        row["reward/conciseness"] > sum(one["reward/conciseness"] for one in group) / len(group) + 1e-9
        and row["reward/rubric"] < sum(one["reward/rubric"] for one in group) / len(group) - 1e-9
        for group in groups.values()
        for row in group
    )
    _, out, _ = called("--step", 2, "--better", "conciseness", "--worse", "rubric")
    assert f"update 2: {torn} of 16" in out
    _, out, _ = called("--step", 2, "--verdict", "disagreed")
    assert "update 2: 0 of 16" in out
    for words, message in (
        (("--principle", "economy"), "no principle 'economy': this update has none"),
        (("--better", "brevity"), "no objective 'brevity'"),
        (("--step", 99), "has no answers of update 99: it has those of 1 to 4"),
        (("--answer", 17), "has answers 1 to 16, and no 17"),
        (("--objective", "rubrik"), "no objective 'rubrik' (did you mean 'rubric'?)"),
        (("--verdict", "win"), "no verdict 'win'"),
    ):
        code, _, error = called(*words)
        assert code == 2
        assert message in error.replace("\n", " ")


def test_every_principle_is_an_objective_of_a_recipe(tiny_recipe, judge, tmp_path, monkeypatch, capsys):
    recipe = with_judge(tiny_recipe, judge, split="principles", reference="round-robin")
    before = judge.questions
    result = train(recipe, out=tmp_path / "run", progress=QuietProgress())
    monkeypatch.setattr("sys.argv", ["steelyard", "explain", str(result.path), "--principle", "economy"])
    with pytest.raises(SystemExit):
        main()
    counted = sum('"principle": "economy"' in row["said/rubric-harmful-content"] for row in RunLog(result.path).answers(step=4))
    assert 0 < int(capsys.readouterr().out.split("update 4: ")[1].split(" of ")[0]) <= counted
    names = [f"rubric-{principle.id}" for principle in MetaRubric.load("general").principles]
    assert list(RunLog(result.path).validations()[0]["point"]) == ["conciseness", *names]
    # Asked once for all twelve: 4 steps of 4 groups of 6 pairs in both orders, and 8 prompts in validations and tests.
    assert judge.questions - before <= 4 * 4 * 6 * 2 + 16 * (2 + 6)
    weights = RunLog(result.path).steps()[-1]["weights"]
    assert len(weights) == 13


def test_a_run_that_goes_on_asks_the_same_and_ends_the_same(tiny_recipe, judge, tmp_path, monkeypatch):
    recipe = with_judge(tiny_recipe, judge)
    whole = train(recipe, out=tmp_path / "whole", progress=QuietProgress())
    reply, asked = judge.reply, []

    def dies(body):
        asked.append(1)
        return {} if len(asked) > 70 else reply(body)

    monkeypatch.setattr(judge, "reply", dies)
    stopping = with_judge(tiny_recipe, judge, patience=0)
    with pytest.raises(RunError, match=r"pairs of answers have no verdict .*; check the judge, and resume"):
        train(stopping, out=tmp_path / "cut", progress=QuietProgress())
    monkeypatch.setattr(judge, "reply", reply)
    done = len(RunLog(tmp_path / "cut").steps())
    assert 0 < done < 4
    train(recipe, out=tmp_path / "cut", resume=True, progress=QuietProgress())
    # Answers that are known to be the start's are no pairs; a run that goes on has forgotten which were.
    timed = ("seconds", "checkpoint_seconds", "judges")
    for kept, again in zip(RunLog(whole.path).validations(), RunLog(tmp_path / "cut").validations(), strict=True):
        assert {key: value for key, value in kept.items() if key not in timed} == {
            key: value for key, value in again.items() if key not in timed
        }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": None, "model": None}, "a rubric objective needs a judge: give base_url and model, or local: true"),
        ({"local": True}, "and not both"),
        ({"rubric": "generel"}, r"no meta-rubric 'generel' \(did you mean 'general'\?\)"),
        ({"guards": [{"check": "wrods"}]}, r"unknown kind of check 'wrods' \(did you mean 'words'\?\)"),
        ({"referense": "x"}, "unknown key 'referense'"),
        ({"api_key_env": "NO_SUCH_KEY"}, "the environment has no NO_SUCH_KEY"),
        ({"reference": "gold"}, "column 'gold' has no reference answer: fill it in"),
    ],
)
def test_a_judge_that_cannot_be_is_refused_before_anything_is_learned(tiny_recipe, judge, jsonl, tmp_path, options, message):
    tiny_recipe["prompts"] = {
        "source": str(jsonl([{"prompt": f"{i}+1=", "answer": str(i + 1)} for i in range(24)])),
        "validation": {"size": 8},
    }
    with pytest.raises(InputError, match=message):
        train(with_judge(tiny_recipe, judge, **options), out=tmp_path / "run", progress=QuietProgress())


def test_a_columns_references_are_kept_and_read(tiny_recipe, judge, jsonl, tmp_path):
    rows = [{"prompt": f"{i}+1=", "answer": str(i + 1), "gold": f"It is {i + 1}."} for i in range(24)]
    tiny_recipe["prompts"] = {"source": str(jsonl(rows)), "validation": {"size": 8}}
    result = train(with_judge(tiny_recipe, judge, reference="gold"), out=tmp_path / "run", progress=QuietProgress())
    assert RunLog(result.path).validations()[-1]["step"] == 4


def test_a_hole_in_a_column_of_references_is_found_before_anything_is_loaded(tiny_recipe, judge, jsonl, tmp_path):
    rows = [{"prompt": f"{i}+1=", "answer": str(i + 1), "gold": "" if i == 20 else "It is."} for i in range(24)]
    tiny_recipe["prompts"] = {"source": str(jsonl(rows)), "validation": {"size": 2}}
    with pytest.raises(InputError, match=r"objective 'rubric', .*prompt \d+: column 'gold' has no reference answer: fill it in"):
        train(with_judge(tiny_recipe, judge, reference="gold"), out=tmp_path / "run", progress=QuietProgress())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("reference", ["greedy", "start"])
def test_the_policys_own_answers_are_the_reference(tiny_recipe, judge, tmp_path, reference):
    recipe = with_judge(tiny_recipe, judge, reference=reference)
    whole = train(recipe, out=tmp_path / "whole", progress=QuietProgress())
    log = RunLog(whole.path)
    others: dict = {}
    for step in range(1, 5):
        for row in log.answers(step=step):
            (said,) = json.loads(row["said/rubric"])
            others.setdefault((row["prompt"], step if reference == "greedy" else 0), set()).add(said["other"])
    # One answer a prompt that all of its group are compared with; of the start, one for the whole run.
    assert all(len(each) == 1 for each in others.values())
    # The extra answers are in no count of tokens, and another run is the same run.
    again = train(with_judge(tiny_recipe, judge, reference=reference), out=tmp_path / "again", progress=QuietProgress())
    assert [v["point"] for v in log.validations()] == [v["point"] for v in RunLog(again.path).validations()]
    kept = list(whole.path.rglob("start_answers.jsonl"))
    assert len(kept) == (reference == "start")


def test_the_start_is_the_start_of_a_run_that_goes_on(tiny_recipe, judge, tmp_path, monkeypatch):
    recipe = with_judge(tiny_recipe, judge, reference="start", orders="one")
    whole = train(recipe, out=tmp_path / "whole", progress=QuietProgress())
    reply, asked = judge.reply, []

    def dies(body):
        asked.append(1)
        return {} if len(asked) > 48 else reply(body)

    monkeypatch.setattr(judge, "reply", dies)
    with pytest.raises(RunError, match="have no verdict"):
        train(
            with_judge(tiny_recipe, judge, reference="start", orders="one", patience=0),
            out=tmp_path / "cut",
            progress=QuietProgress(),
        )
    monkeypatch.setattr(judge, "reply", reply)
    (kept,) = (tmp_path / "cut").rglob("start_answers.jsonl")
    before = kept.read_text()
    assert len(RunLog(tmp_path / "cut").steps()) >= 2
    train(recipe, out=tmp_path / "cut", resume=True, progress=QuietProgress())
    assert kept.read_text() == before
    for step in range(1, 5):
        first, second = (
            {row["prompt"]: json.loads(row["said/rubric"])[0]["other"] for row in RunLog(path).answers(step=step)}
            for path in (whole.path, tmp_path / "cut")
        )
        assert first == second


def test_where_the_judge_stands_may_change_and_what_it_is_asked_may_not(tiny_recipe, judge, tmp_path):
    train(with_judge(tiny_recipe, judge), out=tmp_path / "run", progress=QuietProgress())
    longer = {**tiny_recipe, "algorithm": {**tiny_recipe["algorithm"], "steps": 5}}
    with pytest.raises(InputError, match="was started with another recipe"):
        train(with_judge(longer, judge, orders="one"), out=tmp_path / "run", resume=True, progress=QuietProgress())
    train(with_judge(longer, judge, concurrency=2, timeout=60), out=tmp_path / "run", resume=True, progress=QuietProgress())


def trls_trainer(tiny_policy_dir, judge, tmp_path, reference, prompts=6, **given):
    model, tokenizer = load_policy(str(tiny_policy_dir))
    reward = RubricReward(PairwiseJudge(Client(judge.url, "m"), MetaRubric.load("general")), reference=reference)
    args = GRPOConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, per_device_train_batch_size=8, num_generations=4, max_completion_length=12, max_steps=2,
        logging_steps=1, report_to="none", save_strategy="no", disable_tqdm=True, gradient_checkpointing=False, **given,
    )  # fmt: skip
    return GRPOTrainer(
        model=model,
        reward_funcs=[reward],
        args=args,
        train_dataset=Dataset.from_list(sums_rows(16, prompts)[0]),
        eval_dataset=Dataset.from_list(sums_rows(16, 4)[1]),
        processing_class=tokenizer,
    )


@pytest.mark.parametrize("reference", ["greedy", "start"])
def test_trls_own_trainer_gives_the_policys_answers_after_one_call(tiny_policy_dir, judge, tmp_path, reference):
    # Fewer updates than it takes to see all prompts, in more than one epoch's order.
    trainer = trls_trainer(tiny_policy_dir, judge, tmp_path, reference, prompts=7, eval_strategy="steps", eval_steps=1)
    with pytest.raises(InputError, match=r"call steelyard.training.use_references\(trainer\) before training"):
        trainer.train()
    trainer = trls_trainer(tiny_policy_dir, judge, tmp_path, reference, prompts=7, eval_strategy="steps", eval_steps=1)
    use_references(trainer)
    trainer.evaluate()
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["rubric/failed"] for entry in logged] == [0.0, 0.0]
    lengths = [entry["num_tokens"] for entry in logged]
    assert lengths[1] - lengths[0] < 8 * (16 + 12)  # the greedy answers are not in it
    assert trainer.num_generations == 4
    if reference == "start":
        kept = [json.loads(line) for line in (tmp_path / "start_answers.jsonl").read_text().splitlines()]
        assert len(kept) == 4 + 4  # two updates of two prompts, and the held-out ones


def test_trls_own_trainer_takes_the_reward_as_it_is(tiny_policy_dir, judge, tmp_path):
    trainer = trls_trainer(tiny_policy_dir, judge, tmp_path, "tournament")
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["rubric/failed"] for entry in logged] == [0.0, 0.0]
    assert all(entry["rubric/calls"] > 0 and "rewards/rubric/mean" in entry for entry in logged)


def test_one_recipe_has_a_mixture_a_judge_by_principles_and_moving_weights(tmp_path):
    measures = {
        name: lambda prompt, answer, k=k: len(answer) % k for k, name in enumerate(("form", "alive", "coherence"), start=2)
    }
    with ProgrammaticJudge(measures, steps=(0.5, 1.5)) as server:
        recipe = load_recipe("smollm2-everyday").model_dump(mode="json")
        recipe["objectives"][3] |= {"local": False, "base_url": server.url, "model": "m", "patience": 0}
        recipe["prompts"]["validation"]["size"] = 3
        recipe["algorithm"] |= {
            "steps": 2,
            "prompts_per_step": 3,
            "answers_per_prompt": 2,
            "micro_batch": 6,
            "max_answer_tokens": 6,
        }
        result = train(parse_recipe(recipe), out=tmp_path / "run", progress=QuietProgress())
    log = RunLog(result.path)
    steps = log.steps()
    names = ["accuracy", "ifeval", "repetition", "rubric-form", "rubric-alive", "rubric-coherence"]
    assert list(steps[0]["weights"]) == names
    assert set(steps[0]["draws"]) == {"maths", "instructions", "writing"}
    assert steps[0]["judges"]["rubric"]["pairs"] == 1
    rows = log.answers(step=1)
    for row in rows:
        applies = {"maths": "accuracy", "instructions": "ifeval"}.get(row["domain"])
        assert [name for name in names[:2] if row[f"reward/{name}"] is not None] == ([applies] if applies else [])
        assert row["domain"] == "writing" or not any(row[f"reward/{name}"] is not None for name in names[3:])
    page = write_report([result.path]).read_text()
    for part in ("<h2>Domains</h2>", "<h2>Judging</h2>", "<td>instructions</td>", "Weights over updates", "waited"):
        assert part in page


def test_further_judges_and_who_measures_are_named_in_a_recipe(tiny_recipe, judge, tmp_path, monkeypatch):
    monkeypatch.setenv("FIRST_KEY", "one")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ProgrammaticJudge({"economy": lambda prompt, answer: -len(answer)}) as other:
        options = {
            "api_key_env": "FIRST_KEY",
            "judges": [{"base_url": other.url, "model": "n"}, {"orders": "other"}],
            "measured_by": {"rubric": "maths"},
            "orders": "one",
            "price": {"tokens_in": 1.0},
        }
        recipe = with_judge(tiny_recipe, judge, **options)
        reward = recipe.build_objectives()[1].reward.of
        first, second, third = (one.client for one in reward.judges)
        # A key goes to the provider that it is for, and to no other.
        assert (first.api_key, second.api_key, third.api_key) == ("one", "none", "one")
        assert [one.orders for one in reward.judges] == ["one", "one", "other"]
        assert [one.rubrics["general"].name for one in reward.against_start.judges] == ["maths"]
        said = Lines()
        result = train(recipe, out=tmp_path / "run", progress=said)
        assert any("at most 36 questions an update and 8 a validation" in line for line in said.lines)
    steps = RunLog(result.path).steps()
    assert all(step["judges"]["rubric"]["price"] > 0 for step in steps)
    assert all(0 < step["waited"] <= step["seconds"]["rewards"] for step in steps)
    page = write_report([result.path]).read_text()
    assert "<h2>Judging</h2>" in page
    with pytest.raises(InputError, match="a further judge needs both base_url and model, or neither"):
        with_judge(tiny_recipe, judge, base_url=None, model=None, local=True, judges=[{"base_url": "http://x"}])


@pytest.mark.parametrize("fails", [False, True])
def test_judging_begins_before_other_rewards_and_ends_with_them(tiny_policy_dir, judge, tmp_path, fails):
    """A plain reward that takes its time finds the judge at work; where it fails, nothing goes on asking."""
    model, tokenizer = load_policy(str(tiny_policy_dir))
    began, seen = judge.questions, []

    def slow(completions):
        # After a failure every answer is tried by itself, to name the one to blame.
        time.sleep(0 if seen else 3)
        seen.append(judge.questions)
        if fails:
            raise ValueError("no score")
        return [0.0] * len(completions)

    client = Client(judge.url, "m", concurrency=1)
    reward = RubricReward(PairwiseJudge(client, MetaRubric.load("general"), orders="one"), reference="round-robin")
    trainer = PolicyTrainer(
        model,
        None,
        GRPOConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=12,
            max_steps=1,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(sums_rows(4, 1)[0]),
        processing_class=tokenizer,
        objectives=[Objective("slow", slow), reward.objective()],
    )
    if not fails:
        trainer.train()
        # TRL by itself would ask only now.
        assert seen == [began + 6] == [judge.questions]
        return
    reply = judge.reply
    judge.reply = lambda body: time.sleep(1) or reply(body)
    try:
        with pytest.raises(RewardError, match="objective 'slow' raised ValueError: no score"):
            trainer.train()
        time.sleep(3)
    finally:
        del judge.reply
    assert began < seen[0] < began + 6
    assert judge.questions <= seen[0] + 1


def test_criteria_with_points_are_objectives_of_a_recipe(tiny_recipe, tmp_path, command):
    criteria = [
        {"criterion": "ones: has ones", "points": 5, "scale": "graded", "tags": ["content"]},
        {"criterion": "wordy: is long", "points": -2, "tags": ["form"]},
    ]
    rows = [{"prompt": f"{i}+1=", "answer": str(i + 1), "rubrics": json.dumps(criteria)} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tiny_recipe["prompts"] = {"source": "rows.jsonl", "validation": {"size": 8}, "test": {"size": 4}}
    measures = {"ones": lambda prompt, answer: answer.count("1") / 3, "wordy": lambda prompt, answer: len(answer) / 8}
    with ProgrammaticJudge(measures) as server:
        points = {"kind": "points", "base_url": server.url, "model": "m", "retries": 0, "criteria": "rubrics"}
        guard = {"check": "characters", "options": {"at_most": 25}}
        tiny_recipe["objectives"] = [{"kind": "conciseness"}, {**points, "split": ["content", "form"], "guards": [guard]}]
        said = Lines()
        result = train(parse_recipe(tiny_recipe), out=tmp_path / "run", base=tmp_path, progress=said)
        again = train(parse_recipe(tiny_recipe), out=tmp_path / "run", base=tmp_path, resume=True, progress=QuietProgress())
    assert any(
        line.startswith(
            "judge 'points' (answer by answer, 2 criteria at most, 8 a question): at most 16 questions an update and 8 a validation"
        )
        for line in said.lines
    )
    log = RunLog(result.path)
    assert again.front == result.front
    assert {"conciseness", "points-content", "points-form"} == set(log.steps()[0]["weights"])
    assert log.steps()[0]["judges"]["points"]["calls"] > 0
    assert log.validations()[0]["judges"]["points"]["calls"] > 0
    row = next(row for row in log.answers(step=1) if json.loads(row["said/points-content"])[0].get("graded"))
    (grading,) = json.loads(row["said/points-content"])[0]["graded"]
    content, form = grading["criteria"]
    assert row["reward/points-content"] == pytest.approx(content["value"])
    assert row["reward/points-form"] == pytest.approx(1 - form["value"])
    number = [one["answer"] for one in log.answers(step=1)].index(row["answer"]) + 1
    code, out, _ = command("explain", str(result.path), "--step", 1, "--answer", number)
    assert code == 0
    assert "ones: has ones" in out
    said = [json.loads(one["said/points-content"])[0] for one in log.answers(step=1)]
    faultless = [i for i, one in enumerate(said, start=1) if one.get("graded") and one["graded"][0]["criteria"][1]["value"] == 0]
    assert "│ -0 " not in command("explain", str(result.path), "--step", 1, "--answer", faultless[0])[1]
    code, out, _ = command("explain", str(result.path), "--step", 1, "--principle", "wordy: is long")
    assert code == 0
    page = write_report([result.path])
    assert "ones: has ones" in (page.parent / "answers.html").read_text()


def test_what_is_wrong_with_criteria_is_said_before_a_run(tiny_recipe, tmp_path):
    tiny_recipe["prompts"] = {"source": "rows.jsonl", "validation": {"size": 8}, "test": {"size": 0}}
    judge = {"kind": "points", "base_url": "http://127.0.0.1:9/v1", "model": "m"}

    def refused(said, rubrics=None, **options):
        rows = [{"prompt": f"{i}+1=", "answer": str(i + 1), "rubrics": rubrics} for i in range(40)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        content = {**tiny_recipe, "objectives": [{"kind": "conciseness"}, {**judge, **options}]}
        with pytest.raises(InputError, match=said):
            train(parse_recipe(content), out=tmp_path / "run", base=tmp_path, progress=QuietProgress())

    refused(r"needs criteria, a column or a file, or written_from")
    refused(r"no prompt of rows.jsonl has criteria in column 'rubrics'", criteria="rubrics")
    refused(
        r"rows.jsonl, prompt 1, criterion 1: points must be a finite number",
        [{"criterion": "a", "points": "x"}],
        criteria="rubrics",
    )
    refused(r"there is no file .*mine.yaml", criteria="mine.yaml")
    refused(r"a points objective needs a judge", criteria="rubrics", model=None)
    refused(r"unknown key 'orders'", criteria="rubrics", orders="both")
