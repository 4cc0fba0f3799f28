"""Prompts and answers that are conversations: turns with their roles, tool calls written out, and what the judge cannot see named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.checks import Check
from steelyard.checks.base import reads_last_message
from steelyard.errors import InputError
from steelyard.messages import answer_of, as_message, last_answer_of, text_of

_THOUGHTS = ("thinking", "reasoning", "redacted_thinking")
_SAID = ("content", "tool_calls", "function_call", "refusal", "audio")
_BESIDE = {"role", "name", "id", "tool_call_id", "reasoning_content", "reasoning", "weight", "tool_plan"}


@dataclass(frozen=True)
class Turn:
    """What one of a conversation said.

    Attributes:
        role: who, with the name of a tool.
        text: all of it, with tool calls written out.
    """

    role: str
    text: str


@dataclass(frozen=True)
class Conversation:
    """A prompt or an answer of several turns, or of one with more than text.

    Attributes:
        turns: in order.
        messages: that they were made from, for checks.
    """

    turns: tuple[Turn, ...]
    messages: tuple[Mapping[str, Any], ...] = ()

    def __str__(self) -> str:
        """The turns under their roles."""
        return "\n\n".join(f"{turn.role}:\n{turn.text}" for turn in self.turns)


Given = str | Conversation | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A prompt or an answer as it is given: a text, a conversation, or messages."""


def conversation_of(given: Any, *, speaker: str) -> str | Conversation:
    """A prompt or an answer as the judge is shown it: a text, where it is one text of the one who speaks there; else its turns.

    Args:
        given: a text, a conversation, a message or messages, in the form of chat templates or ShareGPT's.
        speaker: "user" for a prompt, "assistant" for an answer.

    Raises:
        InputError: where it is none of these.

    Example:
        >>> conversation_of([{"role": "user", "content": "2+2?"}], speaker="user")
        '2+2?'
        >>> call = {"function": {"name": "add", "arguments": '{"a":2,"b":2}'}}
        >>> print(conversation_of([{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "4"}], speaker="assistant"))
        assistant:
        calls add({"a": 2, "b": 2})
        <BLANKLINE>
        tool:
        4
    """
    if isinstance(given, (str, Conversation)):
        return given
    messages = _messages_of(given)
    turns = tuple(Turn(_role(message), _written(message)) for message in messages)
    if len(turns) == 1 and turns[0].role == speaker and turns[0].text == text_of([messages[0]]):
        return turns[0].text
    return Conversation(turns, tuple(messages))


def _messages_of(given: Any) -> list[dict[str, Any]]:
    """Messages with `role` and `content`, from such or from ShareGPT's `from` and `value`.

    Raises:
        InputError: where they are none.
    """
    listed = [given] if isinstance(given, Mapping) else given
    if not isinstance(listed, Sequence) or not listed or not all(isinstance(message, Mapping) for message in listed):
        raise InputError(f"expected a text or a list of messages with contents, but found {str(given)[:80]}")
    out = [as_message(message) for message in listed]
    for message in out:
        if not any(key in message for key in _SAID) and not set(message) <= _BESIDE:
            raise InputError(f"a message has a role and a content, but one has {', '.join(map(str, message))}")
    return out


def _role(message: Mapping[str, Any]) -> str:
    """Who speaks, in one short line: it stands beside the fence, and an answer may bring roles of its own."""
    role = " ".join(str(message.get("role", "assistant")).split())[:40] or "nobody"
    name = " ".join(str(message.get("name") or "").split())[:60]
    return f"{role} {name}" if name and role in ("tool", "function", "ipython") else role


def _written(message: Mapping[str, Any]) -> str:
    """All that a message says, calls and what cannot be shown included; thoughts are no part of it."""
    content = message.get("content")
    parts = content if isinstance(content, (list, tuple)) else [] if content is None else [content]
    out = [_part(part) for part in parts]
    out += [str(message["refusal"])] if message.get("refusal") else []
    if isinstance(message.get("audio"), Mapping):
        out.append(f"[audio, which the judge does not hear] {message['audio'].get('transcript') or ''}".rstrip())
    calls = message.get("tool_calls")
    called = list(calls) if isinstance(calls, (list, tuple)) else [] if calls is None else [calls]
    out += [_call(call) for call in [*called, *([message["function_call"]] if message.get("function_call") else [])]]
    return "\n".join(text for text in out if text)


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    kind = str(part.get("type", "text"))
    if kind in _THOUGHTS:
        return ""
    if kind in ("text", "input_text", "output_text", "refusal"):
        text = part.get("refusal" if kind == "refusal" else "text")
        return text if isinstance(text, str) else ""
    if kind in ("tool_use", "tool_call", "function_call"):
        return _call(part)
    if kind == "tool_result":
        return _written({"content": part.get("content")})
    what = next((name for name in ("image", "audio", "video", "file", "document") if name in kind), " ".join(kind.split())[:40])
    return f"[{what}, which the judge does not see]"


