"""A run of reinforcement learning, from a recipe to a finished run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.files import damage_is_clear
from steelyard.mixture.mixture import Mixture
from steelyard.models.loading import load_policy
from steelyard.recipes._judge import JudgedConfig
from steelyard.recipes._parts import build_mixture
from steelyard.recipes.recipe import ObjectiveConfig, Recipe
from steelyard.runlog import RunLog
from steelyard.runs._fingerprint import fingerprint
from steelyard.runs._judging import judging_costs
from steelyard.runs._preferences import Preferences
from steelyard.runs._prompts import load_prompts
from steelyard.runs._recorder import RunRecorder
from steelyard.runs._trl_arguments import lora_config, quiet, training_arguments
from steelyard.runs.life import Run, Start
from steelyard.runs.progress import Progress
from steelyard.training._arguments import check_influence_layers
from steelyard.training._domain_order import DomainOrder
from steelyard.training._probes import check_probes


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        path: the run folder.
        front: the policies that were kept, and the last one: step, values and standard errors by objective, checkpoint, names. Measured on the test prompts,
            which nothing of the run has seen; without any, on the validation prompts that chose them, which flatters them.
        hypervolume: of these values on the run's fixed scale; without test prompts, of all validation points.
        seconds: wall time of this call.
        measured_on: "test" or "validation".
    """

    path: Path
    front: list[dict[str, Any]]
    hypervolume: float
    seconds: float
    measured_on: str = "validation"


class PolicyRun(Run):
    """A run of reinforcement learning."""

    recipe: Recipe

    def __init__(self, recipe: Recipe, base: Path) -> None:
        self.recipe, self.base = recipe, base
        self.objectives = recipe.build_objectives(base=base)
        self.probes = recipe.build_probes(base=base)
        check_probes(self.probes, self.objectives)
        self.weighting = recipe.build_weighting(self.objectives, base=base)
        self.mixture = None if recipe.mixture is None else build_mixture(recipe.mixture, base=base)
        self.prompts = load_prompts(recipe.prompts, base=base, seed=recipe.seed, columns=recipe.columns)
        self.preferences = (
            Preferences(self.weighting, [objective.name for objective in self.objectives], recipe.seed)
            if self.weighting.conditions
            else None
        )
        self.plain = self.prompts
        if self.preferences is not None:
            self.prompts = self.preferences.of_prompts(self.prompts)
        self.data = fingerprint([*self.prompts.train, *self.prompts.validation])
        if self.prompts.test:
            self.data["test"] = fingerprint(self.prompts.test)
        self.source, self.steps = recipe.prompts.source, recipe.algorithm.steps
        _check_answers(recipe, self.prompts.train, self.prompts.raw)
        for one in recipe.objectives:
            if isinstance(one, JudgedConfig):
                one.check_rows(self.prompts.train, recipe.prompts.source)
        _check_enough(recipe, self.prompts.train)
        if self.mixture is not None:
            _check_mixture(recipe, self.mixture, self.prompts.train)

    def trainer(self, start: Start, progress: Progress) -> Any:
        """Load the policy, teach it by the supervised stage where there is one, and make a `PolicyTrainer`."""
        from datasets import Dataset

        from steelyard.training.trainer import PolicyTrainer

        recipe = self.recipe
        model, tokenizer = load_policy(recipe.model.name, dtype=recipe.model.dtype, base=self.base)
        _check_chat(self.prompts.train, tokenizer, recipe.model.name)
        if recipe.model.lora is None:
            check_influence_layers(self.weighting, model)
        if recipe.supervised is not None:
            from steelyard.runs._warmup import supervised_stage

            model = supervised_stage(recipe, model, tokenizer, self.prompts.raw, self.prompts.train, start.log, progress)
        with damage_is_clear(start.log.path):
            self.recorder = RunRecorder(start.log, recipe, self.objectives, progress, finished=start.step >= self.steps)
        trainer = quiet(
            PolicyTrainer(
                model=model,
                args=training_arguments(recipe, start.log),
                train_dataset=Dataset.from_list(self.prompts.train),
                eval_dataset=Dataset.from_list(self.prompts.validation),
                processing_class=tokenizer,
                peft_config=None if recipe.model.lora is None else lora_config(recipe.model.lora),
                objectives=self.objectives,
                weighting=self.weighting,
                estimator=recipe.algorithm.estimator,
                group_size=recipe.algorithm.answers_per_prompt,
                mixture=self.mixture,
                validation_sampling=recipe.validation.sampling,
                recorder=self.recorder,
                probes=self.probes,
            )
        )
        if any(isinstance(one, JudgedConfig) for one in (*recipe.objectives, *recipe.probes)):
            self._begin_judging(trainer, start, progress)
        return trainer

    def _begin_judging(self, trainer: Any, start: Start, progress: Progress) -> None:
        """Say what judging will cost, and keep the untrained policy's answers to the test prompts, which the end is compared with."""
        from datasets import Dataset

        from steelyard.training._validation import measure

        for line in judging_costs(self.recipe, len(self.prompts.validation), self.prompts.train, self.base):
            progress.message(line)
        judged = [one for one in (*self.recipe.objectives, *self.recipe.probes) if isinstance(one, JudgedConfig)]
        if start.checkpoint is None and self.prompts.test and any(one.first_validation_is_free for one in judged):
            measure(trainer, Dataset.from_list(self.prompts.test))

    def shown(self, trainer: Any) -> list[str]:
        """The objectives."""
        return [objective.name for objective in self.objectives]

    def finish(self, start: Start, trainer: Any) -> None:
        """Let go of policies that are not on the front, and measure those that are once on the test prompts."""
        from datasets import Dataset

        self.recorder.on_checkpoint(self.steps)
        if self.preferences is not None:
            # A front from one policy, in the place of the fronts of the policies that were kept.
            if self.recorder.by_preference is None:
                rows = self.plain.test or self.plain.validation
                self.recorder.prefer(self.preferences.measured(trainer, rows, self.recorder.progress))
        elif self.prompts.test and self.recorder.tested is None:
            self.recorder.test(trainer, Dataset.from_list(self.prompts.test))

    def result(self, log: RunLog, seconds: float) -> RunResult:
        """What the test prompts say of the kept policies; without any, what the validation prompts said."""
        found = log.pareto()
        tested = found.get("test")
        front, source = (found["front"], found) if tested is None else (tested["policies"], tested)
        return RunResult(log.path, front, source["hypervolume"], seconds, "validation" if tested is None else "test")


