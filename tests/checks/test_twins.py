"""What an objective and a check both say is said once: every pair of twins, on inputs on which they once differed."""

import math

import pytest

from steelyard.checks import check
from steelyard.objectives import Objective, accuracy, built_in, clarity, format_match, language, repetition
from steelyard.objectives.writing import lengths


def both(kind, options, objective, said, /, **row):
    """What the check says, and the objective, of one answer in a row."""
    columns = {key: [value] for key, value in row.items()}
    as_reward = Objective.from_check(check(kind, **options)).scores(prompts=["p"], completions=[said], **columns)[0]
    messages = [{"role": "assistant", "content": said}]
    found = [
        check(kind, **options)("p", said, row),
        as_reward,
        objective.scores(prompts=["p"], completions=[said], **columns)[0],
        objective.scores(prompts=["p"], completions=[messages], **columns)[0],
    ]
    assert len(set(found)) == 1, found
    return found[0]


TRUTHS = [
    # The truth, a right answer to it, and its last number, which is wrong.
    (r"\frac{1}{2}", r"\boxed{\frac{1}{2}}", "2"),
    (r"\frac{1}{2}", r"\boxed{0.5}", r"\boxed{2}"),
    ("2x+1", r"\boxed{2x+1}", "1"),
    ("2x+1", r"\boxed{1+2x}", r"\boxed{1}"),
    ("x^2", r"\boxed{x^2}", "2"),
    (r"\sqrt{3}", r"\boxed{\sqrt{3}}", "3"),
    ("(1, 2)", r"\boxed{(1, 2)}", "2"),
    (r"\pi/4", r"\boxed{\frac{\pi}{4}}", "4"),
    ("x = 5y + 3", r"\boxed{x = 5y + 3}", r"\boxed{3}"),
    (r"10\%", r"\boxed{10\%}", r"\boxed{11}"),
    ("3 apples and 4 pears", r"\boxed{3 apples and 4 pears}", "5"),
    ("She has 3, then 4.\n#### 7", "it is 7", "4"),
    (r"so it is \boxed{\frac{1}{2}}", r"\boxed{1/2}", "2"),
    (7, "7", "8"),
    (0.5, r"\boxed{\frac{1}{2}}", "2"),
    ("  12 ", "#### 12", "2"),
    ([1, 2], r"\boxed{[1, 2]}", "2"),
    ([3], r"\boxed{3}", r"\boxed{4}"),
    (1.0, "1", "10"),
    (r"The answer is \fbox{3}.", "3", "4"),
]


@pytest.mark.parametrize(("truth", "right", "wrong"), TRUTHS)
def test_maths_reads_a_truth_as_it_is(truth, right, wrong):
    assert both("maths", {}, accuracy(), right, answer=truth) == 1.0
    assert both("maths", {}, accuracy(), wrong, answer=truth) == 0.0
    assert both("maths", {}, accuracy(), "I do not know.", answer=truth) == 0.0
    assert both("maths", {}, accuracy(), "", answer=truth) == 0.0


@pytest.mark.parametrize("nothing", [None, "", " \n", math.nan])
def test_maths_leaves_out_a_row_without_a_truth(nothing):
    assert both("maths", {}, accuracy(), "4", answer=nothing) is None
    assert both("maths", {"column": "truth"}, accuracy(column="truth"), "4", truth=nothing) is None


@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [
        ("Bonjour", "fr", 1.0),
        ("Bonjour", "FR", 1.0),
        ("Bonjour", "fr-CA", 1.0),
        ("Bonjour", "de", None),  # seven letters: taken for French, but too short to say that it is not German
        ("Hello", "en", None),
        ("Le chat dort sur la table de la cuisine.", "fr", 1.0),
        ("Le chat dort sur la table de la cuisine.", "en", 0.0),
        ("今天天气很好,我们去公园散步吧。", "zh-CN", 1.0),
        ("今天天气很好,我们去公园散步吧。", "zh_TW", 1.0),
        ("O gato dorme na mesa da cozinha todos os dias.", "pt_BR", 1.0),
        ("42", "en", None),
        ("42", "af", None),  # what the classifier says of digits
        ("", "en", 0.0),
        (" \n", "fr", 0.0),
    ],
)
def test_language_is_told_alike(answer, code, expected):
    assert both("language", {"language": code}, language(expected=code), answer) == expected
    assert both("language", {}, language(), answer, language=code) == expected


@pytest.mark.parametrize("nothing", [None, "", math.nan])
def test_language_leaves_out_a_row_without_a_code(nothing):
    assert both("language", {}, language(), "Le chat dort sur la table.", language=nothing) is None


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ("well-known fact", 2),
        ("It's here.", 2),
        ("one - two", 2),
        ("a,b;c", 3),
        ("  ", 0),
        ("你好 世界", 2),
        ("17+25=42", 3),
        ("# Title\n\n* item", 2),
    ],
)
def test_words_are_counted_alike(answer, count):
    assert lengths([answer], None) == [count]
    assert lengths([[{"role": "assistant", "content": answer}]], None) == [count]
    assert check("words", at_least=count, at_most=count)("p", answer) == 1.0
    window = built_in("length", low=count, high=count + 1)
    assert window.scores(prompts=["p"], completions=[answer]) == [1.0]


@pytest.mark.parametrize(
    ("pattern", "answer", "expected"),
    [
        (r"<think>.*</think>.+", "<think>a\nb</think> c", 1.0),
        (r"<think>.*</think>.+", "<think>a</think>\nb\n", 1.0),
        (r"<think>.*</think>.+", "<think>a</think>", 0.0),
        (r"<think>.*</think>.+", "first <think>a</think> b", 0.0),
        (r"\d+", " 12\n", 1.0),
        (r"\d+", "12 a", 0.0),
        (r"(?:^- .*$\n?)+", "- a\n- b", 1.0),
        (r"(?:^- .*$\n?)+", "a\n- b", 0.0),
        ("", "", 1.0),
    ],
)
def test_a_format_matches_alike(pattern, answer, expected):
    assert both("regex", {"pattern": pattern, "whole": True}, format_match(pattern=pattern), answer) == expected


@pytest.mark.parametrize(
    ("answer", "ngram", "share"),
    [
        ("Yes yes YES.", 1, 1 / 3),
        ("go on, go on; go on", 2, 2 / 5),
        ("one two three", 1, 1.0),
        ("a b", 3, 1.0),
        ("", 2, 1.0),
        ("well-known, well known", 1, 1.0),
    ],
)
def test_repetition_is_measured_alike(answer, ngram, share):
    assert repetition(ngram=ngram).scores(prompts=["p"], completions=[answer]) == [pytest.approx(share)]
    assert check("no-repetition", ngram=ngram, at_most=1 - share + 1e-9)("p", answer) == 1.0
    if share < 1:
        assert check("no-repetition", ngram=ngram, at_most=1 - share - 1e-9)("p", answer) == 0.0


@pytest.mark.parametrize(("answer", "boxed"), [(r"\boxed{4}", 1.0), (r"\boxed{ }", 0.0), (r"\boxed{4", 0.0), ("4", 0.0)])
def test_a_box_is_seen_alike(answer, boxed):
    assert check("boxed")("p", answer) == boxed
    graded = clarity(graded=True, min_steps=1).scores(prompts=["p"], completions=[answer])
    assert graded == [boxed / 2]
