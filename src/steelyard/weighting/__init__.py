"""How much each objective counts now: one method, one file."""

from steelyard.weighting.aggregators import GramianWeights
from steelyard.weighting.archives import start_archive
from steelyard.weighting.base import METHODS, Batch, Weighting, check_weights, present_moments, weights_by_name
from steelyard.weighting.fixed import FixedWeights
from steelyard.weighting.gdpo import GDPO
from steelyard.weighting.gradient import GradientInfluence, mirror_descent
from steelyard.weighting.hypervolume import HypervolumeGuided, meta_reward
from steelyard.weighting.influence import gradient_influence, sequence_logprobs
from steelyard.weighting.inner_products import AnswerGradients, AnswerTerms, Influence
from steelyard.weighting.lagrangian import LagrangianConstraints
from steelyard.weighting.names import weighting_by_name
from steelyard.weighting.normalized import NormalizedInfluence
from steelyard.weighting.scheduled import ScheduledWeights
from steelyard.weighting.stage_aware import StageAware, variation_weights
from steelyard.weighting.tchebycheff import SmoothTchebycheff, tchebycheff_weights
from steelyard.weighting.unbiased import half_factors, unbiased_gram, unbiased_influence

__all__ = [
    "GDPO",
    "METHODS",
    "AnswerGradients",
    "AnswerTerms",
    "Batch",
    "FixedWeights",
    "GradientInfluence",
    "GramianWeights",
    "HypervolumeGuided",
    "Influence",
    "LagrangianConstraints",
    "NormalizedInfluence",
    "ScheduledWeights",
    "SmoothTchebycheff",
    "StageAware",
    "Weighting",
    "check_weights",
    "gradient_influence",
    "half_factors",
    "meta_reward",
    "mirror_descent",
    "present_moments",
    "sequence_logprobs",
    "start_archive",
    "tchebycheff_weights",
    "unbiased_gram",
    "unbiased_influence",
    "variation_weights",
    "weighting_by_name",
    "weights_by_name",
]
