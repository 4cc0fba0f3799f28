import re
import time

import numpy as np
import pytest

from steelyard.errors import InputError
from steelyard.mixture import (
    ConstantTemperature,
    Cooldown,
    CooldownAtCap,
    CosineTemperature,
    LinearTemperature,
    MixtureSampler,
    OrderMatters,
    Shares,
    UniMax,
    parse_schedule,
    plan_mixture,
)

SIZES = [5000, 400, 30, 8]
NAMES = ["en", "it", "zh", "sw"]


@pytest.mark.parametrize("schedule", [Cooldown(), LinearTemperature(5.0, 1.0), OrderMatters(["sw"]), ConstantTemperature(2.0)])
def test_the_plan_is_what_the_sampler_draws(schedule):
    plan = plan_mixture(SIZES, schedule, num_samples=3200, batch_size=16, names=NAMES)
    sampler = MixtureSampler(SIZES, schedule, num_samples=3200, batch_size=16, names=NAMES)
    stream = np.array(list(sampler))
    domains = sampler.domain_of(stream)
    for d, domain in enumerate(plan.domains):
        own = np.flatnonzero(domains == d)
        assert domain.draws == pytest.approx(len(own), abs=3)
        assert domain.epochs == pytest.approx(len(own) / SIZES[d], abs=3 / SIZES[d])
        if len(own) > SIZES[d] + 3:
            first_again = own[SIZES[d]] // 16 + 1
            assert domain.repeats_at == pytest.approx(first_again, abs=max(3, 0.1 * first_again))
        if len(own) < SIZES[d] - 3:
            assert domain.repeats_at is None
    assert sum(domain.draws for domain in plan.domains) == pytest.approx(3200)


def test_phases_show_the_shares_of_each():
    plan = plan_mixture(SIZES, Cooldown(start=100.0, at=0.25), num_samples=1000, batch_size=10, names=NAMES)
    assert plan.phases == [0.0, 0.25]
    assert [round(share, 2) for share in plan.domains[0].shares] == [0.26, 0.92]
    assert plan.steps == 100


def test_small_domains_are_warned_of_and_the_suggestion_keeps_the_cap():
    options = dict(num_samples=10_000, batch_size=10, names=NAMES, max_epochs=20)
    plan = plan_mixture(SIZES, Cooldown(), **options)
    assert [line.split()[0] for line in plan.warnings] == ["sw", "zh"]  # the worst first
    assert re.search(r"sw \(8\) would be seen \d+ times by step 1000, first again at step \d+: lower the start", plan.warnings[0])
    found = re.findall(r"cooldown:([\d.]+),1,([\d.]+)", plan.suggestion)
    assert len(found) == 2
    for start, at in found:
        mended = plan_mixture(SIZES, Cooldown(start=float(start), at=float(at)), **options)
        assert mended.warnings == []
        assert max(domain.epochs for domain in mended.domains) > 15


@pytest.mark.parametrize(
    ("schedule", "suggested"),
    [
        (ConstantTemperature(5.0), r"constant:[\d.]+"),
        (LinearTemperature(5.0, 1.0), r"linear:[\d.]+,1"),
        (CosineTemperature(5.0, 1.0), r"cosine:[\d.]+,1"),
        (Shares([1, 1, 1, 1]), r"unimax:20"),
    ],
)
def test_other_schedules_get_a_suggestion_of_their_kind_or_unimax(schedule, suggested):
    options = dict(num_samples=10_000, batch_size=10, max_epochs=20)
    plan = plan_mixture(SIZES, schedule, **options)
    word = re.search(suggested, plan.suggestion).group()
    assert plan_mixture(SIZES, parse_schedule(word), **options).warnings == []


def test_a_temperature_that_rises_is_to_rise_less():
    options = dict(num_samples=1000, batch_size=10, names=["en", "sw"], max_epochs=4)
    plan = plan_mixture([9000, 10], Cooldown(start=1.0, end=5.0), **options)
    assert "lower its temperatures" in plan.warnings[0]
    word = re.match(r"cooldown:1,([\d.]+),0.5", plan.suggestion)
    assert float(word.group(1)) > 1.5
    assert plan_mixture([9000, 10], parse_schedule(word.group()), **options).warnings == []
    assert plan_mixture([9000, 10], Cooldown(start=20.0, end=30.0), **options).suggestion.startswith("unimax:4")


