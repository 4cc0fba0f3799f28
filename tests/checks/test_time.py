"""What an answer holds cannot make a check slow: a policy that repeats one character would stop the run."""

import time

import pytest

from steelyard.checks import check
from steelyard.checks.text import without_fence
from steelyard.objectives import step_markers

LONG = 40_000


def seconds(function, *args):
    begun = time.process_time()
    function(*args)
    return time.process_time() - begun


@pytest.mark.parametrize("text", ["```" + " " * LONG, "```json" + "\n" * LONG + "x", "```" * LONG, " " * LONG + "`"])
def test_a_fence_that_does_not_close_is_read_at_once(text):
    assert seconds(without_fence, text) < 1
    assert check("json")("p", text) == 0.0


@pytest.mark.parametrize("text", ["\n" * LONG + "x", "\r\n" * LONG, " \n" * LONG, "\t" * LONG])
def test_empty_lines_are_passed_over_at_once(text):
    assert seconds(step_markers, text) < 1
    assert seconds(check("sections", at_least=1), "p", text) < 1


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ("  ```\n\n x \n\n```  ", "x"),
        ("```a````", "`"),
        ("``````", ""),
        ("`````", "`````"),
        ("```py", "```py"),
        ("```one``` and ```two```", "``` and ```two"),
        ("before ```\nx\n```", "before ```\nx\n```"),
    ],
)
def test_a_fence_around_all_of_a_text_is_taken_off(text, inside):
    assert without_fence(text) == inside


def test_markers_after_empty_lines_count_once_each():
    assert step_markers("\n\n  1. add\n\n\n\t- carry\r\n\r\n2) write\n\n") == 3
    assert check("sections", at_least=2, at_most=2)("p", "\n\n # One\n\n\n**## Two\n#\n") == 0.0
    assert check("sections", at_least=3, at_most=3)("p", "\n\n # One\n\n\n**## Two\n#\n") == 1.0
