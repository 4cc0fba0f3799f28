"""How noisy a mini-batch's gradient is when domains are weighted, sampled, or sampled in strata: exactly from gradients, or measured on a model.

The variance is the trace of the covariance, `E |g - E g|^2`. All three have the same expectation, the gradient of the mixture at a temperature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from steelyard.errors import InputError
from steelyard.intervals import student_quantile
from steelyard.mixture.sampler import MixtureSampler
from steelyard.mixture.schedules import ConstantTemperature
from steelyard.mixture.temperature import Floats, check_sizes, check_temperature, scalarization_weights, temperature_probabilities

_VARIANCE_METHODS = ("scalarization", "sampling", "stratified")


def gradient_variance(gradients_NP: Tensor, domains_N: ArrayLike, *, tau: float, batch_size: int, method: str) -> float:
    """The exact variance of the mean gradient of a batch, from the gradient of every example there is.

    With `p = p(.; tau)`, `mu_d` a domain's mean gradient, `m_d` its mean squared norm and `g = sum_d p_d mu_d`:

        scalarization   (sum_d p_d^2 / p(d; 1) m_d - |g|^2) / B
        sampling        (sum_d p_d m_d - |g|^2) / B
        stratified      (sum_d p_d (m_d - |mu_d|^2)) / B + sum_de Cov(n_d, n_e) <mu_d, mu_e> / B^2

    where `n` are the counts of a systematic sample, which differ from `B p` by less than one.

    Args:
        gradients_NP: a row an example, `[N,P]`.
        domains_N: the domain of each, whole numbers from 0, none left out.
        tau: temperature, positive.
        batch_size: B, at least 1.
        method: "scalarization" (drawn in proportion, losses weighted), "sampling" or "stratified" (drawn at the temperature).

    Returns:
        The variance; examples of a domain are taken as drawn with replacement, so that `MixtureSampler`, which repeats none within a pass, is below.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> gradients, domains = torch.tensor([[1.0, 0.0]] * 9 + [[0.0, 1.0]]), [0] * 9 + [1]
        >>> [round(gradient_variance(gradients, domains, tau=5.0, batch_size=8, method=method), 4) for method in _VARIANCE_METHODS]
        [0.1779, 0.0596, 0.0036]

    Reference:
        Li et al., arXiv 2410.04579, theorems 1 (equal expectations), 2 (scalarization is at least sampling) and 3 (by how much). Theorem 2 is about
        gradients of a like size in all domains: where the upsampled domain's are small, weighting it can vary less. Stratified is ours. What is left
        of its counts' variance depends on the domains' order, and is above sampling's where alike domains alternate and B is below their number.
    """
    domains = np.asarray(domains_N)
    if domains.ndim != 1 or len(domains) != len(gradients_NP) or not len(domains):
        raise InputError(f"there are {len(gradients_NP)} gradients, but domains of shape {list(domains.shape)}: give one each")
    sizes = np.bincount(domains)
    if (sizes == 0).any():
        raise InputError(f"domains are numbered from 0 without gaps, but none is {int(np.flatnonzero(sizes == 0)[0])}")
    gradients = gradients_NP.double()
    index = torch.as_tensor(domains)
    counts = torch.as_tensor(sizes).double()
    mu_DP = torch.zeros(len(sizes), gradients.shape[1], dtype=torch.float64).index_add(0, index, gradients) / counts[:, None]
    m_D = torch.zeros(len(sizes), dtype=torch.float64).index_add(0, index, gradients.square().sum(1)) / counts
    return moments_variance(mu_DP @ mu_DP.T, m_D, sizes, tau=tau, batch_size=batch_size, method=method)


def moments_variance(
    products_DD: Tensor, squares_D: Tensor, sizes_D: ArrayLike, *, tau: float, batch_size: int, method: str
) -> float:
    """The same where gradients are too many to hold: from inner products of the domains' mean gradients and their mean squared norms.

    Args:
        products_DD: `<mu_d, mu_e>`, `[D,D]`.
        squares_D: `m_d`, `[D]`.
        sizes_D: examples of each domain.
        tau, batch_size, method: as for `gradient_variance`, whose equations these are.

    Returns:
        The variance.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> moments_variance(torch.eye(2), torch.ones(2), [9, 1], tau=5.0, batch_size=8, method="sampling") == gradient_variance(
        ...     torch.tensor([[1.0, 0.0]] * 9 + [[0.0, 1.0]]), [0] * 9 + [1], tau=5.0, batch_size=8, method="sampling"
        ... )
        True

    Reference:
        See `gradient_variance`.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size must be a whole number, at least 1, but is {batch_size!r}")
    _check_method(method)
    sizes = check_sizes(sizes_D)
    if products_DD.shape != (len(sizes), len(sizes)) or squares_D.shape != (len(sizes),):
        shapes = f"{list(products_DD.shape)} and {list(squares_D.shape)}"
        raise InputError(
            f"{len(sizes)} domains have moments [{len(sizes)}, {len(sizes)}] and [{len(sizes)}], but these are {shapes}"
        )
    products, squares = products_DD.double(), squares_D.double()
    p_D = torch.as_tensor(temperature_probabilities(sizes, tau))
    mean_square = float(p_D @ products @ p_D)
    if method == "scalarization":
        q_D = torch.as_tensor(sizes / sizes.sum())
        return (float((p_D.square() / q_D * squares).sum()) - mean_square) / batch_size
    if method == "sampling":
        return (float((p_D * squares).sum()) - mean_square) / batch_size
    within = float((p_D * (squares - products.diagonal())).sum()) / batch_size
    between = float((torch.as_tensor(_systematic_covariance(p_D.numpy(), batch_size)) * products).sum())
    return within + between / batch_size**2


