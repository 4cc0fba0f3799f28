"""Two processes on one machine: the same weights everywhere, and gradients that are those of the joint update."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from steelyard.rubric import ProgrammaticJudge


@pytest.mark.xdist_group("distributed")
@pytest.mark.parametrize(("influence", "within"), [("jvp", 1e-4), ("finite-difference", 1e-2)])
def test_two_processes_agree_on_weights_that_predict_their_joint_gradient(tiny_policy_dir, tmp_path, influence, within):
    script = Path(__file__).parent / "two_processes.py"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        str(script),
        str(tiny_policy_dir),
        str(tmp_path),
        influence,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert "MULTI_CPU" in first["kind"]
    assert len(first["steps"]) == 3
    for a, b in zip(first["steps"], second["steps"], strict=True):
        assert a["weights"] == b["weights"]
        assert a["gram"] == b["gram"]
        weights, gram = (
            torch.tensor(list(a["weights"].values()), dtype=torch.float64),
            torch.tensor(a["gram"], dtype=torch.float64),
        )
        assert math.sqrt(weights @ gram @ weights) == pytest.approx(a["grad_norm"], rel=within)
    # A group of eight answers spans both processes, which hold four each at a time.
    for a, b in zip(first["answers"], second["answers"], strict=True):
        assert len(a["answer"]) == len(b["answer"]) == 8
        assert sum(a["advantage"]) + sum(b["advantage"]) == pytest.approx(0, abs=1e-6)
    # The running mean of lengths is over the answers of both, 3 batches of 16, and a validation does not move it.
    assert first["state"] == second["state"]
    assert first["state"]["count"] == 48
    # 7 prompts do not fill the last batch of two processes, and each counts once.
    assert first["prompts"] == second["prompts"] == 7
    assert first["measured"] == second["measured"]


@pytest.mark.xdist_group("distributed")
def test_two_processes_agree_on_unbiased_influences_by_every_way(tiny_policy_dir, tmp_path):
    script = str(Path(__file__).parent / "two_processes.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, script, str(tiny_policy_dir), str(tmp_path), "exact", "unbiased"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text())["found"] for rank in (0, 1))
    assert len(first) == 3
    assert any(any(batch["influence"]["exact"]) for batch in first)
    for a, b in zip(first, second, strict=True):
        assert a == b
        exact_K = torch.tensor(a["influence"]["exact"])
        size = torch.tensor(a["gram"]).abs().max().item()
        for found_K, within in (
            (a["influence"]["jvp"], 1e-4),
            (a["influence"]["finite-difference"], 3e-2),
            (torch.tensor(a["gram"]).sum(0).tolist(), 3e-2),
        ):
            torch.testing.assert_close(torch.tensor(found_K), exact_K, rtol=0, atol=within * size + 1e-9)


@pytest.mark.xdist_group("distributed")
def test_a_supervised_run_on_two_processes_is_the_run_on_one(tiny_policy_dir, tmp_path):
    script = str(Path(__file__).parent / "two_processes_supervised.py")
    found = {}
    for processes, rows_a_device in ((1, 4), (2, 2)):
        out = tmp_path / str(processes)
        out.mkdir()
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"] if processes == 2 else []
        command = [sys.executable, *launch, script, str(tiny_policy_dir), str(out), str(rows_a_device)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr[-3000:]
        found[processes] = [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(processes)]
    (alone,), (first, second) = found[1], found[2]
    assert [text for batch in alone["seen"] for text in batch] == alone["expected"] == first["expected"]
    # Every global batch of four rows is shared out, two to each process.
    for whole, a, b in zip(alone["seen"], first["seen"], second["seen"], strict=True):
        assert whole == a + b
    assert first["metrics"] == second["metrics"]
    for name, value in alone["metrics"].items():
        assert first["metrics"][name] == pytest.approx(value, rel=1e-4)


def judged_by_two(tiny_policy_dir, out, url, reference):
    script = str(Path(__file__).parent / "two_processes_judged.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, script, str(tiny_policy_dir), str(out), url, reference]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.xdist_group("distributed")
@pytest.mark.parametrize(("reference", "pairs"), [("round-robin", 28), ("start", 8)])
def test_a_group_that_spans_processes_is_judged_once_and_as_a_whole(tiny_policy_dir, tmp_path, reference, pairs):
    with ProgrammaticJudge({"economy": lambda prompt, answer: -len(answer)}, steps=(0.5, 3.0)) as judge:
        first, second = judged_by_two(tiny_policy_dir, tmp_path, judge.url, reference)
        # 2 updates of 2 groups, each pair in both orders at most: equal answers need no question, and the 4 held-out prompts are answered for the first time.
        assert 0 < judge.questions <= 2 * 2 * pairs * 2
    assert first["scores"] == second["scores"]
    assert [len(batch) for batch in first["scores"]] == [16, 16]
    assert first["totals"]["pairs"] == 2 * 2 * pairs
    assert not second["totals"]
    # Each process measured two of the held-out prompts, and both know what was said to all four.
    assert first["start"] == second["start"] == 4
    if reference == "start":
        kept = [json.loads(line) for line in (tmp_path / "start_answers.jsonl").read_text().splitlines()]
        assert len({row["prompt"] for row in kept}) == len(kept) == 4


@pytest.mark.xdist_group("distributed")
def test_a_judge_that_fails_stops_every_process_with_the_same_line(tiny_policy_dir, tmp_path):
    first, second = judged_by_two(tiny_policy_dir, tmp_path, "http://127.0.0.1:9/v1", "bootstrap")
    assert "have no verdict" in first["error"]
    assert first["error"] == second["error"]
