"""Steelyard trains language models against several pulls at once and lets the weights slide while it trains.

Names are imported when first used, so that `import steelyard` stays quick; `steelyard.training` holds what needs TRL.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from steelyard import advantages as advantages
    from steelyard.mixture import AdaptiveCooldown as AdaptiveCooldown
    from steelyard.mixture import ConstantTemperature as ConstantTemperature
    from steelyard.mixture import Cooldown as Cooldown
    from steelyard.mixture import CooldownAtCap as CooldownAtCap
    from steelyard.mixture import CosineTemperature as CosineTemperature
    from steelyard.mixture import LinearTemperature as LinearTemperature
    from steelyard.mixture import MixtureSampler as MixtureSampler
    from steelyard.mixture import MixtureStream as MixtureStream
    from steelyard.mixture import OrderMatters as OrderMatters
    from steelyard.mixture import PiecewiseTemperature as PiecewiseTemperature
    from steelyard.mixture import Shares as Shares
    from steelyard.mixture import UniMax as UniMax
    from steelyard.mixture import estimate_gradient_variance as estimate_gradient_variance
    from steelyard.mixture import gradient_variance as gradient_variance
    from steelyard.mixture import plan_mixture as plan_mixture
    from steelyard.mixture import scalarization_weights as scalarization_weights
    from steelyard.mixture import temperature_probabilities as temperature_probabilities
    from steelyard.objectives import Gate as Gate
    from steelyard.objectives import Objective as Objective
    from steelyard.objectives import reward_matrix as reward_matrix
    from steelyard.pareto import ParetoArchive as ParetoArchive
    from steelyard.pareto import hypervolume as hypervolume
    from steelyard.weighting import GDPO as GDPO
    from steelyard.weighting import FixedWeights as FixedWeights
    from steelyard.weighting import GradientInfluence as GradientInfluence
    from steelyard.weighting import GramianWeights as GramianWeights
    from steelyard.weighting import HypervolumeGuided as HypervolumeGuided
    from steelyard.weighting import LagrangianConstraints as LagrangianConstraints
    from steelyard.weighting import NormalizedInfluence as NormalizedInfluence
    from steelyard.weighting import ScheduledWeights as ScheduledWeights
    from steelyard.weighting import SmoothTchebycheff as SmoothTchebycheff
    from steelyard.weighting import StageAware as StageAware
    from steelyard.weighting import Weighting as Weighting
    from steelyard.weighting import gradient_influence as gradient_influence

_HOMES = {
    # mixture
    "temperature_probabilities": "steelyard.mixture",
    "scalarization_weights": "steelyard.mixture",
    "ConstantTemperature": "steelyard.mixture",
    "Cooldown": "steelyard.mixture",
    "CooldownAtCap": "steelyard.mixture",
    "AdaptiveCooldown": "steelyard.mixture",
    "PiecewiseTemperature": "steelyard.mixture",
    "LinearTemperature": "steelyard.mixture",
    "CosineTemperature": "steelyard.mixture",
    "Shares": "steelyard.mixture",
    "UniMax": "steelyard.mixture",
    "OrderMatters": "steelyard.mixture",
    "MixtureSampler": "steelyard.mixture",
    "MixtureStream": "steelyard.mixture",
    "plan_mixture": "steelyard.mixture",
    "gradient_variance": "steelyard.mixture",
    "estimate_gradient_variance": "steelyard.mixture",
    # objectives and advantages
    "Objective": "steelyard.objectives",
    "Gate": "steelyard.objectives",
    "reward_matrix": "steelyard.objectives",
    "advantages": "steelyard.advantages",
    # weighting
    "Weighting": "steelyard.weighting",
    "FixedWeights": "steelyard.weighting",
    "HypervolumeGuided": "steelyard.weighting",
    "GradientInfluence": "steelyard.weighting",
    "ScheduledWeights": "steelyard.weighting",
    "GDPO": "steelyard.weighting",
    "NormalizedInfluence": "steelyard.weighting",
    "StageAware": "steelyard.weighting",
    "LagrangianConstraints": "steelyard.weighting",
    "SmoothTchebycheff": "steelyard.weighting",
    "GramianWeights": "steelyard.weighting",
    "gradient_influence": "steelyard.weighting",
    # the front
    "ParetoArchive": "steelyard.pareto",
    "hypervolume": "steelyard.pareto",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'steelyard' has no attribute {name!r}")
    module = importlib.import_module(_HOMES[name])
    return module if name == "advantages" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
