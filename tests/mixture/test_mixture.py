import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.errors import InputError
from steelyard.mixture import (
    ConstantTemperature,
    Cooldown,
    CosineTemperature,
    LinearTemperature,
    OrderMatters,
    PiecewiseTemperature,
    Shares,
    UniMax,
    scalarization_weights,
    temperature_probabilities,
)

SIZES = [2733e9, 162e9, 39e9, 1e9]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1, 1e13), min_size=1, max_size=50), st.floats(0.01, 1e6))
def test_probabilities_sum_to_one_keep_the_order_and_are_between_proportional_and_uniform(sizes, tau):
    found = temperature_probabilities(sizes, tau)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1)
    assert (np.diff(found[np.argsort(sizes)]) >= -1e-12).all()
    if tau >= 1:
        proportional = temperature_probabilities(sizes, 1.0)
        assert found.max() <= proportional.max() + 1e-12
        assert found.min() >= proportional.min() - 1e-12


def test_temperatures_by_the_papers_formula():
    for tau in (1.0, 5.0, 100.0):
        powers = [size ** (1 / tau) for size in SIZES]
        assert temperature_probabilities(SIZES, tau).tolist() == pytest.approx([p / sum(powers) for p in powers])
    assert temperature_probabilities(SIZES, math.inf).tolist() == [0.25] * 4


def test_units_do_not_matter_and_ten_thousand_domains_do_not_overflow():
    many = np.geomspace(1, 1e13, 10_000)
    for tau in (0.01, 1.0, 5.0, math.inf):
        found = temperature_probabilities(many, tau)
        assert found.sum() == pytest.approx(1)
        np.testing.assert_allclose(temperature_probabilities(many * 1000, tau), found, rtol=1e-9)


def test_weighting_the_loss_equals_drawing_at_the_temperature_in_expectation():
    values = np.array([0.3, -1.0, 2.0, 5.0])
    proportional = temperature_probabilities(SIZES, 1.0)
    for tau in (1.0, 5.0, 100.0):
        weighted = (proportional * scalarization_weights(SIZES, tau) * values).sum()
        assert weighted == pytest.approx((temperature_probabilities(SIZES, tau) * values).sum())
        assert (proportional * scalarization_weights(SIZES, tau)).sum() == pytest.approx(1)
    assert scalarization_weights(SIZES, 1.0).tolist() == pytest.approx([1.0] * 4)


def test_cooldown_without_arguments_is_the_papers():
    schedule = Cooldown()
    for progress, tau in ((0.0, 5.0), (0.499, 5.0), (0.5, 1.0), (1.0, 1.0)):
        np.testing.assert_allclose(schedule.probabilities(SIZES, progress), temperature_probabilities(SIZES, tau))
    assert schedule.changes() == [0.5]


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantTemperature(5.0),
        Cooldown(),
        PiecewiseTemperature([(0.0, 100.0), (0.3, 2.0)]),
        LinearTemperature(5.0, 1.0),
        CosineTemperature(5.0, 1.0),
        Shares([1, 2, 3, 4]),
        UniMax(4.0, num_samples=1e12),
        OrderMatters([2, 3]),
    ],
)
def test_every_schedule_gives_probabilities_at_every_share_of_the_run(schedule):
    for progress in np.linspace(0, 1, 11):
        found = schedule.probabilities(SIZES, float(progress))
        assert found.shape == (4,)
        assert found.sum() == pytest.approx(1)
        assert (found >= 0).all()
    with pytest.raises(InputError, match=r"progress is a share of the run, 0 to 1, but is 1\.1"):
        schedule.probabilities(SIZES, 1.1)


def test_dense_schedules_start_end_and_move_as_they_say():
    for schedule in (LinearTemperature(5.0, 1.0), CosineTemperature(5.0, 1.0)):
        taus = [schedule.temperature(p) for p in np.linspace(0, 1, 21)]
        assert taus[0] == pytest.approx(5.0)
        assert taus[10] == pytest.approx(3.0)
        assert taus[-1] == pytest.approx(1.0)
        assert (np.diff(taus) < 0).all()
    assert CosineTemperature(5.0, 1.0).temperature(0.1) > LinearTemperature(5.0, 1.0).temperature(0.1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=20), st.floats(0.1, 50), st.floats(1, 1e7))
