"""Parts that recipes of every kind share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from steelyard.files import is_file
from steelyard.mixture.mixture import By, Draw, Mixture
from steelyard.mixture.words import schedule_class
from steelyard.settings import Part


class AdapterConfig(Part):
    """Train low-rank adapters (peft) instead of all parameters."""

    rank: int = Field(16, ge=1, description="rank of the adapters")
    alpha: int = Field(32, ge=1, description="adapters are scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the adapters' input; anything but 0 makes influences noisy")
    target_modules: list[str] | Literal["all-linear"] = Field("all-linear", description="which layers get adapters")


class MixtureConfig(Part):
    """How much each domain is drawn."""

    schedule: str = Field("cooldown", description="a schedule in a word, as `steelyard mix --schedule` takes it")
    by: By = Field("sampling", description="draw domains by the schedule, or draw in proportion and weight the loss")
    draw: Draw = Field("stratified", description="a batch's counts follow the schedule closely, or are drawn at random")

    @model_validator(mode="after")
    def _schedule_parses(self) -> MixtureConfig:
        # A file of shares is read relative to the recipe, when the run begins.
        if not schedule_class(self.schedule).reads_a_file:
            Mixture(self.schedule, by=self.by, draw=self.draw)
        return self

    @property
    def follows_losses(self) -> bool:
        """Whether the schedule needs held-out losses."""
        return schedule_class(self.schedule).follows_losses


def build_mixture(config: MixtureConfig, *, base: Path = Path(".")) -> Mixture:
    """A recipe's mixture; a file that the schedule reads is found relative to `base`, else in the working directory."""
    word, _, rest = config.schedule.partition(":")
    beside = schedule_class(word).reads_a_file and is_file(base / rest)
    return Mixture(f"{word}:{base / rest}" if beside else config.schedule, by=config.by, draw=config.draw)
