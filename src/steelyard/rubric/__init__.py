"""A judge that shows its reasons: principles, criteria for a pair, scores, and what decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.checks import Check as Check
    from steelyard.checks import check as check
    from steelyard.checks import check_kinds as check_kinds
    from steelyard.rubric.batch import Summary as Summary
    from steelyard.rubric.batch import judge_pairs as judge_pairs
    from steelyard.rubric.batch import run_pairs as run_pairs
    from steelyard.rubric.conversation import Conversation as Conversation
    from steelyard.rubric.conversation import Turn as Turn
    from steelyard.rubric.criteria import Criterion as Criterion
    from steelyard.rubric.judge import PairwiseJudge as PairwiseJudge
    from steelyard.rubric.listwise import Ranking as Ranking
    from steelyard.rubric.listwise import rank as rank
    from steelyard.rubric.meta_rubric import MetaRubric as MetaRubric
    from steelyard.rubric.meta_rubric import Policies as Policies
    from steelyard.rubric.meta_rubric import Principle as Principle
    from steelyard.rubric.meta_rubric import diff_rubrics as diff_rubrics
    from steelyard.rubric.meta_rubric import find_rubric as find_rubric
    from steelyard.rubric.meta_rubric import rubric_names as rubric_names
    from steelyard.rubric.order_policies import Outcome as Outcome
    from steelyard.rubric.order_policies import Recorded as Recorded
    from steelyard.rubric.order_policies import calibrate as calibrate
    from steelyard.rubric.order_policies import replay as replay
    from steelyard.rubric.page import print_verdict as print_verdict
    from steelyard.rubric.page import write_verdicts as write_verdicts
    from steelyard.rubric.pairs import Pair as Pair
    from steelyard.rubric.pairs import read_pairs as read_pairs
    from steelyard.rubric.points import PointCriterion as PointCriterion
    from steelyard.rubric.points import points_of as points_of
    from steelyard.rubric.points import points_score as points_score
    from steelyard.rubric.points import read_points as read_points
    from steelyard.rubric.pointwise import Graded as Graded
    from steelyard.rubric.pointwise import Grading as Grading
    from steelyard.rubric.pointwise import PointwiseJudge as PointwiseJudge
    from steelyard.rubric.programmatic import ProgrammaticJudge as ProgrammaticJudge
    from steelyard.rubric.router import by_judge as by_judge
    from steelyard.rubric.router import by_name as by_name
    from steelyard.rubric.router import by_rules as by_rules
    from steelyard.rubric.router import shipped_rubrics as shipped_rubrics
    from steelyard.rubric.stats import Stats as Stats
    from steelyard.rubric.stats import rubric_stats as rubric_stats
    from steelyard.rubric.values import principle_values as principle_values
    from steelyard.rubric.values import tier_weights as tier_weights
    from steelyard.rubric.values import value_of as value_of
    from steelyard.rubric.verdict import Judgement as Judgement
    from steelyard.rubric.verdict import Scored as Scored
    from steelyard.rubric.verdict import Verdict as Verdict
    from steelyard.rubric.verdict import Winner as Winner
    from steelyard.rubric.verdict import aggregate as aggregate
    from steelyard.rubric.verdict_files import read_verdicts as read_verdicts

__getattr__, __dir__, __all__ = lazy(__name__)
