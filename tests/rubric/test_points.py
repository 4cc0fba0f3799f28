"""Criteria with points: the forms in which datasets hold them, and how points add up."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import InputError
from steelyard.rubric import PointCriterion, points_of, points_score, read_points

HEALTHBENCH = [
    {"criterion": "Advises to call emergency services.", "points": 9, "tags": ["level:example", "axis:completeness"]},
    {"criterion": "Recommends a sleeping pill.", "points": -6, "tags": ["axis:accuracy"]},
]
RAR = [
    {"title": "Names the cause", "description": "Essential Criteria: names the bacterium.", "weight": 5},
    {"title": "Wrong drug", "description": "Pitfall Criteria: recommends penicillin.", "weight": -1},
]


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (HEALTHBENCH, [("Advises to call emergency services.", 9.0), ("Recommends a sleeping pill.", -6.0)]),
        (RAR, [("Names the cause", 5.0), ("Wrong drug", -1.0)]),
        ({"rubrics": HEALTHBENCH[:1]}, [("Advises to call emergency services.", 9.0)]),
        (["Is polite.", "Is short."], [("Is polite.", 1.0), ("Is short.", 1.0)]),
        (
            np.array(HEALTHBENCH, dtype=object),
            [("Advises to call emergency services.", 9.0), ("Recommends a sleeping pill.", -6.0)],
        ),
        ([{"text": "Is polite.", "weight": "0.5"}], [("Is polite.", 0.5)]),
        ([{"criterion": "Counts for nothing.", "points": 0}, {"criterion": "Counts."}], [("Counts.", 1.0)]),
        (["Same.", "Same."], [("Same.", 1.0), ("Same. (2)", 1.0)]),
        ({"criteria": ["Is right.", "Is rude."], "points_list": [5, -7]}, [("Is right.", 5.0), ("Is rude.", -7.0)]),
        (['{"criterion": "Is rude.", "points": -5}'], [("Is rude.", -5.0)]),
        ([{"criterion": "Accuracy", "description": "States 5 mg.", "points": 2}], [("Accuracy", 2.0)]),
        (["x", "x", "x (2)"], [("x", 1.0), ("x (2)", 1.0), ("x (2) (2)", 1.0)]),
        ("  ", []),
        (None, []),
        ([], []),
        ("", []),
        (float("nan"), []),
    ],
)
def test_criteria_are_read_in_the_forms_of_datasets(held, expected):
    assert [(one.name, one.points) for one in points_of(held)] == expected
    if isinstance(held, (list, dict)) and held:
        assert points_of(json.dumps(held)) == points_of(held)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [(np.array(["x", "y"]), ("x", "y")), ('["x", "y"]', ("x", "y")), ({"axis": "accuracy", "level": None}, ("axis:accuracy",)), ("x", ("x",)), ([None, "x"], ("x",)), (None, ())],
)  # fmt: skip
def test_tags_come_in_the_forms_of_files(tags, expected):
    (one,) = points_of([{"criterion": "a", "tags": tags}])
    assert one.tags == expected


def test_a_word_and_what_it_means_are_both_shown():
    (one,) = points_of([{"criterion": "Accuracy", "description": "States 5 mg."}])
    assert one.text == "Accuracy: States 5 mg."


def test_json_in_json_is_read():
    assert points_of(json.dumps(json.dumps(HEALTHBENCH))) == points_of(HEALTHBENCH)


def test_levels_survive_a_column_of_an_arrow_table_and_yaml(tmp_path):
    own = [
        {"criterion": "a", "levels": {"a": 0, "b": 1, "some": None, "all": None}},
        {"criterion": "b", "levels": np.array(["x", "y"])},
    ]
    assert [one.levels for one in points_of(own)] == [{"a": 0.0, "b": 1.0}, {"x": 0.0, "y": 1.0}]
    (tmp_path / "a.yaml").write_text("- {criterion: a, levels: [no, partly, yes]}\n")
    assert read_points(tmp_path / "a.yaml")[0].levels == {"no": 0.0, "partly": 0.5, "yes": 1.0}
    (tmp_path / "b.csv").write_text('criterion,levels\na,"[""low"", ""high""]"\n')
    assert read_points(tmp_path / "b.csv")[0].levels == {"low": 0.0, "high": 1.0}


def test_a_json_file_may_hold_signs_of_two_halves(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"criterion": "uses \U0001f600", "points": 5}]))
    assert read_points(tmp_path / "a.json")[0].text == "uses \U0001f600"


@pytest.mark.parametrize(
    "made",
    [
        lambda: PointCriterion("x", math.nan),
        lambda: PointCriterion("x", 0),
        lambda: PointCriterion(""),
        lambda: PointCriterion("x", levels={"a": 0, "b": 5}),
    ],
)
def test_a_criterion_that_cannot_be_judged_is_not_made(made):
    with pytest.raises(InputError):
        made()


@pytest.mark.parametrize(
    ("criterion", "levels"),
    [
        ({"criterion": "a"}, {"no": 0.0, "yes": 1.0}),
        ({"criterion": "a", "scale": "ordinal"}, {"no": 0.0, "partly": 0.5, "yes": 1.0}),
        ({"criterion": "a", "levels": ["bad", "so so", "good"]}, {"bad": 0.0, "so so": 0.5, "good": 1.0}),
        ({"criterion": "a", "levels": {"some": 0.25, "all": 1}}, {"some": 0.25, "all": 1.0}),
    ],
)
def test_a_criterion_has_a_scale(criterion, levels):
    assert points_of([criterion])[0].levels == levels
    assert list(points_of([{"criterion": "a", "scale": "graded"}])[0].levels) == [str(i) for i in range(11)]


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("not json", "criteria are a list, or JSON of one, but found the text 'not json'"),
        ('{"rubrics": 3}', "criteria are a list, but found int"),
        ({"points": 3}, "holds them as one of rubrics, criteria, rubric, but has points"),
        ([{"points": 3}], "criterion 1: a criterion needs a text in one of criterion, "),
        ([{"criterion": "a", "points": "many"}], "criterion 1: points must be a finite number, but is 'many'"),
        ([{"criterion": "a", "weight": math.inf}], "weight must be a finite number, but is inf"),
        ([{"criterion": "a", "points": True}], "points must be a finite number, but is True"),
        ([3], "criterion 1: a criterion is a text or an object, but found int"),
        (
            [{"criterion": "a", "scale": "binery"}],
            "scale must be one of binary, ordinal, graded, but is 'binery' (did you mean 'binary'",
        ),
        ([{"criterion": "a", "levels": ["x"]}], "levels are 2 to 20 different names"),
        ([{"criterion": "a", "levels": ["x", "x"]}], "levels are 2 to 20 different names"),
        ([{"criterion": "a", "levels": {"x": 0, "y": 2}}], "levels are 2 to 20 different names"),
        ([{"criterion": "a", "tags": 3.5}], "criterion 1: tags are words, but are [3.5]"),
        ([{"criterion": "a", "points": 2e9}], "at most 1e+09 either way"),
        ([{"criterion": "x" * 10_001}], "criterion 1: a criterion's text has 1 to 10,000 characters"),
        ([{"criterion": "half \ud83d"}], "no half of one"),
        ([{"criterion": "a", "name": "half \ud83d"}], "holds half a character"),
        ([{"criterion": "a", "tags": {"half": "\ud83d"}}], "holds half a character"),
        ({"criteria": ["a", "b"], "points_list": [5]}, "'points_list' must hold as many numbers as there are criteria (2)"),
        (["a"] * 201, "at most 200 criteria can be judged, but there are 201"),
        ("[" * 100_000, "criteria are a list, or JSON of one"),
    ],
)
def test_what_is_no_criterion_is_refused_in_a_line(held, said):
    with pytest.raises(InputError) as refused:
        points_of(held, "row 7")
    assert str(refused.value).startswith("row 7")
    assert said in str(refused.value)


def test_points_add_up_as_healthbench_counts_them_and_on_a_scale_that_needs_no_clipping():
    # 5 + 3 - 2 of at most 8, and at least -2.
    assert points_score([1, 1, 1], [5, 3, -2], "positive") == 6 / 8
    assert points_score([1, 1, 1], [5, 3, -2]) == (6 + 2) / 10
    # Two bad answers are told apart where clipping at 0 would make them alike, and without positive points.
    assert points_score([0, 1], [1, -4], "positive") == -1.0
    assert points_score([0, 0.5], [1, -4]) > points_score([0, 1], [1, -4])
    assert points_score([1, 0], [-3, -1], "positive") == points_score([1, 0], [-3, -1]) == 0.25


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1e6, 1e6).filter(lambda p: abs(p) > 1e-6)), min_size=1, max_size=30))
def test_scores_lie_within_their_bounds_and_rise_with_what_is_met(pairs):
    values, points = [v for v, _ in pairs], [p for _, p in pairs]
    assert -1e-9 <= points_score(values, points) <= 1 + 1e-9
    assert -1 - 1e-9 <= points_score(values, points, "positive") <= 1 + 1e-9
    better = [1.0 if p > 0 else 0.0 for p in points]
    assert points_score(better, points) == pytest.approx(1.0)
    assert points_score(better, points, "positive") == pytest.approx(1.0)
    assert points_score([1 - v for v in better], points) == pytest.approx(0.0)


def test_criteria_for_all_prompts_come_from_a_file(tmp_path):
    (tmp_path / "a.yaml").write_text("rubrics:\n  - {criterion: Names a source., points: 3, scale: ordinal}\n  - Is short.\n")
    (tmp_path / "b.jsonl").write_text('{"criterion": "Names a source.", "points": 3}\n{"criterion": "Is short.", "points": 1}\n')
    (tmp_path / "c.csv").write_text("criterion,points\nNames a source.,3\nIs short.,1\n")
    for name in ("a.yaml", "b.jsonl", "c.csv"):
        assert [(one.text, one.points) for one in read_points(tmp_path / name)] == [("Names a source.", 3.0), ("Is short.", 1.0)]
    (tmp_path / "empty.yaml").write_text("rubrics: []\n")
    with pytest.raises(InputError, match="no criterion with points"):
        read_points(tmp_path / "empty.yaml")


def test_a_criterion_is_named_by_its_beginning():
    text = "Says in plain words what the patient has to do first, and what only later, and why"
    assert PointCriterion(text).name == "Says in plain words what the patient has to do first, and ..."
    assert len(PointCriterion("x" * 500).name) == 64
