"""`RubricReward`: a judge's verdicts as a reward, as a whole or by each principle of its rubric."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import InputError
from steelyard.messages import text_of
from steelyard.objectives import Objective
from steelyard.rubric.judge import PairwiseJudge
from steelyard.rubric.values import FORMS, GRADES, POOLS
from steelyard.rubric_reward._against_start import AgainstStart
from steelyard.rubric_reward._asking import Batch, JudgeReward, check_choice, check_counts
from steelyard.rubric_reward._judged import Judged
from steelyard.rubric_reward._objectives import FirstPrinciple, Principle, Whole
from steelyard.rubric_reward._pairs import PairsBatch
from steelyard.rubric_reward.references import COLUMN, LISTWISE, POLICY_ANSWERS, REFERENCES

_ENOUGH, _ALWAYS = 40, 0.95
"""Judgements from which on a judge that nearly always prefers one place is named, and how often that is."""


class RubricReward(JudgeReward):
    """Rewards each answer by how it compares with a reference answer, under a judge's rubric; an async reward for TRL.

        score_i = value of (answer i against its reference), -1 to 1

    Args:
        judge: one judge, or several, whose values are put together by `pool`. Its checks are guards of the reward as well: an answer that fails one loses to every
            answer that passes, without a call.
        reference: what an answer is compared with:

            "bootstrap": a random answer of its group, drawn by seed among those that pass the guards; the reference gets 0, and groups in which
            nearly all are better or worse than it are left out (`is_skewed`). G - 1 pairs a group.

            "round-robin": every other answer of its group; the mean. G (G - 1) / 2 pairs.

            "tournament": single elimination in an order drawn by seed, then Bradley-Terry strengths. G - 1 pairs.

            "listwise": no pairs; all answers of a group in one question, in an order drawn by seed, each scored from 0 to 10 beside the others.

            "greedy": one more answer to the prompt, which the policy generates greedily. G pairs.

            "start": the untrained policy's answer to the prompt, kept from before the first update. G pairs.

            any other name: the column of the row that holds a reference answer. G pairs.
        name: of the objective, and of the metrics in the log.
        grade: "sign" (1 for a win, -1 for a defeat) or "aggregate" (half the verdict's score); default: "sign" with "bootstrap", else "aggregate".
            Values by principle are never reduced to their sign.
        form: how a verdict is split by principles; see `principle_values`.
        pool: of several judges or samples, the "mean" of their values, or the "majority" of their winners, 1, 0 or -1.
        group_size: answers to one prompt that stand together; default: as many as there are with one prompt, one after the other.
        samples: how often each pair is judged; of use where the model's temperature is above 0.
        seed: of references, and of what is dropped.
        dropout: the share of criteria that do not count, drawn anew for each group, so that a policy cannot live on one of them. By principle, where
            criteria name one; hard criteria always count.
        domain_column: of the row, which names the rubric to judge by where the judge has several.
        deadline: seconds a batch may take; pairs without a verdict by then have failed. Default: none.
        pairs_per_step: pairs that a batch may ask about; those beyond have no verdict, and give no score. Default: all.
        most_failed: the share of a batch's pairs that may fail. A failed pair gives no score and is never a tie.
        in_a_row: failures one after the other from on which the rest of a batch is not asked, and has failed as well.
        patience: seconds to wait for a judge with which more than that fails, before `on_failure` is done.
        on_failure: "stop" the run, which can be resumed, or "missing": leave the objective out of this batch.
        price: of a million tokens in and a million out, in any currency; shown beside the counts.
        measured_by: the judges of the measure on held-out prompts, where others than those of the reward; a judge that is trained against flatters.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> from steelyard.llm import Client
        >>> from steelyard.rubric import MetaRubric
        >>> judge = PairwiseJudge(Client("http://127.0.0.1:9/v1", "judge"), MetaRubric.load("general"))
        >>> RubricReward(judge, reference="tournament").pairs_of_a_group(8)
        7

    With several processes, `PolicyTrainer` has the main one ask for all, so that a group that spans processes is judged once and as a whole. In a
    `trl.GRPOTrainer` each process judges its own answers: let `num_generations` divide `per_device_train_batch_size`, or a group's parts are judged apart.

    Reference:
        Jia et al., Open Rubric System, arXiv 2602.14069, section on reinforcement learning; "bootstrap" is BRPO, Jia et al., arXiv 2506.00103, where a
        tie is a defeat and here is 0.
    """

    def __init__(
        self,
        judge: PairwiseJudge | Sequence[PairwiseJudge],
        *,
        reference: str = "bootstrap",
        name: str = "rubric",
        grade: str | None = None,
        form: str = "mean",
        pool: str = "mean",
        group_size: int | None = None,
        samples: int = 1,
        seed: int = 0,
        dropout: float = 0.0,
        domain_column: str = "domain",
        deadline: float | None = None,
        pairs_per_step: int | None = None,
        most_failed: float = 0.5,
        in_a_row: int = 50,
        patience: float = 300.0,
        on_failure: str = "stop",
        price: tuple[float, float] = (0.0, 0.0),
        measured_by: Sequence[PairwiseJudge] | None = None,
    ) -> None:
        judges = [judge] if isinstance(judge, PairwiseJudge) else list(judge or ())
        if not judges or not all(isinstance(one, PairwiseJudge) for one in judges):
            raise InputError(f"a rubric reward needs a PairwiseJudge, or several, but got {judge!r}")
        grade = grade or ("sign" if reference == "bootstrap" else "aggregate")
        super().__init__(
            [one.client for one in judges], name=name, unit="pairs of answers", deadline=deadline, most_failed=most_failed,
            in_a_row=in_a_row, patience=patience, on_failure=on_failure, price=price,
        )  # fmt: skip
        check_choice("grade", grade, GRADES)
        check_choice("form", form, FORMS)
        check_choice("pool", pool, POOLS)
        if not isinstance(reference, str) or not reference:
            raise InputError(f"reference must be one of {', '.join(REFERENCES)}, or a column's name, but is {reference!r}")
        check_counts(samples=samples, group_size=group_size, pairs_per_step=pairs_per_step)
        if group_size == 1 and not REFERENCES.get(reference, COLUMN).from_outside:
            raise InputError(
                f"{reference!r} compares answers to one prompt, but group_size is 1: give a column with a reference answer"
            )
        if not 0 <= dropout < 1:
            raise InputError(f"dropout must be at least 0 and below 1, but is {dropout}")
        if reference == LISTWISE and (dropout or pairs_per_step):
            raise InputError(
                "a listwise judge gives one score an answer, without pairs or criteria: leave out dropout and pairs_per_step, or choose another reference"
            )
        self.judges, self.reference, self.grade, self.form, self.pool = judges, reference, grade, form, pool
        self.scheme = REFERENCES.get(reference, COLUMN)
        self.column = POLICY_ANSWERS.get(reference, reference)
        self.answers_needed = (reference,) if reference in POLICY_ANSWERS else ()
        self.group_size, self.samples, self.seed, self.domain_column = group_size, samples, seed, domain_column
        self.dropout, self.pairs_per_step = dropout, pairs_per_step
        self.against_start = AgainstStart(measured_by or judges, domain_column)
        self._places: Counter[bool] = Counter()
        self._named_places = False

    # What TRL and recipes call --------------------------------------------------------------------------------------------------------------

    def objective(self, **options: Any) -> Objective:
        """The reward as one objective, with the options of `Objective`; measured as the win rate against the first policy's answers, ties half."""
        return Objective(self.name, Whole(self), measure=self.against_start.wins, bounds=(0.0, 1.0), **options)

    def objectives(self, **options: Any) -> list[Objective]:
        """An objective for each principle of the judge's rubrics, so that methods weigh the principles themselves; pairs are judged once for all.

        Each is measured as the mean of its principle against the first policy's answers, -1 to 1.

        Raises:
            InputError: where a judge was not asked to name principles.
        """
        if self.reference == LISTWISE:
            raise InputError(
                "a listwise judge gives one score an answer, which cannot be split by principles: choose another reference"
            )
        if not all(judge.principles for judge in self.judges):
            raise InputError(
                "a reward is split by principles where the judge names them: make it with PairwiseJudge(..., principles=True)"
            )
        made: list[Objective] = []
        for name in self.principles:
            reward = Principle(self, name) if made else FirstPrinciple(self, name)
            made.append(Objective(f"{self.name}-{name}", reward, measure=reward.measure, bounds=(-1.0, 1.0), **options))
        return made

    @property
    def principles(self) -> list[str]:
        """The ids of the principles of all rubrics, each once."""
        found = (principle.id for judge in self.judges for rubric in judge.rubrics.values() for principle in rubric.principles)
        return list(dict.fromkeys(found))

    def pairs_of_a_group(self, size: int) -> int:
        """How many pairs a group needs, before checks, caches and equal answers take some away; each is asked once an order, sample and judge."""
        return self.scheme.calls(size)

    def state_dict(self) -> dict[str, Any]:
        """What it has spent so far, who judges, and what the first policy answered to held-out prompts."""
        return {"totals": dict(self.totals), "judges": self._identity(), "start": self.against_start.start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the counts of an earlier run.

        Raises:
            InputError: where that one was judged by another rubric or another judge.
        """
        for before, now in zip(state["judges"], self._identity(), strict=False):
            if before["rubrics"] != now["rubrics"]:
                raise InputError(
                    f"objective {self.name!r}: the run began with the rubric {', '.join(before['rubrics'])} and would go on with "
                    f"{', '.join(now['rubrics'])}: give the one that it began with, or begin a new run"
                )
        if state["judges"] != self._identity():
            raise InputError(
                f"objective {self.name!r}: the run began with another judge, or with other settings of it (the text of a rubric, the model, checks, orders): "
                "give those that it began with, or begin a new run"
            )
        self.totals = Counter(state["totals"])
        self.merge(state)

    def merge(self, state: Mapping[str, Any]) -> None:
        """Take in what the first policy answered to held-out prompts, as another process, or an earlier run, has seen it."""
        # Answers that were kept stay what they are.
        self.against_start.start = {**state["start"], **self.against_start.start}

    def _identity(self) -> list[dict[str, Any]]:
        return [
            {"rubrics": sorted(rubric.id for rubric in judge.rubrics.values()), "fingerprint": judge.fingerprint}
            for judge in self.judges
        ]

    # A batch --------------------------------------------------------------------------------------------------------------------------------

    def _batch(self, prompts: list, completions: list, rows: list[dict[str, Any]], until: float | None) -> Batch:
        return PairsBatch(self, prompts, completions, rows, self._groups(prompts), until)

    def _parts(self) -> Sequence[str]:
        return self.principles

    async def measured(
        self, part: str, prompts: Sequence, completions: Sequence, columns: Mapping[str, Any]
    ) -> list[float | None]:
        """How much better answers are than the start's by a principle."""
        return await self.against_start.by_principle(part, prompts, completions, columns)

    def _measuring_counts(self) -> Counter[str]:
        return self.against_start.counts

    def _groups(self, prompts: Sequence) -> list[list[int]]:
        """Rows that answer one prompt and stand together."""
        texts = list(map(text_of, prompts))
        groups: list[list[int]] = []
        for i, text in enumerate(texts):
            full = groups and self.group_size is not None and len(groups[-1]) == self.group_size
            if groups and texts[groups[-1][0]] == text and not full:
                groups[-1].append(i)
            else:
                groups.append([i])
        if not self.scheme.from_outside and groups and all(len(group) == 1 for group in groups):
            raise InputError(
                f"objective {self.name!r}: {self.reference!r} compares answers to one prompt, but every prompt of the batch has a single answer: "
                "sample several, or give a column with a reference answer"
            )
        return groups

    def _watch(self, found: Judged) -> None:
        """Name a judge that goes by the place where an answer stands."""
        for verdict in (verdict for each in found.verdicts.values() for verdict in each):
            for order in verdict.judgements:
                if order.score:
                    self._places[(order.score > 0) != order.swapped] += 1
        total = self._places.total()
        if self._named_places or total < _ENOUGH:
            return
        for first, said in ((True, "first"), (False, "second")):
            if self._places[first] >= _ALWAYS * total:
                self._named_places = True
                warnings.warn(
                    f"objective {self.name!r}: the judge preferred the answer that was shown {said} in {self._places[first]} of {total} judgements: it goes "
                    "by the place, and says little of the answers; take a stronger model, or orders: both",
                    stacklevel=2,
                )
