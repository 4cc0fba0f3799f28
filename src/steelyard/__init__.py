"""Steelyard trains language models on several objectives at once and adjusts their weights during training.

Names are imported when first used, so that `import steelyard` stays quick; `steelyard.training` holds what needs TRL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard import _moved
from steelyard._lazy import lazy

__version__ = "0.1.0"

if TYPE_CHECKING:
    from steelyard import advantages as advantages
    from steelyard.checks import Check as Check
    from steelyard.checks import check as check
    from steelyard.llm import Client as Client
    from steelyard.mixture import AdaptiveCooldown as AdaptiveCooldown
    from steelyard.mixture import ConstantTemperature as ConstantTemperature
    from steelyard.mixture import Cooldown as Cooldown
    from steelyard.mixture import CooldownAtCap as CooldownAtCap
    from steelyard.mixture import CosineTemperature as CosineTemperature
    from steelyard.mixture import LinearTemperature as LinearTemperature
    from steelyard.mixture import Mixture as Mixture
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
    from steelyard.recipes import load_recipe as load_recipe
    from steelyard.rubric import MetaRubric as MetaRubric
    from steelyard.rubric import PairwiseJudge as PairwiseJudge
    from steelyard.rubric_reward import RubricReward as RubricReward
    from steelyard.runs import train as train
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

__getattr__, __dir__, __all__ = lazy(__name__)
__all__ += ["__version__"]

_moved.install()
