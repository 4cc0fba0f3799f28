"""Influences across two halves of the prompts: unbiased by arithmetic, alike by every way, and without the noise that published ones hold."""

import itertools

import pytest
import torch
from test_influence import advantages, batch, policy

from steelyard import advantages as estimators
from steelyard import gradient_influence
from steelyard.errors import InputError
from steelyard.weighting import (
    AnswerGradients,
    AnswerTerms,
    Batch,
    GradientInfluence,
    GramianWeights,
    Influence,
    NormalizedInfluence,
    half_factors,
    sequence_logprobs,
    unbiased_gram,
    unbiased_influence,
)
from steelyard.weighting.influence import chosen_parameters


class Linear(torch.nn.Module):
    """Terms that are linear in the parameters: an answer's gradient is its row of features."""

    def __init__(self, features_BD):
        super().__init__()
        self.features_BD, self.theta = features_BD.double(), torch.nn.Parameter(torch.ones(features_BD.shape[1]).double())

    def forward(self):
        return self.features_BD @ self.theta


def gradients_of(model, answers, method="exact", micro_batch=None):
    def part(rows):
        return AnswerTerms(rows, lambda call=model: call()[rows], lambda call=model: call()[rows])

    parts = [part(rows) for rows in torch.arange(answers).split(micro_batch or answers)]
    return AnswerGradients(model, dict(model.named_parameters()), parts, method)


def all_of(values_BK):
    return torch.ones_like(values_BK, dtype=torch.bool)


def expectations(kinds, has_PK):
    """Means over all outcomes, `kinds[p]` what prompt p may be: (features, advantages) of its one answer, each as likely. `<E g_k, E v>` beside them."""
    published, unbiased, grams = [], [], []
    for outcome in itertools.product(*kinds):
        features_BD = torch.stack([features for features, _ in outcome])
        values_BK = torch.stack([values for _, values in outcome]).double()
        gradients = gradients_of(Linear(features_BD), len(outcome))
        published.append(gradients.influence(values_BK).influence_K)
        unbiased.append(unbiased_influence(gradients, values_BK, has_PK, group_size=1).influence_K)
        grams.append(unbiased_gram(gradients, values_BK, has_PK, group_size=1).gram_KK)
    means_KD = sum(
        torch.stack([values.double()[:, None] * features.double() for features, values in kind]).mean(0) for kind in kinds
    )
    found = [torch.stack(each).mean(0) for each in (published, unbiased, grams)]
    return *found, means_KD @ means_KD.sum(0), means_KD @ means_KD.T


def kinds_of(count, objectives, seed):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(3, generator=generator), torch.randn(objectives, generator=generator) + 0.3) for _ in range(count)]


@pytest.mark.parametrize("prompts", [2, 4, 5])
def test_its_expectation_over_all_outcomes_is_the_product_of_the_expected_gradients(prompts):
    kinds = [kinds_of(3, 2, 7)] * prompts
    published_K, unbiased_K, gram_KK, true_K, true_KK = expectations(kinds, torch.ones(prompts, 2, dtype=torch.bool))
    torch.testing.assert_close(unbiased_K, true_K, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gram_KK, true_KK, rtol=1e-9, atol=1e-9)
    # The published one holds the trace of the gradients' covariance on top.
    each_PKD = torch.stack([values.double()[:, None] * features.double() for features, values in kinds[0]])
    noise_PKD = each_PKD - each_PKD.mean(0)
    covariance_K = prompts * torch.einsum("pkd,pd->pk", noise_PKD, noise_PKD.sum(1)).mean(0)
    torch.testing.assert_close(published_K, true_K + covariance_K, rtol=1e-9, atol=1e-9)
    assert (covariance_K.abs() > 0.1 * true_K.abs()).all()


