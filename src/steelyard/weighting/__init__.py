"""How much each objective counts now: one method, one file."""

from steelyard.weighting.aggregators import GramianWeights
from steelyard.weighting.archives import start_archive
from steelyard.weighting.base import METHODS, Batch, Weighting, check_weights, mean_weights, present_moments, weights_by_name
from steelyard.weighting.conditioned import Conditioned
from steelyard.weighting.ctwa import CovarianceTargeted, score_correlations
from steelyard.weighting.dvao import DVAO, spread_weights
from steelyard.weighting.famo import FAMO
from steelyard.weighting.fixed import FixedWeights
from steelyard.weighting.gd2po import GD2PO, consensus_weights
from steelyard.weighting.gdpo import GDPO
from steelyard.weighting.gradient import GradientInfluence, mirror_descent
from steelyard.weighting.hypervolume import HypervolumeGuided, meta_reward
from steelyard.weighting.influence import gradient_influence, sequence_logprobs
from steelyard.weighting.inner_products import AnswerGradients, AnswerTerms, Influence
from steelyard.weighting.lagrangian import LagrangianConstraints
from steelyard.weighting.mo_grpo import MOGRPO
from steelyard.weighting.names import weighting_by_name
from steelyard.weighting.normalized import NormalizedInfluence
from steelyard.weighting.pama import PAMA, least_positive
from steelyard.weighting.scheduled import ScheduledWeights
from steelyard.weighting.stage_aware import StageAware, variation_weights
from steelyard.weighting.tchebycheff import SmoothTchebycheff, tchebycheff_weights
from steelyard.weighting.unbiased import half_factors, unbiased_gram, unbiased_influence

__all__ = [
    "DVAO",
    "FAMO",
    "GD2PO",
    "GDPO",
    "METHODS",
    "MOGRPO",
    "PAMA",
    "AnswerGradients",
    "AnswerTerms",
    "Batch",
    "Conditioned",
    "CovarianceTargeted",
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
    "consensus_weights",
    "gradient_influence",
    "half_factors",
    "least_positive",
    "mean_weights",
    "meta_reward",
    "mirror_descent",
    "present_moments",
    "score_correlations",
    "sequence_logprobs",
    "spread_weights",
    "start_archive",
    "tchebycheff_weights",
    "unbiased_gram",
    "unbiased_influence",
    "variation_weights",
    "weighting_by_name",
    "weights_by_name",
]
