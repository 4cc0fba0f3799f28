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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from steelyard.errors import BudgetError, InputError, LLMError, UnreachableError
from steelyard.llm._replies import BadReplyError, FailedError, Messages, bounded, json_schema, parsed, read_answer, with_schema
from steelyard.llm.cache import ReplyCache

_STRUCTURES = ("auto", "schema", "prompt")
_RETRIED = (408, 409, 425, 429)
_POOL = 16
"""Requests in flight that share a connection pool."""
_LONGEST_WAIT = 60.0
"""Seconds that are waited at most between two tries, whatever the server says."""


@dataclass
class Budget:
    """What may be spent; None is no limit.

    Attributes:
        calls: requests, retries included.
        tokens: in and out together; requests in flight when they are used up still come in.
    """

    calls: int | None = None
    tokens: int | None = None


@dataclass
class Usage:
    """What was spent so far.

    Attributes:
        calls: requests made, retries included.
        failures: those that brought no usable reply.
        cached: questions answered from the cache, or by an equal question under way.
        answered: questions that a server answered.
        tokens_in, tokens_out: as the servers count them.
    """

    calls: int = 0
    failures: int = 0
    cached: int = 0
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def tokens(self) -> int:
        """In and out together."""
        return self.tokens_in + self.tokens_out


@dataclass(frozen=True)
class Reply:
    """A usable reply.

    Attributes:
        text: as the model wrote it.
        data: the checked object, where a schema was asked for.
        calls: requests it took; 0 from the cache.
        tokens_in, tokens_out: of all of them; from the cache, what it cost when it was given.
    """

    text: str
    data: Any
    calls: int
    tokens_in: int
    tokens_out: int


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
        temperature, max_tokens, extra: of the request; `extra` is passed on as it is ({"top_p": .9, "seed": 1}).
        structure: how a schema is kept: "schema" by the server (response_format), "prompt" by asking for it and repairing what comes, "auto" by
            the server, and by the prompt where it refuses.
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
        if not self.base_urls or not all(map(_is_address, self.base_urls)):
            raise InputError(f"base_urls must be addresses such as http://127.0.0.1:8000/v1, but are {self.base_urls}")
        api_key = (api_key or os.environ.get("OPENAI_API_KEY") or "none").strip()
        if not api_key.isascii() or not api_key.isprintable():
            raise InputError("the API key (OPENAI_API_KEY) holds signs that no key has: was it copied whole, and alone?")
        for label, value, least in (("concurrency", concurrency, 1), ("retries", retries, 0), ("max_tokens", max_tokens, 1)):
            if not isinstance(value, int) or value < least:
                raise InputError(f"{label} must be a whole number, at least {least}, but is {value!r}")
        for label, limit in (("timeout", timeout), ("per_minute", per_minute)):
            if limit is not None and not limit > 0:
                raise InputError(f"{label} must be positive, but is {limit!r}")
        if structure not in _STRUCTURES:
            raise InputError(f"structure must be one of {', '.join(_STRUCTURES)}, but is {structure!r}")
        self.model, self.api_key, self.timeout, self.retries = model, api_key, timeout, retries
        self.concurrency, self.per_minute = concurrency, per_minute
        self.cache = cache if cache is None or isinstance(cache, ReplyCache) else ReplyCache(cache)
        self.budget, self.usage = budget or Budget(), Usage()
        self.settings = {"temperature": temperature, "max_tokens": max_tokens, **(extra or {})}
        self._by_prompt = dict.fromkeys(self.base_urls, structure == "prompt")
        self._may_refuse, self.longest_string = structure == "auto", longest_string
        self._next, self._clock = 0, 0.0
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = weakref.WeakKeyDictionary()

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
        asked["schema"] = None if schema is None else json_schema(schema)
        key = ReplyCache.key(**asked)
        if self.cache is not None and (kept := self.cache.get(key)) is not None:
            # What does not check, by a check that the reply was not kept under, is asked anew.
            with contextlib.suppress(BadReplyError):
                reply = Reply(kept[0], parsed(kept[0], schema, check), 0, kept[1], kept[2])
                self.usage.cached += 1
                return reply
        state = self._of_loop()
        if key in state.under_way:
            self.usage.cached += 1
            try:
                reply = await asyncio.shield(state.under_way[key])
            except LLMError as error:
                # Counted where it was asked.
                raise type(error)(str(error), reply=error.reply) from None
            return Reply(reply.text, reply.data, 0, reply.tokens_in, reply.tokens_out)
        task = asyncio.ensure_future(self._ask(state, messages, schema, check, settings))
        state.under_way[key] = task
        try:
            reply = await task
        finally:
            state.under_way.pop(key, None)
        if self.cache is not None:
            self.cache.put(key, self.model, reply.text, reply.tokens_in, reply.tokens_out)
        return reply

    def ask_sync(self, messages: Messages, **keywords: Any) -> Reply:
        """As `ask`, from code without an event loop."""
        from steelyard.llm.loop import run_sync

        return run_sync(self.ask(messages, **keywords))

    # One question ------------------------------------------------------------------------------------------------------------------------

    async def _ask(self, state: _OfLoop, messages: Messages, schema: Any, check: Any, settings: dict[str, Any]) -> Reply:
        async with state.turns:
            calls, failure = 0, LLMError("never asked")
            spent_in = spent_out = 0
            while calls <= self.retries:
                self._check_budget(calls)
                await self._wait_for_rate()
                url = self.base_urls[self._next % len(self.base_urls)]
                self._next += 1
                calls += 1
                self.usage.calls += 1
                try:
                    text, tokens_in, tokens_out, problem = await self._request(state, url, messages, schema, settings, calls)
                    # Paid for, whether it is of use or not.
                    self.usage.tokens_in += tokens_in
                    self.usage.tokens_out += tokens_out
                    spent_in, spent_out = spent_in + tokens_in, spent_out + tokens_out
                    if problem is not None:
                        raise BadReplyError(problem, text)
                    reply = Reply(text, parsed(text, schema, check), calls, spent_in, spent_out)
                    self.usage.answered += 1
                    return reply
                except BadReplyError as bad:
                    self.usage.failures += 1
                    failure = LLMError(f"{self.model}: no usable reply in {calls} calls: {bad}", calls=calls, reply=bad.text)
                except _RefusedStructureError:
                    # Not a failure of the question: the same is asked again at once, in the other way.
                    self.usage.failures += 1
                    self._by_prompt[url] = True
                    calls -= 1
                    continue
                except FailedError as failed:
                    self.usage.failures += 1
                    kind = UnreachableError if failed.unreachable else LLMError
                    failure = kind(self._why(url, failed, calls), calls=calls)
                    if failed.hopeless:
                        break
                    if calls <= self.retries:
                        await asyncio.sleep(failed.wait if failed.wait is not None else _backoff(calls))
            failure.tokens_in, failure.tokens_out = spent_in, spent_out
            raise failure

    def _why(self, url: str, failed: FailedError, calls: int) -> str:
        if failed.unreachable:
            where = ", ".join(self.base_urls)
            return f"no server of {self.model!r} answers at {where} ({failed}): start it, or give another --base-url"
        hint = "; do its addresses end in /v1?" if "404" in str(failed) and not url.rstrip("/").endswith("/v1") else ""
        return f"{self.model}: the server at {url} failed in {calls} calls: {failed}{hint}"

    async def _request(
        self, state: _OfLoop, url: str, messages: Messages, schema: Any, settings: dict[str, Any], number: int
    ) -> tuple[str, int, int, str | None]:
        import openai

        sent, by_prompt = dict(settings), self._by_prompt[url]
        if number > 1 and not sent.get("temperature"):
            # The same words at temperature 0 would bring the same reply.
            sent |= {"temperature": 0.5, "seed": number}
        if schema is not None and not by_prompt:
            described = {
                "name": schema.__name__,
                "schema": bounded(json_schema(schema), self.longest_string),
                "strict": True,
            }
            sent["response_format"] = {"type": "json_schema", "json_schema": described}
        body = {
            "model": self.model,
            "messages": with_schema(messages, schema) if schema and by_prompt else list(messages),
            **sent,
        }
        try:
            answer = await state.client(url, self).post("/chat/completions", body=body, cast_to=object)
        except openai.APITimeoutError:
            raise FailedError(f"no reply within {self.timeout:g} s") from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise FailedError(f"{type(cause).__name__}: {cause}"[:200], unreachable=True) from None
        except openai.APIStatusError as error:
            said = " ".join(str(error).split())[:300]
            if (
                schema is not None
                and not by_prompt
                and self._may_refuse
                and error.status_code in (400, 404, 422, 501)
                and _on_format(said)
            ):
                raise _RefusedStructureError from None
            wait = _retry_after(error.response.headers)
            hopeless = error.status_code < 500 and error.status_code not in _RETRIED
            raise FailedError(said, wait=wait, hopeless=hopeless) from None
        except (ValueError, openai.OpenAIError) as error:
            raise FailedError(f"not a reply of an OpenAI-compatible server: {' '.join(str(error).split())[:200]}") from None
        return read_answer(answer)

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

    def _of_loop(self) -> _OfLoop:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._loops[loop] = _OfLoop(asyncio.Semaphore(self.concurrency))
        return self._loops[loop]