def test_unimax_keeps_its_cap_where_it_can_and_is_uniform_among_the_rest(sizes, max_epochs, num_samples):
    drawn = UniMax(max_epochs, num_samples=num_samples).probabilities(sizes, 0.3) * num_samples
    epochs = drawn / np.array(sizes)
    if max_epochs * sum(sizes) >= num_samples:
        assert (epochs <= max_epochs * (1 + 1e-9)).all()
        free = drawn[epochs < max_epochs * (1 - 1e-9)]
        if free.size:
            assert free.max() == pytest.approx(free.min())
            assert free.max() >= drawn.max() * (1 - 1e-9)


def test_late_domains_come_late_and_names_are_understood():
    schedule = OrderMatters(["sw", "zh"], at=0.25).for_run(100, ["en", "it", "zh", "sw"])
    np.testing.assert_allclose(schedule.probabilities(SIZES, 0.2), [2733 / 2895, 162 / 2895, 0, 0])
    np.testing.assert_allclose(schedule.probabilities(SIZES, 0.25), temperature_probabilities(SIZES, 1.0))


def test_shares_come_from_a_file_by_name(tmp_path):
    path = tmp_path / "doremi.json"
    path.write_text('{"sw": 1, "en": 3}')
    found = Shares.load(path).for_run(10, ["en", "sw"]).probabilities([1, 1], 0.0)
    assert found.tolist() == [0.75, 0.25]
    path.write_text('{"sw": 1')
    with pytest.raises(InputError, match=r"doremi.json: not valid JSON"):
        Shares.load(path)
    path.write_text('{"sw": -1}')
    with pytest.raises(InputError, match=r"doremi.json: shares must be finite, not negative"):
        Shares.load(path)
    path.write_text('{"sw": 1, "en": 3, "sw": 2}')
    with pytest.raises(InputError, match=r"doremi.json: two shares are given for 'sw'"):
        Shares.load(path)
    with pytest.raises(InputError, match=r"nothing.json: cannot be read: No such file"):
        Shares.load(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: temperature_probabilities([], 1.0), "one number a domain"),
        (lambda: temperature_probabilities([1, 0], 1.0), "domain 1 has 0: leave empty domains out"),
        (lambda: temperature_probabilities([math.nan, 1], 1.0), "domain 0 has nan"),
        (lambda: temperature_probabilities([1, math.inf], 1.0), "domain 1 has inf"),
        (lambda: temperature_probabilities(["a"], 1.0), "must be a list of numbers"),
        (lambda: temperature_probabilities([1, 2], 0), "a temperature must be positive"),
        (lambda: temperature_probabilities([1, 2], -1.0), "a temperature must be positive"),
        (lambda: temperature_probabilities([1, 2], math.nan), "a temperature must be positive"),
        (lambda: Cooldown(start=-1), "a temperature must be positive"),
        (lambda: Cooldown(at=1.0), "at must be above 0 and below 1"),
        (lambda: LinearTemperature(math.inf, 1.0), "a dense schedule needs finite temperatures"),
        (lambda: PiecewiseTemperature([]), "the first at 0"),
        (lambda: PiecewiseTemperature([(0.5, 1.0)]), "the first at 0"),
        (lambda: PiecewiseTemperature([(0.0, 1.0), (0.0, 2.0)]), "ascending shares"),
        (lambda: Shares([0, 0]), "not all 0"),
        (lambda: Shares([1, 2]).probabilities([1, 2, 3], 0.0), "there are 3 domains, but 2 shares"),
        (lambda: Shares({"en": 1, "swahilli": 1}).for_run(1, ["en", "swahili"]), "did you mean 'swahili'"),
        (lambda: Shares({"en": 1}).for_run(1, ["en", "sw"]), "no share is given for sw"),
        (lambda: Shares({"en": 1}).probabilities([1], 0.0), "call for_run"),
        (lambda: UniMax(0), "max_epochs must be positive"),
        (lambda: UniMax(1.0).probabilities([1, 2], 0.0), "needs the length of the run"),
        (lambda: OrderMatters("sw"), r"write \['sw'\]"),
        (lambda: OrderMatters([]), "one domain at least"),
        (lambda: OrderMatters([5]).probabilities([1, 2], 0.0), "numbered from 0"),
        (lambda: OrderMatters([0, 1]).probabilities([1, 2], 0.0), "all domains are late"),
        (lambda: OrderMatters(["swahilli"]).for_run(1, ["en", "swahili"]), "did you mean 'swahili'"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
