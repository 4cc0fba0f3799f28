"""Influences without the noise that both of their factors share: one factor is taken from each half of the prompts.

`I_k = <g_k, v>` with both factors from the same answers holds the squared noise of `g_k`: an objective that is a coin's flip seems to gain from every
batch. Noise of different prompts is independent, so products across prompts hold none of it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from steelyard.errors import InputError
from steelyard.weighting.inner_products import AnswerGradients, Influence, inner

Estimate = Literal["published", "unbiased"]
_ESTIMATES = ("published", "unbiased")
"""Both factors of an influence from all answers, as published; or one from each half of the prompts."""


def check_estimate(estimate: str) -> None:
    """Refuse an unknown estimate of influences.

    Example:
        >>> check_estimate("biased")
        Traceback (most recent call last):
        steelyard.errors.InputError: estimate must be one of published, unbiased, but is 'biased'
    """
    if estimate not in _ESTIMATES:
        raise InputError(f"estimate must be one of {', '.join(_ESTIMATES)}, but is {estimate!r}")


def check_prompts(prompts: int) -> None:
    """Refuse a batch without two prompts to compare.

    Example:
        >>> check_prompts(1)
        Traceback (most recent call last):
        steelyard.errors.InputError: an unbiased influence compares answers to different prompts, ... but found 1: ...
    """
    if prompts < 2:
        raise InputError(
            "an unbiased influence compares answers to different prompts, so a batch needs answers to at least 2 prompts, but found "
            f"{prompts}: take more prompts a batch, or estimate='published'"
        )


def half_factors(has_BK: Tensor, *, group_size: int) -> Tensor:
    """By what an answer's advantages are multiplied in each half's gradient, so that both halves estimate the whole batch's gradient.

    Prompts that have the same objectives are dealt out in turn, `n_s` of them to halves of `n_s^A` and `n_s^B`; the factor is `n_s / n_s^A` in half A
    and 0 in half B, or the reverse. So no half lacks an objective of some domains that two prompts have. Prompts that are alone with their
    objectives are dealt out together, and a single one of them with the largest of the other sets.

    Args:
        has_BK: whether objective k applies to answer i, bool `[B,K]`; it applies to a prompt where it does to any of its answers. It must not depend on what
            the answers are (their rewards, or gates that they open): the estimate is unbiased given what applies.
        group_size: answers a prompt, which stand together.

    Returns:
        float64 `[B,2]`.

    Raises:
        InputError: where there are fewer than two prompts, or groups are not whole.

    Example:
        >>> half_factors(torch.ones(6, 1, dtype=torch.bool), group_size=2).tolist()
        [[1.5, 0.0], [1.5, 0.0], [0.0, 3.0], [0.0, 3.0], [1.5, 0.0], [1.5, 0.0]]
    """
    if len(has_BK) % group_size:
        raise InputError(f"group_size must divide the {len(has_BK)} answers of a batch, but is {group_size}")
    prompts = len(has_BK) // group_size
    check_prompts(prompts)
    alike: dict[tuple[bool, ...], list[int]] = {}
    for number, has in enumerate(has_BK.reshape(prompts, group_size, -1).any(1).tolist()):
        alike.setdefault(tuple(has), []).append(number)
    strata = sorted((members for members in alike.values() if len(members) > 1), key=len)
    alone = [members[0] for members in alike.values() if len(members) == 1]
    if len(alone) == 1:
        strata[-1] = sorted(strata[-1] + alone)
    elif alone:
        strata.append(alone)
    factors_P2 = torch.zeros(prompts, 2, dtype=torch.float64)
    for members in strata:
        for half in (0, 1):
            mine = members[half::2]
            factors_P2[mine, half] = len(members) / len(mine)
    return factors_P2.repeat_interleave(group_size, 0)


def unbiased_influence(gradients: AnswerGradients, advantages_BK: Tensor, has_BK: Tensor, *, group_size: int) -> Influence:
    """`I_k = (<g_k^A, v^B> + <g_k^B, v^A>) / 2`, with `g_k^A` the gradient that half A alone estimates for the whole batch (see `half_factors`).

    Given which objectives each prompt has, its expectation is `<E g_k, E v>`, `v = sum_j g_j`, since answers to different prompts are drawn independently.
    (Not quite: a prompt that is alone with its objectives has no other half, and a baseline or spread that all answers of a batch share, as REINFORCE's,
    couples them by 1/B.) Objectives that are the same have the same influence; one that is c times another has c times its influence. It costs two
    influences, and three gradients exist at a time.

    The standard error comes from the prompts' own shares of `<g_k^A, v^B>`, for a fixed `v^B`: it is that of an objective that gains nothing, and of one that
    gains much it is too small. The two halves' errors are added as if they were the same, which makes it too large by a factor of at most 1.4. It is known
    where products are found along a direction ("jvp", "finite-difference") and a half has two prompts.

    Args:
        gradients: of the batch.
        advantages_BK: each objective's own, over all processes.
        has_BK, group_size: see `half_factors`.
    """
    factors_B2 = half_factors(has_BK, group_size=group_size).to(advantages_BK)
    halves_2BK = [advantages_BK * factors_B2[:, half, None] for half in (0, 1)]
    totals_B2 = torch.stack([half_BK.sum(1) for half_BK in halves_2BK], 1)
    directions = gradients.gradients(totals_B2)
    known = inner(*directions)
    products_2K, errors_2K = [], []
    for half, direction in enumerate(directions):
        other_BK = halves_2BK[1 - half]
        slopes = gradients.slopes(direction, totals_B2[:, half])
        if slopes is None:
            products_2K.append(gradients.products_by_backward(direction, other_BK, known=known))
            continue
        share_PK = gradients.by_answer(slopes, other_BK).reshape(-1, group_size, other_BK.shape[1]).sum(1)
        products_2K.append(share_PK.sum(0))
        theirs_PK = share_PK[factors_B2[::group_size, 1 - half].cpu() > 0]
        errors_2K.append(
            (len(theirs_PK) * theirs_PK.var(0)).sqrt() if len(theirs_PK) > 1 else torch.full_like(share_PK[0], torch.nan)
        )
    error_K = torch.stack(errors_2K).mean(0) if len(errors_2K) == 2 else None
    if error_K is not None and error_K.isnan().any():
        error_K = None
    found_K = torch.stack(products_2K).mean(0)
    return Influence(found_K, method=gradients.method, tries=gradients.tries, error_K=error_K)


def unbiased_gram(gradients: AnswerGradients, advantages_BK: Tensor, has_BK: Tensor, *, group_size: int) -> Influence:
    """`M[j,k] = (<g_j^A, g_k^B> + <g_j^B, g_k^A>) / 2`, whose row sums are the unbiased influences.

    Its expectation is `<E g_j, E g_k>`; on its diagonal no noise is squared, so that a single batch's may be negative. The directions are half A's gradients
    alone, so it costs what the published matrix does, or a little more.

    Args:
        gradients: of the batch.
        advantages_BK: each objective's own, over all processes.
        has_BK, group_size: see `half_factors`.
    """
    factors_B2 = half_factors(has_BK, group_size=group_size).to(advantages_BK)
    first_BK, second_BK = (advantages_BK * factors_B2[:, half, None] for half in (0, 1))
    size = advantages_BK.shape[1]
    across_KK = torch.zeros(size, size, dtype=torch.float64)
    for j in range(size):
        if first_BK[:, j].any():
            across_KK[j] = gradients.products(gradients.gradient(first_BK[:, j]), second_BK, first_BK[:, j])
    return Influence.of((across_KK + across_KK.T) / 2, gradients.method)
