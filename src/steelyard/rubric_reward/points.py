"""`PointsReward`: criteria that carry points, graded for each answer on its own, as a reward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.objectives import Objective
from steelyard.rubric.points import PointCriterion, points_of
from steelyard.rubric.pointwise import PointwiseJudge
from steelyard.rubric_reward._asking import Batch, JudgeReward, check_counts
from steelyard.rubric_reward._group import digest
from steelyard.rubric_reward._judged import Judged
from steelyard.rubric_reward._objectives import FirstPrinciple, Principle, Whole
from steelyard.rubric_reward._points import PointsBatch


class PointsReward(JudgeReward):
    """Rewards each answer by the points that it wins, under criteria of its prompt or of all prompts; an async reward for TRL.

        score_i = points_score(values of the criteria, their points)

    Args:
        judge: one judge, or several, whose scores are averaged; an answer that one of them could not grade has no score. Its checks are guards: an answer that fails one gets one less than the worst that passes can
            have (-1, or -2 with `normalize="positive"`), without a call.
        criteria: the column of the row that holds the prompt's criteria, in any form that `points_of` reads; or criteria for all prompts; or None where all
            are written.
        written_from: the column with a reference answer, from which the judge writes criteria where a row has none; once a prompt.
        written: how many, at most.
        name: of the objective, and of the metrics in the log.
        samples: how often each answer is graded by each judge; of use where the model's temperature is above 0.
        dropout: the share of criteria that do not count, drawn anew for each prompt of a batch, so that a policy cannot live on one of them; they are not
            asked about.
        seed: of what is dropped.
        answers_per_step: answers that a batch may ask about; those beyond have no score. Default: all.
        deadline, most_failed, in_a_row, patience, on_failure, price: see `RubricReward`.
        measured_by: the judges of the measure on held-out prompts, where others than those of the reward.

    A row without criteria, and without a reference answer to write them from, has no score: the objective does not apply to it.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> from steelyard.llm import Client
        >>> judge = PointwiseJudge(Client("http://127.0.0.1:9/v1", "judge"))
        >>> reward = PointsReward(judge, [{"criterion": "Names a source.", "points": 3, "tags": ["evidence"]}, {"criterion": "Is rude.", "points": -5}])
        >>> [objective.name for objective in reward.objectives(["evidence", "Is rude."])]
        ['points-evidence', 'points-Is rude.']

    Reference:
        See `PointwiseJudge` and `points_score`.
    """

    def __init__(
        self,
        judge: PointwiseJudge | Sequence[PointwiseJudge],
        criteria: str | Sequence[Any] | None,
        *,
        written_from: str | None = None,
        written: int = 8,
        name: str = "points",
        samples: int = 1,
        dropout: float = 0.0,
        seed: int = 0,
        answers_per_step: int | None = None,
        deadline: float | None = None,
        most_failed: float = 0.5,
        in_a_row: int = 50,
        patience: float = 300.0,
        on_failure: str = "stop",
        price: tuple[float, float] = (0.0, 0.0),
        measured_by: Sequence[PointwiseJudge] | None = None,
    ) -> None:
        judges = [judge] if isinstance(judge, PointwiseJudge) else list(judge or ())
        if not judges or not all(isinstance(one, PointwiseJudge) for one in judges):
            raise InputError(f"a points reward needs a PointwiseJudge, or several, but got {judge!r}")
        asked: dict[str, Any] = dict(
            name=name, deadline=deadline, most_failed=most_failed, in_a_row=in_a_row, patience=patience, on_failure=on_failure, price=price
        )  # fmt: skip
        super().__init__([one.client for one in judges], unit="answers", **asked)
        check_counts(samples=samples, answers_per_step=answers_per_step, written=written)
        if not 0 <= dropout < 1:
            raise InputError(f"dropout must be at least 0 and below 1, but is {dropout}")
        self.column = criteria if isinstance(criteria, str) else None
        self.fixed = [] if isinstance(criteria, str) else points_of(criteria)
        if self.column is None and not self.fixed and (criteria is not None or written_from is None):
            raise InputError("a points reward needs criteria: a column's name, a list with one at least, or written_from")
        self.judges, self.written_from, self.written, self.samples = judges, written_from, written, samples
        self.dropout, self.seed, self.answers_per_step = dropout, seed, answers_per_step
        self.split_by: list[str] = []
        self.made: dict[str, list[PointCriterion]] = {}
        self._measuring: PointsReward | None = None
        self._measured_by, self._again = list(measured_by or judges), asked

    def objective(self, **options: Any) -> Objective:
        """The reward as one objective, with the options of `Objective`; measured as the mean score on held-out prompts."""
        return Objective(self.name, Whole(self), measure=self._measure, bounds=self._bounds, **options)

    def objectives(self, parts: Sequence[str] | None = None, **options: Any) -> list[Objective]:
        """An objective for each part of the criteria, so that methods weigh the parts themselves; answers are graded once for all.

        Args:
            parts: names or tags of criteria; default: the names of those that are given for all prompts. An answer has no score by a part that its
                prompt's criteria have none of.

        Raises:
            InputError: where there are no parts.
        """
        known = [one.name for one in self.fixed]
        tags = [tag for one in self.fixed for tag in one.tags]
        found = known if parts is None else [parts] if isinstance(parts, str) else list(parts)
        if not found or len(set(found)) != len(found):
            raise InputError("give the parts to split by, each once: names or tags of the criteria")
        if self.fixed and (strange := [part for part in found if part not in (*known, *tags)]):
            raise InputError(
                f"no criterion has the name or the tag {strange[0]!r}{nearest(strange[0], [*known, *tags])}: use some of {', '.join(dict.fromkeys([*known, *tags]))}"
            )
        self.split_by += [part for part in found if part not in self.split_by]
        made: list[Objective] = []
        for part in found:
            reward = Principle(self, part) if made else FirstPrinciple(self, part)
            made.append(Objective(f"{self.name}-{part}", reward, measure=reward.measure, bounds=self._bounds, **options))
        return made

    @property
    def _bounds(self) -> tuple[float, float]:
        judges = (*self.judges, *self._measured_by)
        lowest = -1.0 if any(judge.normalize == "positive" for judge in judges) else 0.0
        return lowest - any(bool(judge.checks) for judge in judges), 1.0

    async def _measure(self, prompts: Sequence, completions: Sequence, **columns: Any) -> list[float | None]:
        return (await self._by_measuring(prompts, completions, columns)).scores

    async def measured(
        self, part: str, prompts: Sequence, completions: Sequence, columns: Mapping[str, Any]
    ) -> list[float | None]:
        """The points of answers by a part."""
        return (await self._by_measuring(prompts, completions, columns)).by_principle[part]

    async def _by_measuring(self, prompts: Sequence, completions: Sequence, columns: Mapping[str, Any]) -> Judged:
        # With all criteria, and counted apart from training.
        if self._measuring is None:
            criteria: Any = self.column or self.fixed or None
            self._measuring = PointsReward(
                self._measured_by, criteria, written_from=self.written_from, written=self.written, **self._again
            )
            self._measuring.made = self.made
        self._measuring.split_by = list(self.split_by)
        return await self._measuring.judged(prompts, completions, {**columns, "log_metric": None})

    def _watch(self, found: Judged) -> None:
        """An answer is graded alone, so that no place can be preferred."""

    def _measuring_counts(self) -> Counter[str]:
        return Counter() if self._measuring is None else self._measuring.totals

    def state_dict(self) -> dict[str, Any]:
        """What it has spent so far, who judges, and the criteria that were written."""
        made = {
            key: [[one.text, one.points, one.name, list(one.tags)] for one in criteria] for key, criteria in self.made.items()
        }
        return {
            "totals": dict(self.totals),
            "judges": [judge.fingerprint for judge in self.judges],
            "criteria": self._identity(),
            "made": made,
        }

    def _identity(self) -> str:
        """A checksum of where criteria come from, and of those for all prompts."""
        fixed = [[one.text, one.points, one.name, one.tags, one.levels] for one in self.fixed]
        return digest([self.column, self.written_from, self.written, fixed])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the counts and the criteria of an earlier run.

        Raises:
            InputError: where that one was graded by another judge.
        """
        if state["judges"] != [judge.fingerprint for judge in self.judges]:
            raise InputError(
                f"objective {self.name!r}: the run began with another judge, or with other settings of it (the model, checks, criteria a call, how points "
                "are counted): give those that it began with, or begin a new run"
            )
        if state["criteria"] != self._identity():
            raise InputError(
                f"objective {self.name!r}: the run began with other criteria (the column, the file's content, or what they are written from): give those that "
                "it began with, or begin a new run"
            )
        self.totals = Counter(state["totals"])
        self.merge(state)

    def merge(self, state: Mapping[str, Any]) -> None:
        """Take in criteria that another process, or an earlier run, has had written."""
        for key, criteria in state["made"].items():
            self.made.setdefault(key, [PointCriterion(text, points, name, tuple(tags)) for text, points, name, tags in criteria])

    def _batch(self, prompts: list, completions: list, rows: list[dict[str, Any]], until: float | None) -> Batch:
        return PointsBatch(self, prompts, completions, rows, until)

    def _parts(self) -> Sequence[str]:
        return self.split_by
