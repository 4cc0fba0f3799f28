"""Servers that take less than the protocol says, or say it otherwise: how each is asked in the end, and what that costs."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from misbehaving_server import Dialect, Verdict, completion, said
from steelyard.errors import LLMError
from steelyard.llm import Client
from steelyard.llm._server_words import wait_of, words_of

ASKED = [{"role": "system", "content": "rules"}, {"role": "user", "content": "question"}]
ANOTHER = [{"role": "system", "content": "rules"}, {"role": "user", "content": "another"}]
FULL = {"model", "messages", "temperature", "max_tokens", "response_format"}


def client(server, **changes):
    return Client(server.url, "m", **{"retries": 4, "timeout": 5.0, **changes})


NO_FORMAT = FULL - {"response_format"}
RENAMED = FULL - {"max_tokens"} | {"max_completion_tokens"}
O1 = {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "code": "unsupported_parameter", "param": "max_tokens"}}  # fmt: skip
DEFAULT_ONLY = {"error": {"message": "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported.", "param": "temperature"}}  # fmt: skip
EXTRA = {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 2}]}
SERDE = "Failed to deserialize: unknown field `response_format`, expected one of `messages`, `model`, `max_tokens`, `temperature`, `seed`"
GATEWAY = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": json.dumps({"error": {"message": "response_format: this model has no JSON mode"}}), "provider_name": "P"}}}  # fmt: skip
UPSTREAM = {"error": {"message": "No endpoints found that support the requested parameters: response_format", "code": 404}}

# name: (server, requests for the first question and for the second, what is sent in the end)
DIALECTS = {
    "speaks all of it": (Dialect(), (1, 1), FULL),
    "response_format refused, OpenAI's form": (Dialect({"response_format": (400, {"error": {"message": "response_format is not supported"}})}), (2, 1), NO_FORMAT),
    "response_format refused, error as text": (Dialect({"response_format": (422, {"error": "json_schema is unavailable here"})}), (2, 1), NO_FORMAT),
    "response_format refused, detail as text": (Dialect({"response_format": (400, {"detail": "guided decoding is off"})}), (2, 1), NO_FORMAT),
    "response_format refused, detail as a list": (Dialect({"response_format": (422, {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]})}), (2, 1), NO_FORMAT),
    "response_format refused, plain text": (Dialect({"response_format": (400, SERDE)}), (2, 1), NO_FORMAT),
    "response_format refused, HTML": (Dialect({"response_format": (400, "<html><body>Structured output is not enabled</body></html>")}), (2, 1), NO_FORMAT),
    "response_format refused behind a gateway": (Dialect({"response_format": (400, GATEWAY)}), (2, 1), NO_FORMAT),
    "response_format served by none, 404": (Dialect({"response_format": (404, UPSTREAM)}), (2, 1), NO_FORMAT),
    "response_format refused with 500 by name": (Dialect({"response_format": (500, {"error": "xgrammar: cannot compile grammar"})}), (2, 1), NO_FORMAT),
    "response_format refused with 400 without a word": (Dialect({"response_format": (400, "")}), (2, 1), NO_FORMAT),
    "response_format refused with 422, vaguely": (Dialect({"response_format": (422, {"detail": "bad request"})}), (2, 1), NO_FORMAT),
    "response_format breaks it, 500 without a word": (Dialect({"response_format": (500, "Internal Server Error")}), (2, 2), NO_FORMAT),
    "response_format refused inside status 200": (Dialect({"response_format": (200, {"error": {"message": "json_schema: unsupported", "code": 400}})}), (2, 1), NO_FORMAT),
    "response_format ignored, prose": (Dialect(ignores="Answer 1 is better."), (2, 1), NO_FORMAT | {"seed"}),
    "response_format ignored, prose with an object": (Dialect(ignores='Here: {"score": 1}'), (2, 1), NO_FORMAT | {"seed"}),
    "response_format ignored, another object": (Dialect(ignores='{"winner": "1"}'), (2, 1), NO_FORMAT | {"seed"}),
    "response_format ignored, empty": (Dialect(ignores=""), (2, 1), NO_FORMAT | {"seed"}),
    "response_format ignored, null": (Dialect(ignores=said({"content": None})), (2, 1), NO_FORMAT | {"seed"}),
    "max_tokens under its new name": (Dialect({"max_tokens": (400, O1)}), (2, 1), RENAMED),
    "max_tokens refused without its new name": (Dialect({"max_tokens": (422, {"error": "unknown parameter max_tokens"})}), (2, 1), RENAMED),
    "max_tokens in no form": (Dialect({"max_tokens": (400, "max_tokens: unknown"), "max_completion_tokens": (400, "max_completion_tokens: unknown")}), (3, 1), FULL - {"max_tokens"}),
    "temperature refused": (Dialect({"temperature": (400, DEFAULT_ONLY)}), (2, 1), FULL - {"temperature"}),
    "temperature refused with 500": (Dialect({"temperature": (500, {"message": "temperature may only be set to 1 when thinking is enabled"})}), (2, 1), FULL - {"temperature"}),
    "no role for the system": (Dialect({"system": (400, {"error": {"message": "System role not supported"}})}), (2, 1), FULL),
    "four refusals in a row": (Dialect({"max_tokens": (400, O1), "temperature": (400, DEFAULT_ONLY), "system": (400, {"detail": "System role not supported"}), "response_format": (400, {"detail": "no grammar"})}), (5, 1), RENAMED - {"temperature", "response_format"}),
    "reply as JSON of another type": (Dialect(reply=(200, {"content-type": "text/plain"}, completion('{"score": 2}'))), (1, 1), FULL),
    "reply as a list of parts": (Dialect(reply=said({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": '{"sco'}, {"type": "text", "text": 're": 2}'}]})), (1, 1), FULL),
    "reply in reasoning_content": (Dialect(reply=said({"content": "", "reasoning_content": '{"score": 2}'})), (1, 1), FULL),
    "reply in reasoning": (Dialect(reply=said({"content": None, "reasoning": 'Let me see.</think>\n{"score": 2}'})), (1, 1), FULL),
    "reply behind thoughts": (Dialect(reply=said({"content": '{"score": 2}', "reasoning_content": '{"score": -2}'})), (1, 1), FULL),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_understood_after_what_it_has_to_teach(serve, name):
    answer, requests, sent = DIALECTS[name]
    server = serve(answer)
    asking = client(server)
    counts = []
    for question in (ASKED, ANOTHER, [*ASKED, {"role": "user", "content": "a third"}]):
        before = len(server.bodies)
        assert asking.ask_sync(question, schema=Verdict).data.score == 2
        counts.append(len(server.bodies) - before)
    assert counts == [*requests, 1]
    assert set(server.bodies[-1]) == sent - {"seed"}
    assert asking.usage.calls == len(server.bodies)
    # Another client of the process, with the same server and model, need not be taught again.
    before = len(server.bodies)
    assert client(server).ask_sync(ASKED, schema=Verdict).data.score == 2
    assert len(server.bodies) - before == 1
    if "response_format" not in server.bodies[-1]:
        assert "by this JSON schema" in server.bodies[-1]["messages"][0]["content"]
    if set(server.bodies[-1]) < FULL:
        assert server.url in "".join(asking.notes())


@pytest.mark.parametrize("name", [name for name, (_, requests, _) in DIALECTS.items() if requests[0] > 1])
def test_what_one_question_learns_the_others_under_way_are_not_taught(serve, name):
    answer, requests, _ = DIALECTS[name]

    async def slowly(number, body):
        await asyncio.sleep(0.02)
        return answer(number, body)

    server = serve(slowly)
    asking = client(server, concurrency=64)

    async def all_of_them():
        questions = ([{"role": "system", "content": "r"}, {"role": "user", "content": str(i)}] for i in range(64))
        return await asyncio.gather(*(asking.ask(question, schema=Verdict) for question in questions))

    assert [reply.data.score for reply in asyncio.run(all_of_them())] == [2] * 64
    assert len(server.bodies) == 64 + sum(requests) - 2


def test_a_seed_that_is_refused_on_the_second_try_is_left_out(serve):
    dialect = Dialect({"seed": (422, EXTRA)})
    server = serve(lambda number, body: "no JSON" if number == 1 else dialect(number, body))
    reply = client(server, structure="prompt").ask_sync(ASKED, schema=Verdict)
    assert (reply.data.score, reply.calls) == (2, 2)
    assert [("seed" in body, body["temperature"]) for body in server.bodies] == [(False, 0.0), (True, 0.5), (False, 0.5)]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"detail": "prompt is too long: 9000 tokens"}, "prompt is too long: 9000 tokens"),
        (400, {"error": "prompt is too long"}, "prompt is too long"),
        (422, {"error": {"message": "prompt is too long"}}, "prompt is too long"),
        (400, {"message": "prompt is too long", "error": "Bad Request"}, "Bad Request: prompt is too long"),
        (400, [{"error": {"message": "prompt is too long"}}], "prompt is too long"),
        (400, {"errors": [{"reason": "prompt is too long"}]}, "prompt is too long"),
        (400, {"title": "Bad", "detail": "prompt is too long"}, "prompt is too long: Bad"),
        (400, {"fault": {"text": "prompt is too long"}}, "prompt is too long"),
        (400, "prompt is too long", "prompt is too long"),
        (400, "<html><head><style>p {color: red}</style></head><p>prompt is too long</p></html>", "HTTP 400: prompt is too long"),
        (400, '"prompt is too long"', "prompt is too long"),
        (500, {"detail": "prompt is too long"}, "HTTP 500: prompt is too long"),
        (400, "", "HTTP 400 without a word of why"),
        (400, "\xff\x00", "HTTP 400"),
        (401, {"detail": "who are you?"}, "who are you?; is the key right"),
    ],
)  # fmt: skip
def test_a_servers_own_words_reach_the_user(serve, status, body, words):
    server = serve(lambda number, _: (status, {}, body if isinstance(body, str) else json.dumps(body)))
    for structure in ("auto", "prompt", "schema"):
        with pytest.raises(LLMError) as caught:
            client(server, structure=structure, retries=1).ask_sync(ASKED, schema=Verdict)
        assert words in str(caught.value)


def test_a_refusal_of_one_question_is_no_lesson(serve):
    """The prompt that is too long is refused in either form; the next question is asked with response_format as before."""
    long = (
        400,
        {},
        json.dumps({"error": {"message": "This model's maximum context length is 4096 tokens, and max_tokens is 2048"}}),
    )
    schemas = "maximum context length is 4096 tokens, but you asked for 5000 (4000 in the messages, 1000 in the response_format schemas)"
    echo = "cannot parse {'temperature': 0.0, 'max_tokens': 2048, 'seed': 1, 'response_format': {'type': 'json_schema'}}"
    for words in (long, (400, {}, "bad request"), (400, {}, json.dumps({"detail": schemas})), (400, {}, echo)):
        server = serve(lambda number, body, words=words: words if "long" in str(body["messages"]) else '{"score": 2}')
        asking = client(server)
        for _ in range(2):
            with pytest.raises(LLMError):
                asking.ask_sync([{"role": "user", "content": "long"}], schema=Verdict)
            assert asking.ask_sync([{"role": "user", "content": "short"}], schema=Verdict).data.score == 2
            assert set(server.bodies[-1]) == FULL
        assert asking.notes() == []


def test_one_accident_is_no_lesson(serve):
    """A server that keeps schemas and once fails, or once lets its model ramble, is asked with response_format again."""
    answers = {1: (500, {}, "oops"), 4: "prose", 6: (500, {}, "oops"), 8: (400, {}, "oops")}
    server = serve(lambda number, body: answers.get(number, '{"score": 2}'))
    asking = client(server)
    for i in range(4):
        asking.ask_sync([{"role": "user", "content": str(i)}], schema=Verdict)
    with pytest.raises(LLMError, match="oops"):
        asking.ask_sync(ASKED, schema=Verdict)
    assert asking.ask_sync(ANOTHER, schema=Verdict).data.score == 2
    assert ["response_format" in body for body in server.bodies] == [True, False, *[True] * (len(server.bodies) - 2)]


def test_other_words_for_why_a_reply_ended(serve):
    for finish, calls, words in (
        ("MAX_TOKENS", 3, "cut off at 8192 tokens"),
        ("model_length", 3, "cut off"),
        ("SAFETY", 5, "content filter"),
        ("refusal", 1, "the model refused to answer: I cannot judge that"),
        ("error", 5, "the server broke off"),
    ):
        server = serve(lambda number, body, finish=finish: said({"content": "I cannot judge that"}, finish=finish))
        with pytest.raises(LLMError, match=words):
            client(server, max_tokens=2048).ask_sync(ASKED)
        assert len(server.bodies) == calls


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I cannot judge that."},
        {"content": "", "refusal": "I cannot judge that."},
        {"content": [{"type": "refusal", "refusal": "I cannot judge that."}]},
    ],
)
def test_a_refusal_of_the_model_is_asked_once_and_told_in_its_words(serve, message):
    server = serve(lambda number, body: said(message))
    asking = client(server)
    with pytest.raises(LLMError, match=r"the model refused to answer: I cannot judge that\.") as caught:
        asking.ask_sync(ASKED, schema=Verdict)
    assert len(server.bodies) == caught.value.calls == 1
    assert caught.value.tokens_in == asking.usage.tokens_in == 10
    assert asking.notes() == []


def test_a_limit_is_never_tried_twice_and_what_was_enough_is_remembered(serve):
    def answer(number, body):
        return '{"score": 2}' if body["max_tokens"] >= 400 else (200, {}, completion('{"sco', finish="length"))

    server = serve(answer)
    asking = client(server, max_tokens=100)
    assert asking.ask_sync(ASKED, schema=Verdict).calls == 3
    assert asking.ask_sync(ANOTHER, schema=Verdict).calls == 1
    assert [body["max_tokens"] for body in server.bodies] == [100, 200, 400, 400]


@pytest.mark.parametrize(
    "message", [{"content": '{"sco'}, {"content": None, "reasoning_content": "Let me think"}, {"content": ""}]
)
def test_what_is_always_cut_off_ends_at_four_times_the_limit_and_names_the_option(serve, message):
    server = serve(lambda number, body: said(message, finish="length"))
    with pytest.raises(LLMError, match=r"cut off at 400 tokens \(it began with 100\): allow more with --max-tokens") as caught:
        client(server, max_tokens=100, retries=9).ask_sync(ASKED, schema=Verdict)
    assert [body["max_tokens"] for body in server.bodies] == [100, 200, 400]
    assert caught.value.calls == 3
    assert all("response_format" in body for body in server.bodies)


def test_a_limit_under_its_new_name_grows_as_well(serve):
    server = serve(Dialect({"max_tokens": (400, O1)}, reply=said({"content": ""}, finish="length")))
    with pytest.raises(LLMError, match="cut off at 400"):
        client(server, max_tokens=100).ask_sync(ASKED)
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 100, 200, 400]
    given = client(serve(Dialect()), extra={"max_completion_tokens": 7})
    given.ask_sync(ASKED)
    assert given.settings == {"temperature": 0.0, "max_completion_tokens": 7}


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 2, "score": -2}',
        '{"score": 2, "why": {"a": 1, "a": 2}}',
        "{'score': 2, 'score': -2,}",
        "{score: 2, 'score': -2}",
        '{"score": 2, // first\n "score": 1}',
        '```json\n{"score": 2, "score": 2}\n```',
    ],
)
def test_a_key_that_is_there_twice_is_no_verdict(serve, text):
    server = serve(lambda number, body: text if number == 1 else '{"score": 1}')
    reply = client(server).ask_sync(ASKED, schema=Verdict)
    assert (reply.data.score, reply.calls) == (1, 2)


@pytest.mark.parametrize(
    "text",
    [
        "{'score': 2, 'parts': [{'a': 1}, {'a': 2}], 'more': {'score': 1},}",
        "{'score': 2, 'why': 'score: 1, score: 2',}",
        '{"score": 2, "why": "it\'s \\"score\\": 1, \'score\': 2",}',
    ],
)
def test_a_key_of_other_objects_or_inside_a_text_is_not_there_twice(serve, text):
    assert client(serve(lambda number, body: text), retries=0).ask_sync(ASKED, schema=Verdict).data.score == 2


def test_a_servers_time_to_wait_is_read_in_every_form(serve):
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert 27 < wait_of({"retry-after": format_datetime(soon, usegmt=True)}) <= 30
    assert 27 < wait_of({"retry-after": format_datetime(soon)}) <= 30
    assert wait_of({"retry-after": "3", "retry-after-ms": "1500"}) == 1.5
    assert wait_of({"retry-after": "7200"}) == 60
    assert [wait_of({"retry-after": text}) for text in ("-5", "soon", "nan", "", "inf")] == [0, None, None, None, 60]
    for headers in (
        {"retry-after-ms": "400"},
        {"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)},
    ):
        server = serve(lambda number, body, headers=headers: (429, headers, "{}") if number == 1 else "done")
        began = time.perf_counter()
        client(server).ask_sync(ASKED)
        assert 0.4 <= time.perf_counter() - began < 3


def test_a_query_in_an_address_stays_behind_the_path(serve):
    server = serve(lambda number, body: "done")
    for tail in ("?api-version=2024-10-21", "/?api-version=2024-10-21"):
        Client(server.url + tail, "m", api_key="k-123", retries=0).ask_sync(ASKED)
        line = server.heads[-1].split("\r\n")[0]
        assert line == "POST /v1/chat/completions?api-version=2024-10-21 HTTP/1.1"
        assert "api-key: k-123" in server.heads[-1].lower()
    Client(server.url, "m", api_key="k-123").ask_sync(ANOTHER)
    assert "api-key" not in server.heads[-1].lower()


def test_what_a_server_echoes_of_the_key_and_the_password_is_cut_out(serve):
    server = serve(lambda number, body: (401, {}, json.dumps({"detail": "no access for Bearer sk-12345678 at secretword"})))
    address = server.url.replace("http://", "http://me:secretword@")
    with pytest.raises(LLMError) as caught:
        Client(address, "m", api_key="sk-12345678").ask_sync(ASKED)
    assert "no access for Bearer [key] at [key]" in str(caught.value)
    assert "secretword" not in str(caught.value)


@pytest.mark.parametrize("size", [10, 100_000])
def test_long_refusals_are_read_in_linear_time_and_shown_in_part(size):
    for body in ("<" * size, "<a" * size, "{" * size, '{"error": ' * size, "<style>" * size, json.dumps({"error": "x" * size})):
        began = time.perf_counter()
        assert len(words_of(body)) <= 410
        assert time.perf_counter() - began < 0.5


def table():
    """The dialects as docs/dialects.md lists them."""
    lines = ["| the server | requests of the first question, the next, 64 at once | asked in the end |", "|---|---|---|"]
    for name, (_, (first, second), sent) in DIALECTS.items():
        less = [part for part in ("max_tokens", "temperature", "response_format") if part not in sent]
        instead = {
            "max_tokens": "`max_completion_tokens`",
            "response_format": "the schema in the prompt",
            "temperature": "no `temperature`",
        }
        words = [instead[part] for part in less if part != "max_tokens" or "max_completion_tokens" in sent]
        words += ["no limit of tokens"] if "max_tokens" in less and "max_completion_tokens" not in sent else []
        words += ["the system's text before the user's"] if "system" in name or "four" in name else []
        lines.append(f"| {name} | {first}, {second}, {64 + first + second - 2} | {', '.join(words) or 'as it is'} |")
    return lines


def test_the_table_in_the_docs_is_this_one():
    docs = Path(__file__).parents[2] / "docs" / "dialects.md"
    assert "\n".join(table()) in docs.read_text(encoding="utf-8")
