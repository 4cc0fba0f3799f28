import json

import pytest

from steelyard.errors import InputError
from steelyard.objectives import built_in, clarity, conciseness, language, length_window, load_function, repetition


def test_conciseness_follows_the_mean_of_all_answers_so_far():
    objective = conciseness(max_tokens=100)

    def ids(*sizes):
        return [[0] * size for size in sizes]

    batch = dict(prompts=["", ""], completions=["", ""])
    assert objective.scores(**batch, completion_ids=ids(10, 30)) == [1.0, 0.0]
    # The mean is now (10 + 30 + 19 + 21) / 4 = 20.
    assert objective.scores(**batch, completion_ids=ids(19, 21)) == [1.0, 0.0]
    assert objective.state_dict() == {"total": 80.0, "count": 4.0}


def test_measuring_conciseness_does_not_move_its_mean():
    objective = conciseness()
    objective.scores(prompts=[""], completions=[""], completion_ids=[[0] * 8])
    before = objective.state_dict()
    assert objective.scores(prompts=[""], completions=[""], completion_ids=[[0] * 99], measuring=True) == [99.0]
    assert objective.state_dict() == before


def test_the_running_mean_survives_json():
    objective, other = conciseness(decay=0.9), conciseness(decay=0.9)
    objective.scores(prompts=[""] * 3, completions=[""] * 3, completion_ids=[[0], [0] * 5, [0] * 7])
    other.load_state_dict(json.loads(json.dumps(objective.state_dict())))
    assert other.state_dict() == objective.state_dict()


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("1. a\n2. b\n\\boxed{3}", 1.0),
        ("- a\n- b\n\\boxed{3}", 1.0),
        ("First a. Then b. \\boxed{3}", 1.0),
        ("Step 1: a\nStep 2: b\n\\boxed{3}", 1.0),
        ("1. a\n\\boxed{3}", 0.0),
        ("1. a\n2. b\n\\boxed{}", 0.0),
        ("1. a\n2. b\n3", 0.0),
        ("1.5 and 2.5 \\boxed{4}", 0.0),
    ],
)
def test_clarity_needs_a_box_and_two_markers(text, score):
    assert clarity().scores(prompts=[""], completions=[text]) == [score]


def test_clarity_can_be_graded():
    texts = ["7", "\\boxed{7}", "1. a\n\\boxed{7}", "1. a\n2. b\n\\boxed{7}", "1. a\n2. b\n3. c\n4. d\n\\boxed{7}"]
    assert clarity(graded=True, min_steps=3).scores(prompts=[""] * 5, completions=texts) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_language_tells_languages_apart_and_skips_rows_without_a_code():
    texts = ["The cat sleeps on the kitchen table.", "Le chat dort sur la table de la cuisine.", "x"]
    assert language().scores(prompts=[""] * 3, completions=texts, language=["en", "en", None]) == [1.0, 0.0, None]
    assert language(expected="fr").scores(prompts=[""], completions=["  "]) == [0.0]


def test_length_window_and_repetition_at_their_edges():
    ids = [[0] * size for size in (0, 2, 4, 6, 7)]
    window = length_window(low=2, high=4)
    assert window.scores(prompts=[""] * 5, completions=[""] * 5, completion_ids=ids) == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert repetition(ngram=2).scores(prompts=[""] * 2, completions=["a b a b a b", ""]) == [0.4, 1.0]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("clarty", {}, "did you mean 'clarity'"),
        ("clarity", {"grade": True}, "did you mean 'graded'"),
        ("format", {"pattern": "("}, "not a regular expression"),
        ("format", {}, "pattern"),
        ("length", {"low": 5, "high": 2}, "low must be below high, but they are 5 and 2"),
        ("conciseness", {"decay": 0}, "decay: input should be greater than 0, but found 0"),
    ],
)
def test_bad_options_are_named(kind, options, message):
    with pytest.raises(InputError, match=message):
        built_in(kind, **options)


def test_user_functions_come_from_files_and_modules(tmp_path):
    (tmp_path / "mine.py").write_text("def polite(completions, **columns):\n    return ['please' in c for c in completions]\n")
    assert load_function("mine.py:polite", base=tmp_path)(completions=["please", "no"]) == [True, False]
    for reference, message in [
        ("mine.py:polit", "did you mean 'polite'"),
        ("theirs.py:polite", "no file"),
        ("no_such_module:f", "cannot import"),
        ("mine.py", "is given as"),
    ]:
        with pytest.raises(InputError, match=message):
            load_function(reference, base=tmp_path)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(InputError, match=r"cannot import 'broken.py'.*ZeroDivisionError"):
        load_function("broken.py:f", base=tmp_path)
