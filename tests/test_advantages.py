import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard import advantages
from steelyard.errors import InputError

NAN = math.nan
GROUPED = (advantages.grpo, advantages.rloo)


def all_estimators(rewards, group_size):
    return [advantages.estimate(rewards, estimator=name, group_size=group_size) for name in advantages.ESTIMATORS]


@pytest.mark.parametrize(
    ("estimator", "rewards", "group_size", "expected"),
    [
        ("grpo", [0.0, 1.0, 2.0], 3, [-1.0, 0.0, 1.0]),
        ("grpo", [2.0, 0.0, 0.0, 0.0], 4, [1.5, -0.5, -0.5, -0.5]),
        ("rloo", [2.0, 0.0, 0.0, 0.0], 4, [2.0, -2 / 3, -2 / 3, -2 / 3]),
        ("rloo", [1.0, 0.0, 5.0, 3.0], 2, [1.0, -1.0, 2.0, -2.0]),
        ("reinforce", [0.0, 1.0, 2.0], 1, [-1.0, 0.0, 1.0]),
        ("grpo", [1.0, NAN, 3.0, 5.0], 4, [-1.0, 0.0, 0.0, 1.0]),
        ("rloo", [1.0, NAN, 3.0, 5.0], 4, [-3.0, 0.0, 0.0, 3.0]),
        ("reinforce", [1.0, NAN, 3.0, 5.0], 1, [-1.0, 0.0, 0.0, 1.0]),
        ("brpo", [2.0, 3.0, 1.0, 2.0], 4, [0.0, 1.0, -1.0, 0.0]),
        # Three of four above the reference: |3| / 4 > 0.6, the group is left out; three of five are not.
        ("brpo", [0.0, 1.0, 1.0, 1.0], 4, [0.0, 0.0, 0.0, 0.0]),
        ("brpo", [0.0, 1.0, 1.0, 1.0, 0.0], 5, [0.0, 1.0, 1.0, 1.0, 0.0]),
        # The reference is the first that has a reward, and what has none is not counted.
        ("brpo", [NAN, 2.0, 3.0, 1.0], 4, [0.0, 0.0, 1.0, -1.0]),
        ("brpo", [NAN, 2.0, 3.0, NAN], 4, [0.0, 0.0, 1.0, 0.0]),
    ],
)
def test_golden_values(estimator, rewards, group_size, expected):
    found = advantages.estimate(torch.tensor(rewards, dtype=torch.float64), estimator=estimator, group_size=group_size)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=3e-4, rtol=0)


def slow_rloo(group):
    """Leave-one-out by its definition: the mean of the other present rewards."""
    out = []
    for i, reward in enumerate(group):
        others = [other for j, other in enumerate(group) if j != i and not math.isnan(other)]
        out.append(0.0 if math.isnan(reward) or not others else reward - sum(others) / len(others))
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.floats(-5, 5), st.just(NAN)), min_size=4, max_size=4))
def test_rloo_equals_its_definition(group):
    found = advantages.rloo(torch.tensor(group, dtype=torch.float64), group_size=4)
    torch.testing.assert_close(found, torch.tensor(slow_rloo(group), dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e10, -1e-10])
def test_equal_rewards_give_exactly_zero(value):
    for found in all_estimators(torch.full((8,), value), 4):
        assert (found == 0).all()


def test_groups_of_one_and_columns_without_any_reward_give_zero():
    for found in (
        advantages.grpo(torch.tensor([3.0, 4.0]), group_size=1),
        advantages.rloo(torch.tensor([3.0, 4.0]), group_size=1),
    ):
        assert found.tolist() == [0.0, 0.0]
    for found in all_estimators(torch.full((4, 2), NAN), 2):
        assert (found == 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-100, 100), st.floats(0.5, 100))