def _check_mixture(recipe: Recipe, mixture: Mixture, rows: Sequence[dict]) -> None:
    """Refuse prompts without a domain, and a mixture that does not fit them."""
    without = next((number for number, row in enumerate(rows, start=1) if row.get("domain") is None), None)
    if without is not None:
        raise InputError(
            f"{recipe.prompts.source}, prompt {without}: a mixture needs every prompt's domain: name it in prompts.domain, "
            "as in '{{ subject }}', and fill it in"
        )
    labels, a_batch = [row["domain"] for row in rows], recipe.algorithm.prompts_per_step
    DomainOrder(mixture, labels, num_samples=recipe.algorithm.steps * a_batch, batch_size=a_batch, seed=recipe.seed)


def _check_answers(recipe: Recipe, rows: Sequence[dict], raw_rows: Sequence[dict]) -> None:
    """Refuse an accuracy objective where no training prompt has a ground truth."""
    wanted = [
        one
        for one in recipe.objectives
        if isinstance(one, ObjectiveConfig) and one.kind == "accuracy" and "column" not in one.options
    ]
    if wanted and all(row["answer"] is None for row in rows):
        raise InputError(
            f"objective 'accuracy' needs the ground truth, but {recipe.prompts.source} has no column 'answer' "
            f"(found: {', '.join(map(str, raw_rows[0]))}): name the right one in prompts.answer, as in '{{{{ solution }}}}'"
        )


def _check_enough(recipe: Recipe, rows: Sequence[dict]) -> None:
    """Refuse fewer prompts than one update takes."""
    if len(rows) < recipe.algorithm.prompts_per_step:
        raise InputError(
            f"{recipe.prompts.source}: {len(rows)} training prompts, but an update takes algorithm.prompts_per_step = "
            f"{recipe.algorithm.prompts_per_step} different ones"
        )


def _check_chat(rows: Sequence[dict], tokenizer: Any, model: str) -> None:
    """Refuse message prompts for a model without a chat template."""
    if rows and not isinstance(rows[0]["prompt"], str) and not getattr(tokenizer, "chat_template", None):
        raise InputError(
            f"the prompts are chat messages, but model {model!r} has no chat template: give text prompts, or prompts.chat: false"
        )
