"""One request: what comes back is a reply, or a failure with the server's own words and what it means for the questions to come."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from steelyard.llm._replies import Answered, FailedError, read_answer
from steelyard.llm._server_words import codes_of, wait_of, without_secrets, words_of

_RETRIED = (408, 409, 425, 429)
_BARRED = (401, 402, 403, 404)
_EMPTY_ACCOUNT = (
    "insufficient_quota", "insufficient quota", "insufficient balance", "insufficient credit", "insufficient funds", "credit balance is too low",
    "out of credits", "payment required", "billing_hard_limit", "billing_not_active", "billing hard limit",
)  # fmt: skip
_OF_THE_QUESTION = ("flagged", "moderation", "content_policy", "content policy", "content_filter", "content filter")
"""Words of refusals that are about what was asked, and about nobody's key."""
_USED_UP = (
    "exceeded your current quota", "quota exhausted", "quota has been exhausted", "quota is exhausted", "monthly quota", "spend limit",
    "spending limit", "usage limit", "key limit exceeded", "account is not active",
)  # fmt: skip
_SOON = ("retry in", "try again in", "per minute", "per second")
"""Words of limits that pass, which some servers tell in the words of those that do not."""


class RefusedError(Exception):
    """A refusal of a server.

    Attributes:
        status, words, codes: what it says.
        failed: what the question's failure is, where nothing can be learnt from it.
    """

    def __init__(self, status: int, words: str, codes: set[str], wait: float | None) -> None:
        super().__init__(words)
        self.status, self.words, self.codes = status, words, codes
        looked_at = " ".join((words.lower(), *codes))
        used_up = wait is None and any(word in looked_at for word in _USED_UP) and not any(word in looked_at for word in _SOON)
        empty = status == 402 or (status < 500 and (used_up or any(word in looked_at for word in _EMPTY_ACCOUNT)))
        barred = empty or (status in _BARRED and not any(word in looked_at for word in _OF_THE_QUESTION))
        hopeless = barred or (status < 500 and status not in _RETRIED)
        said = f"HTTP {status}: {words}" if words else f"HTTP {status} without a word of why"
        self.failed = FailedError(said, wait=wait, hopeless=hopeless, barred=barred)


async def post(client: Any, url: str, body: Mapping[str, Any]) -> Answered:
    """Send a request to a server through its client.

    Raises:
        RefusedError: where the server refuses it, with status 200 or another.
        FailedError: where nothing comes back that is a reply.
    """
    import openai

    def clean(text: str) -> str:
        return without_secrets(" ".join(text.split()), client.api_key, url)

    def refused(status: int, said: str, headers: Mapping[str, str]) -> RefusedError:
        return RefusedError(status, clean(words_of(said)), codes_of(said), wait_of(headers))

    try:
        answer = await client.post("/chat/completions", body=body, cast_to=object)
    except openai.APITimeoutError:
        raise FailedError(f"no reply within {client.timeout:g} s") from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        raise FailedError(clean(f"{type(cause).__name__}: {cause}")[:200], unreachable=True) from None
    except openai.APIStatusError as error:
        raise refused(error.status_code, _text_of(error.response), error.response.headers) from None
    except (ValueError, openai.OpenAIError) as error:
        raise FailedError(f"not a reply of an OpenAI-compatible server: {clean(str(error))[:200]}") from None
    if isinstance(answer, str):
        # JSON that is said to be a text.
        with contextlib.suppress(ValueError, RecursionError):
            answer = json.loads(answer)
    if isinstance(answer, dict) and answer.get("error") and not answer.get("choices"):
        # Some gateways send errors with status 200.
        code = answer["error"].get("code") if isinstance(answer["error"], dict) else None
        raise refused(code if isinstance(code, int) and 400 <= code < 600 else 500, json.dumps(answer, ensure_ascii=False), {})
    try:
        return read_answer(answer)
    except FailedError as error:
        raise FailedError(clean(str(error))) from None


def _text_of(response: Any) -> str:
    try:
        return str(response.text)
    except Exception:
        # A body that was not read to its end, or cannot be decoded.
        return ""
