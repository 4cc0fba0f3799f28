"""How is the answer written? Length, clarity, format, repetition and language of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from steelyard.checks.answers import has_box
from steelyard.checks.kinds import check
from steelyard.checks.text import distinct_share, words
from steelyard.errors import InputError
from steelyard.messages import answer_of
from steelyard.objectives.kinds import BUILT_IN
from steelyard.objectives.objective import Objective
from steelyard.settings import Count, CountFromZero, checked

_Decay = Annotated[float, Field(gt=0, le=1)]

_ENUMERATOR = re.compile(r"(?im)^[^\S\n]*(?:\d+[.)](?=\s)|step\s+\d+\b|[-*•](?=\s))")
_ORDINAL = re.compile(r"(?i)\b(?:first|second|third|fourth|fifth|then|next|finally)(?:ly)?\b")


def lengths(completions: Sequence, completion_ids: Sequence | None, tool_mask: Sequence | None = None) -> list[int]:
    """Length of every answer in tokens, without what tools said in it; in words where no token ids are given.

    Args:
        completions: texts or messages.
        completion_ids: the answers' tokens, results of tools included.
        tool_mask: 1 for a token of the model's, 0 for one of a tool's; None where there are no tools.

    Example:
        >>> lengths(["one two"], None), lengths(["one two"], [[5, 6, 7]]), lengths(["one two"], [[5, 6, 7]], [[1, 0, 0]])
        ([2], [3], [1])
    """
    if tool_mask is not None:
        return [sum(mask) for mask in tool_mask]
    if completion_ids is not None:
        return [len(ids) for ids in completion_ids]
    return [len(words(answer_of(completion))) for completion in completions]


class ShorterThanAverage:
    """Reward 1 for an answer shorter than the running mean length of all answers so far, else 0.

    `mean_t = S_t / N_t`, where `S_t`, `N_t` sum tokens and answers up to and including this batch, older ones discounted by `decay` a batch.

    Args:
        decay: 1 remembers every answer alike (the paper); less than 1 forgets, so that the bar follows a policy that grows shorter.

    Example:
        >>> reward = ShorterThanAverage()
        >>> reward(completions=["a", "b"], completion_ids=[[1] * 2, [1] * 6])
        [1.0, 0.0]
    """

    @checked
    def __init__(self, *, decay: _Decay = 1.0) -> None:
        self.decay, self.total, self.count = decay, 0.0, 0.0

    def __call__(
        self, completions: Sequence, completion_ids: Sequence | None = None, tool_mask: Sequence | None = None
    ) -> list[float]:
        """Take the answers into the mean, then score them."""
        tokens = lengths(completions, completion_ids, tool_mask)
        self.total = self.decay * self.total + sum(tokens)
        self.count = self.decay * self.count + len(tokens)
        mean = self.total / self.count
        return [float(length < mean) for length in tokens]

    def state_dict(self) -> dict[str, float]:
        """The discounted sums."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over the sums of an earlier run."""
        self.total, self.count = state["total"], state["count"]


@BUILT_IN.add("conciseness")
@checked
def conciseness(*, name: str = "conciseness", max_tokens: Count | None = None, decay: _Decay = 1.0) -> Objective:
    """Rewarded for being shorter than the running mean; measured as the mean length in tokens, to be minimised.

    Args:
        name: the objective's name.
        max_tokens: the longest answer possible, the upper bound of the measure; a recipe fills in its `max_answer_tokens`.
        decay: see `ShorterThanAverage`.

    Example:
        >>> objective = conciseness(max_tokens=64)
        >>> objective.goal, objective.bounds
        ('minimize', (0.0, 64.0))

    Reference:
        Lu et al., arXiv 2509.11452, section 4.
    """

    def measure(completions: Sequence, completion_ids: Sequence | None = None, tool_mask: Sequence | None = None) -> list[float]:
        return [float(length) for length in lengths(completions, completion_ids, tool_mask)]

    bounds = None if max_tokens is None else (0.0, float(max_tokens))
    return Objective(name, ShorterThanAverage(decay=decay), goal="minimize", measure=measure, bounds=bounds)


def step_markers(text: str) -> int:
    r"""How many step markers a text has: enumerators and bullets at the start of a line, `Step n`, and ordinals.

    Example:
        >>> step_markers("1. add\n2. carry"), step_markers("First add, then carry."), step_markers("12.5 and 3")
        (2, 2, 0)
    """
    return len(_ENUMERATOR.findall(text)) + len(_ORDINAL.findall(text))


@BUILT_IN.add("clarity")
@checked
def clarity(*, name: str = "clarity", min_steps: Count = 2, graded: bool = False) -> Objective:
    r"""1 for an answer with a non-empty `\boxed{}` and at least `min_steps` step markers, else 0; or the share of these that is there.

    Args:
        name: the objective's name.
        min_steps: step markers asked for, at least 1.
        graded: give `(box + min(markers, min_steps)) / (1 + min_steps)`, so that every step written counts.

    Example:
        >>> answers = ["1. 2+2=4\n2. 4+1=5\n\\boxed{5}", "\\boxed{5}", "5"]
        >>> clarity().scores(prompts=[""] * 3, completions=answers)
        [1.0, 0.0, 0.0]
        >>> [round(score, 2) for score in clarity(graded=True).scores(prompts=[""] * 3, completions=answers)]
        [1.0, 0.33, 0.0]

    Reference:
        Lu et al., arXiv 2509.11452, section 4 (`graded=False`, `min_steps=2`).
    """

    def score(completions: Sequence) -> list[float]:
        scores = []
        for completion in completions:
            text = answer_of(completion)
            boxed = has_box(text)
            steps = min(step_markers(text), min_steps)
            scores.append((boxed + steps) / (1 + min_steps) if graded else float(boxed and steps == min_steps))
        return scores

    return Objective(name, score, goal="maximize", bounds=(0.0, 1.0))


