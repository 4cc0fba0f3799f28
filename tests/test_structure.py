"""The promises about the house itself: imports point one way, the front door is quick, what ships is whole."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import steelyard

SOURCE = Path(steelyard.__file__).parent

LEVELS = [
    {"cli", "cli_judge", "cli_bench"},
    {"training", "report", "refine", "bench"},
    {"rubric", "weighting"},
    {"llm", "objectives", "mixture", "tasks", "advantages", "pareto", "runlog"},
    {"rows"},
    {"errors"},
]
"""From the top down; a room may import from its own level's neighbours only where BESIDE says so."""
BESIDE = {
    ("training", "report"),
    ("cli", "cli_judge"),
    ("cli_judge", "cli"),
    ("cli", "cli_bench"),
    ("cli_bench", "cli"),
    ("cli_bench", "cli_judge"),
}


def room_of(path):
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for name in names:
            yield from [name.split(".")[1]] if name.startswith("steelyard.") else []


def test_imports_point_one_way():
    level = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}
    wrong = []
    for path in SOURCE.rglob("*.py"):
        room = room_of(path)
        if room in ("__init__", "__main__"):
            continue
        for other in imports_of(path):
            if other != room and not (level[other] > level[room]) and (room, other) not in BESIDE:
                wrong.append(f"{room} imports {other}")
    assert wrong == []


def test_only_training_imports_trl():
    for path in SOURCE.rglob("*.py"):
        if room_of(path) != "training":
            text = path.read_text(encoding="utf-8")
            assert "import trl" not in text
            assert "from trl" not in text


@pytest.mark.parametrize("command", ["import steelyard", "import steelyard.training", "from steelyard.cli import app"])
def test_the_front_door_is_quick(command):
    """No torch, no TRL, no transformers behind it: that is what would make it slow, whatever the machine."""
    code = f"import sys; {command}; print([m for m in ('torch', 'trl', 'transformers', 'matplotlib', 'datasets') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_public_name_is_there_and_explained():
    for name in steelyard.__all__:
        assert getattr(steelyard, name) is not None
    for name in (
        "Objective",
        "reward_matrix",
        "ParetoArchive",
        "GradientInfluence",
        "HypervolumeGuided",
        "FixedWeights",
        "ScheduledWeights",
        "GDPO",
        "NormalizedInfluence",
        "StageAware",
        "LagrangianConstraints",
        "SmoothTchebycheff",
        "GramianWeights",
        "Gate",
        "gradient_influence",
    ):
        text = getattr(steelyard, name).__doc__
        assert "Args:" in text or "Attributes:" in text
        assert "Example:" in text
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        steelyard.nothing  # noqa: B018


def test_the_embedded_policy_is_under_four_megabytes():
    folder = SOURCE / "tasks" / "sums" / "policy"
    assert (folder / "model.safetensors").is_file()
    assert sum(entry.stat().st_size for entry in folder.iterdir()) < 4 * 2**20


def test_nothing_here_loads_pickles_or_runs_code():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "pickle.load", "pickle.loads", "torch.load", "yaml.load"), (
                    f"{path}:{node.lineno} {name}"
                )


def test_planning_a_mixture_needs_no_torch():
    code = "import sys, steelyard.report.mixture; from steelyard.mixture import plan_mixture, count_domains; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
