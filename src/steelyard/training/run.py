"""From a recipe to a finished run folder: `train`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from steelyard.errors import InputError
from steelyard.objectives import Objective
from steelyard.pareto import ParetoArchive
from steelyard.runlog import RunLog, disk_full_is_clear
from steelyard.training.config import Recipe, find_recipe, load_recipe, parse_recipe
from steelyard.training.policy import load_policy
from steelyard.training.progress import Progress, QuietProgress
from steelyard.training.prompts import load_prompts

VERSIONED = ("steelyard", "torch", "transformers", "trl", "accelerate", "peft", "datasets", "moocore", "math-verify")


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        path: the run folder.
        front: the validation points that no other dominates: step, values by objective, checkpoint, names.
        hypervolume: of all validation points, on the run's fixed scale.
        seconds: wall time of this call.
    """

    path: Path
    front: list[dict[str, Any]]
    hypervolume: float
    seconds: float


def train(
    recipe: Recipe | str | Path,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    base: Path | str = ".",
) -> RunResult:
    """Train a policy by a recipe and write the run folder.

    Args:
        recipe: a `Recipe`, a file, or the name of a shipped recipe.
        out: the run folder; absent: `runs/NAME`.
        resume: go on from the last whole checkpoint of the folder; its own recipe is used, and must be the same.
        progress: shows how the run goes; absent: nothing is shown.
        base: the folder that the recipe's relative paths start from, where `recipe` is a `Recipe`; else its file's folder.

    Returns:
        The front and where everything lies.

    Raises:
        InputError: where recipe, prompts, model or folder are not usable; nothing is written then.
        RewardError: where a reward fails; what was written stays.
    """
    began = time.perf_counter()
    base = Path(base)
    if not isinstance(recipe, Recipe):
        base = find_recipe(recipe).parent
        recipe = load_recipe(recipe)
    log = RunLog(Path("runs") / recipe.name if out is None else out)
    objectives = recipe.build_objectives(base=base)
    weighting = recipe.build_weighting([objective.name for objective in objectives])
    train_rows, validation_rows, raw_rows = load_prompts(recipe.prompts, base=base, seed=recipe.seed)
    check_answers(recipe, train_rows, raw_rows)
    check_enough(recipe, train_rows)
    if resume:
        check_same(log, recipe)
    else:
        log.check_new()
    model, tokenizer = load_policy(recipe.model.name, dtype=recipe.model.dtype, base=base)
    check_chat(train_rows, tokenizer, recipe.model.name)
    if not resume:
        log.create(resolved(recipe))
    progress = progress or QuietProgress()
    with disk_full_is_clear(log.path):
        if recipe.supervised is not None:
            from steelyard.training.supervised import supervised_stage

            model = supervised_stage(recipe, model, tokenizer, raw_rows, train_rows, log, progress)
        _reinforce(recipe, model, tokenizer, objectives, weighting, train_rows, validation_rows, log, progress, resume)
    front = log.pareto()
    return RunResult(log.path, front["front"], front["hypervolume"], time.perf_counter() - began)


