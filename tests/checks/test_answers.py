"""The answer that a text ends on."""

import decimal
import time

import pytest

from steelyard.checks import final_answer, is_right
from steelyard.checks.answers import are_right, boxed_content, has_box, said, truth_of


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>4</think>5", "5"),
        ("4</think>5", "5"),
        ("<think>4", None),
        ("<think>a</think> x <think>b</think> 7", "7"),
        (r"\boxed{4", None),
        (r"\boxed{3} then \boxed{4", "3"),
        ("#### 42 dollars", "42"),
        ("#### $42", "$42"),
        (r"#### \frac{3}{4}", r"\frac{3}{4}"),
        ("#### 5!", "5!"),
        ("#### x = 5", "x = 5"),
        ("#### Paris", "Paris"),
        ("#### Step 2: do\nthe total is 42", "42"),
        ("#### The answer is 42.", "42"),
        (r"the answer is $\frac{3}{4}$.", r"\frac{3}{4}"),
        (r"so \frac{3}{4}", r"\frac{3}{4}"),
        (r"so 2\sqrt{3}.", r"2\sqrt{3}"),
        ("It costs $5 and then $3", "$3"),
        ("$5,$3", "3"),
        ("it is 3,14", "3,14"),
        ("1 1/2 cups", "1 1/2"),
        ("10-5", "5"),
        ("is -5", "-5"),
        ("x=-5", "-5"),
        ("in 2020-2021", "2021"),
        ("it is 1e5", "1e5"),
        ("2.5e-3", "2.5e-3"),
        ("it is .5", ".5"),
        ("so 1,250.50 dollars.", "1,250.50"),
        ("the answer is 5 where $x$ is it", "5"),
        (r"\(x = 5\)", "5"),
        (r"\[ 2+2 = 4 \]", "4"),
        (r"$$\frac{1}{2}$$", r"\frac{1}{2}"),
        ("no number", None),
        ("3/4", "3/4"),
        ("step 3. The answer is 7. ", "7"),
        ("7 (see 3)", "3"),
        ("**42**", "42"),
        ("it is 5/0", "5/0"),
        ("$2+2=4$", "4"),
        (r"\boxed{ }", None),
        ("a <think> b", None),
        ("#### 1,250", "1,250"),
        ("#### 42 dollars and 50 cents", "42 dollars and 50 cents"),
        ("#### -3", "-3"),
        ("#### 50%", "50%"),
        ("#### 1 1/2 cups", "1 1/2"),
        ("####42", "42"),
        ("#### \n42", "42"),
        ("It is 1, 2", "2"),
        ("(3, 5)", "5"),
        ("values 1,2,3", "1,2,3"),
        ("it is 3:4", "4"),
        ("v1.2.3", None),
        (r"\boxed{\text{a}\}}", r"\text{a}\}"),
        ("x^2", "2"),
        (r"\fbox{5}", "5"),
        (r"\boxed {5}", "5"),
        ("#### 42 dollars\n\nThanks 7", "42"),
        ("The answer is 1½", "1½"),
        ("the answer is ½", "½"),
        ("A1", None),
        ("is 4.", "4"),
        ("1,250,000 people", "1,250,000"),
        ("12,50", "12,50"),
        (r"$\$5$", "5"),
        (r"the answer: $-\frac{3}{4}$", r"-\frac{3}{4}"),
        ("the price is $1,000$", "1,000"),
        ("it is 1 250 m", "250"),
    ],
)
def test_what_a_text_ends_on(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "truth", "right"),
    [
        ("<think>it is 42</think>I do not know.", "42", False),
        ("It is 42.<think>or 43?</think>", "42", True),
        (r"so it is \boxed{42", "42", False),
        ("#### 42 dollars", "42", True),
        (r"three quarters: $\frac{3}{4}$", "0.75", True),
        (r"three quarters: $\frac{3}{4}$", "4", False),
        (r"\boxed{42 \text{ dollars}}", "42", True),
        (r"\boxed{42 dollars}", "42", True),
        ("it is 1 1/2", "3/2", True),
        ("it is 3,14", "14", False),
        ("it is 3,14", "3.14", True),
        ("x", float("nan"), None),
        ("x", decimal.Decimal("NaN"), None),
        ("x", "", None),
        ("x", "  ", None),
        ("x", None, None),
        ("it is 4", "####", None),
        ("it is 4", r"\boxed{}", None),
    ],
)
def test_whether_it_is_right(text, truth, right):
    assert is_right(text, truth) is right


def test_a_truth_that_numpy_or_pandas_calls_missing_is_missing():
    import numpy
    import pandas

    for nothing in (numpy.float32("nan"), numpy.float64("nan"), pandas.NA, pandas.NaT):
        assert truth_of(nothing) is None
    assert truth_of(numpy.int64(4)) == "4"


def test_many_answers_are_compared_as_one_by_one():
    texts, truths = ["it is 4", r"\boxed{x+1}", "no idea", "it is 5", r"\boxed{2}"], [4, "1+x", 3, None, "2"]
    one_by_one = [is_right(text, truth) for text, truth in zip(texts, truths, strict=True)]
    assert are_right(texts, truths) == one_by_one == [True, True, False, None, True]


def test_a_box_in_thoughts_or_one_that_never_closes_is_no_box():
    texts = (r"\boxed{4}", r"<think>\boxed{4}</think>", r"\boxed{4", r"\boxed{{}")
    assert [has_box(text) for text in texts] == [True, False, False, False]
    assert boxed_content(r"\boxed{a\}b}") == r"a\}b"


def test_thoughts():
    assert said("a<THINK>b</THINK>c<thinking>d") == "ac"
    assert said("b</think>c</think>d") == "d"


PARTS = [
    "1",
    "1,",
    "1,111",
    "$",
    "$a",
    "1" + " " * 50,
    r"\frac{",
    r"\frac{1}{",
    r"\boxed{",
    "<think>",
    "</think>",
    "####",
    "#### ",
    "####\n",
]


@pytest.mark.parametrize("part", [*PARTS, r"\(", r"\[", "{", "1/", "1 1/ ", "1.", "-", "1e", "½", r"\sqrt{", "a "])
def test_no_text_takes_long(part):
    text = part * (60_000 // len(part))
    began = time.process_time()
    final_answer(text)
    is_right(text, "7")
    assert time.process_time() - began < 2
