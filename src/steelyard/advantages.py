"""From rewards to advantages: how much better an answer was than its baseline.

Every estimator takes rewards of shape `[B]` or `[B,K]` and returns the same shape; columns (objectives) are independent. Rows are
answers; with a group size `G`, rows `0..G-1` answer the first prompt, rows `G..2G-1` the second, and so on. A reward that is NaN
(the objective does not apply, or its judge failed) is left out of every mean and spread, and its advantage is 0: no pull either way.

Left out: clipping, per-token shaping and KL terms. They belong to the loss, which is TRL's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from steelyard.errors import InputError, nearest

NORMALIZATIONS = ("sum", "each", "each-whitened")
"""What is normalised: the weighted reward, each objective's reward, or each and then their weighted sum over the batch."""

STD_EPSILON = 1e-4
"""Added to a standard deviation before dividing, as TRL does, so that equal rewards give 0."""


def _in_groups(rewards: Tensor, group_size: int) -> Tensor:
    """View `[B,...]` as `[P,G,...]`, after checking that the groups are whole."""
    if rewards.ndim not in (1, 2):
        raise InputError(f"rewards must have shape [B] or [B,K], but have {list(rewards.shape)}")
    if group_size < 1 or rewards.shape[0] % group_size:
        raise InputError(
            f"group_size must divide the {rewards.shape[0]} rows of rewards, but is {group_size}: give the number of answers a prompt"
        )
    return rewards.reshape(-1, group_size, *rewards.shape[1:])