def _reinforce(
    recipe: Recipe,
    model: Any,
    tokenizer: Any,
    objectives: list[Objective],
    weighting: Any,
    train_rows: list[dict],
    validation_rows: list[dict],
    log: RunLog,
    progress: Progress,
    resume: bool,
) -> None:
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback

    from steelyard.training.trainer import PolicyTrainer

    checkpoint = log.last_checkpoint() if resume else None
    step = 0 if checkpoint is None else int(checkpoint.name.partition("-")[2])
    if resume:
        log.rewind(step if checkpoint is not None else -1)
    recorder = RunRecorder(log, recipe, objectives, progress)
    trainer = PolicyTrainer(
        model=model,
        args=training_arguments(recipe, log),
        train_dataset=Dataset.from_list(train_rows),
        eval_dataset=Dataset.from_list(validation_rows),
        processing_class=tokenizer,
        peft_config=None if recipe.model.lora is None else lora_config(recipe.model.lora),
        objectives=objectives,
        weighting=weighting,
        estimator=recipe.algorithm.estimator,
        group_size=recipe.algorithm.answers_per_prompt,
        validation_sampling=recipe.validation.sampling,
        recorder=recorder,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    progress.begin(recipe.algorithm.steps, done=step, names=[objective.name for objective in objectives])
    try:
        if checkpoint is not None and step >= recipe.algorithm.steps:
            # All updates are made; only the last validation may be missing.
            trainer.restore(str(checkpoint))
        else:
            if checkpoint is None:
                trainer.evaluate()
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        trainer.evaluate()
    finally:
        progress.end()


def training_arguments(recipe: Recipe, log: RunLog) -> Any:
    """TRL's arguments for a recipe."""
    import torch
    from trl import GRPOConfig

    algorithm, cpu = recipe.algorithm, not torch.cuda.is_available()
    answers = algorithm.prompts_per_step * algorithm.answers_per_prompt
    micro_batch = algorithm.micro_batch or answers
    # TRL asks for groups of two at least; where answers stand alone, its setting only has to divide the batch.
    group = algorithm.answers_per_prompt if algorithm.answers_per_prompt > 1 else answers
    return GRPOConfig(
        output_dir=str(log.checkpoints),
        seed=recipe.seed,
        use_cpu=cpu,
        bf16=False,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=answers // micro_batch,
        num_generations=group,
        num_generations_eval=1,
        per_device_eval_batch_size=recipe.validation.batch,
        max_completion_length=algorithm.max_answer_tokens,
        temperature=algorithm.temperature,
        learning_rate=algorithm.learning_rate,
        lr_scheduler_type=algorithm.schedule,
        max_grad_norm=algorithm.max_grad_norm,
        max_steps=algorithm.steps,
        loss_type=algorithm.loss,
        beta=0.0,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=recipe.validation.every,
        save_strategy="steps",
        save_steps=recipe.checkpoint.every,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        gradient_checkpointing=False,
        dataloader_pin_memory=not cpu,
        remove_unused_columns=False,
    )


def lora_config(config: Any) -> Any:
    """peft's configuration for a recipe's `lora`."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.target_modules,
        task_type="CAUSAL_LM",
    )


class RunRecorder:
    """Writes what a trainer tells into the run folder, keeps the archive, and keeps the policies that are on the front."""

    def __init__(self, log: RunLog, recipe: Recipe, objectives: Sequence[Objective], progress: Progress) -> None:
        self.log, self.recipe, self.objectives, self.progress = log, recipe, list(objectives), progress
        self.names = [objective.name for objective in objectives]
        self.archive: ParetoArchive | None = None
        self.validated: list[int] = []
        for record in log.validations():
            self._add(record["step"], record["point"])
        if self.archive is not None:
            log.write_json("pareto.json", self.front())

    def on_answers(self, step: int, columns: dict[str, Sequence[Any]]) -> None:
        """Write the answers of an update."""
        self.log.write_answers(step, columns)

    def on_step(self, record: dict[str, Any]) -> None:
        """Write an update and show it."""
        self.log.append_step(record)
        self.progress.step(record)

    def on_validation(self, step: int, point: dict[str, float], seconds: float, trainer: Any) -> None:
        """Add a point to the archive, keep its policy if it is on the front, let go of policies that no longer are."""
        self._add(step, point)
        assert self.archive is not None
        on_front = {self.validated[i] for i in self.archive.front_indices}
        began = time.perf_counter()
        if self.recipe.checkpoint.front and step in on_front:
            folder = self.log.front / f"step-{step:06d}"
            unfinished = self.log.front / f".unfinished-{step:06d}"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            trainer.save_model(str(unfinished), _internal_call=True)
            (unfinished / "training_args.bin").unlink(missing_ok=True)
            os.replace(unfinished, folder)
        self.log.append_validation(
            {
                "step": step,
                "point": point,
                "hypervolume": self.archive.hypervolume,
                "seconds": round(seconds, 4),
                "checkpoint_seconds": round(time.perf_counter() - began, 4),
            }
        )
        self.log.write_json("pareto.json", self.front())
        for entry in self.log.front.iterdir():
            if entry.name.startswith("step-") and int(entry.name.partition("-")[2]) not in on_front:
                shutil.rmtree(entry)
        self.progress.validation(step, point, self.archive.hypervolume)

    def front(self) -> dict[str, Any]:
        """The front so far, with a name for each point that is best at something."""
        assert self.archive is not None
        indices = self.archive.front_indices
        gains = self.archive.scaled_gains()
        names: dict[int, list[str]] = {i: [] for i in indices}
        for k, name in enumerate(self.names):
            names[max(indices, key=lambda i: gains[i][k])].append(f"best {name}")
        # The balanced point covers the most volume on its own.
        names[max(indices, key=lambda i: self.archive.volume_of_one(i))].append("balanced")  # type: ignore[union-attr]
        return {
            "objectives": [{"name": o.name, "goal": o.goal, "bounds": o.bounds} for o in self.objectives],
            "reference": dict(zip(self.names, self.archive.reference, strict=True)),
            "scale": dict(zip(self.names, self.archive.scale, strict=True)),
            "hypervolume": self.archive.hypervolume,
            "front": [
                {
                    "step": self.validated[i],
                    "values": dict(zip(self.names, self.archive.points[i], strict=True)),
                    "checkpoint": f"checkpoints/front/step-{self.validated[i]:06d}" if self.recipe.checkpoint.front else None,
                    "names": names[i],
                }
                for i in indices
            ],
        }

    def _add(self, step: int, point: dict[str, float]) -> None:
        values = [point[name] for name in self.names]
        if self.archive is None:
            self.archive = run_archive(self.objectives, values)
        self.archive.add(values)
        self.validated.append(step)


def run_archive(objectives: Sequence[Objective], start: Sequence[float]) -> ParetoArchive:
    """An archive on a scale that does not depend on the run where bounds are known: from the worst bound to the best counts as 1.

    Without bounds the start point is the reference, and its size the scale.

    Example:
        >>> archive = run_archive([Objective("right", len, bounds=(0, 1)), Objective("cost", len, goal="minimize", measure=len)], [0.5, 80.0])
        >>> archive.reference, archive.scale
        ([0.0, 80.0], [1.0, 80.0])
    """
    reference, scale = [], []
    for objective, value in zip(objectives, start, strict=True):
        low, high = objective.bounds if objective.bounds is not None else (value, value + (abs(value) or 1.0))
        reference.append(value if objective.bounds is None else low if objective.maximize else high)
        scale.append(high - low)
    return ParetoArchive(reference, maximize=[objective.maximize for objective in objectives], scale=scale)


def resolved(recipe: Recipe) -> str:
    """A recipe with every default filled in and the versions that run it, as YAML."""
    versions = {name: _version(name) for name in VERSIONED} | {"python": platform.python_version()}
    content = recipe.model_dump(mode="json")
    return "# Resolved recipe of this run.\n" + yaml.safe_dump(
        {**content, "versions": versions}, sort_keys=False, allow_unicode=True
    )


def read_resolved(path: Path) -> Recipe:
    """The recipe of a run folder."""
    place = path / "recipe.yaml"
    if not place.is_file():
        raise InputError(f"{path} is no run folder: it has no recipe.yaml")
    content = yaml.safe_load(place.read_text(encoding="utf-8"))
    content.pop("versions", None)
    return parse_recipe(content, where=str(place))


def check_same(log: RunLog, recipe: Recipe) -> None:
    """Refuse to resume a run by another recipe than its own."""
    kept = read_resolved(log.path).model_dump(mode="json")
    now = recipe.model_dump(mode="json")
    different = [key for key in now if now[key] != kept[key]]
    if different:
        raise InputError(
            f"{log.path} was started with another recipe ({', '.join(different)} differ): resume it with the recipe in its folder, "
            f"{log.path / 'recipe.yaml'}, or start a new run with --out"
        )


def check_answers(recipe: Recipe, rows: Sequence[dict], raw_rows: Sequence[dict]) -> None:
    """Refuse an accuracy objective where no training prompt has a ground truth."""
    wanted = [config for config in recipe.objectives if config.kind == "accuracy" and "column" not in config.options]
    if wanted and all(row["answer"] is None for row in rows):
        raise InputError(
            f"objective 'accuracy' needs the ground truth, but {recipe.prompts.source} has no column 'answer' "
            f"(found: {', '.join(map(str, raw_rows[0]))}): name the right one in prompts.answer, as in '{{{{ solution }}}}'"
        )


def check_enough(recipe: Recipe, rows: Sequence[dict]) -> None:
    """Refuse fewer prompts than one update takes."""
    if len(rows) < recipe.algorithm.prompts_per_step:
        raise InputError(
            f"{recipe.prompts.source}: {len(rows)} training prompts, but an update takes algorithm.prompts_per_step = "
            f"{recipe.algorithm.prompts_per_step} different ones"
        )


def check_chat(rows: Sequence[dict], tokenizer: Any, model: str) -> None:
    """Refuse message prompts for a model without a chat template."""
    if rows and not isinstance(rows[0]["prompt"], str) and not getattr(tokenizer, "chat_template", None):
        raise InputError(
            f"the prompts are chat messages, but model {model!r} has no chat template: give text prompts, or prompts.chat: false"
        )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
