import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.advantages import combine, weighted_reward
from steelyard.errors import InputError
from steelyard.objectives import Objective
from steelyard.weighting import (
    METHODS,
    Batch,
    FixedWeights,
    GradientInfluence,
    HypervolumeGuided,
    Influence,
    meta_reward,
    mirror_descent,
    start_archive,
)

OBJECTIVES = [
    Objective("accuracy", len, bounds=(0, 1)),
    Objective("tokens", len, goal="minimize", measure=len, bounds=(0, 1000)),
]


def batch_with(gram, learning_rate=1.0, progress=0.0, rewards=None):
    zeros = torch.zeros(4, len(gram)) if rewards is None else torch.tensor(rewards)
    gram = torch.tensor(gram, dtype=torch.float64)
    return Batch(zeros, zeros, learning_rate=learning_rate, progress=progress, influence=lambda **options: Influence.of(gram))


NEEDED = {
    "gradient-influence": dict(mu=1.0),
    "lagrangian": dict(maximize="tokens", at_least={"accuracy": 0.5}),
    "scheduled": dict(points=[(0.0, [0.6, 0.4]), (1.0, [0.2, 0.8])]),
}
FIND_THEIR_OWN = ("lagrangian", "scheduled", "mgda", "upgrad", "cagrad")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_keeps_to_the_simplex_and_its_state_survives_json(method):
    def drive(weighting, rounds):
        out = []
        for i in rounds:
            rewards = [[0.1 * i, 0.3], [0.5, 0.9 - 0.1 * i], [0.2, 0.2], [1.0, 0.1 * i]]
            weighting.on_batch(batch_with([[0.3 + i, -0.1], [-0.1, 0.2]], 0.1, progress=i / 6, rewards=rewards))
            weighting.on_validation([0.4 + 0.01 * i, 500.0 - 7 * i])
            out.append((weighting.weights().tolist(), weighting.scale()))
        return out

    whole, first, second = (METHODS[method](**NEEDED.get(method, {})) for _ in range(3))
    for weighting in (whole, first, second):
        weighting.setup(OBJECTIVES)
    expected = drive(whole, range(6))
    drive(first, range(3))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert drive(second, range(3, 6)) == expected[3:]
    for weights, scale in expected:
        assert sum(weights) == pytest.approx(1)
        assert min(weights) >= 0
        assert 0.5 <= scale <= 2 or method in FIND_THEIR_OWN
    # A method whose state were thrown away would be caught only if its state matters.
    if method not in ("fixed", "gdpo"):
        assert len({tuple(weights) for weights, _ in expected}) > 1 or len({scale for _, scale in expected}) > 1


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(FIND_THEIR_OWN)))
def test_weights_are_checked(method):
    make = METHODS[method]
    with pytest.raises(InputError, match=r"must sum to 1, but \[0.5, 0.4\] sum to 0.9"):
        make([0.5, 0.4])
    with pytest.raises(InputError, match="not negative"):
        make([1.5, -0.5])
    with pytest.raises(InputError, match="one value an objective"):
        make([0.2, 0.3, 0.5]).setup(OBJECTIVES)
    with pytest.raises(InputError, match="did you mean 'tokens'"):
        make({"accuracy": 0.5, "token": 0.5}).setup(OBJECTIVES)
    with pytest.raises(InputError, match="no weight is given for tokens"):
        make({"accuracy": 1.0}).setup(OBJECTIVES)
    if method != "gdpo":
        with pytest.raises(InputError, match="one of sum, each, each-whitened, but is 'both'"):
            make(normalize="both")


def test_the_papers_rounded_weights_are_accepted():
    assert sum(FixedWeights([0.334, 0.333, 0.333]).weights().tolist()) == pytest.approx(1, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5), st.floats(1e-6, 1e6))
def test_mirror_descent_is_safe_shift_invariant_and_follows_the_larger_influence(influence, step):
    weights = torch.full((len(influence),), 1 / len(influence), dtype=torch.float64)
    values = torch.tensor(influence, dtype=torch.float64)
    found = mirror_descent(weights, values, step=step)
    assert found.isfinite().all()
    assert found.sum().item() == pytest.approx(1)
    assert found[values.argmax()] == found.max()


def test_mirror_descent_by_its_formula():
    found = mirror_descent(torch.tensor([0.2, 0.8], dtype=torch.float64), torch.tensor([3.0, 1.0], dtype=torch.float64), step=0.5)
    a, b = 0.2 * math.exp(1.5), 0.8 * math.exp(0.5)
    assert found.tolist() == pytest.approx([a / (a + b), b / (a + b)])


