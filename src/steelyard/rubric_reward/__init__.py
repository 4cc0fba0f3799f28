"""A judge's verdicts as rewards for training: what answers are compared with, and what each gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.rubric_reward.points import PointsReward as PointsReward
    from steelyard.rubric_reward.references import strengths as strengths
    from steelyard.rubric_reward.reward import Judged as Judged
    from steelyard.rubric_reward.reward import RubricReward as RubricReward

__getattr__, __dir__, __all__ = lazy(__name__)
