import itertools
import json
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.errors import InputError
from steelyard.mixture import (
    ConstantTemperature,
    Cooldown,
    CooldownAtCap,
    LinearTemperature,
    MixtureSampler,
    OrderMatters,
    Shares,
    temperature_probabilities,
)
from steelyard.mixture._permutation import permute
from steelyard.mixture._segments import segment_starts
from steelyard.mixture.sampler import _floor_sums

SIZES = [900, 90, 10, 1]
DRAWS = ("stratified", "independent")


def sampler(sizes=SIZES, schedule=None, **options):
    settings = {"num_samples": 2000, "batch_size": 16, **options}
    return MixtureSampler(sizes, schedule or Cooldown(), **settings)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_a_keyed_permutation_visits_everything_once(size, key):
    found = permute(np.arange(size), np.full(size, size), np.full(size, key, dtype=np.uint64))
    assert sorted(found.tolist()) == list(range(size))


def test_permutations_of_huge_domains_stay_inside_and_depend_on_the_key():
    positions, sizes = np.arange(1000), np.full(1000, 10**13 + 7)
    first, second = (permute(positions, sizes, np.full(1000, key, dtype=np.uint64)) for key in (1, 2))
    assert (first >= 0).all()
    assert (first < sizes).all()
    assert len(set(first.tolist())) == 1000
    assert (first != second).mean() > 0.99
    assert abs(first.mean() / 5e12 - 1) < 0.1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 60), st.integers(1, 50), st.integers(1, 200), st.lists(st.integers(0, 1000), min_size=2, max_size=4))
