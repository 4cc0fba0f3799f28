"""The settings of every weighting method in a recipe, told apart by `method`."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field

from steelyard.recipes.parts import Part

Weights = list[float] | dict[str, float]
Normalize = Literal["sum", "each", "each-whitened"]
InfluenceMethod = Literal["finite-difference", "jvp", "exact", "optimizer-step"]


class _WeightedConfig(Part):
    weights: Weights | None = Field(None, description="one an objective, summing to 1; absent: equal")
    normalize: Normalize = Field("sum", description="each: weigh the objectives' own advantages; each-whitened: GDPO's way")


class _InfluenceConfig(Part):
    influence: InfluenceMethod = Field(
        "finite-difference", description="how influences are computed; all but optimizer-step agree"
    )
    layers: list[str] | None = Field(None, description="patterns of parameter names that count; absent: all that are trained")
    every: int = Field(1, ge=1, description="batches from one computation to the next")
    gram_every: int = Field(0, ge=0, description="batches between two Gram matrices, for the report's cosines; 0: none")


class FixedConfig(_WeightedConfig):
    """Constant weights."""

    method: Literal["fixed"]


class ScheduledConfig(Part):
    """Weights that follow a schedule."""

    method: Literal["scheduled"]
    points: list[tuple[float, Weights]] = Field(min_length=1, description="pairs of progress (0 to 1) and weights, ascending")
    shape: Literal["piecewise", "linear", "cosine"] = Field("linear", description="what happens between the points")
    normalize: Normalize = Field("sum", description="as for fixed weights")


class GDPOConfig(Part):
    """Constant weights on rewards that are normalised each."""

    method: Literal["gdpo"]
    weights: Weights | None = Field(None, description="one an objective, summing to 1; absent: equal")


class HypervolumeConfig(_WeightedConfig):
    """A fixed preference, scaled by the growth of the front; the paper validates after every update."""

    method: Literal["hypervolume"]
    gain: float = Field(20.0, gt=0, description="how fast the meta-reward rises with the volume gained")
    reference: Literal["start", "worst"] = Field(
        "start", description="from where the volume is counted: the start point (the paper's), or every objective's worst bound"
    )


class GradientInfluenceConfig(_WeightedConfig, _InfluenceConfig):
    """Weights that follow the objectives' gradients."""

    method: Literal["gradient-influence"]
    mu: float = Field(1e-5, gt=0, description="how strongly the weights hold on; too small, and one objective takes all")
    accumulate: int = Field(1, ge=1, description="influences that are summed before the weights move")


class NormalizedInfluenceConfig(_WeightedConfig, _InfluenceConfig):
    """Weights that follow the objectives' gradients in units of their own size."""

    method: Literal["normalized-influence"]
    normalize: Normalize = Field("each-whitened", description="as for fixed weights")
    strength: float = Field(
        4.0, gt=0, description="how far a weight's logarithm is pushed in the whole run if its objective always gains"
    )
    momentum: float = Field(0.8, ge=0, lt=1, description="of the smoothed influences")
    floor: float = Field(0.05, ge=0, lt=1, description="the least weight of every objective")


class StageAwareConfig(_WeightedConfig):
    """SAW: weights by how much each reward varies."""

    method: Literal["stage-aware"]
    floors: dict[str, float] | None = Field(None, description="the lowest possible reward by objective, where it can be negative")
    momentum: float = Field(0.0, ge=0, lt=1, description="of the weights")


class LagrangianConfig(Part):
    """One objective is pursued, others are kept above bounds."""

    method: Literal["lagrangian"]
    maximize: str = Field(description="the objective that is pursued")
    at_least: dict[str, float] = Field(min_length=1, description="bounds on other objectives' mean rewards")
    rate: float = Field(0.1, gt=0, description="of the multipliers")
    start: float = Field(1.0, ge=0, description="of every multiplier")
    limit: float = Field(20.0, gt=0, description="the largest multiplier")
    momentum: float = Field(0.8, ge=0, lt=1, description="of the running means")
    normalize: Normalize = Field("sum", description="as for fixed weights")


class TchebycheffConfig(_WeightedConfig):
    """The objective that lags most counts most."""

    method: Literal["tchebycheff"]
    ideal: dict[str, float] | None = Field(None, description="the best mean reward by objective; 1 where not given")
    smoothing: float = Field(0.1, gt=0, description="towards 0 the worst takes all")
    momentum: float = Field(0.8, ge=0, lt=1, description="of the running means")


class AggregatorConfig(Part):
    """An aggregator of gradients, from TorchJD (extra `baselines`)."""

    method: Literal["mgda", "upgrad"]
    influence: Literal["finite-difference", "jvp", "exact"] = Field(
        "finite-difference", description="how the Gram matrix is computed"
    )
    layers: list[str] | None = Field(None, description="patterns of parameter names that count; absent: all that are trained")


class CAGradConfig(AggregatorConfig):
    """CAGrad, from TorchJD (extra `baselines`)."""

    method: Literal["cagrad"]  # type: ignore[assignment]
    radius: float = Field(0.5, ge=0, description="how far from the mean gradient it may go, in its lengths")


WeightingConfig = Annotated[
    Union[  # noqa: UP007
        FixedConfig,
        ScheduledConfig,
        GDPOConfig,
        HypervolumeConfig,
        GradientInfluenceConfig,
        NormalizedInfluenceConfig,
        StageAwareConfig,
        LagrangianConfig,
        TchebycheffConfig,
        AggregatorConfig,
        CAGradConfig,
    ],
    Field(discriminator="method"),
]