def _systematic_covariance(probabilities: Floats, batch_size: int) -> Floats:
    """The covariance of the counts of a systematic sample with a random offset, float64 `[D,D]`.

    Example:
        >>> _systematic_covariance(np.array([0.5, 0.5]), 3).tolist()
        [[0.25, -0.25], [-0.25, 0.25]]
    """
    expected = probabilities * batch_size
    edges = np.concatenate([[0.0], np.cumsum(expected)])
    # Between two of these offsets no count changes.
    offsets = np.unique(np.concatenate([[0.0, 1.0], edges % 1.0]))
    middles, lengths = (offsets[1:] + offsets[:-1]) / 2, np.diff(offsets)
    counts = np.diff(np.ceil(edges[None, :] - middles[:, None]), axis=1)
    deviations = counts - expected
    return (deviations * lengths[:, None]).T @ deviations


@dataclass(frozen=True)
class VarianceEstimate:
    """A measured variance.

    Attributes:
        variance: of the gradient of one batch.
        half_width: of its 95% interval, from Student's distribution over the pairs.
        pairs: of batches that it rests on.

    Example:
        >>> found = VarianceEstimate(variance=2.0, half_width=0.5, pairs=16)
        >>> f"{found.variance} +- {found.half_width}"
        '2.0 +- 0.5'
    """

    variance: float
    half_width: float
    pairs: int


def estimate_gradient_variance(
    losses: Callable[[NDArray[np.int64]], Tensor],
    parameters: Sequence[Tensor],
    sizes: Sequence[int],
    *,
    tau: float,
    batch_size: int,
    method: str,
    pairs: int = 16,
    seed: int = 0,
) -> VarianceEstimate:
    """Measure the variance of a model's mini-batch gradient, `mean over pairs of |g - g'|^2 / 2`; two gradients are in memory at a time.

    Args:
        losses: from indices into the concatenated domains, `[B]`, to the loss of each example, `[B]`, with its graph.
        parameters: by which to differentiate.
        sizes: examples of each domain.
        tau, batch_size, method: as for `gradient_variance`; batches are `MixtureSampler`'s, so no example comes twice in one before its domain is used up.
        pairs: of independent batches, at least 2.
        seed: of the batches.

    Returns:
        The variance with its interval.

    Raises:
        InputError: where an argument is out of range, or a loss is not finite.

    Example:
        >>> weight = torch.zeros(2, requires_grad=True)
        >>> points = torch.tensor([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
        >>> found = estimate_gradient_variance(lambda i: points[i] @ weight, [weight], [9, 1], tau=5.0, batch_size=8, method="scalarization")
        >>> found.pairs, found.variance > 0
        (16, True)
    """
    _check_method(method)
    if pairs < 2:
        raise InputError(f"an interval needs 2 pairs at least, but pairs is {pairs}")
    weights_D = scalarization_weights(sizes, check_temperature(tau)) if method == "scalarization" else np.ones(len(sizes))

    def gradient(number: int) -> list[Tensor]:
        sampler = MixtureSampler(
            sizes,
            ConstantTemperature(1.0 if method == "scalarization" else tau),
            num_samples=batch_size,
            batch_size=batch_size,
            seed=seed * 1_000_003 + number,
            draw="stratified" if method == "stratified" else "independent",
        )
        indices = sampler.stream(0, 1)
        loss_B = losses(indices)
        if not loss_B.isfinite().all():
            raise InputError(f"a loss is not finite in batch {number}: the variance of its gradient has no meaning")
        weights_B = torch.as_tensor(weights_D[sampler.domain_of(indices)]).to(loss_B)
        return [part.detach() for part in torch.autograd.grad((loss_B * weights_B).mean(), list(parameters))]

    halves = []
    for pair in range(pairs):
        first, second = gradient(2 * pair), gradient(2 * pair + 1)
        halves.append(0.5 * sum(float((a - b).double().square().sum()) for a, b in zip(first, second, strict=True)))
    standard_error = float(np.std(halves, ddof=1)) / math.sqrt(pairs)
    return VarianceEstimate(float(np.mean(halves)), student_quantile(pairs - 1) * standard_error, pairs)


def _check_method(method: str) -> None:
    if method not in _VARIANCE_METHODS:
        raise InputError(f"method must be one of {', '.join(_VARIANCE_METHODS)}, but is {method!r}")