def test_adding_a_constant_changes_nothing_and_whitened_estimators_ignore_scale(seed, shift, scale):
    rewards = torch.rand(12, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for name in advantages.ESTIMATORS:
        found = advantages.estimate(rewards, estimator=name, group_size=4)
        torch.testing.assert_close(
            advantages.estimate(rewards + shift, estimator=name, group_size=4), found, atol=1e-7, rtol=1e-5
        )
        scaled = advantages.estimate(rewards * scale, estimator=name, group_size=4)
        torch.testing.assert_close(scaled, found * (scale if name == "rloo" else 1), atol=5e-3, rtol=5e-2)


def test_columns_are_independent_and_groups_may_be_permuted():
    rewards = torch.rand(12, 3, dtype=torch.float64)
    for name in advantages.ESTIMATORS:
        whole = advantages.estimate(rewards, estimator=name, group_size=4)
        for k in range(3):
            torch.testing.assert_close(whole[:, k], advantages.estimate(rewards[:, k], estimator=name, group_size=4))
        order = torch.tensor([8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7])
        torch.testing.assert_close(advantages.estimate(rewards[order], estimator=name, group_size=4), whole[order])


def test_inputs_are_not_changed():
    rewards = torch.tensor([1.0, NAN, 3.0, 5.0])
    before = rewards.clone()
    all_estimators(rewards, 2)
    torch.testing.assert_close(rewards, before, equal_nan=True)


def test_a_failed_judgement_is_left_out_and_not_scored_as_zero():
    """With sums of NaN as zero, the second answer would look the worst of its group; left out, it stands at the mean."""
    rewards = torch.tensor([[1.0, 10.0], [1.0, NAN], [1.0, 12.0], [1.0, 8.0]])
    weights = torch.tensor([0.5, 0.5])
    for estimator in advantages.ESTIMATORS:
        found = advantages.combine(rewards, weights, estimator=estimator, group_size=4)
        assert abs(found[1].item()) < 1e-6
        assert found[2] > 0 > found[3]
    alone = advantages.combine(rewards, weights, estimator="reinforce", group_size=1)
    assert abs(alone[1].item()) < 1e-6


def test_an_objective_that_does_not_apply_to_a_prompt_adds_nothing_there():
    rewards = torch.tensor([[1.0, NAN], [0.0, NAN], [1.0, 3.0], [0.0, 5.0]])
    found = advantages.combine(rewards, torch.tensor([0.5, 0.5]), estimator="rloo", group_size=2)
    torch.testing.assert_close(found, torch.tensor([0.5, -0.5, -0.5, 0.5]))


def test_an_answer_without_any_reward_has_no_advantage():
    rewards = torch.tensor([[1.0, 2.0], [NAN, NAN], [3.0, 2.0], [2.0, 2.0]])
    for estimator in advantages.ESTIMATORS:
        assert advantages.combine(rewards, torch.tensor([0.5, 0.5]), estimator=estimator, group_size=4)[1] == 0


def test_the_scale_acts_after_normalisation():
    """Put on the rewards, as in the reference code, a common factor cancels under GRPO and whitened REINFORCE."""
    rewards = torch.rand(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([0.5, 0.5])
    for estimator in advantages.ESTIMATORS:
        for normalize in ("sum", "each"):
            plain = advantages.combine(rewards, weights, estimator=estimator, group_size=4, normalize=normalize)
            scaled = advantages.combine(rewards, weights, estimator=estimator, group_size=4, normalize=normalize, scale=1.7)
            torch.testing.assert_close(scaled, 1.7 * plain)
            assert plain.abs().max() > 0.1


@pytest.mark.parametrize("estimator", GROUPED)
def test_groups_that_are_not_whole_are_refused(estimator):
    with pytest.raises(InputError, match="group_size must divide the 5 rows"):
        estimator(torch.zeros(5), group_size=2)
    with pytest.raises(InputError, match=r"shape \[B\] or \[B,K\]"):
        estimator(torch.zeros(2, 2, 2), group_size=2)


def test_gdpo_whitens_the_sum_of_normalised_rewards_over_the_batch():
    rewards, weights = torch.rand(12, 3, dtype=torch.float64), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    each = advantages.combine(rewards, weights, estimator="grpo", group_size=4, normalize="each")
    whitened = advantages.combine(rewards, weights, estimator="grpo", group_size=4, normalize="each-whitened", scale=2.0)
    torch.testing.assert_close(whitened, 2.0 * (each - each.mean()) / (each.std() + 1e-4))
    assert whitened.std().item() == pytest.approx(2.0, rel=1e-3)
    with pytest.raises(InputError, match="one of sum, each, each-whitened, but is 'all'"):
        advantages.combine(rewards, weights, estimator="grpo", group_size=4, normalize="all")


def test_brpo_of_a_sum_neither_rewards_nor_punishes_what_is_missing():
    weights = torch.tensor([0.2, 0.8])
    rewards = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, NAN]])
    assert advantages.combine(rewards, weights, estimator="brpo", group_size=4).tolist() == [0.0, 1.0, 0.0, -1.0]
    equal = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [1.0, NAN]])
    assert advantages.combine(equal, weights, estimator="brpo", group_size=4).tolist() == [0.0, 1.0, -1.0, 0.0]
    reference_lacks = torch.tensor([[1.0, NAN], [1.0, 5.0], [2.0, NAN], [0.0, 1.0], [NAN, NAN]])
    assert advantages.combine(reference_lacks, weights, estimator="brpo", group_size=5).tolist() == [0.0, 0.0, 1.0, -1.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_brpo_takes_rounding_for_a_tie(dtype):
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        row, weights = torch.rand(5, generator=generator).to(dtype), torch.rand(5, generator=generator).to(dtype)
        found = advantages.combine(row.repeat(6, 1), weights / weights.sum(), estimator="brpo", group_size=6)
        assert found.tolist() == [0.0] * 6
    sums = torch.tensor([[0.1, 0.2, 0.0], [0.3, 0.0, 0.0], [0.0, 0.1, 0.2], [0.2, 0.0, 0.1]], dtype=dtype)
    assert advantages.combine(sums, torch.full((3,), 1 / 3), estimator="brpo", group_size=4).tolist() == [0.0] * 4


def test_rewards_and_weights_of_different_numbers_are_refused():
    with pytest.raises(InputError, match=r"rewards have shape \[4, 3\] and weights \[2\]"):
        advantages.combine(torch.rand(4, 3), torch.rand(2), estimator="grpo", group_size=4)


def test_objectives_of_equal_spread_count_alike_whatever_their_units():
    rewards, weights = torch.rand(12, 2, dtype=torch.float64), torch.tensor([0.5, 0.5])
    for estimator in ("rloo", "grpo", "reinforce"):
        plain = advantages.combine(rewards, weights, estimator=estimator, group_size=4, normalize="each-whitened")
        units = torch.tensor([1.0, 1000.0])
        scaled = advantages.combine(rewards * units, weights, estimator=estimator, group_size=4, normalize="each-whitened")
        torch.testing.assert_close(scaled, plain, atol=2e-2, rtol=2e-2)


def test_whitening_leaves_brpos_zeros_alone():
    """The reference, a tie, a group of equal answers and one that is left out as one-sided have no pull, whatever the others have."""
    fair = [[1.0, 0.0], [2.0, 1.0], [0.0, 2.0], [1.0, 3.0]]  # a win, a loss and a tie; and three wins: left out
    equal = [[5.0, 5.0]] * 4
    one_sided = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    rewards, weights = torch.tensor(fair + equal + one_sided, dtype=torch.float64), torch.tensor([0.7, 0.3], dtype=torch.float64)
    found = advantages.combine(rewards, weights, estimator="brpo", group_size=4, normalize="each-whitened")
    one = 0.7 / ((2 / 12) ** 0.5 * 0.7 + 1e-4)
    torch.testing.assert_close(found, torch.tensor([0, one, -one, 0] + [0] * 8, dtype=torch.float64))
    assert not advantages.combine(
        rewards[4:], weights, estimator="brpo", group_size=4, normalize="each-whitened", scale=3.0
    ).any()


@pytest.mark.parametrize("estimator", ["grpo", "rloo", "reinforce"])
def test_what_is_whitened_for_the_others_is_centred_already(estimator):
    """So that nothing with an advantage of 0 is moved away from it."""
    torch.manual_seed(0)
    rewards = torch.rand(24, 3, dtype=torch.float64)
    rewards[torch.rand(24, 3) < 0.2] = torch.nan
    each = advantages.combine(rewards, torch.tensor([0.5, 0.3, 0.2]), estimator=estimator, group_size=4, normalize="each")
    assert abs(each.mean().item()) < 1e-12
