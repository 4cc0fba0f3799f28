"""The client against servers that misbehave: what can be had is had, what cannot is an error with its calls counted, never an answer."""

import asyncio
import json
import multiprocessing
import time

import pytest

from misbehaving_server import Verdict, completion, said
from steelyard.errors import BudgetError, InputError, LLMError, UnreachableError
from steelyard.llm import Budget, Client, ReplyCache

ASKED = [{"role": "system", "content": "rules"}, {"role": "user", "content": "question"}]


def client(server, **changes):
    return Client(server.url, "m", **{"retries": 2, "timeout": 5.0, **changes})


@pytest.mark.parametrize(
    "first",
    [
        (500, {}, "{}"),
        (503, {}, "<html>busy</html>"),
        (429, {"retry-after": "0"}, "{}"),
        (408, {}, "{}"),
        (200, {}, "<html>a proxy's page</html>"),
        (200, {}, '{"choices": []}'),
        (200, {}, "null"),
        (200, {}, "half"),
        (200, {}, completion("")),
        (200, {}, completion('{"score": 1', finish="length")),
        "close",
        "no JSON at all",
        '{"score": "many"}',
        '{"points": 1}',
        "[1]",
    ],
)
def test_one_bad_reply_is_asked_again_and_counted(serve, first):
    server = serve(lambda number, body: first if number == 1 else '{"score": 2}')
    asking = client(server)
    reply = asking.ask_sync(ASKED, schema=Verdict)
    assert reply.data.score == 2
    assert reply.calls == len(server.bodies) == asking.usage.calls == 2
    assert asking.usage.failures == 1


@pytest.mark.parametrize(
    ("always", "kind", "message"),
    [
        ((500, {}, "{}"), LLMError, "failed in 3 calls"),
        ("no JSON", LLMError, "no usable reply in 3 calls: the reply is not the JSON that was asked for"),
        ("close", UnreachableError, "start it, or give another --base-url"),
    ],
)
def test_what_never_works_is_an_error_after_all_retries(serve, always, kind, message):
    server = serve(lambda number, body: always)
    with pytest.raises(kind, match=message) as caught:
        client(server).ask_sync(ASKED, schema=Verdict)
    assert caught.value.calls == len(server.bodies) == 3
    if always == "no JSON":
        assert caught.value.reply == "no JSON"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_asking_again_cannot_mend_is_asked_once(serve, status):
    server = serve(lambda number, body: (status, {}, '{"error": {"message": "no such model"}}'))
    with pytest.raises(LLMError, match="no such model"):
        client(server).ask_sync(ASKED)
    assert len(server.bodies) == 1


def test_a_hanging_server_is_left_after_the_timeout(serve):
    server = serve(lambda number, body: "hang" if number == 1 else "done")
    began = time.perf_counter()
    assert client(server, timeout=0.3).ask_sync(ASKED).text == "done"
    assert 0.3 < time.perf_counter() - began < 60  # it would hang for an hour


def test_a_server_says_how_long_to_wait(serve):
    server = serve(lambda number, body: (429, {"retry-after": "0.5"}, "{}") if number == 1 else "done")
    began = time.perf_counter()
    client(server).ask_sync(ASKED)
    assert time.perf_counter() - began >= 0.5


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 2}',
        '```json\n{"score": 2}\n```',
        '{"score": 2, "why": "a \\"}\\" in a string"}',
        '<think>{"score": -1} or so</think>\n{"score": 2}',
        "{'score': 2,}",
        '{"score": 2, // at last\n}',
    ],
)
def test_json_is_found_and_repaired(serve, text):
    assert client(serve(lambda number, body: text), retries=0).ask_sync(ASKED, schema=Verdict).data.score == 2


@pytest.mark.parametrize(
    "text",
    [
        'I can\'t compare these: one of them holds a verdict, {"score": 2}',
        'Here it is: {"score": 2}',
        '{"score": -1}\nAnswer 1 says {"score": 2}',
        '```json\n{"score": 2}\n```\n{"score": -1}',
        '<think>it says {"score": 2}',
        '{"score": 2, "rest": [1, 2}',
        '{"criteria": [{"name": "x", "score": 2}',
        '{"score": 2, "cut": "of',
    ],
)
def test_an_object_among_words_or_cut_off_is_no_verdict(serve, text):
    with pytest.raises(LLMError, match="the reply is not the JSON that was asked for"):
        client(serve(lambda number, body: text), retries=0).ask_sync(ASKED, schema=Verdict)


def test_what_a_filter_cut_off_is_no_reply_and_odd_counts_of_tokens_are_none(serve):
    def answer(number, body):
        usage = ("none", {"prompt_tokens": "n/a", "completion_tokens": 1e400}, {"prompt_tokens": 3, "completion_tokens": 2})[
            number - 1
        ]
        choice = {"message": {"content": "{}"}, "finish_reason": "content_filter" if number == 1 else "stop"}
        return 200, {}, json.dumps({"choices": [choice], "usage": usage})

    asking = client(serve(answer), retries=1)
    asking.ask_sync(ASKED)
    assert (asking.usage.calls, asking.usage.failures, asking.usage.tokens) == (2, 1, 0)
    asking.ask_sync([{"role": "user", "content": "another"}])
    assert (asking.usage.tokens_in, asking.usage.tokens_out, asking.usage.answered) == (3, 2, 2)


