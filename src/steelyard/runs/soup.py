"""Policies between policies: the parameters of finished runs, interpolated and measured."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.pareto import simplex_lattice
from steelyard.recipes.recipe import Recipe
from steelyard.runlog import RunLog
from steelyard.runs._recorder import save_model
from steelyard.runs._resume import read_resolved, resolved
from steelyard.runs.life import Start
from steelyard.runs.policy import PolicyRun, RunResult
from steelyard.runs.progress import Progress, QuietProgress

_MOST = 200
_SAME = ("model", "prompts", "objectives")
"""Parts of the recipes that must be alike."""


def make_soup(
    runs: Sequence[Path | str], *, out: Path | str, points: int = 5, progress: Progress | None = None, base: Path | str = "."
) -> RunResult:
    """Interpolate the policies of runs that began from one policy, `theta = sum_i l_i theta_i`, and measure every mixture.

    With adapters, the adapters' matrices are interpolated, each by itself.

    Args:
        runs: folders of finished runs of one recipe but for its weights, or `FOLDER@STEP` for a policy that a run kept.
        out: the folder to write: a run's, with a validation for each mixture (`soup.json` says which), the policies of the front, and their measures on the
            test prompts. `steelyard report RUN... OUT` draws it beside the runs.
        points: values of each weight, from 0 to 1.
        progress: shows how it goes.
        base: the folder that relative paths of the recipe start from.

    Raises:
        InputError: where runs do not fit together, or a policy is missing.

    Reference:
        Rame et al., Rewarded soups, arXiv 2306.04488.
    """
    from datasets import Dataset

    from steelyard.training._validation import measure

    progress = progress or QuietProgress()
    if len(runs) < 2 or not isinstance(points, int) or points < 2:
        raise InputError(f"a soup needs two runs at least, and two points at least, but got {len(runs)} and {points!r}")
    if (count := math.comb(points - 1 + len(runs) - 1, len(runs) - 1)) > _MOST:
        raise InputError(
            f"{len(runs)} runs at {points} points make {count} mixtures, and {_MOST} are the most: take fewer points"
        )
    folders = [_policy_of(str(run)) for run in runs]
    recipe = _common_recipe([log for log, _ in folders])
    log = RunLog(out)
    run = PolicyRun(recipe, Path(base))
    began = time.perf_counter()
    log.create(resolved(recipe))
    with log.lock():
        trainer = run.trainer(Start(log, None, 0), progress)
        trained = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
        kept = [_parameters(trainer, folder, trained) for _, folder in folders]
        mixtures = list(simplex_lattice(len(runs), points))
        log.write_json("soup.json", {"runs": [str(run) for run in runs], "mixtures": [list(weights) for weights in mixtures]})
        progress.begin(len(mixtures), done=0, names=run.shown(trainer))
        try:
            for step, weights in enumerate(mixtures):
                for name, parameter in trained.items():
                    parameter.data.copy_(sum(w * each[name] for w, each in zip(weights, kept, strict=True)))
                trainer.state.global_step, at = step, time.perf_counter()
                trainer.last_measured = measure(trainer, Dataset.from_list(run.prompts.validation))
                run.recorder.on_validation(step, trainer.last_measured.values, time.perf_counter() - at, trainer)
            last = log.front / f"step-{len(mixtures) - 1:06d}"
            run.recorder.on_checkpoint(len(mixtures) - 1)
            if not last.is_dir():
                save_model(trainer, last)
            if run.prompts.test:
                run.recorder.test(trainer, Dataset.from_list(run.prompts.test))
        finally:
            progress.end()
    return run.result(log, time.perf_counter() - began)


def _policy_of(given: str) -> tuple[RunLog, Path]:
    """A run, and the folder of its last policy or of the one of a step."""
    path, _, step = given.rpartition("@") if "@" in given and not Path(given).is_dir() else (given, "", "")
    log = RunLog(path)
    if not (log.path / "recipe.yaml").is_file():
        raise InputError(f"{path} is no run folder: it has no recipe.yaml")
    if step:
        if not step.isdigit():
            raise InputError(f"{given}: after the @ stands the number of an update, but found {step!r}")
        known = sorted(int(entry.name.partition("-")[2]) for entry in log.front.glob("step-*"))
        folder = log.front / f"step-{int(step):06d}"
        if not folder.is_dir():
            raise InputError(
                f"{path} has kept no policy of update {step}: it has those of {', '.join(map(str, known)) or 'none'}"
            )
        return log, folder
    last = log.last_checkpoint()
    if last is None:
        raise InputError(f"{path} has no checkpoint: give a finished run")
    return log, last


def _common_recipe(logs: Sequence[RunLog]) -> Recipe:
    """The recipe of the first run, beginning from the policy that all began from.

    Raises:
        InputError: where recipes differ in what must be alike.
    """
    recipes: list[Any] = [read_resolved(log.path) for log in logs]
    for log, recipe in zip(logs, recipes, strict=True):
        if not isinstance(recipe, Recipe):
            raise InputError(f"{log.path} is no run of reinforcement learning, and has no objectives to measure by")
        for part in _SAME:
            if getattr(recipe, part) != getattr(recipes[0], part):
                raise InputError(
                    f"{log.path} and {logs[0].path} have different {part}: policies can be mixed that differ in their training alone"
                )
    starts = [log.checkpoints / "supervised" for log in logs]
    first = recipes[0]
    if first.supervised is None:
        return first
    if first.model.lora is not None and len({_content(start) for start in starts}) > 1:
        raise InputError(
            "the runs' supervised stages ended in different policies, on which adapters cannot be mixed: give runs of one seed"
        )
    if first.model.lora is None and len({_content(start) for start in starts}) > 1:
        warnings.warn(
            "the runs' supervised stages ended in different policies: what lies between them may be worse than both", stacklevel=3
        )
    model = first.model.model_copy(update={"name": str(starts[0].absolute())})
    return first.model_copy(update={"model": model, "supervised": None})


def _content(folder: Path) -> bytes:
    """The parameters of a policy as they are on disk."""
    import hashlib

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder} holds no policy: the run was not finished, or the folder was removed")
    return b"".join(hashlib.blake2b(path.read_bytes(), digest_size=16).digest() for path in files)


def _parameters(trainer: Any, folder: Path, trained: dict[str, Any]) -> dict[str, Any]:
    trainer._load_from_checkpoint(str(folder))
    return {name: parameter.detach().clone() for name, parameter in trained.items()}
