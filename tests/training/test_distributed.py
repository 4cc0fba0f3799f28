"""Two processes on one machine: the same weights everywhere, and gradients that are those of the joint update."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


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
