"""The benchmark for a GPU: its problems, its rows, and every stage of it in tiny sizes on a CPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def gpu_fronts():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import gpu_fronts
    finally:
        sys.path.remove(str(BENCHMARKS))
    return gpu_fronts


def test_every_problem_has_the_answer_of_its_equation_and_no_two_are_alike(gpu_fronts):
    rows = gpu_fronts.problems(300, 1)
    for row in rows:
        total, sign = 0.0, 1
        for part in re.findall(r"[0-9.]+|[+-]", row["Equation"]):
            if part in "+-":
                sign = 1 if part == "+" else -1
            else:
                total += sign * float(part)
                assert str(int(float(part))) in row["Body"]
        assert total == row["Answer"] >= 0
    assert len({row["Body"] for row in rows}) == 300
    assert rows == gpu_fronts.problems(300, 1)


def test_rows_of_before_there_were_phases_are_no_final_ones(gpu_fronts):
    row = {"method": "gdpo", "seed": 1}
    assert gpu_fronts.key_of(row) == ("untuned", "gdpo", 2e-5, 1)
    assert gpu_fronts.key_of(row | {"phase": "final", "rate": 1e-5}) == ("final", "gdpo", 1e-5, 1)


def test_the_committed_rows_can_be_read(gpu_fronts):
    for name in ("gpu_runs.jsonl", "gpu_steps.jsonl"):
        for row in gpu_fronts.read(BENCHMARKS / "results" / "fronts" / name):
            assert row["card"].startswith("NVIDIA")
            assert name == "gpu_steps.jsonl" or gpu_fronts.key_of(row)[1] in gpu_fronts.METHODS


@pytest.mark.slow
def test_every_stage_runs_in_tiny_sizes_and_a_second_call_repeats_nothing(tmp_path, gpu_fronts):
    out, later = tmp_path / "out", tmp_path / "later"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def call(*options):
        command = [sys.executable, str(BENCHMARKS / "gpu_fronts.py"), "--smoke", *options]
        return subprocess.run(command, check=True, env=environment, timeout=300, capture_output=True, text=True).stdout

    call("--out", str(out))
    steps, runs = gpu_fronts.read(out / "steps.jsonl"), gpu_fronts.read(out / "runs.jsonl")
    assert [row["way"] for row in steps] == list(gpu_fronts.WAYS)
    assert [row["method"] for row in runs] == list(gpu_fronts.METHODS)
    assert all(row["card"] and row["torch"] and row["date"] and row["command"] and row["start"] for row in steps + runs)
    assert "finite-difference, unbiased" in (out / "gpu_fronts.md").read_text()
    # Rows of an earlier call count as there wherever they lie; a call without time leaves none.
    (out / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in runs[:-1]))
    call("--out", str(later), "--done", str(out), "--minutes", "0.3")
    assert not (later / "runs.jsonl").exists()
    call("--out", str(later), "--done", str(out))
    assert not (later / "steps.jsonl").exists()
    assert [row["method"] for row in gpu_fronts.read(later / "runs.jsonl")] == list(gpu_fronts.METHODS)[-1:]