@dataclass
class _OfLoop:
    """What belongs to one event loop."""

    turns: asyncio.Semaphore
    under_way: dict[str, asyncio.Task[Reply]] = field(default_factory=dict)
    clients: dict[str, list[Any]] = field(default_factory=dict)
    asked: int = 0

    def client(self, url: str, owner: Client) -> Any:
        """A connection pool of a server: one of several, since a pool looks through all its connections for every request."""
        import openai

        pools = self.clients.setdefault(url, [])
        number = self.asked % -(-owner.concurrency // _POOL)
        self.asked += 1
        while len(pools) <= number:
            pools.append(openai.AsyncOpenAI(base_url=url, api_key=owner.api_key, max_retries=0, timeout=owner.timeout))
        return pools[number]


class _RefusedStructureError(Exception):
    pass


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _on_format(said: str) -> bool:
    return any(
        word in said.lower() for word in ("response_format", "json_schema", "schema", "grammar", "structured", "not supported")
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return min(max(float(headers["retry-after"]), 0.0), _LONGEST_WAIT)
    except (KeyError, ValueError):
        return None


def _backoff(calls: int) -> float:
    """Half a second, doubled with every try, give or take a half, so that clients that failed together do not come back together."""
    return min(0.5 * 2 ** (calls - 1), _LONGEST_WAIT) * random.uniform(0.5, 1.5)
