"""What a run leaves on disk: answers, updates, validations, the front and its policies."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steelyard.files import saved_whole
from steelyard.objectives import Objective
from steelyard.pareto import ParetoArchive
from steelyard.recipes.recipe import Recipe
from steelyard.runlog import RunLog
from steelyard.runs.progress import Progress
from steelyard.training._validation import Measured, measure
from steelyard.weighting.archives import run_archive


class RunRecorder:
    """Writes what a trainer tells into the run folder, keeps the archive, and keeps the policies that are on the front."""

    def __init__(
        self, log: RunLog, recipe: Recipe, objectives: Sequence[Objective], progress: Progress, *, finished: bool = False
    ) -> None:
        self.log, self.recipe, self.objectives, self.progress = log, recipe, list(objectives), progress
        self.names = [objective.name for objective in objectives]
        self.archive: ParetoArchive | None = None
        self.validated: list[int] = []
        # What a test said holds for the end of the run alone.
        self.tested: dict[str, Any] | None = log.pareto().get("test") if finished else None
        self.by_preference: list[dict[str, Any]] | None = log.pareto().get("preferences") if finished else None
        for record in log.validations():
            self._add(record["step"], record["point"], record.get("standard_errors"))
        if self.archive is not None:
            log.write_json("pareto.json", self.front())

    def on_answers(self, step: int, columns: dict[str, Sequence[Any]]) -> None:
        """Write the answers of an update, with what a judge said of them."""
        for objective in self.objectives:
            notes = getattr(objective.reward, "notes", None)
            if notes is not None:
                # Answers of one text to one prompt may have been compared with different ones.
                said = {key: iter(each) for key, each in notes().items()}
                columns = {
                    **columns,
                    f"said/{objective.name}": [
                        next(said.get(key, iter(())), None) for key in zip(columns["prompt"], columns["answer"], strict=True)
                    ],
                }
        self.log.write_answers(step, columns)

    def on_step(self, record: dict[str, Any]) -> None:
        """Write an update and show it."""
        self.log.append_step(record)
        self.progress.step(record)

    def on_checkpoint(self, step: int) -> None:
        """Let go of policies that are dominated by now: the run will never again go on from before they were."""
        if self.archive is None:
            return
        on_front = {self.validated[i] for i in self.archive.front_beyond_noise()}
        for entry in self.log.front.glob("step-*"):
            if int(entry.name.partition("-")[2]) not in on_front:
                shutil.rmtree(entry)

    def on_validation(self, step: int, point: dict[str, float], seconds: float, trainer: Any) -> None:
        """Add a point to the archive, and keep its policy if it is on the front."""
        measured: Measured = trainer.last_measured
        self._add(step, point, measured.standard_errors)
        assert self.archive is not None
        on_front = {self.validated[i] for i in self.archive.front_beyond_noise()}
        began = time.perf_counter()
        if self.recipe.checkpoint.front and step in on_front:
            save_model(trainer, self._kept_as(step))
        self.log.append_validation(
            {
                "step": step,
                "point": point,
                "standard_errors": measured.standard_errors,
                **({"probes": measured.probes, "probe_errors": measured.probe_errors} if measured.probes else {}),
                **({"judges": measured.judges} if measured.judges else {}),
                "hypervolume": self.archive.hypervolume,
                "seconds": round(seconds, 4),
                "checkpoint_seconds": round(time.perf_counter() - began, 4),
            }
        )
        self.log.write_json("pareto.json", self.front())
        self.progress.validation(step, point, self.archive.hypervolume)

    def test(self, trainer: Any, prompts: Any) -> None:
        """Measure the policies that were kept, and the last one, on prompts that have chosen nothing; the trainer ends with one of the kept.

        Args:
            trainer: with the last policy.
            prompts: the test prompts.
        """
        assert self.archive is not None
        last = trainer.state.global_step
        kept = sorted(int(entry.name.partition("-")[2]) for entry in self.log.front.glob("step-*"))
        steps = [last, *(step for step in kept if step != last)]
        self.progress.message(
            f"measuring {len(steps)} {'policy' if len(steps) == 1 else 'policies'} on {len(prompts)} test prompts"
        )
        found: dict[int, Measured] = {}
        for step in steps:
            if step != last:
                trainer._load_from_checkpoint(str(self._kept_as(step)))
            found[step] = measure(trainer, prompts)
        archive = ParetoArchive(self.archive.reference, maximize=self.archive.maximize, scale=self.archive.scale)
        order = sorted(found)
        for step in order:
            measured = found[step]
            archive.add([measured.values[n] for n in self.names], [measured.standard_errors[n] for n in self.names])
        policies = self._described(archive, order, list(range(len(order))))
        policies[order.index(last)]["names"].append("last")
        if last not in kept:
            policies[order.index(last)]["checkpoint"] = f"checkpoints/checkpoint-{last}"
        self.tested = {"prompts": len(prompts), "hypervolume": archive.hypervolume, "policies": policies}
        self.log.write_json("pareto.json", self.front())

    def prefer(self, points: list[dict[str, Any]]) -> None:
        """Write what the last policy is worth at each preference."""
        self.by_preference = points
        self.log.write_json("pareto.json", self.front())

    def _kept_as(self, step: int) -> Path:
        return self.log.front / f"step-{step:06d}"

    def _described(self, archive: ParetoArchive, steps: Sequence[int], indices: Sequence[int]) -> list[dict[str, Any]]:
        """Points of an archive, with a name for each that is best at something."""
        gains = archive.scaled_gains()
        names: dict[int, list[str]] = {i: [] for i in indices}
        for k, name in enumerate(self.names):
            names[max(indices, key=lambda i: gains[i][k])].append(f"best {name}")
        # The balanced point covers the most volume on its own.
        names[max(indices, key=archive.volume_of_one)].append("balanced")
        return [
            {
                "step": steps[i],
                "values": dict(zip(self.names, archive.points[i], strict=True)),
                "standard_errors": {name: None if errors is None else errors[k] for k, name in enumerate(self.names)},
                "checkpoint": str(self._kept_as(steps[i]).relative_to(self.log.path)) if self.recipe.checkpoint.front else None,
                "names": names[i],
            }
            for i, errors in ((i, archive.standard_errors[i]) for i in indices)
        ]

    def front(self) -> dict[str, Any]:
        """The front so far, and what the test prompts said of it."""
        assert self.archive is not None
        return {
            "objectives": [{"name": o.name, "goal": o.goal, "bounds": o.bounds} for o in self.objectives],
            "reference": dict(zip(self.names, self.archive.reference, strict=True)),
            "scale": dict(zip(self.names, self.archive.scale, strict=True)),
            "hypervolume": self.archive.hypervolume,
            "front": self._described(self.archive, self.validated, self.archive.front_beyond_noise()),
            "test": self.tested,
            **({"preferences": self.by_preference} if self.by_preference is not None else {}),
        }

    def _add(self, step: int, point: dict[str, float], standard_errors: dict[str, float | None] | None) -> None:
        values = [point[name] for name in self.names]
        errors = None if standard_errors is None else [standard_errors[name] for name in self.names]
        if self.archive is None:
            self.archive = run_archive(self.objectives, values)
        self.archive.add(values, errors)
        self.validated.append(step)


class SupervisedRecorder:
    """Writes what the trainer tells into the run folder."""

    def __init__(self, log: RunLog, progress: Progress) -> None:
        self.log, self.progress = log, progress

    def on_step(self, record: dict[str, Any]) -> None:
        """Write an update and show it."""
        self.log.append_step(record)
        self.progress.update(record)

    def on_validation(self, step: int, losses: dict[str, float], tokens: dict[str, int], seconds: float) -> None:
        """Write the held-out losses and their mean over all tokens, and show them."""
        mean = sum(loss * tokens[name] for name, loss in losses.items()) / sum(tokens.values())
        record = {"step": step, "loss": mean, "losses": losses, "tokens": tokens, "seconds": round(seconds, 4)}
        self.log.append_validation(record)
        self.progress.losses(step, mean, losses)

    def on_message(self, text: str) -> None:
        """Show a line."""
        self.progress.message(text)


def save_model(trainer: Any, folder: Path, *, tokenizer: Any = None) -> None:
    """Keep a trainer's model in a folder, whole or not at all; with the tokenizer where the trainer would not save it."""
    with saved_whole(folder) as unfinished:
        trainer.save_model(str(unfinished), _internal_call=True)
        (unfinished / "training_args.bin").unlink(missing_ok=True)
        if tokenizer is not None:
            tokenizer.save_pretrained(unfinished)