def test_influence_counts_what_an_objective_gains_from_all():
    influence = Influence.of(torch.tensor([[1.0, -0.5], [-0.5, 2.0]], dtype=torch.float64))
    assert influence.influence_K.tolist() == [0.5, 1.5]
    assert influence.cosine_KK[0, 1].item() == pytest.approx(-0.5 / math.sqrt(2))
    assert Influence.of(torch.zeros(2, 2, dtype=torch.float64)).cosine_KK.tolist() == [[0, 0], [0, 0]]
    assert Influence(torch.zeros(2)).cosine_KK is None


def test_gradient_weights_can_wait_for_several_batches():
    method = GradientInfluence([0.5, 0.5], mu=1.0, accumulate=2)
    method.on_batch(batch_with([[1.0, 0.0], [0.0, 0.0]]))
    assert method.weights().tolist() == [0.5, 0.5]
    method.on_batch(batch_with([[1.0, 0.0], [0.0, 0.0]]))
    together = method.weights()
    torch.testing.assert_close(
        together, mirror_descent(torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([2.0, 0.0]), step=1.0)
    )


@pytest.mark.parametrize(
    ("arguments", "message"), [(dict(mu=0), "mu must be positive"), (dict(accumulate=0), "at least 1"), (dict(mu=math.nan), "mu")]
)
def test_gradient_arguments_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        GradientInfluence(**arguments)


def test_fault_a_a_meta_reward_on_the_rewards_does_nothing_and_ours_does():
    """The reference multiplies rewards by m; GRPO and whitened REINFORCE divide it out again."""
    torch.manual_seed(0)
    rewards, weights = torch.rand(16, 2, dtype=torch.float64), torch.tensor([0.5, 0.5])
    method = HypervolumeGuided()
    method.setup(OBJECTIVES)
    method.on_validation([0.5, 800.0])
    method.on_validation([0.6, 600.0])
    assert method.scale() > 1.5
    for estimator in ("grpo", "reinforce"):
        plain = combine(rewards, weights, estimator=estimator, group_size=4)
        ours = combine(rewards, weights, estimator=estimator, group_size=4, scale=method.scale())
        faulty = combine(rewards * method.scale(), weights, estimator=estimator, group_size=4)
        torch.testing.assert_close(ours / plain, torch.full_like(plain, method.scale()))
        torch.testing.assert_close(faulty, plain, atol=1e-2, rtol=1e-2)


def test_fault_b_measures_in_raw_units_saturate_and_ours_do_not():
    """With 700 tokens beside an accuracy of 0.8, any advance gives m = 2; scaled, a small one and a large one differ."""

    def meta_after(point):
        method = HypervolumeGuided()
        method.setup(OBJECTIVES)
        method.on_validation([0.5, 800.0])
        method.on_validation(point)
        return method.scale()

    small, large, none = meta_after([0.52, 760.0]), meta_after([0.65, 500.0]), meta_after([0.45, 700.0])
    assert none == 0.5
    assert 0.5 < small < 0.7
    assert small + 0.5 < large < 2
    raw = 0.02 * 40.0
    assert meta_reward(raw, gain=20) == pytest.approx(2.0, abs=1e-6)


def test_a_point_worse_than_the_start_lowers_the_meta_reward_and_stays_out_of_the_archive():
    method = HypervolumeGuided()
    method.setup(OBJECTIVES)
    method.on_validation([0.5, 800.0])
    assert method.scale() == 1.0
    method.on_validation([0.9, 801.0])
    assert method.scale() == 0.5
    assert method.archive.points == []
    method.on_validation([0.6, 700.0])
    assert method.archive.points == [[0.6, 700.0]]


def test_the_start_archive_copes_with_a_start_at_its_bound_and_without_bounds():
    archive = start_archive(
        [Objective("full", len, bounds=(0, 1)), Objective("free", len), Objective("zero", len)], [1.0, -40.0, 0.0]
    )
    assert archive.scale == [1.0, 40.0, 1.0]


def test_weighted_reward_matches_a_plain_product_where_nothing_is_missing():
    rewards, weights = torch.rand(6, 3), torch.tensor([0.2, 0.3, 0.5])
    torch.testing.assert_close(weighted_reward(rewards, weights, group_size=3), rewards @ weights)
