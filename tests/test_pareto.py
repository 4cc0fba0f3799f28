import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.errors import InputError
from steelyard.pareto import ParetoArchive, hypervolume

POINTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=6)


def counted_volume(points):
    """The volume of a union of integer boxes, by counting unit cells."""
    return sum(
        any(all(c < x for c, x in zip(cell, point, strict=True)) for point in points)
        for cell in itertools.product(range(4), repeat=3)
    )


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_hypervolume_equals_counting_cells(points):
    assert hypervolume(points, reference=[0, 0, 0], maximize=[True] * 3) == pytest.approx(counted_volume(points))


@settings(max_examples=40, deadline=None)
@given(POINTS)
def test_contributions_sum_to_the_hypervolume_and_the_front_alone_covers_it(points):
    archive = ParetoArchive([0, 0, 0], maximize=[True] * 3)
    assert sum(archive.add(point) for point in points) == pytest.approx(archive.hypervolume)
    assert hypervolume(archive.front, reference=[0, 0, 0], maximize=[True] * 3) == pytest.approx(archive.hypervolume)
    for kept in archive.front:
        assert not any(all(o >= k for o, k in zip(other, kept, strict=True)) and list(other) != kept for other in archive.points)


def test_directions_and_units_do_not_matter_once_scaled():
    up = hypervolume([[0.8, 0.3]], reference=[0, 0], maximize=[True, True])
    down = hypervolume([[0.8, 700.0]], reference=[0, 1000.0], maximize=[True, False], scale=[1, 1000.0])
    assert up == pytest.approx(down) == pytest.approx(0.24)


def test_points_worse_than_the_reference_cover_nothing_and_do_not_raise():
    archive = ParetoArchive([0.5, 100.0], maximize=[True, False], scale=[0.5, 100.0])
    for worse in ([0.4, 50.0], [0.9, 101.0], [0.0, 500.0], [0.5, 100.0]):
        assert archive.add(worse) == 0.0
    assert archive.hypervolume == 0.0
    assert archive.add([0.75, 50.0]) == pytest.approx(0.25)


def test_equal_points_stand_on_the_front_once():
    archive = ParetoArchive([0, 0], maximize=[True, True])
    for _ in range(3):
        archive.add([1, 1])
    assert archive.front_indices == [0]


def test_state_survives_json_exactly():
    import json

    archive = ParetoArchive([0.1, 37.3], maximize=[True, False], scale=[0.9, 37.3])
    archive.add([0.1 + 0.2, 1 / 3])
    other = ParetoArchive([0, 0], maximize=[True, True])
    other.load_state_dict(json.loads(json.dumps(archive.state_dict())))
    assert other.state_dict() == archive.state_dict()
    assert other.hypervolume == archive.hypervolume


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(reference=[0, 0], maximize=[True]), "one value an objective"),
        (dict(reference=[np.nan], maximize=[True]), "must be finite"),
        (dict(reference=[0], maximize=[True], scale=[0.0]), "scales must be positive"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ParetoArchive(**arguments)


def test_a_point_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="needs 2 finite values"):
        ParetoArchive([0, 0], maximize=[True, True]).add([0.0, float("inf")])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_what_is_counted_point_by_point_is_the_volume_of_all(dimensions, count, seed):
    import moocore

    points = np.random.default_rng(seed).uniform(-0.1, 1.0, (count, dimensions))
    found = hypervolume(points.tolist(), reference=[0.0] * dimensions, maximize=[True] * dimensions)
    counted = points[(points > 0).all(1)]
    assert found == pytest.approx(
        moocore.hypervolume(counted, ref=np.zeros(dimensions), maximise=True) if len(counted) else 0.0, abs=1e-12
    )


@pytest.mark.parametrize(("dimensions", "within"), [(8, 0.005), (10, 0.01)])
def test_many_points_in_many_dimensions_take_no_seconds_and_are_counted_to_a_percent(dimensions, within):
    import time

    import moocore

    rng = np.random.default_rng(0)
    points = 0.5 + 0.05 * rng.standard_normal((60, dimensions))
    exact = moocore.hypervolume(points, ref=np.zeros(dimensions), maximise=True)
    began = time.process_time()
    found = hypervolume(np.tile(points, (2, 1)).tolist(), reference=[0.0] * dimensions, maximize=[True] * dimensions)
    # 120 additions with 10 objectives took minutes; on one core they are some 3 s.
    assert time.process_time() - began < 15
    assert found == pytest.approx(exact, rel=within)


def test_a_point_that_is_there_already_adds_exactly_nothing():
    archive = ParetoArchive([0.1, 0.1, 0.1], maximize=[True] * 3, scale=[0.7, 0.3, 0.9])
    assert archive.add([0.33, 0.27, 0.71]) > 0
    assert archive.add([0.33, 0.27, 0.71]) == 0.0
    assert archive.add([0.33, 0.2, 0.71]) == 0.0


@pytest.mark.parametrize("dimensions", [3, 5, 10])
def test_a_policy_that_never_changes_fills_no_disk_though_its_plain_front_is_full(dimensions):
    kept, plain = [], []
    for seed in range(10):
        archive = ParetoArchive([0.0] * dimensions, maximize=[True] * dimensions)
        for point in 0.5 + 0.02 * np.random.default_rng(seed).standard_normal((60, dimensions)):
            archive.add(point.tolist(), [0.02] * dimensions)
        kept.append(len(archive.front_beyond_noise()))
        plain.append(len(archive.front_indices))
    assert max(kept) <= 6
    assert min(plain) > 2 * np.mean(kept)


def test_a_front_beyond_noise_follows_slow_progress_to_within_the_noise_and_keeps_real_trade_offs():
    archive = ParetoArchive([0.0, 0.0], maximize=[True, False], scale=[1.0, 100.0])
    for i in range(50):
        archive.add([0.2 + 0.01 * i, 80.0 - 0.5 * i], [0.02, 1.0])
        assert archive.front_beyond_noise() == archive.front_indices == [i]  # each dominates the last
    archive.add([0.3, 5.0], [0.02, 1.0])
    archive.add([0.31, 6.0], [0.02, 1.0])  # no better than the one before but for noise
    assert archive.front_beyond_noise() == [49, 50]
    # Without standard errors every point counts as exact.
    plain = ParetoArchive([0.0, 0.0], maximize=[True, False])
    for point in archive.points:
        plain.add(point)
    assert plain.front_beyond_noise() == plain.front_indices == [49, 50, 51]