def test_sums_of_floors_equal_their_definition(count, modulus, slope, starts):
    slope %= modulus
    found = _floor_sums(count, modulus, slope, np.array(starts))
    expected = [sum((start - slope * i) // modulus for i in range(count)) for start in starts]
    assert np.diff(found).tolist() == np.diff(expected).tolist()


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(
    "schedule", [Cooldown(), LinearTemperature(5.0, 1.0), OrderMatters([2, 3], at=0.3), ConstantTemperature(100.0)]
)
def test_any_index_alone_is_that_of_the_stream(draw, schedule):
    whole = list(sampler(schedule=schedule, draw=draw, num_samples=1999))
    again = sampler(schedule=schedule, draw=draw, num_samples=1999)
    assert len(whole) == len(again) == 1999
    for i in (0, 15, 16, 599, 600, 999, 1000, 1500, 1998):
        assert again[i] == whole[i]
    assert again[-1] == whole[-1]
    assert again.indices(700, 1300).tolist() == whole[700:1300]
    with pytest.raises(IndexError, match="draws 1999 indices"):
        again[1999]


@pytest.mark.parametrize("draw", DRAWS)
def test_no_example_comes_twice_within_a_pass_and_passes_differ(draw):
    stream = np.array(list(sampler(draw=draw)))
    domains = sampler().domain_of(stream)
    for domain, size in enumerate(SIZES[:3]):
        own = stream[domains == domain]
        passes = [own[i : i + size].tolist() for i in range(0, len(own), size)]
        assert all(len(set(one)) == len(one) for one in passes)
        if len(passes) > 2:
            assert passes[0] != passes[1]
    low = np.concatenate([[0], np.cumsum(SIZES)])
    assert ((stream >= low[domains]) & (stream < low[domains + 1])).all()


def test_independent_draws_of_many_blocks_repeat_nothing_within_a_pass():
    made = MixtureSampler([50_000, 7000, 11], ConstantTemperature(5.0), num_samples=60_000, batch_size=100, draw="independent")
    domains, numbers = made.draws(0, 600)
    for domain in range(3):
        assert numbers[domains == domain].tolist() == list(range((domains == domain).sum()))
    late, after = made.draws(500, 600)
    assert (late.tolist(), after.tolist()) == (domains[50_000:].tolist(), numbers[50_000:].tolist())


def test_a_stratified_batch_has_the_whole_number_below_or_above_of_every_domain_and_both_in_the_right_share():
    """Expectation over batches and seeds is exact: nothing is drawn more or less often than the schedule says."""
    expected = temperature_probabilities(SIZES, 5.0) * 16
    counts = []
    for seed in range(200):
        drawn = sampler(schedule=ConstantTemperature(5.0), num_samples=160, seed=seed)
        domains = drawn.domain_of(list(drawn)).reshape(-1, 16)
        counts.append([np.bincount(batch, minlength=4) for batch in domains])
    counts = np.array(counts)
    assert (counts >= np.floor(expected)).all()
    assert (counts <= np.ceil(expected)).all()
    assert (counts.sum(2) == 16).all()
    np.testing.assert_allclose(counts.mean((0, 1)), expected, atol=0.05)
    # The first batch alone is right as well, over seeds; a fixed pattern would not be.
    error = np.sqrt(0.25 / 200)
    np.testing.assert_allclose(counts[:, 0].mean(0), expected, atol=4 * error)
    # Over a run the counts never stray: that is what stratifying is for.
    assert np.abs(counts.sum(1) - 10 * expected).max() < 3


def test_independent_counts_vary_as_independent_draws_do():
    probabilities = temperature_probabilities(SIZES, 5.0)
    counts = []
    for seed in range(400):
        drawn = sampler(schedule=ConstantTemperature(5.0), num_samples=12_288, batch_size=64, draw="independent", seed=seed)
        # The second block, and a part of the first: both come out of splitting the whole.
        counts.append(np.bincount(drawn.domain_of(drawn.indices(4096, 4096 + 256)), minlength=4))
    counts = np.array(counts)
    np.testing.assert_allclose(counts.mean(0), 256 * probabilities, rtol=0.05)
    variance = 256 * probabilities * (1 - probabilities)
    np.testing.assert_allclose(counts.var(0), variance, rtol=0.3)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("world_size", [2, 4, 16])
def test_the_parts_of_all_processes_make_the_stream_of_one(draw, world_size):
    whole = list(sampler(draw=draw, num_samples=1990))
    parts = [list(sampler(draw=draw, num_samples=1990, rank=rank, world_size=world_size)) for rank in range(world_size)]
    part = 16 // world_size
    joined = []
    for batch in range(125):
        for own in parts:
            joined += own[batch * part : (batch + 1) * part]
    assert joined == whole
    assert sum(map(len, parts)) == 1990


@pytest.mark.parametrize("draw", DRAWS)
def test_resuming_twice_goes_on_where_it_was(draw):
    whole = list(sampler(draw=draw))
    seen = []
    state = None
    for take in (333, 1, 2000):
        now = sampler(draw=draw)
        if state is not None:
            now.load_state_dict(json.loads(json.dumps(state)))
        seen += list(itertools.islice(iter(now), take))
        state = now.state_dict()
    assert seen == whole


def test_another_stream_is_not_resumed():
    state = sampler().state_dict()
    with pytest.raises(
        InputError, match=r"the mixture's sizes was \[900, 90, 10, 1\] when the run began and is \[899, 90, 10, 1\] now"
    ):
        sampler([899, 90, 10, 1]).load_state_dict(state)
    with pytest.raises(InputError, match=r"the mixture's (shares|segments) was"):
        sampler(schedule=ConstantTemperature(1.0)).load_state_dict(state)
    with pytest.raises(InputError, match="the mixture's seed was 0 when the run began and is 1 now"):
        sampler(seed=1).load_state_dict(state)
    # Other processes draw the same stream.
    sampler(world_size=2).load_state_dict(state)
    for position in (-3, 10**6):
        with pytest.raises(InputError, match=f"position is a number of this process's .* indices, but is {position}"):
            sampler().load_state_dict({**state, "position": position})


def test_seeds_and_nothing_else_change_the_stream():
    assert list(sampler()) == list(sampler())
    assert list(sampler(seed=1)) != list(sampler())
    torch.manual_seed(5)
    np.random.seed(5)
    assert list(sampler()) == list(sampler())


def test_it_drives_a_data_loader():
    data = torch.arange(sum(SIZES))
    loader = torch.utils.data.DataLoader(data, batch_size=16, sampler=sampler())
    assert torch.cat(list(loader)).tolist() == list(sampler())


def test_a_thousandfold_imbalance_at_scale_is_quick_to_start_and_to_reach_into():
    sizes = np.geomspace(10, 1e13, 1000).astype(np.int64)
    began = time.perf_counter()
    drawn = sampler(sizes, num_samples=10**9, batch_size=256, draw="stratified")
    last = drawn[10**9 - 1]
    assert 0 <= last < sizes.sum()
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(sizes=[10, 0]), "domain 1 has 0"),
        (dict(sizes=[10, 1.5]), "numbers of examples: whole"),
        (dict(num_samples=0), "num_samples must be a whole number, at least 1, but is 0"),
        (dict(batch_size=2.5), "batch_size must be a whole number"),
        (dict(seed=1.5), "seed must be a whole number, but is 1.5"),
        (dict(draw="random"), "'stratified' or 'independent', but is 'random'"),
        (dict(world_size=3), "world_size must divide it"),
        (dict(rank=2, world_size=2), "rank 2 of 2 processes"),
        (dict(schedule=Shares([1, 1, 0, 1])), "the schedule never visits domain 2: give it a share, or leave the domain out"),
        (dict(schedule=Shares([1, 1, 0, 1]), names=["en", "it", "zh", "sw"]), "never visits domain 'zh'"),
        (dict(draw="independent", num_samples=10**10), "limited to 1e9 samples"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        sampler(**options)


def test_a_cooldown_begins_at_the_step_that_was_written():
    for at, batches, expected in ((0.07, 100, 7), (0.14, 100, 14), (0.55, 100, 55), (0.27, 30_000, 8100), (0.5, 7, 4)):
        assert segment_starts(Cooldown(at=at), np.array([9, 1]), batches) == [0, expected, batches]
    # The point lies a rounding error after the step: the second segment is the cool one all the same.
    schedule = CooldownAtCap(2.0, float("inf"), 1.0)
    sizes = [310, 450, 40, 110, 460, 340, 230]
    shares = MixtureSampler(sizes, schedule, num_samples=1600, batch_size=16)._shares
    assert len(shares) == 2
    assert shares[1].tolist() == pytest.approx((np.array(sizes) / sum(sizes)).tolist())


def test_a_stream_with_a_later_cooldown_or_other_names_is_not_resumed():
    options = dict(num_samples=100, batch_size=10)
    state = MixtureSampler([90, 10], Cooldown(5.0, 1.0, 0.5), names=["a", "b"], **options).state_dict()
    with pytest.raises(InputError, match="the mixture's segments was"):
        MixtureSampler([90, 10], Cooldown(5.0, 1.0, 0.8), names=["a", "b"], **options).load_state_dict(state)
    with pytest.raises(InputError, match="the mixture's domains was"):
        MixtureSampler([90, 10], Cooldown(5.0, 1.0, 0.5), names=["a", "c"], **options).load_state_dict(state)
