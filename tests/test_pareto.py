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