def _centred(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Deviation from the mean of the present (not NaN) values along `dim`, and how many are present; NaN deviates by 0."""
    present = ~values.isnan()
    count = present.sum(dim, keepdim=True)
    mean = torch.where(present, values, 0).sum(dim, keepdim=True) / count.clamp(min=1)
    centred = torch.where(present, values - mean, 0)
    # Equal values must give exactly 0: the rounding of their mean is noise that a division by a tiny spread would blow up.
    low = torch.where(present, values, torch.inf).amin(dim, keepdim=True)
    high = torch.where(present, values, -torch.inf).amax(dim, keepdim=True)
    return torch.where(high > low, centred, 0), count


def _standard_deviation(centred: Tensor, count: Tensor, dim: int) -> Tensor:
    """Sample standard deviation (n - 1), 0 where fewer than two values are present."""
    return (centred.square().sum(dim, keepdim=True) / (count - 1).clamp(min=1)).sqrt()


def grpo(rewards: Tensor, *, group_size: int) -> Tensor:
    """Group-relative advantage: distance from the group's mean in standard deviations of the group.

    `A_i = (r_i - mean(r_g)) / (std(r_g) + 1e-4)`, with the sample standard deviation (n - 1).

    Args:
        rewards: float `[B]` or `[B,K]`; NaN where an answer has no reward.
        group_size: answers a prompt, `G`; must divide B. In a group of one, or of equal rewards, every advantage is 0.

    Returns:
        Advantages of the shape of `rewards`, 0 where the reward is NaN.

    Raises:
        InputError: where groups are not whole.

    Example:
        >>> grpo(torch.tensor([1.0, 0.0, 5.0, 5.0]), group_size=2).mul(100).round().tolist()
        [71.0, -71.0, 0.0, 0.0]

    Reference:
        Shao et al., DeepSeekMath, arXiv 2402.03300, section 4.1. As in TRL; with NaN, over the answers that have a reward.
    """
    groups = _in_groups(rewards, group_size)
    centred, count = _centred(groups, dim=1)
    return (centred / (_standard_deviation(centred, count, dim=1) + STD_EPSILON)).reshape(rewards.shape)


def rloo(rewards: Tensor, *, group_size: int) -> Tensor:
    """Leave-one-out advantage: distance from the mean of the *other* answers to the same prompt.

    `A_i = r_i - mean(r_j, j in the group, j != i) = (r_i - mean(r_g)) * n / (n - 1)`.

    Args:
        rewards: float `[B]` or `[B,K]`; NaN where an answer has no reward.
        group_size: answers a prompt, `G`; must divide B. An answer that is alone has no baseline: its advantage is 0.

    Returns:
        Advantages of the shape of `rewards`, in units of reward, 0 where the reward is NaN.

    Raises:
        InputError: where groups are not whole.

    Example:
        >>> rloo(torch.tensor([3.0, 0.0, 0.0]), group_size=3).tolist()
        [3.0, -1.5, -1.5]

    Reference:
        Ahmadian et al., Back to Basics, arXiv 2402.14740, equation 8. With NaN, n counts the answers that have a reward.
    """
    groups = _in_groups(rewards, group_size)
    centred, count = _centred(groups, dim=1)
    return (centred * count / (count - 1).clamp(min=1)).reshape(rewards.shape)


def reinforce(rewards: Tensor) -> Tensor:
    """Batch-whitened advantage: distance from the mean of the whole batch in its standard deviations; needs no groups.

    `A_i = (r_i - mean(r)) / (std(r) + 1e-4)`, over all B answers.

    Args:
        rewards: float `[B]` or `[B,K]`; NaN where an answer has no reward.

    Returns:
        Advantages of the shape of `rewards`, 0 where the reward is NaN or all rewards are equal.

    Raises:
        InputError: where `rewards` has neither one nor two axes.

    Example:
        >>> reinforce(torch.tensor([1.0, 0.0, 1.0, 0.0])).mul(100).round().tolist()
        [87.0, -87.0, 87.0, -87.0]

    Reference:
        Hu et al., REINFORCE++, arXiv 2501.03262. Deviation: whitened over answers, each counted once, where the paper whitens over
        tokens, which counts long answers more often; so no objective's baseline depends on the answers' lengths.
    """
    if rewards.ndim not in (1, 2):
        raise InputError(f"rewards must have shape [B] or [B,K], but have {list(rewards.shape)}")
    centred, count = _centred(rewards, dim=0)
    return centred / (_standard_deviation(centred, count, dim=0) + STD_EPSILON)


BRPO_LIMIT = 0.6
"""Groups whose mean advantage lies further from 0 are left out: their reference was no fair one."""


def brpo(rewards: Tensor, *, group_size: int) -> Tensor:
    """Bootstrapped-reference advantage: better or worse than one answer of the same group.

    `A_i = sign(r_i - r_ref)`, with the group's first answer as the reference: answers to a prompt are drawn independently, so the first is as
    random as any. A group with `|sum_i A_i| / n > 0.6` has advantages of 0.

    Args:
        rewards: float `[B]` or `[B,K]`, compared and nothing else, so any increasing scale will do; NaN where an answer has no reward.
        group_size: answers a prompt, `G`; must divide B.

    Returns:
        -1, 0 or 1 in the shape of `rewards`; 0 for the reference, for ties, and where a reward is NaN.

    Raises:
        InputError: where groups are not whole.

    Example:
        >>> brpo(torch.tensor([2.0, 3.0, 1.0, 2.0, 0.0, 1.0, 1.0, 1.0]), group_size=4).tolist()
        [0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0]

    Reference:
        Jia et al., Writing-Zero, arXiv 2506.00103, section 3.3. There a judge compares, and only a win in both orders counts; here rewards do,
        with a judge's failure as NaN. Deviations: a tie is 0, not a loss; where the first answer has no reward, the first that has one is
        the reference; n counts the answers that have a reward.
    """
    groups = _in_groups(rewards, group_size)
    present = ~groups.isnan()
    # argmax finds the first of equal values.
    reference = groups.gather(1, present.to(torch.uint8).argmax(1, keepdim=True))
    return _preferred(groups - reference, groups.abs() + reference.abs(), present).to(rewards.dtype).reshape(rewards.shape)


def _weighed(values: Tensor, weights: Tensor) -> Tensor:
    """Values `[...,K]` summed over objectives, by weights `[K]` or of their own shape."""
    return values @ weights if weights.ndim == 1 else (values * weights).sum(-1)


def _brpo_of_sum(rewards_BK: Tensor, weights: Tensor, group_size: int) -> Tensor:
    """`brpo` of a weighted sum, where a missing reward stands for the one it is compared with: the reference's."""
    groups = _in_groups(rewards_BK, group_size)
    present = ~groups.isnan().all(2)
    first = present.to(torch.uint8).argmax(1, keepdim=True)[:, :, None].expand(-1, 1, groups.shape[2])
    reference = groups.gather(1, first)
    both = ~(groups.isnan() | reference.isnan())
    weights = weights.to(groups) if weights.ndim == 1 else _in_groups(weights.to(groups), group_size)
    difference = _weighed(torch.where(both, groups - reference, 0), weights)
    size = _weighed(torch.where(both, groups.abs() + reference.abs(), 0), weights.abs())
    return _preferred(difference, size, present).to(rewards_BK.dtype).reshape(-1)


def _preferred(difference: Tensor, size: Tensor, present: Tensor) -> Tensor:
    """The sign of each difference along a group, with differences that may be rounding as ties, and one-sided groups left out."""
    tie = difference.abs() <= 16 * torch.finfo(difference.dtype).eps * size
    compared = torch.where(present & ~tie, difference.sign(), 0).nan_to_num(0.0)
    mean = compared.sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp(min=1)
    return torch.where(mean.abs() > BRPO_LIMIT, 0, compared)


ESTIMATORS: dict[str, bool] = {"grpo": True, "rloo": True, "reinforce": False, "brpo": True}
"""The estimators by name, and whether each needs groups of answers to one prompt."""


def estimate(rewards: Tensor, *, estimator: str, group_size: int) -> Tensor:
    """Apply an estimator by name; `group_size` is ignored by one that needs no groups.

    Example:
        >>> estimate(torch.tensor([3.0, 1.0]), estimator="rloo", group_size=2).tolist()
        [2.0, -2.0]
        >>> estimate(torch.tensor([3.0, 1.0]), estimator="rlo", group_size=2)
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown estimator 'rlo': use one of grpo, rloo, reinforce, brpo (did you mean 'rloo'?)
    """
    grouped: dict[str, Callable[..., Tensor]] = {"grpo": grpo, "rloo": rloo, "brpo": brpo}
    if estimator in grouped:
        return grouped[estimator](rewards, group_size=group_size)
    if estimator == "reinforce":
        return reinforce(rewards)
    raise InputError(f"unknown estimator {estimator!r}: use one of {', '.join(ESTIMATORS)}{nearest(estimator, ESTIMATORS)}")


def of_equal_spread(advantages_BK: Tensor, *, estimator: str) -> Tensor:
    """Advantages in which no objective counts more for its larger spread: RLOO's are divided by their root mean square over the batch.

    The other estimators divide by a spread, or compare only, so theirs are of equal spread already.

    Args:
        advantages_BK: each objective's own, float `[B,K]`.
        estimator: by which they were taken.

    Example:
        >>> of_equal_spread(torch.tensor([[1.0, 20.0], [-1.0, -20.0]]), estimator="rloo").tolist()
        [[1.0, 1.0], [-1.0, -1.0]]
    """
    if estimator != "rloo":
        return advantages_BK
    size_K = advantages_BK.square().mean(0).sqrt()
    return torch.where(size_K > 0, advantages_BK / size_K.clamp(min=torch.finfo(size_K.dtype).tiny), 0)


def weighted_reward(rewards_BK: Tensor, weights_K: Tensor, *, group_size: int) -> Tensor:
    """One reward an answer from several, `r_i = sum_k w_k R_ik` or `sum_k w_ik R_ik`, where a missing reward neither helps nor harms.

    A NaN stands for the mean of that objective over the answers of its group, so a judge's failure on one answer is left out and not
    counted as a zero; where a whole group lacks it (the objective does not apply to that prompt) it adds nothing, as in TRL.

    Args:
        rewards_BK: float `[B,K]`, higher is better in every column; NaN where an objective does not apply.
        weights_K: float `[K]`, or `[B,K]` for each answer its own.
        group_size: answers a prompt; must divide B.

    Returns:
        float `[B]`, NaN where an answer has no reward at all.

    Example:
        >>> nan = float("nan")
        >>> R = torch.tensor([[1.0, 4.0], [0.0, nan]])
        >>> weighted_reward(R, torch.tensor([0.5, 0.5]), group_size=2).tolist()
        [2.5, 2.0]
    """
    groups = _in_groups(rewards_BK, group_size)
    present = ~groups.isnan()
    mean = torch.where(present, groups, 0).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp(min=1)
    filled = torch.where(present, groups, mean).reshape(rewards_BK.shape)
    total = _weighed(filled, weights_K.to(filled))
    return torch.where(rewards_BK.isnan().all(1), torch.nan, total)


def _of_unit_size(advantages_B: Tensor) -> Tensor:
    """Divided by their root mean square, and not centred: of BRPO's advantages 0 means no preference, and most batches lean to one side."""
    return advantages_B / (advantages_B.square().mean().sqrt() + STD_EPSILON)


def combine(
    rewards_BK: Tensor, weights_K: Tensor, *, estimator: str, group_size: int, normalize: str = "sum", scale: float = 1.0
) -> Tensor:
    """One advantage an answer from several rewards and their weights.

    `normalize="sum"`: `A = scale * estimator(sum_k w_k R_k)`, as the paper does it.
    `normalize="each"`: `A = scale * sum_k w_k estimator(R_k)`; with an estimator that divides by a spread, no objective counts more for its
    larger one.
    `normalize="each-whitened"`: the same of equal spread (see `of_equal_spread`), whitened over the batch before it is scaled (GDPO). Advantages of
    "brpo" are divided by their root mean square and not centred: the reference, ties and groups that are left out stay at 0.

    Args:
        rewards_BK: float `[B,K]`, higher is better; NaN where an objective does not apply.
        weights_K: float `[K]`, or `[B,K]` for each answer its own.
        estimator: "grpo", "rloo", "reinforce" or "brpo".
        group_size: answers a prompt.
        normalize: one of `NORMALIZATIONS`.
        scale: a common factor, applied *after* normalisation: on the rewards it would cancel (see `HypervolumeGuided`).

    Returns:
        float `[B]`.

    Example:
        >>> R = torch.tensor([[1.0, 0.0], [0.0, 100.0]])
        >>> w = torch.tensor([0.5, 0.5])
        >>> combine(R, w, estimator="grpo", group_size=2, normalize="each").round(decimals=3).abs().tolist()
        [0.0, 0.0]
        >>> combine(R, w, estimator="grpo", group_size=2).sign().tolist()
        [-1.0, 1.0]

    Reference:
        Lu et al., arXiv 2509.11452, section 3 ("sum"); GDPO, arXiv 2601.05242 ("each-whitened").
    """
    if rewards_BK.ndim != 2 or weights_K.shape not in (rewards_BK.shape, rewards_BK.shape[1:]):
        raise InputError(
            f"rewards [B,K] need weights [K] or [B,K], but rewards have shape {list(rewards_BK.shape)} and weights {list(weights_K.shape)}"
        )
    if normalize == "sum" and estimator == "brpo":
        return scale * _brpo_of_sum(rewards_BK, weights_K, group_size)
    if normalize == "sum":
        # A missing reward stands for the mean it is compared with: of the group, or of the whole batch where there are no groups.
        compared_with = group_size if ESTIMATORS.get(estimator, True) else rewards_BK.shape[0]
        total = weighted_reward(rewards_BK, weights_K, group_size=compared_with)
        return scale * estimate(total, estimator=estimator, group_size=group_size)
    if normalize in ("each", "each-whitened"):
        each_BK = estimate(rewards_BK, estimator=estimator, group_size=group_size)
        if normalize == "each":
            return scale * _weighed(each_BK, weights_K.to(rewards_BK))
        total_B = _weighed(of_equal_spread(each_BK, estimator=estimator), weights_K.to(rewards_BK))
        if weights_K.ndim == 2:
            # An answer whose weights are all 0 is left out: centred with the others, it would not stay at 0.
            total_B = torch.where(weights_K.to(total_B).abs().sum(1) > 0, total_B, torch.nan)
        return scale * (_of_unit_size(total_B.nan_to_num(0.0)) if estimator == "brpo" else reinforce(total_B))
    raise InputError(f"normalize must be one of {', '.join(NORMALIZATIONS)}, but is {normalize!r}")
