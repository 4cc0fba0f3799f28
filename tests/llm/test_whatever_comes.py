"""Whatever a server sends or a file holds: what cannot be read is one of our errors, in linear time, and never another."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misbehaving_server import Verdict
from steelyard.errors import InputError
from steelyard.llm._dialects import Dialect
from steelyard.llm._repeated_keys import refuse_repeated, repeated_key
from steelyard.llm._replies import BadReplyError, FailedError, parsed, read_answer
from steelyard.llm._requests import RefusedError
from steelyard.llm._server_words import codes_of, wait_of, words_of
from steelyard.rubric.conversation import Conversation, conversation_of, parted

NAMES = [
    "choices", "message", "content", "refusal", "finish_reason", "usage", "prompt_tokens", "error", "code", "detail", "loc", "msg", "type", "text",
    "reasoning_content", "metadata", "raw", "role", "tool_calls", "function", "name", "arguments", "from", "value", "score",
]  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["text", "length", "user", "{", '{"error": 1}'])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=4),
    max_leaves=25,
)
MESSAGES = st.dictionaries(st.sampled_from(NAMES), ANYTHING) | ANYTHING
CHOICES = st.fixed_dictionaries({"message": MESSAGES}, optional={"finish_reason": ANYTHING, "error": ANYTHING}) | ANYTHING
ANSWERS = st.fixed_dictionaries({"choices": st.lists(CHOICES, max_size=1) | ANYTHING}, optional={"usage": ANYTHING})
QUICK = settings(max_examples=300, deadline=None)


@QUICK
@given(ANSWERS | ANYTHING)
def test_any_reply_is_read_or_refused(answer):
    try:
        found = read_answer(answer)
        assert isinstance(found.text, str)
        found.check()
        parsed(found.text, Verdict, None)
    except (FailedError, BadReplyError):
        pass


@QUICK
@given(st.sampled_from([400, 403, 404, 422, 429, 500, 503]), ANYTHING.map(json.dumps) | st.text(max_size=200))
def test_any_refusal_has_words_and_a_meaning(status, body):
    words, codes = words_of(body), codes_of(body)
    assert "\n" not in words
    assert all(isinstance(code, str) for code in codes)
    assert RefusedError(status, words, codes, wait_of({"retry-after": body[:10]})).failed
    sent = {"messages": [{"role": "system", "content": "x"}], "seed": 1, "max_tokens": 2, "temperature": 0, "response_format": {}}
    assert Dialect().refuses(status, words, codes, sent) in (None, "system", *sent)


@QUICK
@given(ANYTHING | st.lists(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=4), max_size=3))
def test_any_message_is_written_out_or_refused(message):
    try:
        made = conversation_of(message, speaker="assistant")
    except InputError:
        # Then it is no answer of a pair either.
        with pytest.raises(InputError, match=r"expected a text or a list of messages|a message has a role and a content"):
            parted("p", message, "b")
        return
    assert isinstance(made, (str, Conversation))
    # An answer that does not hold the prompt stays whole.
    prompt, a, b = parted("a prompt that no message is", message, "b")
    assert (prompt, b) == ("a prompt that no message is", "b")
    assert conversation_of(a, speaker="assistant") == made
    with pytest.raises(InputError):
        parted(None, message, message)


@QUICK
@given(ANYTHING.map(json.dumps) | st.text(alphabet="{}[]:,'\"\\ab/\n ", max_size=60))
def test_a_repeated_key_is_found_in_json_as_a_parser_finds_it(text):
    found = repeated_key(text)
    try:
        json.loads(text, object_pairs_hook=refuse_repeated)
    except ValueError as error:
        if type(error).__name__ == "RepeatedKeyError":
            assert found is not None
        return
    assert found is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("""{"": null, "'": null}""", None),
        ("""{"a'": 1, "a": 2}""", None),
        ("""{"'a'": 1, "a": 2}""", None),
        ("""{'a': 1, "a": 2}""", "a"),
        ("""{"": 1, '': 2}""", ""),
        ("""{a: 1, 'a': 2}""", "a"),
    ],
)
def test_quotes_inside_a_key_are_a_part_of_it(text, key):
    assert repeated_key(text) == key


@pytest.mark.parametrize(
    "text",
    ["{'" * 50_000, '{"' * 50_000, "{'a':" * 20_000, '{"\\' + '\\"' * 50_000, "':\\" * 33_000, "{'a'" + ",'\\" * 30_000, "//" * 50_000, "'" * 100_000],
)  # fmt: skip
def test_repeated_keys_are_looked_for_in_linear_time(text):
    began = time.perf_counter()
    repeated_key(text)
    assert time.perf_counter() - began < 1
