"""What is rewarded: `Objective`, the reward matrix, and the built-in objectives. Only the matrix needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.messages import text_of as text_of
    from steelyard.objectives.checked import checked as checked
    from steelyard.objectives.gated_length import brevity as brevity
    from steelyard.objectives.gates import Gate as Gate
    from steelyard.objectives.kinds import BUILT_IN as BUILT_IN
    from steelyard.objectives.kinds import built_in as built_in
    from steelyard.objectives.loading import load_function as load_function
    from steelyard.objectives.maths import accuracy as accuracy
    from steelyard.objectives.matrix import apply_gates as apply_gates
    from steelyard.objectives.matrix import check_names as check_names
    from steelyard.objectives.matrix import reward_matrix as reward_matrix
    from steelyard.objectives.objective import Goal as Goal
    from steelyard.objectives.objective import Objective as Objective
    from steelyard.objectives.objective import OnError as OnError
    from steelyard.objectives.objective import RewardFunction as RewardFunction
    from steelyard.objectives.writing import ShorterThanAverage as ShorterThanAverage
    from steelyard.objectives.writing import clarity as clarity
    from steelyard.objectives.writing import conciseness as conciseness
    from steelyard.objectives.writing import format_match as format_match
    from steelyard.objectives.writing import language as language
    from steelyard.objectives.writing import length_window as length_window
    from steelyard.objectives.writing import repetition as repetition
    from steelyard.objectives.writing import step_markers as step_markers

__getattr__, __dir__, __all__ = lazy(__name__)
