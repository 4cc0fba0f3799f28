"""What is rewarded: an objective, which needs no torch."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, cast, get_args

from steelyard.checks.base import Check, reads_last_message
from steelyard.errors import InputError, RewardError, SteelyardError, nearest
from steelyard.messages import answer_of, last_answer_of, text_of
from steelyard.objectives.gates import Gate

_LARGEST_SCORE = 3.4e38
"""Rewards are float32; a larger one would be infinite."""

Goal = Literal["maximize", "minimize"]
OnError = Literal["stop", "retry", "missing"]
Scores = Sequence[float | None]
RewardFunction = Callable[..., Scores | Awaitable[Scores]]


class Objective:
    """One thing to want from an answer: a reward to train on, and a measure to judge progress by.

    The reward feeds training and may be shaped (shorter than the running mean: 1, else 0); the measure is taken on held-out prompts and
    is what people care about (mean length in tokens). Without a measure the reward is its own measure.

    Args:
        name: short and unique within a run; labels columns, curves and weights.
        reward: a function with TRL's signature, `(prompts, completions, **columns) -> list[float | None]`, plain or async; None where it
            does not apply to an answer. Columns it does not take are not passed. An object with `state_dict` and `load_state_dict` has
            its state saved with the run.
        goal: which way the *measure* improves. Without a measure of its own, "minimize" also turns the reward's sign for training; with
            one, the reward is always maximised.
        measure: a function like `reward`, averaged over the validation answers.
        bounds: (lowest, highest) possible measure, finite; puts objectives of different units on one scale. None where unknown.
        applies_to: the values of the prompts' domain column the objective applies to, or a function from a row's columns to bool;
            None for every prompt. The column is `domain` unless the trainer's mixture, or `domain_column`, names another.
        gate: lets the objective count only where another one passed, in training; measures are not gated.
        on_error: what follows a failure of the outside world (a timeout, a connection, an error of an HTTP library): "stop" the run; "retry" the batch
            after 1, 2, 4, ... seconds, and then stop; "missing": retry, and then leave the objective out of this batch. What happened is counted in
            `failures`, which the trainer logs. A bug in the reward always stops the run.
        retries: how often, at most.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> brevity = Objective("brevity", lambda completions: [len(text) for text in completions], goal="minimize", bounds=(0, 100))
        >>> brevity.scores(prompts=["a", "b"], completions=["four", "to"])
        [4.0, 2.0]
    """

    def __init__(
        self,
        name: str,
        reward: RewardFunction,
        *,
        goal: Goal = "maximize",
        measure: RewardFunction | None = None,
        bounds: tuple[float, float] | None = None,
        applies_to: Collection[str] | Callable[[Mapping[str, Any]], bool] | None = None,
        gate: Gate | None = None,
        on_error: OnError = "stop",
        retries: int = 3,
    ) -> None:
        if on_error not in get_args(OnError) or retries < 0:
            raise InputError(
                f"on_error of objective {name!r} must be one of {', '.join(get_args(OnError))}, with retries of 0 or more, but they are {on_error!r} "
                f"and {retries}{nearest(str(on_error), get_args(OnError))}"
            )
        if not name or not isinstance(name, str):
            raise InputError(f"an objective needs a name, but got {name!r}")
        if goal not in ("maximize", "minimize"):
            raise InputError(f"goal of objective {name!r} must be 'maximize' or 'minimize', but is {goal!r}")
        if not callable(reward) or (measure is not None and not callable(measure)):
            raise InputError(f"objective {name!r} needs functions as reward and measure, but got {reward!r} and {measure!r}")
        if bounds is not None and not (len(bounds) == 2 and math.isfinite(bounds[0]) and bounds[0] < bounds[1] < math.inf):
            raise InputError(f"bounds of objective {name!r} must be (low, high) with low < high, both finite, but are {bounds}")
        self.name, self.reward, self.measure = name, reward, reward if measure is None else measure
        self.goal: Goal = goal
        self.bounds = None if bounds is None else (float(bounds[0]), float(bounds[1]))
        self.applies_to, self.gate = applies_to, gate
        self.on_error: OnError = on_error
        self.retries = retries
        self.failures: Counter[str] = Counter()
        self.reward_sign = -1.0 if goal == "minimize" and measure is None else 1.0

    @classmethod
    def from_check(
        cls,
        check: Check,
        *,
        name: str | None = None,
        applies_to: Collection[str] | Callable[[Mapping[str, Any]], bool] | None = None,
        gate: Gate | None = None,
    ) -> Objective:
        """A programmatic check as an objective: its value is the reward, to be maximised, 0 to 1.

        Args:
            check: see `steelyard.check`. It is shown the prompt and what the model said, as texts, and the row's columns; where it does not apply, the answer is left out.
            name: default: the check's.
            applies_to, gate: as for `Objective`.

        Example:
            >>> from steelyard.checks import check
            >>> objective = Objective.from_check(check("ifeval"), name="instructions")
            >>> rows = {"instruction_id_list": [["punctuation:no_comma"], None], "kwargs": [[{}], None]}
            >>> objective.scores(prompts=["No commas."] * 2, completions=["One two.", "One, two."], **rows)
            [1.0, None]
        """
        if not isinstance(check, Check):
            raise InputError(f"Objective.from_check needs a check, as `check('ifeval')` makes one, but got {check!r}")

        def reward(prompts: Sequence, completions: Sequence, **columns: Any) -> list[float | None]:
            per_row = _per_row(columns, len(prompts))
            read = last_answer_of if reads_last_message(check) else answer_of
            return [
                check(text_of(prompt), read(answer), {key: value[i] for key, value in per_row.items()})
                for i, (prompt, answer) in enumerate(zip(prompts, completions, strict=True))
            ]

        return cls(check.name if name is None else name, reward, bounds=(0.0, 1.0), applies_to=applies_to, gate=gate)

    def __repr__(self) -> str:
        return f"Objective({self.name!r}, goal={self.goal!r})"

    @property
    def maximize(self) -> bool:
        """True where a larger measure is better."""
        return self.goal == "maximize"

    @property
    def is_async(self) -> bool:
        """True where the reward or the measure has to be awaited."""
        return _is_async(self.reward) or _is_async(self.measure)

    async def scores_async(
        self,
        *,
        prompts: Sequence,
        completions: Sequence,
        measuring: bool = False,
        domain_column: str = "domain",
        **columns: Any,
    ) -> list[float | None]:
        """`scores` for a reward that has to be awaited; a plain one is called as it is."""
        rows = self._applicable(len(prompts), columns, domain_column)
        function = self.measure if measuring else self.reward
        for wait in self._waits():
            try:
                found = _call(function, rows, prompts, completions, columns) if rows else []
                if inspect.isawaitable(found):
                    found = await found
            except SteelyardError:
                raise
            except (Exception, SystemExit) as error:
                if not self._go_on_after(error, wait, len(rows)):
                    raise self._raised(error, prompts, rows) from error
                if wait is not None:
                    await asyncio.sleep(wait)
            else:
                return self._checked(cast(Scores, found), rows, prompts, completions)
        return [None] * len(prompts)

    def scores(
        self,
        *,
        prompts: Sequence,
        completions: Sequence,
        measuring: bool = False,
        domain_column: str = "domain",
        **columns: Any,
    ) -> list[float | None]:
        """Raw scores of a batch, as the function gave them; None where the objective does not apply.

        Args:
            prompts, completions: one an answer, texts or message lists.
            measuring: call the measure, not the reward.
            domain_column: the column that `applies_to` looks at.
            columns: one value an answer each, and whatever else TRL passes.

        Returns:
            One finite float or None an answer.

        Raises:
            RewardError: where the function raises, or returns the wrong count, NaN, infinity or no number; names objective and prompt.
        """
        if _is_async(self.measure if measuring else self.reward):
            awaited = self.scores_async(
                prompts=prompts, completions=completions, measuring=measuring, domain_column=domain_column, **columns
            )
            return asyncio.run(awaited)
        rows = self._applicable(len(prompts), columns, domain_column)
        function = self.measure if measuring else self.reward
        for wait in self._waits():
            try:
                found = _call(function, rows, prompts, completions, columns) if rows else []
            except SteelyardError:
                raise
            except (Exception, SystemExit) as error:
                if self._go_on_after(error, wait, len(rows)):
                    time.sleep(wait or 0)
                    continue
                found_at = [] if _of_the_outside(error) else self._culprit(function, rows, prompts, completions, columns)
                raise self._raised(error, prompts, found_at) from error
            return self._checked(cast(Scores, found), rows, prompts, completions)
        return [None] * len(prompts)

    def _waits(self) -> list[float | None]:
        """Seconds after each try that another follows; None after the last."""
        again = [] if self.on_error == "stop" else [min(2.0**n, 60.0) for n in range(self.retries)]
        return [*again, None]

    def _go_on_after(self, error: BaseException, wait: float | None, answers: int) -> bool:
        """Whether a failure is followed by another try, or by a batch without this objective; counts which."""
        if not _of_the_outside(error):
            return False
        if wait is not None:
            self.failures["retried"] += 1
        elif self.on_error == "missing":
            self.failures["missing"] += answers
        return wait is not None or self.on_error == "missing"

    @property
    def keeps_state(self) -> bool:
        """True where the reward remembers earlier batches (a running mean, say)."""
        return hasattr(self.reward, "state_dict")

    def state_dict(self) -> dict[str, Any]:
        """State of a reward that has one (a running mean, say), else empty."""
        return self.reward.state_dict() if hasattr(self.reward, "state_dict") else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        if hasattr(self.reward, "load_state_dict"):
            self.reward.load_state_dict(state)

    def _applicable(self, count: int, columns: Mapping[str, Any], domain_column: str) -> list[int]:
        if self.applies_to is None:
            return list(range(count))
        per_row = _per_row(columns, count)
        if callable(self.applies_to):
            return [i for i in range(count) if self.applies_to({key: value[i] for key, value in per_row.items()})]
        if domain_column not in per_row:
            raise InputError(
                f"objective {self.name!r} applies to domains {sorted(self.applies_to)}, but the prompts have no column {domain_column!r} "
                f"(found: {', '.join(sorted(per_row)) or 'none'})"
            )
        return [i for i in range(count) if per_row[domain_column][i] in self.applies_to]

    def _checked(self, found: Scores, rows: list[int], prompts: Sequence, completions: Sequence) -> list[float | None]:
        try:
            count = len(found if not isinstance(found, (str, Mapping)) else None)  # type: ignore[arg-type]
        except TypeError:
            raise RewardError(
                f"objective {self.name!r} must return a list of scores, but returned {type(found).__name__}; "
                f"first prompt of the batch: {_short(prompts[0])}"
            ) from None
        if count != len(rows):
            raise RewardError(
                f"objective {self.name!r} returned {count} scores for {len(rows)} answers: it must return one an answer, None where it "
                f"does not apply; first prompt of the batch: {_short(prompts[rows[0]]) if rows else 'none'}"
            )
        scores: list[float | None] = [None] * len(prompts)
        for i, score in zip(rows, found, strict=True):
            if score is None:
                continue
            try:
                value = float(score)
            except (TypeError, ValueError, OverflowError):
                value = math.nan
            if not abs(value) <= _LARGEST_SCORE:
                raise RewardError(
                    f"objective {self.name!r} returned {score!r} for prompt {_short(prompts[i])}, answer {_short(completions[i])}: a score "
                    "must be a finite number, or None where the objective does not apply"
                )
            scores[i] = value
        return scores

    def _raised(self, error: BaseException, prompts: Sequence, rows: list[int]) -> RewardError:
        failed = f"objective {self.name!r} raised {type(error).__name__}: {error}"
        if _of_the_outside(error):
            return RewardError(
                f"{failed} (for a batch of {len(prompts)} answers); see whether what it calls can be reached, and resume"
            )
        where = f"prompt {_short(prompts[rows[0]])}" if rows else "an empty batch"
        return RewardError(f"{failed} (at {where}); fix the reward function")

    @staticmethod
    def _culprit(
        function: RewardFunction, rows: list[int], prompts: Sequence, completions: Sequence, columns: Mapping
    ) -> list[int]:
        """After a failure: the first row that fails on its own, so that the message names the right prompt."""
        for i in rows:
            try:
                _call(function, [i], prompts, completions, columns)
            except (Exception, SystemExit):
                return [i]
        return rows


_NETWORK = {"aiohttp", "anthropic", "botocore", "grpc", "httpcore", "httpx", "huggingface_hub", "openai", "requests", "urllib3"}


def _of_the_outside(error: BaseException) -> bool:
    """Whether a failure is a connection's or a server's: it has no prompt to blame, and to call the reward again would only call the server again."""
    if isinstance(error, (TimeoutError, ConnectionError)):
        return True
    return any(kind.__module__.partition(".")[0] in _NETWORK for kind in type(error).__mro__)


def _per_row(columns: Mapping[str, Any], count: int) -> dict[str, list]:
    """The columns with one value an answer; TRL passes other things as well."""
    return {key: value for key, value in columns.items() if isinstance(value, list) and len(value) == count}


def _short(message: Any, limit: int = 80) -> str:
    text = text_of(message)
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def _is_async(function: RewardFunction) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _log_extra_of(rows: list[int], count: int, log_extra: Callable[[str, list], None]) -> Callable[[str, Sequence], None]:
    """TRL's `log_extra` for a reward that was shown some rows: its table has a line an answer, and the others' are empty."""

    def of_all(column: str, values: Sequence) -> None:
        full: list[Any] = [None] * count
        for i, value in zip(rows, values, strict=True):
            full[i] = value
        log_extra(column, full)

    return of_all


def _call(function: RewardFunction, rows: list[int], prompts: Sequence, completions: Sequence, columns: Mapping[str, Any]) -> Any:
    """Call a reward on some rows, with the columns that it takes."""
    count = len(prompts)
    whole = len(rows) == count
    arguments: dict[str, Any] = {"prompts": prompts, "completions": completions, **columns}
    if not whole:
        arguments = {
            key: [value[i] for i in rows] if isinstance(value, list) and len(value) == count else value
            for key, value in arguments.items()
        }
        if callable(columns.get("log_extra")):
            arguments["log_extra"] = _log_extra_of(rows, count, columns["log_extra"])
    parameters = inspect.signature(function).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        accepted = {parameter.name for parameter in parameters}
        arguments = {key: value for key, value in arguments.items() if key in accepted}
    return function(**arguments)
