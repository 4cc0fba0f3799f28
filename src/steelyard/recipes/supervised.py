"""Recipes of `kind: supervised`: fine-tuning, or language modelling from nothing, on a mixture of domains."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from steelyard.recipes._parts import AdapterConfig, MixtureConfig
from steelyard.settings import Part


class ScratchConfig(Part):
    """A new Llama with random weights."""

    tokenizer: str = Field("bytes", description="bytes, or a model (as in model.name) whose tokenizer is taken")
    width: int = Field(128, ge=8, description="of the hidden states")
    layers: int = Field(4, ge=1, description="transformer blocks")
    heads: int = Field(4, ge=1, description="attention heads; must divide width, into an even number")
    context: int = Field(1024, ge=8, description="longest sequence, in tokens")

    @model_validator(mode="after")
    def _heads_divide(self) -> ScratchConfig:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"heads must divide width = {self.width} into an even number, but is {self.heads}")
        return self


class SupervisedModelConfig(Part):
    """Which model is trained: an existing one, or a new one."""

    name: str | None = Field(None, description="sums, smollm2, a folder, a GGUF file, or a hub name")
    scratch: ScratchConfig | None = Field(None, description="a new model instead")
    lora: AdapterConfig | None = Field(None, description="train adapters; all parameters where absent")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="type of the weights")

    @model_validator(mode="after")
    def _one_origin(self) -> SupervisedModelConfig:
        if (self.name is None) == (self.scratch is None):
            raise ValueError("a model has either a `name` or is made from `scratch`")
        if self.scratch is not None and self.lora is not None:
            raise ValueError("adapters on random weights learn little: leave lora out with `scratch`")
        return self


class HeldOutConfig(Part):
    """Which texts of every domain are kept for validation: those whose checksum is smallest, so that runs with other seeds, and files that grow or are sorted
    anew, hold out the same, and a text that several domains have is held out in all of them or in none.
    """

    share: float = Field(0.1, gt=0, lt=1, description="of each domain's rows")
    least: int = Field(1, ge=1, description="rows of a domain; one of less than twice as many rows keeps half of them")
    most: int = Field(200, ge=1, description="rows of a domain")

    @model_validator(mode="after")
    def _least_below_most(self) -> HeldOutConfig:
        if self.least > self.most:
            raise ValueError(f"least = {self.least} rows of a domain are more than most = {self.most}")
        return self


class _DomainSourceConfig(Part):
    """Where the rows of a domain come from, with a configuration and a split of its own."""

    source: str = Field(description="a file, a folder or pattern of shards, or a name of Hugging Face datasets")
    split: str | None = Field(None, description="split of a Hugging Face dataset; default: data.split")
    subset: str | None = Field(None, description="configuration of a Hugging Face dataset; default: data.subset")


class DataConfig(Part):
    """Rows, their domains, and how they are written."""

    source: str | dict[str, str | _DomainSourceConfig] = Field(
        description="a file, a folder or pattern of shards (`en/*.jsonl.zst`), or a name of Hugging Face datasets; or one of these a domain, by the domain's "
        "name, where {source, subset, split} tells configurations apart"
    )
    split: str = Field("train", description="split of a Hugging Face dataset")
    subset: str | None = Field(None, description="configuration of a Hugging Face dataset")
    keep: str | None = Field(None, description="Jinja template over a row's columns: rows for which it gives True are kept")
    text: str | None = Field(
        None, description="Jinja template of the text to learn; default: the column `text`, unless prompt is given"
    )
    prompt: str | None = Field(None, description="Jinja template of a prompt, which is not learned, before the completion")
    completion: str | None = Field(None, description="Jinja template of what follows the prompt")
    messages: str | None = Field(
        None,
        description="the column with a row's conversation (role and content, or ShareGPT's from and value): the assistant's turns are learned, by the "
        "tokenizer's chat template; default: `messages` or `conversations`, where a row has no `text` and no template is given",
    )
    domain: str | None = Field(None, description="Jinja template of the domain; default: the column `domain`")
    chat: bool = Field(False, description="send prompt and completion as chat messages, by the tokenizer's template")
    repeats: bool = Field(False, description="keep rows that another row of the same domain repeats word for word")
    held_out: HeldOutConfig = Field(default_factory=HeldOutConfig)

    @model_validator(mode="after")
    def _fields_fit(self) -> DataConfig:
        if (self.prompt is None) != (self.completion is None):
            raise ValueError("prompt and completion go together: give both, or text")
        if self.prompt is not None and self.text is not None:
            raise ValueError("give either text, or prompt and completion")
        if self.messages is not None and (self.text is not None or self.prompt is not None):
            raise ValueError("give messages, text, or prompt and completion: one of them")
        if self.chat and self.prompt is None:
            raise ValueError("chat needs prompt and completion")
        if isinstance(self.source, dict) and self.domain is not None:
            raise ValueError("the domains are named by source: leave domain out")
        origins = [(part.source, part.split, part.subset) for part in self.sources().values()]
        if len(set(origins)) < len(origins):
            raise ValueError("two domains have one source: a domain's rows are its own")
        if isinstance(self.source, dict) and len(self.source) < 2:
            raise ValueError("a mixture needs two domains at least")
        return self

    def sources(self) -> dict[str, _DomainSourceConfig]:
        """Every source by its domain, with its split and its configuration; one that rows of all domains come from is named ''."""
        given = self.source if isinstance(self.source, dict) else {"": self.source}
        found = {name: _DomainSourceConfig(source=part) if isinstance(part, str) else part for name, part in given.items()}
        return {
            name: _DomainSourceConfig(source=part.source, split=part.split or self.split, subset=part.subset or self.subset)
            for name, part in found.items()
        }


class UpdateConfig(Part):
    """How the model is updated."""

    steps: int = Field(ge=1, description="updates")
    batch_size: int = Field(16, ge=1, description="examples an update")
    micro_batch: int | None = Field(None, ge=1, description="examples in memory at a time; default: all")
    max_tokens: int = Field(512, ge=2, description="where examples are cut off; with pack, what all but a domain's last have")
    pack: bool = Field(
        False, description="join the texts of a domain and cut them into examples of max_tokens, so that all cost the same"
    )
    learning_rate: float = Field(2e-4, gt=0, description="peak learning rate")
    schedule: Literal["constant", "linear", "cosine"] = Field("cosine", description="of the learning rate")
    warmup: float = Field(0.02, ge=0, lt=1, description="share of the run in which the learning rate rises")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")

    @model_validator(mode="after")
    def _sizes_fit(self) -> UpdateConfig:
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch must divide batch_size = {self.batch_size}, but is {self.micro_batch}")
        return self


class LossesConfig(Part):
    """How progress is measured."""

    every: int = Field(50, ge=1, description="updates between two validations; the start and the end are always validated")
    batch: int = Field(32, ge=1, description="examples in memory at a time")


class KeepConfig(Part):
    """What is kept beside the model at the end."""

    every: int = Field(100, ge=1, description="updates between two checkpoints to resume from; the last two are kept")


class SupervisedRecipe(Part):
    """A supervised run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the run's folder under runs/")
    kind: Literal["supervised"]
    seed: int = Field(0, ge=0, lt=2**32, description="of everything random but the held-out rows")
    model: SupervisedModelConfig
    data: DataConfig
    mixture: MixtureConfig = Field(default_factory=MixtureConfig)
    training: UpdateConfig
    validation: LossesConfig = Field(default_factory=LossesConfig)
    checkpoint: KeepConfig = Field(default_factory=KeepConfig)

    @model_validator(mode="after")
    def _fields_fit(self) -> SupervisedRecipe:
        scratch = self.model.scratch
        if scratch is not None and scratch.context < self.training.max_tokens:
            raise ValueError(
                f"training.max_tokens = {self.training.max_tokens} does not fit model.scratch.context = {scratch.context}"
            )
        if self.training.pack and self.data.text is None and self.data.prompt is not None:
            raise ValueError("training.pack joins texts: give data.text, not prompt and completion")
        if self.training.pack and self.data.messages is not None:
            raise ValueError("training.pack joins texts: conversations stay one by one")
        return self
