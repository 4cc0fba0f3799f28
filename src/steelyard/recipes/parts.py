"""Parts that recipes of every kind share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from steelyard.mixture import AdaptiveCooldown, parse_schedule
from steelyard.settings import Part

if TYPE_CHECKING:
    from steelyard.mixture.mixture import Mixture


class LoraConfig(Part):
    """Train low-rank adapters (peft) instead of all parameters."""

    rank: int = Field(16, ge=1, description="rank of the adapters")
    alpha: int = Field(32, ge=1, description="adapters are scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the adapters' input; anything but 0 makes influences noisy")
    target_modules: list[str] | Literal["all-linear"] = Field("all-linear", description="which layers get adapters")


class MixtureConfig(Part):
    """How much each domain is drawn."""

    schedule: str = Field("cooldown", description="a schedule in a word, as `steelyard mix --schedule` takes it")
    by: Literal["sampling", "scalarization"] = Field(
        "sampling", description="draw domains by the schedule, or draw in proportion and weight the loss"
    )
    draw: Literal["stratified", "independent"] = Field(
        "stratified", description="a batch's counts follow the schedule closely, or are drawn at random"
    )

    @model_validator(mode="after")
    def _schedule_parses(self) -> MixtureConfig:
        kind = self.schedule.partition(":")[0]
        # A file of shares is read relative to the recipe, when the run begins.
        if kind != "shares":
            schedule = parse_schedule(self.schedule)
            if isinstance(schedule, AdaptiveCooldown) and (self.by, self.draw) != ("sampling", "stratified"):
                raise ValueError("an adaptive cooldown works by sampling with stratified draws: only they can change on the way")
        return self


def build_mixture(config: MixtureConfig, *, base: Path = Path(".")) -> Mixture:
    """A recipe's mixture; a file of shares is found relative to `base`, else in the working directory."""
    from steelyard.mixture.mixture import Mixture

    kind, _, rest = config.schedule.partition(":")
    schedule = f"shares:{base / rest}" if kind == "shares" and (base / rest).is_file() else config.schedule
    return Mixture(schedule, by=config.by, draw=config.draw)