@BUILT_IN.add("format")
def format_match(*, pattern: str, name: str = "format") -> Objective:
    r"""1 where the whole answer matches a regular expression (`.` matches newlines, surrounding space is ignored), else 0.

    Args:
        pattern: in Python's syntax.
        name: the objective's name.

    Example:
        >>> format_match(pattern=r"<think>.*</think>.+").scores(prompts=["", ""], completions=["<think>a</think> b", "b"])
        [1.0, 0.0]
    """
    return Objective.from_check(check("regex", pattern=pattern, whole=True), name=name)


@BUILT_IN.add("length")
@checked
def length_window(*, low: CountFromZero, high: Count, name: str = "length") -> Objective:
    """1 where an answer has between `low` and `high` tokens, both included, falling linearly to 0 at a distance of `high - low` outside.

    Args:
        low, high: tokens; words where no token ids are given.
        name: the objective's name.

    Example:
        >>> window = length_window(low=2, high=4)
        >>> window.scores(prompts=[""] * 3, completions=[""] * 3, completion_ids=[[1] * 3, [1] * 5, [1] * 9])
        [1.0, 0.5, 0.0]
    """
    if low >= high:
        raise InputError(f"low must be below high, but they are {low} and {high}")

    def score(completions: Sequence, completion_ids: Sequence | None = None, tool_mask: Sequence | None = None) -> list[float]:
        return [max(0.0, 1 - max(low - n, n - high, 0) / (high - low)) for n in lengths(completions, completion_ids, tool_mask)]

    return Objective(name, score, goal="maximize", bounds=(0.0, 1.0))


@BUILT_IN.add("repetition")
@checked
def repetition(*, ngram: Count = 3, name: str = "repetition") -> Objective:
    """The share of an answer's word n-grams that are different: 1 where nothing is repeated; 1 for an answer too short to repeat any.

    Args:
        ngram: words of a run; their case does not matter.
        name: the objective's name.

    Example:
        >>> repetition(ngram=1).scores(prompts=[""] * 2, completions=["a b c d", "a a a a"])
        [1.0, 0.25]
    """

    def score(completions: Sequence) -> list[float]:
        return [distinct_share(answer_of(completion), ngram) for completion in completions]

    return Objective(name, score, goal="maximize", bounds=(0.0, 1.0))


_MARKUP = re.compile(r"(?m)^[^\S\n]*(?:#{1,6}[^\S\n]|[-*•+][^\S\n]|\d{1,3}[.)][^\S\n])|\*\*[^*\n]{1,200}\*\*")


@BUILT_IN.add("markup")
@checked
def markup(*, name: str = "markup") -> Objective:
    r"""Headings, bullets, numbered lines and bold passages for every 100 tokens, to be minimised: judges like them whatever they hold.

    Args:
        name: the objective's name.

    Example:
        >>> markup().scores(prompts=[""] * 2, completions=["# One\n- two\n- three **four**", "Plain words."], completion_ids=[[1] * 50, [1] * 50])
        [8.0, 0.0]
    """

    def score(completions: Sequence, completion_ids: Sequence | None = None, tool_mask: Sequence | None = None) -> list[float]:
        found = [len(_MARKUP.findall(answer_of(completion))) for completion in completions]
        tokens = lengths(completions, completion_ids, tool_mask)
        return [100 * count / max(1, length) for count, length in zip(found, tokens, strict=True)]

    return Objective(name, score, goal="minimize")


@BUILT_IN.add("language")
def language(*, expected: str | None = None, column: str = "language", name: str = "language") -> Objective:
    """1 where an answer is written in the expected language (by py3langid), else 0; empty answers get 0.

    An answer that is too short to tell is left out, unless it is taken for that very language.

    Args:
        expected: ISO 639-1 code for every prompt, as "fr" ("zh-CN" counts as "zh"); default: the code in the prompts' `column`, where an empty one
            leaves the prompt out.
        column: see `expected`.
        name: the objective's name.

    Example:
        >>> language(expected="fr").scores(prompts=[""] * 3, completions=["Le chat dort sur la table de la cuisine.", "Bonjour", "The cat sleeps."])
        [1.0, 1.0, 0.0]
    """
    made = check("language", language=expected, column=column)

    def score(prompts: Sequence, completions: Sequence, **columns: Any) -> list[float | None]:
        if expected is None and column not in columns:
            raise InputError(f"objective {name!r} needs `expected`, or a column {column!r} with language codes")
        codes = columns[column] if expected is None else [expected] * len(completions)
        return [made("", answer_of(text), {column: code}) for text, code in zip(completions, codes, strict=True)]

    return Objective(name, score, goal="maximize", bounds=(0.0, 1.0))
