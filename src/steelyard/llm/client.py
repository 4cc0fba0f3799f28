"""`Client`: one question to a language model, answered once, whatever the server does on the way.

A request waits for its turn (concurrency, rate), is refused when the budget is used up, is taken from the cache where it was answered before, joins
an equal one that is under way, and is tried again, on the next server where there are several, when it fails or its reply does not check.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from steelyard.errors import BudgetError, InputError, LLMError, UnreachableError
from steelyard.llm._connections import Asked, OfLoop, check_proxies, is_address
from steelyard.llm._dialects import MOST_LESSONS, Dialect, dialect_of
from steelyard.llm._question import Question
from steelyard.llm._replies import (
    Answered,
    BadReplyError,
    CutOffError,
    FailedError,
    Messages,
    bounded,
    hold_to,
    json_schema,
    parsed,
    schema_text,
    with_schema,
)
from steelyard.llm._requests import RefusedError, post
from steelyard.llm._server_words import LONGEST_WAIT, shown_address
from steelyard.llm.cache import ReplyCache
from steelyard.llm.loop import run_sync
from steelyard.llm.usage import Budget, Reply, Usage

_STRUCTURES = ("auto", "schema", "prompt")
_OURS = ("model", "messages", "response_format", "stream", "n")
"""Parts of a request that `extra` cannot set."""
_SHUT, _PAUSE = 5, 60.0
"""Refusals in a row that stand for all questions, after which a server is passed over, and for how many seconds, where there are others."""


class Client:
    """Asks a model behind one or more OpenAI-compatible servers.

    Args:
        base_urls: of servers that all serve the model, as "http://127.0.0.1:8000/v1"; requests are dealt out among them.
        model: its name there.
        api_key: default: the environment's OPENAI_API_KEY, or none.
        concurrency: requests in flight at once, over all servers.
        per_minute: requests begun in a minute at most; None is no limit.
        cache: a file or a `ReplyCache`; None keeps nothing.
        budget: see `Budget`.
        timeout: seconds for a reply.
        retries: further tries after the first.
        temperature: of the request, 0 to 2.
        max_tokens: of a reply. One that is cut off is asked again with twice, then with four times as many, and never with the same.
        extra: of the request, passed on as it is ({"top_p": .9, "seed": 1}).
        structure: how a schema is kept: "schema" by the server (response_format), "prompt" by asking for it and repairing what comes, "auto" by
            the server, and by the prompt where it refuses or ignores it.
        longest_string: a bound that the server is given for every string of a schema, so that a weak model comes to an end.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> client = Client("http://127.0.0.1:9/v1", "judge", retries=0, timeout=1.0)
        >>> client.ask_sync([{"role": "user", "content": "hi"}])
        Traceback (most recent call last):
        steelyard.errors.UnreachableError: no server of 'judge' answers at http://127.0.0.1:9/v1 (...): start it, or give another --base-url
    """

    def __init__(
        self,
        base_urls: str | Sequence[str],
        model: str,
        *,
        api_key: str | None = None,
        concurrency: int = 32,
        per_minute: float | None = None,
        cache: Path | str | ReplyCache | None = None,
        budget: Budget | None = None,
        timeout: float = 120.0,
        retries: int = 4,
        temperature: float = 0.0,
        max_tokens: int = 2048,
        extra: Mapping[str, Any] | None = None,
        structure: str = "auto",
        longest_string: int | None = None,
    ) -> None:
        self.base_urls = [base_urls] if isinstance(base_urls, str) else list(base_urls)
        if not self.base_urls or not all(isinstance(url, str) and is_address(url) for url in self.base_urls):
            given = [shown_address(url) if isinstance(url, str) else url for url in self.base_urls]
            raise InputError(f"base_urls must be addresses such as http://127.0.0.1:8000/v1, but are {given}")
        for url in self.base_urls:
            check_proxies(url)
        api_key = (api_key or os.environ.get("OPENAI_API_KEY") or "none").strip()
        if not api_key.isascii() or not api_key.isprintable():
            raise InputError("the API key (OPENAI_API_KEY) holds signs that no key has: was it copied whole, and alone?")
        for label, value, least in (("concurrency", concurrency, 1), ("retries", retries, 0), ("max_tokens", max_tokens, 1)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"{label} must be a whole number, at least {least}, but is {value!r}")
        for label, limit in (("timeout", timeout), ("per_minute", per_minute)):
            if limit is not None and not limit > 0:
                raise InputError(f"{label} must be positive, but is {limit!r}")
        if not isinstance(temperature, (int, float)) or not 0 <= temperature <= 2:
            raise InputError(f"temperature must be a number from 0 to 2, but is {temperature!r}")
        if structure not in _STRUCTURES:
            raise InputError(f"structure must be one of {', '.join(_STRUCTURES)}, but is {structure!r}")
        if ours := [name for name in _OURS if name in (extra or {})]:
            raise InputError(f"extra cannot hold {', '.join(ours)}: the client sets that itself")
        self.model, self.api_key, self.timeout, self.retries = model, api_key, timeout, retries
        self.concurrency, self.per_minute = concurrency, per_minute
        self.cache = cache if cache is None or isinstance(cache, ReplyCache) else ReplyCache(cache)
        self.budget, self.usage = budget or Budget(), Usage()
        self.settings = {"temperature": temperature, "max_tokens": max_tokens, **(extra or {})}
        if "max_completion_tokens" in self.settings:
            del self.settings["max_tokens"]
        self.structure, self.longest_string = structure, longest_string
        self._next, self._clock = 0, 0.0
        self._shut: dict[str, tuple[int, float]] = {}
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, OfLoop] = weakref.WeakKeyDictionary()

    async def ask(
        self,
        messages: Messages,
        *,
        schema: type[BaseModel] | None = None,
        check: Callable[[Any], None] | None = None,
        sample: int = 0,
        **settings: Any,
    ) -> Reply:
        """Ask, and wait for a usable reply.

        Args:
            messages: `role` and `content` of each.
            schema: what the reply must be, as JSON; the parsed object is the reply's `data`.
            check: raises ValueError where the parsed object (or the text) is of no use; then it is asked again.
            sample: equal questions with another number are asked anew and cached apart.
            settings: of this request, over those of the client.

        Raises:
            LLMError: where all tries failed; `UnreachableError` and `BudgetError` are such.
        """
        settings = {**self.settings, **settings}
        asked = {"model": self.model, "messages": messages, "settings": settings, "sample": sample}
        key = ReplyCache.key(**asked, schema=None if schema is None else schema_text(schema))
        if self.cache is not None and (kept := self.cache.get(key)) is not None:
            # What does not check, by a check that the reply was not kept under, is asked anew.
            with contextlib.suppress(BadReplyError):
                reply = Reply(kept[0], parsed(kept[0], schema, check), 0, kept[1], kept[2])
                self.usage.cached += 1
                return reply
        state = self._of_loop()
        if (joined := state.under_way.get(key)) is not None:
            reply = await self._wait_for(state, joined, other=True)
            # What does not check, by a check that was not that question's, is asked anew.
            with contextlib.suppress(BadReplyError):
                reply = Reply(reply.text, parsed(reply.text, schema, check), 0, reply.tokens_in, reply.tokens_out)
                self.usage.cached += 1
                return reply
        begun = Asked(key, asyncio.ensure_future(self._ask_and_keep(state, key, messages, schema, check, settings)))
        state.under_way[key] = begun
        begun.task.add_done_callback(lambda _: state.leave(begun))
        return await self._wait_for(state, begun)

    async def _wait_for(self, state: OfLoop, asked: Asked, *, other: bool = False) -> Reply:
        """The reply to a question under way, which is given up with the last one who waits for it."""
        asked.waiting += 1
        try:
            return await asyncio.shield(asked.task)
        except LLMError as error:
            if not other:
                raise
            # Counted where it was asked.
            raise type(error)(str(error), reply=error.reply) from None
        finally:
            asked.waiting -= 1
            if not asked.waiting and not asked.task.done():
                state.leave(asked)
                asked.task.cancel()

    async def _ask_and_keep(
        self, state: OfLoop, key: str, messages: Messages, schema: Any, check: Any, settings: dict[str, Any]
    ) -> Reply:
        reply = await self._ask(state, messages, schema, check, settings)
        if self.cache is not None:
            self.cache.put(key, self.model, reply.text, reply.tokens_in, reply.tokens_out)
        return reply

    def ask_sync(self, messages: Messages, **keywords: Any) -> Reply:
        """As `ask`, from code without an event loop."""
        return run_sync(self.ask(messages, **keywords))

    def notes(self) -> list[str]:
        """What was asked otherwise than it would have been, since a server wants it so: a line a server."""
        lines = (dialect_of(url, self.model).note(url) for url in self.base_urls)
        return [line for line in lines if line is not None]

    # One question ------------------------------------------------------------------------------------------------------------------------

    async def _ask(self, state: OfLoop, messages: Messages, schema: Any, check: Any, settings: dict[str, Any]) -> Reply:
        async with state.turns:
            question = Question(messages, schema, check, settings)
            calls, failure, barred, cut_off = 0, LLMError("never asked"), False, ""
            shut: set[str] = set()
            last = ""
            while calls <= self.retries:
                url = last = self._server(shut, last)
                calls += 1
                barred = False
                try:
                    reply = await self._try(state, url, question, calls)
                    self.usage.answered += 1
                    return reply
                except CutOffError as cut:
                    self.usage.failures += 1
                    cut_off = question.cut_off()
                    failure = LLMError(f"{self.model}: {cut_off}", calls=calls, reply=cut.text)
                    if not question.longer():
                        break
                except BadReplyError as bad:
                    self.usage.failures += 1
                    failure = LLMError(f"{self.model}: no usable reply in {calls} calls: {bad}", calls=calls, reply=bad.text)
                except FailedError as failed:
                    self.usage.failures += 1
                    kind = UnreachableError if failed.unreachable else LLMError
                    # A limit that nobody set may be refused.
                    before = f"{self.model}: {cut_off}, and asked for more, " if cut_off and failed.hopeless else ""
                    failure, barred = (
                        kind(before + self._why(url, failed, calls), calls=calls),
                        failed.barred or failed.unreachable,
                    )
                    if failed.barred:
                        self._shut[url] = (self._shut.get(url, (0, 0.0))[0] + 1, time.monotonic() + _PAUSE)
                        # Another server may let us in.
                        shut.add(url)
                        failed.hopeless = shut.issuperset(self._open())
                    if failed.hopeless:
                        break
                    if calls <= self.retries and not failed.barred:
                        await asyncio.sleep(failed.wait if failed.wait is not None else _backoff(calls))
            self.usage.barred += barred
            failure.tokens_in, failure.tokens_out = question.tokens_in, question.tokens_out
            raise failure

    async def _try(self, state: OfLoop, url: str, question: Question, number: int) -> Reply:
        """One try on one server, made anew as often as the server teaches how it wants to be asked.

        Raises:
            BadReplyError, FailedError: where it brought nothing.
        """
        dialect = dialect_of(url, self.model)
        sent: dict[str, Any] = {}
        by_prompt = False

        def form() -> frozenset[str]:
            """Make the request as the server takes it by now, and give its form."""
            nonlocal sent, by_prompt
            by_prompt = self.structure == "prompt" or (self.structure == "auto" and dialect.by_prompt)
            sent = self._body(question, number, dialect, by_prompt)
            return frozenset(sent)

        async with state.probing(url, dialect, form):
            refusal: RefusedError | None = None
            learnt: list[str] = []
            for lesson in range(MOST_LESSONS + 1):
                self.usage.failures += bool(lesson)
                await self._wait_for_rate()
                self._check_budget(number - 1)
                if lesson or self.per_minute is not None:
                    # Something was learnt meanwhile.
                    form()
                self.usage.calls += 1
                try:
                    answered = await post(state.client(url, self.api_key, self.timeout, self.concurrency), url, sent)
                except RefusedError as error:
                    name = dialect.refuses(error.status, error.words, error.codes, sent)
                    if name is not None and lesson < MOST_LESSONS and (name != "response_format" or self.structure == "auto"):
                        dialect.learn(name)
                        learnt.append(name)
                        continue
                    if error.failed.hopeless and not error.failed.barred:
                        # Refused in every form: what was learnt on the way was none of it.
                        dialect.unlearn(learnt)
                    if refusal is not None:
                        # It was not for its form that the first was refused.
                        dialect.doubted = dialect.worked
                        raise refusal.failed from None
                    if name is None and self.structure == "auto" and dialect.may_refuse_silently(error.status, error.words, sent):
                        dialect.doubt()
                        if error.status < 500:
                            refusal = error
                            continue
                    raise error.failed from None
                # The server takes this form; whether the reply is of use is another matter.
                self.usage.barred, self._shut[url] = 0, (0, 0.0)
                question.spend(answered)
                self.usage.tokens_in += answered.tokens_in
                self.usage.tokens_out += answered.tokens_out
                dialect.settled.add(frozenset(sent))
                reply = self._read(question, answered, number, dialect, formed="response_format" in sent)
                if by_prompt:
                    dialect.worked_without(sure=refusal is not None)
                return reply
        raise AssertionError("the last round returns or raises")

    def _read(self, question: Question, answered: Answered, number: int, dialect: Dialect, *, formed: bool) -> Reply:
        """The reply in what a server answered; what it says about the server is learnt."""
        if answered.refusal is not None:
            raise FailedError(f"the model refused to answer: {' '.join(answered.refusal.split())[:300]}", hopeless=True)
        try:
            answered.check()
            data = parsed(answered.text, question.schema, None)
        except CutOffError:
            raise
        except BadReplyError as bad:
            if formed and bad.formless and self.structure == "auto":
                dialect.passed_over_form()
            raise
        if formed:
            dialect.took_form()
        if question.check is not None:
            hold_to(question.check, data, answered.text)
        question.enough(dialect)
        return Reply(answered.text, data, number, question.tokens_in, question.tokens_out)

    def _body(self, question: Question, number: int, dialect: Dialect, by_prompt: bool) -> dict[str, Any]:
        """The request, as this server takes it."""
        sent = question.limited(dialect)
        if number > 1 and not sent.get("temperature"):
            # The same words at temperature 0 would bring the same reply.
            sent |= {"temperature": 0.5, "seed": number}
        schema = question.schema
        if schema is not None and not by_prompt:
            described = {"name": schema.__name__, "schema": bounded(json_schema(schema), self.longest_string), "strict": True}
            sent["response_format"] = {"type": "json_schema", "json_schema": described}
        messages = with_schema(question.messages, schema) if schema is not None and by_prompt else list(question.messages)
        formed = sent.get("response_format")
        said = dialect.spoken({"model": self.model, "messages": messages, **sent})
        if formed is not None:
            said["response_format"] = formed
        return said

    def _why(self, url: str, failed: FailedError, calls: int) -> str:
        if failed.unreachable:
            where = ", ".join(map(shown_address, self.base_urls))
            return f"no server of {self.model!r} answers at {where} ({failed}): start it, or give another --base-url"
        address = shown_address(url)
        hint = "; is the key right (OPENAI_API_KEY)?" if "HTTP 401" in str(failed) else ""
        hint += "; do its addresses end in /v1?" if "404" in str(failed) and not address.rstrip("/").endswith("/v1") else ""
        return f"{self.model}: the server at {address} failed in {calls} calls: {failed}{hint}"

    def _open(self) -> list[str]:
        """The servers that let us in, or have not been asked for a while."""
        now = time.monotonic()
        return [url for url in self.base_urls if self._shut.get(url, (0, 0.0))[0] < _SHUT or self._shut[url][1] < now]

    def _server(self, shut: set[str], last: str) -> str:
        """Whose turn it is, among those that did not shut this question out, and another than last time where there is one."""
        may = [url for url in self._open() if url not in shut] or self.base_urls
        may = [url for url in may if url != last] or may
        while True:
            self._next += 1
            if (url := self.base_urls[(self._next - 1) % len(self.base_urls)]) in may:
                return url

    # Limits ------------------------------------------------------------------------------------------------------------------------------

    def _check_budget(self, calls: int) -> None:
        if self.budget.calls is not None and self.usage.calls >= self.budget.calls:
            raise BudgetError(f"the budget of {self.budget.calls} calls is used up", calls=calls)
        if self.budget.tokens is not None and self.usage.tokens >= self.budget.tokens:
            raise BudgetError(f"the budget of {self.budget.tokens} tokens is used up", calls=calls)

    async def _wait_for_rate(self) -> None:
        if self.per_minute is None:
            return
        now = time.monotonic()
        self._clock = max(self._clock, now) + 60.0 / self.per_minute
        await asyncio.sleep(self._clock - 60.0 / self.per_minute - now)

    def _of_loop(self) -> OfLoop:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._loops[loop] = OfLoop(asyncio.Semaphore(self.concurrency))
        return self._loops[loop]


def _backoff(calls: int) -> float:
    """Half a second, doubled with every try, give or take a half, so that clients that failed together do not come back together."""
    return min(0.5 * 2 ** (calls - 1), LONGEST_WAIT) * random.uniform(0.5, 1.5)