def test_tokens_of_a_reply_are_those_of_all_its_tries(serve):
    asking = client(serve(lambda number, body: "garbage" if number == 1 else '{"score": 1}'), retries=1)
    reply = asking.ask_sync(ASKED, schema=Verdict)
    assert (reply.tokens_in, reply.tokens_out) == (asking.usage.tokens_in, asking.usage.tokens_out)
    assert reply.calls == 2


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/v1", "http://127.0.0.1:abc/v1", "http://[::1/v1", "ftp://x/v1", "127.0.0.1:80"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InputError, match="base_urls must be addresses"):
        Client(url, "m")


def test_a_server_without_schemas_is_asked_by_the_prompt_from_then_on(serve):
    def answer(number, body):
        if "response_format" in body:
            return (400, {}, '{"error": {"message": "response_format is not supported"}}')
        return '{"score": 1}'

    server = serve(answer)
    asking = client(server, retries=0)
    assert asking.ask_sync(ASKED, schema=Verdict).data.score == 1
    asking.ask_sync([{"role": "user", "content": "another"}], schema=Verdict)
    assert ["response_format" in body for body in server.bodies] == [True, False, False]
    # What stays the same from question to question is in front, the schema with it.
    assert server.bodies[1]["messages"][0]["content"].startswith("rules\n\nAnswer with one JSON object")
    assert server.bodies[1]["messages"][1] == ASKED[1]
    with pytest.raises(LLMError, match="response_format is not supported"):
        client(server, structure="schema").ask_sync(ASKED, schema=Verdict)


def test_a_reply_that_does_not_check_is_asked_again_at_another_temperature(serve):
    server = serve(lambda number, body: f'{{"score": {number}}}')

    def even(verdict):
        if verdict.score % 2:
            raise ValueError("odd")

    assert client(server).ask_sync(ASKED, schema=Verdict, check=even).data.score == 2
    assert [body["temperature"] for body in server.bodies] == [0.0, 0.5]


def test_no_more_are_in_flight_than_allowed_and_equal_questions_are_asked_once(serve):
    async def slowly(number, body):
        await asyncio.sleep(0.05)
        return "done"

    server = serve(slowly)
    asking = client(server, concurrency=4)

    async def all_of_them():
        questions = [[{"role": "user", "content": str(i % 12)}] for i in range(24)]
        return await asyncio.gather(*(asking.ask(question) for question in questions))

    replies = asyncio.run(all_of_them())
    assert len(server.bodies) == 12
    assert server.most == 4
    assert asking.usage.cached == 12
    assert sorted(reply.calls for reply in replies) == [0] * 12 + [1] * 12


def test_requests_are_dealt_out_among_servers_and_one_that_is_gone_is_passed_over(serve):
    first, second = serve(lambda number, body: "a"), serve(lambda number, body: "b")
    asking = Client([first.url, second.url, "http://127.0.0.1:9/v1"], "m", retries=2, timeout=2.0)
    for i in range(6):
        asking.ask_sync([{"role": "user", "content": str(i)}])
    assert len(first.bodies) == len(second.bodies) == 3


def test_a_question_that_failed_on_one_server_goes_to_another(serve):
    """With two servers and two questions at a time, turns alone would send one of them to the broken server again and again."""
    broken, whole = serve(lambda number, body: (500, {}, "{}")), serve(lambda number, body: "done")
    asking = Client([broken.url, whole.url], "m", concurrency=2, retries=1, timeout=5.0)

    async def all_of_them():
        return await asyncio.gather(*(asking.ask([{"role": "user", "content": str(i)}]) for i in range(40)))

    assert {reply.text for reply in asyncio.run(all_of_them())} == {"done"}


def test_the_rate_is_kept(serve):
    asking = client(serve(lambda number, body: "done"), per_minute=600)

    async def five():
        await asyncio.gather(*(asking.ask([{"role": "user", "content": str(i)}]) for i in range(5)))

    began = time.perf_counter()
    asyncio.run(five())
    assert 0.35 < time.perf_counter() - began < 2


def test_the_budget_stops_before_the_next_call(serve):
    server = serve(lambda number, body: (500, {}, "{}") if number == 2 else "done")
    asking = client(server, budget=Budget(calls=3))
    for i in range(2):
        asking.ask_sync([{"role": "user", "content": str(i)}])
    with pytest.raises(BudgetError, match="budget of 3 calls is used up"):
        asking.ask_sync(ASKED)
    assert len(server.bodies) == 3
    spent = client(server, budget=Budget(tokens=20))
    spent.ask_sync([{"role": "user", "content": "1"}])
    spent.ask_sync([{"role": "user", "content": "2"}])
    with pytest.raises(BudgetError, match="budget of 20 tokens is used up"):
        spent.ask_sync(ASKED)


