"""Theorems 1 to 3 on a model whose every gradient is known, and the measured variance against the exact one."""

import numpy as np
import pytest
import torch

from steelyard.errors import InputError
from steelyard.intervals import student_quantile
from steelyard.mixture import (
    ConstantTemperature,
    MixtureSampler,
    estimate_gradient_variance,
    gradient_variance,
    moments_variance,
    scalarization_weights,
    temperature_probabilities,
)
from steelyard.mixture.variance import _VARIANCE_METHODS, _systematic_covariance

SIZES = [460, 35, 5]
DOMAINS = np.repeat([0, 1, 2], SIZES)


@pytest.fixture(scope="module")
def regression():
    """Per-example gradients of a logistic regression whose domains have different solutions, by autograd."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, 6, generator=generator, dtype=torch.float64)
    truth = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    labels = ((inputs * truth[DOMAINS]).sum(1) > 0).double()
    weight = torch.full((6,), 0.1, dtype=torch.float64, requires_grad=True)

    def losses(indices):
        return torch.nn.functional.binary_cross_entropy_with_logits(inputs[indices] @ weight, labels[indices], reduction="none")

    gradients = torch.stack([torch.autograd.grad(losses(np.array([i])).sum(), weight)[0] for i in range(500)])
    return gradients, weight, losses


def test_theorem_1_all_three_have_the_same_expectation(regression):
    gradients, _, _ = regression
    weights = torch.as_tensor(scalarization_weights(SIZES, 5.0))[DOMAINS]
    by_weights = (gradients * weights[:, None]).mean(0)
    means = torch.stack([gradients[d == DOMAINS].mean(0) for d in range(3)])
    by_sampling = torch.as_tensor(temperature_probabilities(SIZES, 5.0)) @ means
    assert torch.allclose(by_weights, by_sampling, rtol=1e-12)
    # Stratified batches: the mean over many of them.
    sampler = MixtureSampler(SIZES, ConstantTemperature(5.0), num_samples=500_000, batch_size=10, seed=0)
    by_strata = gradients[sampler.stream(0, 50_000)].mean(0)
    assert torch.allclose(by_strata, by_sampling, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("tau", [1.5, 2.0, 5.0, 100.0])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_theorem_2_and_ours_scalarization_is_at_least_sampling_is_at_least_stratified(regression, tau, batch_size):
    found = [
        gradient_variance(regression[0], DOMAINS, tau=tau, batch_size=batch_size, method=method) for method in _VARIANCE_METHODS
    ]
    assert found[0] > found[1] >= found[2] - 1e-12
    assert found[1] > found[2] or batch_size == 1


@pytest.mark.parametrize("method", _VARIANCE_METHODS)
def test_moments_tell_the_same_as_all_gradients(regression, method):
    gradients = regression[0]
    means = torch.stack([gradients[d == DOMAINS].mean(0) for d in range(3)])
    squares = torch.stack([gradients[d == DOMAINS].square().sum(1).mean() for d in range(3)])
    found = moments_variance(means @ means.T, squares, SIZES, tau=3.0, batch_size=7, method=method)
    assert found == pytest.approx(gradient_variance(gradients, DOMAINS, tau=3.0, batch_size=7, method=method), rel=1e-12)


def test_moments_must_fit_the_domains():
    with pytest.raises(InputError, match=r"3 domains have moments \[3, 3\] and \[3\], but these are \[2, 2\] and \[2\]"):
        moments_variance(torch.eye(2), torch.ones(2), SIZES, tau=3.0, batch_size=7, method="sampling")


def test_where_theorem_2_does_not_reach():
    """A small domain that is learnt by heart: its gradients are small, and weighting them costs nothing."""
    generator = torch.Generator().manual_seed(0)
    large, small = (size * torch.randn(rows, 4, generator=generator) for size, rows in ((1.0, 90), (0.01, 10)))
    found = [
        gradient_variance(torch.cat([large, small]), [0] * 90 + [1] * 10, tau=5.0, batch_size=8, method=method)
        for method in _VARIANCE_METHODS
    ]
    assert found[0] < 0.75 * found[1]


def test_where_opposites_are_neighbours_a_systematic_sample_is_worse():
    """Four equal domains, two draws: 0 and 2 come together, or 1 and 3."""
    means = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]).repeat_interleave(5, 0)
    _, sampled, stratified = (
        gradient_variance(means, np.repeat(np.arange(4), 5), tau=1.0, batch_size=2, method=method) for method in _VARIANCE_METHODS
    )
    assert (sampled, stratified) == (pytest.approx(0.5), pytest.approx(1.0))
    sorted_means = means.sort(0).values
    assert gradient_variance(
        sorted_means, np.repeat(np.arange(4), 5), tau=1.0, batch_size=2, method="stratified"
    ) == pytest.approx(0)


def test_in_proportion_scalarization_is_sampling(regression):
    found = [gradient_variance(regression[0], DOMAINS, tau=1.0, batch_size=8, method=method) for method in _VARIANCE_METHODS[:2]]
    assert found[0] == pytest.approx(found[1], rel=1e-12)


def test_theorem_3_the_gap_grows_with_temperature_and_with_skew():
    generator = torch.Generator().manual_seed(1)

    def gap(sizes, tau):
        gradients = torch.nn.functional.normalize(torch.randn(sum(sizes), 400, generator=generator, dtype=torch.float64), dim=1)
        domains = np.repeat(np.arange(len(sizes)), sizes)
        found = [gradient_variance(gradients, domains, tau=tau, batch_size=1, method=method) for method in _VARIANCE_METHODS[:2]]
        # For unit norms the second moment under scalarization is known in closed form.
        p, q = temperature_probabilities(sizes, tau), temperature_probabilities(sizes, 1.0)
        assert found[0] - found[1] == pytest.approx((p**2 / q).sum() - 1.0, rel=1e-9)
        return found[0] - found[1]

    by_temperature = [gap([900, 90, 10], tau) for tau in (1.0, 1.5, 2.0, 5.0, 20.0)]
    by_skew = [gap([1000 - small, small], 5.0) for small in (500, 200, 50, 5)]
    assert by_temperature == sorted(by_temperature)
    assert by_skew == sorted(by_skew)


@pytest.mark.parametrize("method", _VARIANCE_METHODS)
def test_the_measured_variance_agrees_with_the_exact_one(regression, method):
    gradients, weight, losses = regression
    found = estimate_gradient_variance(losses, [weight], SIZES, tau=5.0, batch_size=4, method=method, pairs=1500, seed=1)
    exact = gradient_variance(gradients, DOMAINS, tau=5.0, batch_size=4, method=method)
    # Without repetition within a batch the true value is a little lower: the small domain has five examples.
    assert exact * 0.85 - found.half_width < found.variance < exact + found.half_width
    assert found.half_width < 0.25 * found.variance


def test_counts_of_a_systematic_sample_vary_as_the_samplers_do():
    probabilities = temperature_probabilities([900, 60, 30, 10], 3.0)
    counts = []
    for seed in range(4000):
        sampler = MixtureSampler([900, 60, 30, 10], ConstantTemperature(3.0), num_samples=6, batch_size=6, seed=seed)
        counts.append(np.bincount(sampler.domain_of(sampler.stream(0, 1)), minlength=4))
    assert np.cov(np.array(counts).T) == pytest.approx(_systematic_covariance(probabilities, 6), abs=0.02)


def test_the_quantile_is_students():
    known = {3: 3.1824, 4: 2.7764, 7: 2.3646, 15: 2.1314, 31: 2.0395, 1000: 1.9623}
    for freedom, value in known.items():
        assert student_quantile(freedom) == pytest.approx(value, rel=5e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "weighting"}, "method must be one of scalarization, sampling, stratified"),
        ({"pairs": 1}, "2 pairs at least"),
        ({"tau": 0.0}, "a temperature must be positive"),
        ({"sizes": [3, 0]}, "domain 1 has 0"),
        ({"losses": lambda indices: torch.full((len(indices),), float("nan"), requires_grad=True)}, "a loss is not finite"),
    ],
)
def test_what_cannot_be_measured_is_refused(regression, changes, message):
    _, weight, losses = regression
    given = {"losses": losses, "sizes": SIZES, "tau": 5.0, "batch_size": 4, "method": "sampling", **changes}
    with pytest.raises(InputError, match=message):
        estimate_gradient_variance(given.pop("losses"), [weight], given.pop("sizes"), **given)


@pytest.mark.parametrize(
    ("domains", "batch_size", "message"),
    [([0, 2], 1, "none is 1"), ([0], 1, "give one each"), ([0, 1], 0, "batch_size must be a whole number")],
)
def test_gradients_and_domains_must_fit(domains, batch_size, message):
    with pytest.raises(InputError, match=message):
        gradient_variance(torch.ones(2, 3), domains, tau=2.0, batch_size=batch_size, method="sampling")