def _call(call: Any) -> str:
    """A tool call with its arguments, in whatever form."""
    if not isinstance(call, Mapping):
        return f"calls {call}"
    inside = next((call[key] for key in ("function", "custom") if isinstance(call.get(key), Mapping)), call)
    given = next((inside[key] for key in ("arguments", "input", "parameters", "args") if inside.get(key) is not None), "")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return f"calls {inside.get('name')}({given})"
    return f"calls {inside.get('name')}({json.dumps(given, ensure_ascii=False, default=str)})"


def parted(prompt: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Prompt and answers, where the answers hold the whole conversation: cut to what follows the prompt.

    Args:
        prompt: a text or messages; None where the answers alone are given: then it is what both begin with.
        a, b: texts or messages. Instructions to the system that stand before the prompt in both become a part of it.

    Raises:
        InputError: where an answer is the prompt and nothing else, or both have no beginning in common and there is no prompt.

    Example:
        >>> asked, said = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
        >>> parted("2+2?", [asked, said], "5")
        ('2+2?', [{'role': 'assistant', 'content': '4'}], '5')
    """
    whole = [None if isinstance(answer, (str, Conversation)) else _messages_of(answer) for answer in (a, b)]
    if prompt is None:
        if whole[0] is None or whole[1] is None:
            raise InputError("needs a prompt")
        count = 0
        while count < min(map(len, whole)) and _same(whole[0][count], whole[1][count]):  # type: ignore[arg-type]
            count += 1
        if not 0 < count < min(len(messages) for messages in whole if messages):
            raise InputError("has no prompt, and the answers do not begin alike and go on differently")
        return whole[0][:count], whole[0][count:], whole[1][count:]
    if isinstance(prompt, Conversation):
        return prompt, a, b
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else _messages_of(prompt)
    out, before = [], []
    for answer, messages in zip((a, b), whole, strict=True):
        start = next((i for i, message in enumerate(messages or []) if message.get("role") not in ("system", "developer")), 0)
        for begin in dict.fromkeys((start, 0)):
            end = begin + len(asked)
            if messages is not None and len(messages) >= end and all(map(_same, messages[begin:end], asked)):
                if len(messages) == end:
                    raise InputError("an answer is the prompt and nothing else")
                out.append(messages[end:])
                before.append(messages[:begin])
                break
        else:
            out.append(answer)
            before.append([])
    same = len(before[0]) == len(before[1]) > 0 and all(map(_same, *before))
    return [*before[0], *asked] if same else prompt, out[0], out[1]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two messages are alike, white space aside."""
    return _role(one) == _role(other) and _written(one).split() == _written(other).split()


def asked_text(prompt: str | Conversation) -> str:
    """What the user asks, which tells a prompt's domain.

    Example:
        >>> asked_text(conversation_of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}], speaker="user"))
        '2+2?'
    """
    if isinstance(prompt, str):
        return prompt
    return "\n".join(turn.text for turn in prompt.turns if turn.role == "user") or str(prompt)


def plain_of(given: str | Conversation) -> Any:
    """A prompt or an answer as plain data that tells it from others: its text, or roles and texts.

    Example:
        >>> plain_of("4"), plain_of(Conversation((Turn("tool", "4"),)))
        ('4', [['tool', '4']])
    """
    return given if isinstance(given, str) else [[turn.role, turn.text] for turn in given.turns]


def for_messages(check: Check) -> Check:
    """A check that reads of an answer of messages what the model said: all of it, or the last message where the check looks for the final answer.

    Example:
        >>> from steelyard.checks import check
        >>> short = for_messages(check("words", at_most=1))
        >>> short("p", conversation_of([{"role": "tool", "content": "4"}, {"role": "assistant", "content": "Four."}], speaker="assistant"))
        1.0
    """
    read: Callable[[Any], str] = last_answer_of if reads_last_message(check) else answer_of

    def run(prompt: Any, answer: Any, columns: Mapping[str, Any]) -> float | None:
        texts = [
            function(given.messages) if isinstance(given, Conversation) else given
            for function, given in ((text_of, prompt), (read, answer))
        ]
        return check(texts[0], texts[1], columns)

    return Check(check.name, run, check.role, check.made_from)