def test_what_was_asked_is_kept_on_disk_by_everything_it_depends_on(serve, tmp_path):
    server = serve(lambda number, body: f'{{"score": {number}}}')
    path = tmp_path / "cache.sqlite"

    def ask(**keywords):
        made = client(server, cache=path, **keywords.pop("client", {}))
        return made.ask_sync(keywords.pop("messages", ASKED), **{"schema": Verdict, **keywords}).text

    assert ask() == ask() == '{"score": 1}'
    others = [
        ask(sample=1),
        ask(schema=None),
        ask(client={"temperature": 0.3}),
        ask(client={"max_tokens": 9}),
        ask(messages=ASKED[::-1]),
        ask(client={"extra": {"top_p": 0.5}}),
    ]
    assert others == [f'{{"score": {n}}}' for n in range(2, 8)]
    assert ask() == '{"score": 1}'
    assert len(server.bodies) == 7


def test_failures_are_not_kept(serve, tmp_path):
    server = serve(lambda number, body: "no JSON" if number == 1 else '{"score": 3}')
    asking = client(server, cache=tmp_path / "c.sqlite", retries=0)
    with pytest.raises(LLMError):
        asking.ask_sync(ASKED, schema=Verdict)
    assert asking.ask_sync(ASKED, schema=Verdict).data.score == 3


def _fill(path, start):
    cache = ReplyCache(path)
    for i in range(200):
        cache.put(ReplyCache.key(number=i), "m", f"reply {start}", 1, 1)


def test_processes_share_the_cache(tmp_path):
    path = tmp_path / "c.sqlite"
    workers = [multiprocessing.get_context("spawn").Process(target=_fill, args=(path, start)) for start in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(ReplyCache(path)) == 200


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Client("localhost:8000", "m"), "base_urls must be addresses such as"),
        (lambda: Client([], "m"), "base_urls must be addresses"),
        (lambda: Client("http://a/v1", "m", concurrency=0), "concurrency must be a whole number, at least 1, but is 0"),
        (lambda: Client("http://a/v1", "m", timeout=0), "timeout must be positive"),
        (lambda: Client("http://a/v1", "m", structure="xml"), "structure must be one of"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    (tmp_path / "c.sqlite").write_text("not a database, but long enough to be taken for one" * 40)
    with pytest.raises(InputError, match="give another file, or remove it"):
        ReplyCache(tmp_path / "c.sqlite")


def test_a_kept_reply_that_a_new_check_refuses_is_asked_anew(serve):
    server = serve(lambda number, body: f'{{"score": {number}}}')
    asking = client(server, cache=":memory:")
    assert asking.ask_sync(ASKED, schema=Verdict).data.score == 1

    def even(verdict):
        if verdict.score % 2:
            raise ValueError("odd")

    assert asking.ask_sync(ASKED, schema=Verdict, check=even).data.score == 2
    assert asking.usage.cached == 0


def test_tokens_of_replies_of_no_use_are_spent_all_the_same(serve):
    cut = (200, {}, completion('{"score": 1', finish="length", tokens=(10, 90)))
    asking = client(serve(lambda number, body: cut), budget=Budget(tokens=150), retries=4)
    with pytest.raises(BudgetError, match="budget of 150 tokens is used up"):
        asking.ask_sync(ASKED, schema=Verdict)
    assert asking.usage.tokens == 200


def test_an_exit_in_the_loop_reaches_the_caller_and_the_loop_lives_on():
    from steelyard.llm import run_sync

    async def leave():
        raise SystemExit(1)

    async def answer():
        return 42

    with pytest.raises(SystemExit):
        run_sync(leave())
    assert run_sync(answer()) == 42


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secretword@host:80x/v1",
        "htp://me:secretword@host/v1",
        "me:secretword@host",
        "http:/me:secretword@host/v1?key=secretword",
        "http://[me:secretword@x",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(InputError, match="base_urls must be addresses") as caught:
        Client(url, "m")
    assert "secretword" not in str(caught.value)
    with pytest.raises(InputError, match="base_urls must be addresses"):
        Client([url, 3], "m")


def test_a_larger_limit_that_is_refused_does_not_hide_the_reply_that_was_cut_off(serve):
    refusal = json.dumps({"error": {"message": "max_tokens=200 cannot be greater than max_model_len=150", "code": 400}})

    def answer(number, body):
        return said({"content": '{"score": '}, finish="length") if body["max_tokens"] <= 100 else (400, {}, refusal)

    with pytest.raises(LLMError, match=r"cut off at 100 tokens: .*, and asked for more, .*max_tokens=200 cannot be greater"):
        Client(serve(answer).url, "m", max_tokens=100).ask_sync([{"role": "user", "content": "hi"}], schema=Verdict)
