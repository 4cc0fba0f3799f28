"""Answers as messages: what a reward reads of them, and what is kept."""

import json

import pytest

from steelyard.checks import check
from steelyard.messages import answer_of, as_message, last_answer_of, text_of, transcript_of
from steelyard.objectives import Objective, accuracy, clarity, length_window

TOOL = [
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "add", "arguments": "{}"}}]},
    {"role": "tool", "content": "4"},
    {"role": "assistant", "content": "I do not know."},
]
CALLS_LAST = [{"role": "assistant", "content": "4"}, {"role": "assistant", "content": "", "tool_calls": [{}]}]
CORRECTED = [
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "sure? 5?"},
    {"role": "assistant", "content": "yes, 4"},
]
PARTS = [
    {
        "role": "assistant",
        "content": [{"type": "thinking", "text": "5"}, {"type": "text", "text": "4"}, {"type": "image", "image": None}],
    }
]


@pytest.mark.parametrize(
    ("completion", "everybody", "model", "last"),
    [
        ("4", "4", "4", "4"),
        (None, "", "", ""),
        ([], "", "", ""),
        ({"role": "assistant", "content": "4"}, "4", "4", "4"),
        ([{"content": "4"}], "4", "4", "4"),
        ([{"role": "assistant"}], "", "", ""),
        (TOOL, "4\nI do not know.", "I do not know.", "I do not know."),
        (CALLS_LAST, "4", "4", ""),
        (CORRECTED, "4\nsure? 5?\nyes, 4", "4\nyes, 4", "yes, 4"),
        (PARTS, "4", "4", "4"),
        ([{"role": "assistant", "content": ["a", {"text": "b"}, {"type": "text"}]}], "a\nb", "a\nb", "a\nb"),
    ],
)
def test_what_is_read_of_messages(completion, everybody, model, last):
    assert (text_of(completion), answer_of(completion), last_answer_of(completion)) == (everybody, model, last)


def test_what_is_no_message_is_said():
    with pytest.raises(TypeError, match="expected a text or a list of messages, but found int"):
        text_of([1, 2])


@pytest.mark.parametrize("reward", [accuracy(), Objective.from_check(check("maths"))], ids=["accuracy", "maths"])
def test_the_final_answer_is_the_last_message_of_the_model(reward):
    answers = [TOOL, CALLS_LAST, CORRECTED, PARTS, "4"]
    assert reward.scores(prompts=["2+2="] * 5, completions=answers, answer=["4"] * 5) == [0.0, 0.0, 1.0, 1.0, 1.0]


def test_other_rewards_read_all_that_the_model_said_and_nothing_else():
    steps = [
        {"role": "assistant", "content": "1. add"},
        {"role": "tool", "content": "\\boxed{9}"},
        {"role": "assistant", "content": "2. done"},
    ]
    boxed = [*steps, {"role": "assistant", "content": "\\boxed{4}"}]
    assert clarity().scores(prompts=[""] * 2, completions=[steps, boxed]) == [0.0, 1.0]
    words = length_window(low=4, high=5)
    assert words.scores(prompts=[""], completions=[TOOL]) == [1.0]
    assert Objective.from_check(check("avoids", phrases=["4"])).scores(prompts=[""], completions=[TOOL]) == [1.0]


def test_messages_are_kept_where_the_text_is_not_all():
    assert [transcript_of(one) for one in ("4", None, [{"role": "assistant", "content": "4"}])] == [None] * 3
    assert json.loads(transcript_of(TOOL)) == TOOL
    kept = json.loads(transcript_of([{"role": "assistant", "content": [{"type": "image", "image": object()}]}]))
    assert kept[0]["content"][0]["image"] == "<object>"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"from": "human", "value": "2+2?"}, {"role": "user", "content": "2+2?"}),
        ({"from": "chatgpt", "value": ""}, {"role": "assistant", "content": ""}),
        ({"from": "observation", "value": "4"}, {"role": "tool", "content": "4"}),
        ({"role": "Assistant", "content": None, "tool_calls": [{}]}, {"role": "assistant", "tool_calls": [{}]}),
        ({"role": "user", "value": "kept", "content": "said"}, {"role": "user", "content": "said"}),
        ({"role": "critic", "content": "5"}, {"role": "critic", "content": "5"}),
        ({"content": "no role"}, {"content": "no role"}),
    ],
)
def test_messages_have_one_form_by_whatever_names(given, message):
    before = dict(given)
    assert as_message(given) == message
    assert given == before
