"""A judge that shows its reasons: principles, criteria for a pair, scores, and what decided."""

from steelyard.checks import Check, check, check_kinds
from steelyard.rubric.criteria import Criterion
from steelyard.rubric.judge import PairwiseJudge
from steelyard.rubric.meta_rubric import MetaRubric, diff_rubrics, rubric_names
from steelyard.rubric.verdict import Judgement, Scored, Verdict, aggregate

__all__ = [
    "Check",
    "Criterion",
    "Judgement",
    "MetaRubric",
    "PairwiseJudge",
    "Scored",
    "Verdict",
    "aggregate",
    "check",
    "check_kinds",
    "diff_rubrics",
    "rubric_names",
]
