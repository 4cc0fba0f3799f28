"""Whole runs through `train`: the folder they leave, going on after a crash, LoRA, supervised stage, bad input before anything is loaded."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from steelyard.errors import DiskFullError, InputError, RewardError
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs._resume import read_resolved
from steelyard.training import train
from steelyard.training._validation import Measured


def run(content, out, **options):
    return train(parse_recipe(content), out=out, **options)


def without_times(records):
    return [{key: value for key, value in record.items() if "seconds" not in key} for record in records]


def test_a_run_leaves_a_folder_that_tells_everything(tiny_recipe, tmp_path):
    result = run(tiny_recipe, tmp_path / "run")
    log = RunLog(result.path)
    steps, validations = log.steps(), log.validations()
    assert [s["step"] for s in steps] == [1, 2, 3, 4]
    assert [v["step"] for v in validations] == [0, 2, 4]
    for step in steps:
        assert sum(step["weights"].values()) == pytest.approx(1)
        assert set(step["influence"]) == set(step["weights"]) == set(step["rewards"])
        assert {"generation", "rewards", "weighting", "update"} <= set(step["seconds"])
        rows = log.answers(step=step["step"])
        assert len(rows) == 16
        for name, stats in step["rewards"].items():
            raw = [row[f"reward/{name}"] for row in rows]
            assert sum(raw) / 16 == pytest.approx(stats["mean"])
            assert rows[0][f"weight/{name}"] == step["weights"][name]
    assert all(0 <= row["reward/repetition"] <= 1 for row in log.answers())
    front = log.pareto()
    assert front["reference"] == {"conciseness": 12.0, "repetition": 0.0, "accuracy": 0.0}
    assert front["hypervolume"] == validations[-1]["hypervolume"]
    kept = sorted(entry.name for entry in log.front.iterdir())
    assert kept == sorted(f"step-{point['step']:06d}" for point in front["front"])
    named = {name for point in front["front"] for name in point["names"]}
    assert named == {"best conciseness", "best repetition", "best accuracy", "balanced"}
    for point in front["front"]:
        assert (result.path / point["checkpoint"] / "model.safetensors").is_file()
    assert read_resolved(result.path) == parse_recipe(tiny_recipe)
    assert yaml.safe_load((result.path / "recipe.yaml").read_text())["versions"]["trl"]


def test_a_checkpoint_on_the_front_is_a_policy_that_can_be_trained_on(tiny_recipe, tmp_path):
    result = run(tiny_recipe, tmp_path / "first")
    tiny_recipe["model"]["name"] = str(result.path / result.front[0]["checkpoint"])
    again = run(tiny_recipe, tmp_path / "second")
    start = RunLog(again.path).validations()[0]["point"]
    assert start == RunLog(result.path).pareto()["front"][0]["values"]
    assert RunLog(again.path).pareto()["test"]["policies"][0]["values"] == result.front[0]["values"]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tiny_recipe, tmp_path):
    logs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        logs.append(without_times(RunLog(run({**tiny_recipe, "seed": seed}, tmp_path / name).path).steps()))
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


@pytest.mark.parametrize("estimator", ["rloo", "reinforce"])
@pytest.mark.parametrize(
    "weighting", [{"method": "fixed"}, {"method": "hypervolume"}, {"method": "gradient-influence", "mu": 1e-3}]
)
def test_every_estimator_runs_with_every_weighting(tiny_recipe, tmp_path, estimator, weighting):
    tiny_recipe["algorithm"] |= {"estimator": estimator, "steps": 2}
    tiny_recipe |= {"weighting": weighting, "validation": {"every": 1}}
    assert len(RunLog(run(tiny_recipe, tmp_path / "run").path).steps()) == 2


def test_single_answers_need_no_group(tiny_recipe, tmp_path):
    tiny_recipe["algorithm"] |= {"estimator": "reinforce", "answers_per_prompt": 1, "prompts_per_step": 8, "steps": 2}
    rows = RunLog(run(tiny_recipe, tmp_path / "run").path).answers(step=1)
    assert len({row["prompt"] for row in rows}) == 8


def test_lora_trains_adapters_and_keeps_them(tiny_recipe, tmp_path):
    tiny_recipe["model"]["lora"] = {"rank": 4}
    result = run(tiny_recipe, tmp_path / "run")
    for point in result.front:
        folder = result.path / point["checkpoint"]
        assert (folder / "adapter_model.safetensors").is_file()
        assert not (folder / "model.safetensors").exists()
    assert RunLog(result.path).steps()[-1]["influence"]


@pytest.mark.parametrize("lora", [{"rank": 8}, None])
def test_a_supervised_stage_teaches_what_it_shows(tiny_recipe, tmp_path, lora):
    """The embedded policy learns to answer every sum with a bare 7, through adapters that are merged or in all its parameters."""
    tiny_recipe["model"]["name"] = "sums"
    tiny_recipe["supervised"] = {
        "completions": ["7"],
        "steps": 30,
        "batch_size": 8,
        "learning_rate": 1e-2 if lora else 3e-3,
        "lora": lora,
    }
    tiny_recipe["algorithm"]["steps"] = 1
    result = run(tiny_recipe, tmp_path / "run")
    first = RunLog(result.path).answers(step=1)
    assert sum(row["answer"] == "7" for row in first) >= 12
    assert (result.path / "checkpoints" / "supervised" / "model.safetensors").is_file()
    assert not (result.path / "checkpoints" / "supervised-work").exists()


def test_user_functions_are_found_beside_their_recipe(tiny_recipe, tmp_path):
    (tmp_path / "mine.py").write_text(
        "async def digits(completions, **columns):\n    return [sum(c.isdigit() for c in t) for t in completions]\n"
    )
    tiny_recipe["objectives"] = [{"kind": "repetition"}, {"function": "mine.py:digits", "goal": "minimize", "bounds": [0, 12]}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tiny_recipe))
    result = train(tmp_path / "mine.yaml", out=tmp_path / "run")
    front = RunLog(result.path).pareto()
    assert front["reference"]["digits"] == 12.0
    assert {point["values"]["digits"] >= 0 for point in front["front"]} == {True}


def test_objectives_may_apply_to_some_domains_only(tiny_recipe, tmp_path, jsonl):
    rows = [{"prompt": f"{i}+1=", "answer": str(i + 1), "domain": "maths" if i % 2 else "chat"} for i in range(24)]
    tiny_recipe["prompts"] = {"source": str(jsonl(rows)), "validation": {"size": 8}}
    tiny_recipe["objectives"][2]["applies_to"] = ["maths"]
    log = RunLog(run(tiny_recipe, tmp_path / "run").path)
    for row in log.answers():
        assert (row["reward/accuracy"] is None) == (row["domain"] == "chat")
        assert row["reward/repetition"] is not None


# Going on ------------------------------------------------------------------------------------------------------------------------------


def state_of(path):
    """Everything a run says and every weight it ends with, times aside."""
    log = RunLog(path)
    last = log.last_checkpoint()
    answers = log.answers()
    front = {entry.name: load_file(entry / "model.safetensors") for entry in sorted(log.front.iterdir())}
    return {
        "steps": without_times(log.steps()),
        "validations": without_times(log.validations()),
        "answers": answers,
        "pareto": log.pareto(),
        "ours": json.loads((last / "steelyard.json").read_text()),
        "weights": load_file(last / "model.safetensors"),
        "front": front,
    }


def assert_same(found, expected):
    for key in ("steps", "validations", "answers", "pareto", "ours"):
        assert found[key] == expected[key], key
    for key in expected["weights"]:
        assert torch.equal(found["weights"][key], expected["weights"][key])
    assert list(found["front"]) == list(expected["front"])
    for name, tensors in expected["front"].items():
        assert all(torch.equal(found["front"][name][key], tensor) for key, tensor in tensors.items())


def until_lines(path, count):
    return lambda: (path / "steps.jsonl").is_file() and len((path / "steps.jsonl").read_bytes().splitlines()) >= count


def until_half_checkpoint(path, step):
    folder = path / "checkpoints" / f"checkpoint-{step}"
    return lambda: folder.is_dir()


@pytest.mark.xdist_group("resume")
def test_a_run_killed_again_and_again_ends_bit_for_bit_like_one_that_was_not(tiny_recipe, tmp_path):
    """Six epochs of prompts, a stateful objective, moving weights; killed while loading, between lines, and while a checkpoint is written."""
    tiny_recipe["algorithm"]["steps"] = 36
    tiny_recipe["validation"]["every"] = 5
    tiny_recipe["checkpoint"]["every"] = 3
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tiny_recipe))
    command = [sys.executable, "-m", "steelyard.cli", "train", str(recipe), "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], check=True, env=environment, capture_output=True)

    kills = [until_lines(killed, 1), until_lines(killed, 8), until_half_checkpoint(killed, 15), until_lines(killed, 31)]
    for attempt, due in enumerate(kills):
        process = subprocess.Popen(
            [*command, str(killed), *(["--resume"] if attempt else [])],
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while not due():
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        assert len(RunLog(killed).steps()) < 36
    subprocess.run([*command, str(killed), "--resume"], check=True, env=environment, capture_output=True)
    assert_same(state_of(killed), state_of(whole))


@pytest.mark.parametrize(
    "weighting",
    [
        {"method": "normalized-influence", "influence": "optimizer-step"},
        {"method": "normalized-influence", "gram_every": 3, "every": 2},
        {"method": "gradient-influence", "mu": 1e-3, "accumulate": 2, "influence": "jvp"},
        {"method": "hypervolume"},
        {"method": "lagrangian", "maximize": "conciseness", "at_least": {"variety": 0.9}},
        {"method": "tchebycheff"},
        {"method": "stage-aware", "momentum": 0.5},
        {"method": "upgrad"},
    ],
)
def test_every_method_with_a_state_goes_on_bit_for_bit(tiny_recipe, tmp_path, monkeypatch, weighting):
    (tmp_path / "mine.py").write_text(
        "def variety(completions, **columns):\n    return [len(set(text)) / 12 for text in completions]\n"
    )
    tiny_recipe["objectives"] = [{"kind": "conciseness"}, {"function": "mine.py:variety", "bounds": [0, 1]}, {"kind": "accuracy"}]
    tiny_recipe |= {"weighting": weighting, "validation": {"every": 1}}
    whole = run(tiny_recipe, tmp_path / "whole", base=tmp_path).path
    plain = RunLog.append_step

    def stop_at_the_fourth(self, record):
        if record["step"] == 4:
            raise KeyboardInterrupt
        plain(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append_step", stop_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            run(tiny_recipe, tmp_path / "stopped", base=tmp_path)
    run(tiny_recipe, tmp_path / "stopped", base=tmp_path, resume=True)
    steps, again = (without_times(RunLog(path).steps()) for path in (whole, tmp_path / "stopped"))
    assert len(steps) == 4
    assert again == steps
    # Only a state that has moved by then could be lost.
    told = [(tuple(step["weights"].values()), step["scale"]) for step in steps]
    assert len(set(told[:3])) > 1


def test_a_run_is_resumed_by_its_own_recipe_only(tiny_recipe, tmp_path):
    run(tiny_recipe, tmp_path / "run")
    tiny_recipe["algorithm"]["learning_rate"] = 0.5
    with pytest.raises(InputError, match=r"was started with another recipe \(algorithm.learning_rate was 0.001 and is 0.5"):
        run(tiny_recipe, tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="is no run folder"):
        run(tiny_recipe, tmp_path / "nothing", resume=True)


def test_resuming_a_finished_run_changes_nothing(tiny_recipe, tmp_path):
    run(tiny_recipe, tmp_path / "run")
    before = state_of(tmp_path / "run")
    run(tiny_recipe, tmp_path / "run", resume=True)
    assert_same(state_of(tmp_path / "run"), before)


def test_the_recipe_in_a_run_folder_is_a_recipe(tiny_recipe, tmp_path):
    first = run(tiny_recipe, tmp_path / "run")
    again = train(tmp_path / "run" / "recipe.yaml", out=tmp_path / "run", resume=True)
    assert again.front == first.front


def test_two_processes_cannot_train_in_one_folder(tiny_recipe, tmp_path):
    run(tiny_recipe, tmp_path / "run")
    with RunLog(tmp_path / "run").lock(), pytest.raises(InputError, match="another process is training in"):
        run(tiny_recipe, tmp_path / "run", resume=True)


def test_a_policy_on_the_front_is_kept_until_a_checkpoint_makes_its_loss_final(tiny_recipe, tmp_path):
    from steelyard.runs._recorder import RunRecorder
    from steelyard.runs.progress import QuietProgress

    recipe = parse_recipe(tiny_recipe)
    log = RunLog(tmp_path / "run").create("")
    recorder = RunRecorder(log, recipe, recipe.build_objectives(), QuietProgress())

    class Saver:
        last_measured = Measured({}, dict.fromkeys(["conciseness", "repetition", "accuracy"], 0.01), 8)

        def save_model(self, folder, _internal_call):
            Path(folder).mkdir(exist_ok=True)

    for step, quality in ((0, 0.1), (1, 0.2), (2, 0.3)):
        recorder.on_validation(step, {"conciseness": 10 - step, "repetition": quality, "accuracy": quality}, 0.1, Saver())
    assert len(list(log.front.iterdir())) == 3
    recorder.on_checkpoint(2)
    assert [entry.name for entry in log.front.iterdir()] == ["step-000002"]


# Bad input -----------------------------------------------------------------------------------------------------------------------------


def test_a_run_folder_that_exists_is_refused_and_left_alone(tiny_recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="exists already"):
        run(tiny_recipe, tmp_path / "run")
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-owner/no-such-model", "cannot load model 'no-such-owner/no-such-model'"),
        ("./nowhere", "no model at './nowhere'"),
        ("nowhere.gguf", "no model at 'nowhere.gguf'"),
    ],
)
def test_an_unknown_model_is_refused_and_nothing_is_written(tiny_recipe, tmp_path, name, message):
    tiny_recipe["model"]["name"] = name
    with pytest.raises(InputError, match=message):
        run(tiny_recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_model_names_what_is_in_it(tiny_recipe, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("")
    tiny_recipe["model"]["name"] = str(tmp_path / "model")
    with pytest.raises(InputError, match=r"has no config.json.*found: notes.txt"):
        run(tiny_recipe, tmp_path / "run")


def test_accuracy_without_any_ground_truth_names_the_columns_found(tiny_recipe, tmp_path, jsonl):
    tiny_recipe["prompts"] = {
        "source": str(jsonl([{"prompt": f"p{i}", "solution": "1"} for i in range(24)])),
        "validation": {"size": 8},
    }
    with pytest.raises(InputError, match=r"no column 'answer' \(found: prompt, solution\)"):
        run(tiny_recipe, tmp_path / "run")


def test_fewer_prompts_than_an_update_takes_are_refused(tiny_recipe, tmp_path):
    tiny_recipe["prompts"]["size"] = 3
    with pytest.raises(InputError, match=r"3 training prompts, but an update takes algorithm.prompts_per_step = 4"):
        run(tiny_recipe, tmp_path / "run")


def test_chat_prompts_need_a_chat_template(tiny_recipe, tmp_path, jsonl):
    rows = [{"prompt": [{"role": "user", "content": f"{i}"}], "answer": "1"} for i in range(24)]
    tiny_recipe["prompts"] = {"source": str(jsonl(rows)), "validation": {"size": 8}}
    with pytest.raises(InputError, match="has no chat template"):
        run(tiny_recipe, tmp_path / "run")


def test_a_reward_that_fails_late_keeps_what_was_written(tiny_recipe, tmp_path):
    (tmp_path / "late.py").write_text(
        "calls = 0\ndef late(completions, **columns):\n    global calls\n    calls += 1\n    return [float('nan') if calls > 4 else 1.0] * len(completions)\n"
    )
    tiny_recipe["objectives"] = [{"kind": "repetition"}, {"function": "late.py:late"}]
    with pytest.raises(RewardError, match=r"objective 'late' returned nan for prompt"):
        train(parse_recipe(tiny_recipe), out=tmp_path / "run", base=tmp_path)
    assert [s["step"] for s in RunLog(tmp_path / "run").steps()] == [1, 2]
    assert RunLog(tmp_path / "run").last_checkpoint().name == "checkpoint-2"


def test_a_disk_that_fills_up_in_a_checkpoint_is_one_clear_error_and_the_run_goes_on_later(tiny_recipe, tmp_path, monkeypatch):
    from steelyard.training.trainer import PolicyTrainer

    whole = tmp_path / "whole"
    run(tiny_recipe, whole)
    save, full = PolicyTrainer._save_optimizer_and_scheduler, [True]

    def no_space(self, folder):
        if full and self.state.global_step == 4:
            Path(folder, "optimizer.pt").write_bytes(b"half")
            raise RuntimeError(
                "[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file data/3: file write failed"
            )
        return save(self, folder)

    monkeypatch.setattr(PolicyTrainer, "_save_optimizer_and_scheduler", no_space)
    with pytest.raises(DiskFullError, match=r"no space left on the disk of .*run: free some and go on with --resume"):
        run(tiny_recipe, tmp_path / "run")
    assert RunLog(tmp_path / "run").last_checkpoint().name == "checkpoint-2"
    full.clear()
    run(tiny_recipe, tmp_path / "run", resume=True)
    assert_same(state_of(tmp_path / "run"), state_of(whole))