@pytest.mark.parametrize("end", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("cap", [7 / 3, 2.0000003])
def test_what_is_suggested_keeps_the_cap_whatever_the_schedule_ends_in(end, cap):
    options = dict(num_samples=2000, batch_size=10, max_epochs=cap)
    plan = plan_mixture([900, 90, 9], Cooldown(start=6.0, end=end), **options)
    assert plan.suggestion
    for word in re.findall(r"(?:cooldown|unimax):[\d.,]*\d", plan.suggestion):
        assert max(d.epochs for d in plan_mixture([900, 90, 9], parse_schedule(word), **options).domains) <= cap * (1 + 1e-9)


def test_a_run_that_repeats_everything_cannot_be_mended_and_one_that_repeats_nothing_needs_no_word():
    plan = plan_mixture([10, 10], Cooldown(), num_samples=1000, batch_size=10, max_epochs=5)
    assert plan.suggestion == "no mixture keeps every domain within 5 epochs: the run draws 50 times all there is"
    quiet = plan_mixture([10**6, 10**5], ConstantTemperature(5.0), num_samples=1000, batch_size=10)
    assert (quiet.warnings, quiet.suggestion) == ([], None)


def test_a_thousand_domains_take_less_than_a_second():
    sizes = np.geomspace(10, 1e9, 1000).astype(np.int64)
    began = time.perf_counter()
    plan = plan_mixture(sizes, Cooldown(), num_samples=10**7, batch_size=256, max_epochs=4)
    assert time.perf_counter() - began < 2  # one second on a machine that does nothing else
    assert len(plan.domains) == 1000
    assert plan.warnings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(max_epochs=0), "max_epochs must be positive"),
        (dict(num_samples=0), "num_samples must be a whole number"),
        (dict(names=["en", "sw", "en", "lo"]), "two domains are named 'en'"),
        (dict(names=["en"]), "there are 4 domains, but 1 names"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        plan_mixture(SIZES, ConstantTemperature(1.0), **{"num_samples": 100, "batch_size": 10, **options})


@pytest.mark.parametrize("sizes", [[310, 450, 40, 110, 460, 340, 72], [9000, 72], [1000] * 5 + [3]])
def test_unimax_with_the_very_cap_is_not_warned_of(sizes):
    plan = plan_mixture(sizes, UniMax(10), num_samples=2000, batch_size=10, max_epochs=10)
    assert plan.warnings == []


def test_an_infinite_start_gets_a_suggestion_that_still_upsamples():
    plan = plan_mixture([9000, 10], Cooldown(float("inf")), num_samples=1000, batch_size=10, max_epochs=4)
    start = float(re.match(r"cooldown:([\d.]+),", plan.suggestion).group(1))
    assert start > 1.5


def test_a_domain_that_is_hardly_ever_drawn_is_warned_of():
    plan = plan_mixture([100_000, 1, 2], ConstantTemperature(1.0), num_samples=1000, batch_size=10, names=["en", "sw", "lo"])
    assert plan.warnings == [
        "sw, lo: drawn less than once in the whole run (0.01 times at the least): raise the temperature, or leave out"
    ]


def test_a_dense_schedules_share_is_its_mean_over_the_run():
    plan = plan_mixture([900, 10], LinearTemperature(5.0, 1.0), num_samples=1000, batch_size=10)
    assert plan.phases == [0.0]
    assert [domain.shares for domain in plan.domains] == [[pytest.approx(domain.draws / 1000)] for domain in plan.domains]


def test_a_domain_that_is_never_drawn_is_refused_as_by_the_sampler():
    with pytest.raises(InputError, match="never visits domain 'sw'"):
        plan_mixture([10, 10], Shares([1.0, 0.0]), num_samples=100, batch_size=10, names=["en", "sw"])


def test_advice_is_by_the_schedules_own_knobs():
    shares = Shares({"en": 0.5, "sw": 0.4999, "lo": 0.0001})
    plan = plan_mixture([10_000, 10, 10_000], shares, num_samples=1000, batch_size=10, names=["en", "sw", "lo"], max_epochs=5)
    assert plan.warnings[0].endswith("lower its share")
    assert (
        plan.warnings[1] == "lo: drawn less than once in the whole run (0.1 times at the least): raise their shares, or leave out"
    )
    assert "temperature" not in " ".join(plan.warnings)


def test_a_cap_that_cannot_be_kept_says_so_and_asks_for_no_lower_one():
    for schedule in (UniMax(4.0), CooldownAtCap(4.0)):
        plan = plan_mixture([90, 10], schedule, num_samples=1000, batch_size=10, names=["en", "sw"], max_epochs=5)
        assert (
            plan.warnings[-1]
            == "the schedule's cap of 4 cannot be kept: the run draws 10 times all there is: shorten it, or add data"
        )
        assert all(line.endswith("shorten it, or add data") for line in plan.warnings)
        assert plan.suggestion.startswith("no mixture keeps every domain within 5 epochs")
    assert plan_mixture([90, 10], UniMax(4.0), num_samples=100, batch_size=10).warnings == []


def test_where_nothing_repeats_a_constant_temperature_is_suggested():
    sizes = [10_000] + [300] * 20
    assert plan_mixture(sizes, Cooldown(), num_samples=2000, batch_size=10).suggestion == (
        "constant:5: even so no example would be seen twice, and a cooldown only holds back repetition"
    )
    assert plan_mixture(sizes, ConstantTemperature(5.0), num_samples=2000, batch_size=10).suggestion is None
    assert plan_mixture([10_000, 3], Cooldown(), num_samples=2000, batch_size=10, max_epochs=1000).suggestion is None