@pytest.mark.parametrize("domains", [(0, 1, 0, 1), (0, 0, 1, 1, 1), (0, 1, 2, 0, 0)])
def test_it_is_unbiased_where_objectives_apply_to_some_domains_whatever_the_order_of_prompts(domains):
    """Domain 0 has the first objective, 1 the second, 2 both; prompts dealt out by their number alone would put a domain into one half."""
    has = {0: [True, False], 1: [False, True], 2: [True, True]}
    has_PK = torch.tensor([has[domain] for domain in domains])
    kinds = [[(f, v * has_PK[p]) for f, v in kinds_of(2, 2, domain)] for p, domain in enumerate(domains)]
    _, unbiased_K, gram_KK, true_K, true_KK = expectations(kinds, has_PK)
    if all(domains.count(domain) > 1 for domain in domains):
        torch.testing.assert_close(unbiased_K, true_K, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(gram_KK, true_KK, rtol=1e-9, atol=1e-9)
    else:  # a prompt alone with its objectives is in one half only, and every prompt is in exactly one
        factors_P2 = half_factors(has_PK, group_size=1)
        assert ((factors_P2 > 0).sum(1) == 1).all()
        assert unbiased_K.isfinite().all()


def test_halves_hold_whole_groups_and_every_stratum_in_both():
    has_BK = torch.zeros(16, 2, dtype=torch.bool)
    has_BK[0:4, 0] = has_BK[8:12, 0] = True  # prompts 0, 2
    has_BK[4:8, 1] = has_BK[13, 1] = True  # prompts 1, 3, the latter with one answer that has a value
    factors_B2 = half_factors(has_BK, group_size=4)
    assert factors_B2[::4].tolist() == [[2, 0], [2, 0], [0, 2], [0, 2]]
    assert all(len(group.unique(dim=0)) == 1 for group in factors_B2.split(4))
    assert factors_B2.dtype == torch.float64


def test_the_halves_do_not_depend_on_what_the_rewards_are():
    rewards_BK = torch.randn(12, 2)
    assert torch.equal(half_factors(~rewards_BK.isnan(), group_size=3), half_factors(~(0 * rewards_BK).isnan(), group_size=3))


def by_hand(model, inputs, values_BK, group_size):
    """Whole gradients of each half, one after the other, and their products."""
    half_of_B = torch.arange(len(values_BK)) // group_size % 2
    prompts, found = len(values_BK) // group_size, {}
    for half in (0, 1):
        share = prompts / len(range(half, prompts, 2))
        for k in range(values_BK.shape[1]):
            terms_B = sequence_logprobs(model, inputs) / inputs["completion_mask"][:, 1:].sum()
            objective = (terms_B * values_BK[:, k] * (half_of_B == half) * share).sum()
            found[half, k] = torch.cat([g.flatten() for g in torch.autograd.grad(objective, list(model.parameters()))])
    size = range(values_BK.shape[1])
    return torch.stack([sum(found[h, k] @ sum(found[1 - h, j] for j in size) for h in (0, 1)) / 2 for k in size])


@pytest.mark.parametrize(("method", "within"), [("exact", 1e-6), ("jvp", 1e-6), ("finite-difference", 1e-3)])
@pytest.mark.parametrize("micro_batch", [None, 3])
@pytest.mark.parametrize("group_size", [1, 2])
def test_every_way_agrees_with_separate_gradients_of_the_halves(method, within, micro_batch, group_size):
    model, inputs, values = policy(), batch(), advantages()
    before = [p.detach().clone() for p in model.parameters()]
    options = dict(method=method, micro_batch=micro_batch, estimate="unbiased", group_size=group_size)
    found = gradient_influence(model, inputs, values, **options)
    expected = by_hand(model, inputs, values, group_size)
    torch.testing.assert_close(found, expected, rtol=0, atol=within * expected.abs().max().item())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(("method", "within"), [("exact", 1e-6), ("jvp", 1e-6), ("finite-difference", 1e-3)])
@pytest.mark.parametrize("micro_batch", [8, 3])
def test_gram_matrices_agree_and_hold_the_influences(method, within, micro_batch):
    model, inputs, values = policy(), batch(), advantages()

    def part(rows):
        def terms(call=model):
            return sequence_logprobs(call, {name: tensor[rows] for name, tensor in inputs.items()})

        return AnswerTerms(rows, terms, terms)

    def gradients(method):
        return AnswerGradients(
            model, chosen_parameters(model), [part(rows) for rows in torch.arange(8).split(micro_batch)], method
        )

    expected_K = unbiased_influence(gradients("exact"), values, all_of(values), group_size=2).influence_K
    found = unbiased_gram(gradients(method), values, all_of(values), group_size=2)
    assert torch.equal(found.gram_KK, found.gram_KK.T)
    torch.testing.assert_close(found.influence_K, expected_K, rtol=0, atol=within * expected_K.abs().max().item())
    assert found.method == method


def test_a_negative_square_gives_cosines_of_nothing_and_none_above_one():
    found = Influence.of(torch.tensor([[1.0, 2.0, 1.0], [2.0, 1.0, 1.0], [1.0, 1.0, -0.5]]))
    assert found.cosine_KK.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


class Categorical(torch.nn.Module):
    """The smallest policy: one of six actions, from parameters that all prompts share."""

    def __init__(self, actions_B):
        super().__init__()
        self.actions_B, self.logits = actions_B, torch.nn.Parameter(torch.linspace(-1, 1, 6).double())

    def forward(self):
        return torch.log_softmax(self.logits, 0)[self.actions_B] / len(self.actions_B)


def batches(count, prompts=8, group_size=4, method="jvp"):
    """Influences of "is the action 5?" and of a coin, published and unbiased, over many batches of the categorical policy."""
    generator, found = torch.Generator().manual_seed(3), []
    probabilities = torch.softmax(torch.linspace(-1, 1, 6), 0)
    for _ in range(count):
        actions_B = torch.multinomial(probabilities, prompts * group_size, replacement=True, generator=generator)
        coin_B = torch.randint(0, 2, actions_B.shape, generator=generator)
        rewards_BK = torch.stack([(actions_B == 5).double(), coin_B.double()], 1)
        values_BK = estimators.grpo(rewards_BK, group_size=group_size)
        gradients = gradients_of(Categorical(actions_B), len(actions_B), method)
        unbiased = unbiased_influence(gradients, values_BK, all_of(values_BK), group_size=group_size)
        found.append((gradients.influence(values_BK).influence_K, unbiased.influence_K, unbiased.error_K))
    return [torch.stack(column) for column in zip(*found, strict=True)]


def test_a_coin_gains_nothing_over_many_batches_where_the_published_influence_is_positive():
    published_NK, unbiased_NK, error_NK = batches(400)
    mean_K, error_K = unbiased_NK.mean(0), unbiased_NK.std(0) / 20
    assert mean_K[1].abs() < 3 * error_K[1]
    assert mean_K[0] > 10 * error_K[0]
    assert published_NK[:, 1].mean() > 5 * published_NK[:, 1].std() / 20
    # Both tell the same of what remains: the published one without the squared noise of the coin.
    assert mean_K[1].abs() < 0.1 * published_NK[:, 1].mean()
    # The coin's reported errors are those that its influences really have, or a little larger.
    assert 0.9 < (error_NK[:, 1].square().mean().sqrt() / unbiased_NK[:, 1].std()).item() < 1.5


def values_of(rewards_BK, estimator):
    values_BK = estimators.estimate(rewards_BK, estimator=estimator, group_size=4)
    return estimators.of_equal_spread(values_BK, estimator=estimator)


@pytest.mark.parametrize("method", ["exact", "jvp", "finite-difference"])
def test_a_duplicate_has_the_same_influence_and_a_thousandfold_one_its_thousandfold(method):
    values_BK = advantages(8, 2)
    values_BK = torch.cat([values_BK, values_BK[:, :1], 1000 * values_BK[:, :1]], 1)
    options = dict(method=method, estimate="unbiased", group_size=2)
    found_K = gradient_influence(policy(), batch(), values_BK, **options)
    torch.testing.assert_close(found_K[2], found_K[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(found_K[3], 1000 * found_K[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("estimator", "within"), [("grpo", 1e-3), ("rloo", 1e-9), ("reinforce", 1e-3), ("brpo", 1e-9)])
def test_a_reward_times_a_thousand_changes_nothing_where_advantages_are_of_equal_spread(estimator, within):
    rewards_BK = torch.rand(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) + torch.eye(8, 3)
    louder_BK = rewards_BK * torch.tensor([1.0, 1000.0, 1.0])
    found = [
        gradient_influence(policy(), batch(), values_of(each_BK, estimator), method="exact", estimate="unbiased", group_size=4)
        for each_BK in (rewards_BK, louder_BK)
    ]
    torch.testing.assert_close(found[1], found[0], rtol=within, atol=within * found[0].abs().max().item())


def test_a_reward_times_a_thousand_multiplies_its_products_where_advantages_are_in_units_of_reward():
    rewards_BK = torch.rand(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    features_BD, grams = torch.randn(8, 5, generator=torch.Generator().manual_seed(5)), []
    for size in (1.0, 1000.0):
        values_BK = estimators.rloo(rewards_BK * torch.tensor([size, 1.0]), group_size=2)
        grams.append(unbiased_gram(gradients_of(Linear(features_BD), 8), values_BK, all_of(values_BK), group_size=2).gram_KK)
    torch.testing.assert_close(grams[1], grams[0] * torch.tensor([[1e6, 1e3], [1e3, 1.0]]), rtol=1e-9, atol=0)


def test_standard_errors_are_left_out_where_they_are_not_known():
    values_BK = advantages(8, 2)
    features_BD = torch.randn(8, 5, generator=torch.Generator().manual_seed(5))

    def error(method, group_size):
        gradients = gradients_of(Linear(features_BD), 8, method)
        return unbiased_influence(gradients, values_BK, all_of(values_BK), group_size=group_size).error_K

    assert error("exact", 2) is None
    assert error("jvp", 4) is None
    torch.testing.assert_close(error("jvp", 2), error("finite-difference", 2), rtol=1e-6, atol=0)
    assert (error("jvp", 2) > 0).all()


@pytest.mark.parametrize("make", [GradientInfluence, NormalizedInfluence, GramianWeights])
def test_methods_ask_for_it_where_it_is_chosen_and_not_otherwise(make):
    asked = []

    def influence(**options):
        asked.append(options)
        return Influence.of(torch.eye(2, dtype=torch.float64))

    for options in ({}, {"estimate": "published"}, {"estimate": "unbiased"}):
        method, zeros = make(**options), torch.zeros(4, 2)
        if not isinstance(method, GramianWeights):
            method.initial = [0.5, 0.5]
        method.on_batch(Batch(zeros, zeros, learning_rate=1e-6, progress=0.0, share=0.1, influence=influence))
    assert [options.get("unbiased", False) for options in asked] == [False, False, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: half_factors(torch.ones(4, 2), group_size=4), r"at least 2 prompts, but found 1: take more prompts a batch, or"),
        (lambda: half_factors(torch.ones(4, 2), group_size=3), "group_size must divide the 4 answers"),
        (lambda: gradient_influence(policy(), batch(), advantages(), estimate="unbiased"), "by group_size, .* but it is None"),
        (
            lambda: gradient_influence(policy(), batch(), advantages(), estimate="fair"),
            "one of published, unbiased, but is 'fair'",
        ),
        (lambda: gradient_influence(policy(), batch(), advantages(), estimate="unbiased", group_size=8), "but found 1"),
        (lambda: GradientInfluence(estimate="fair"), "estimate"),
        (
            lambda: NormalizedInfluence(influence="optimizer-step", estimate="unbiased"),
            "use 'finite-difference', 'jvp' or 'exact'",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
