"""What is rewarded: `Objective`, the reward matrix, and the built-in objectives."""

from steelyard.objectives.gates import Gate, apply_gates
from steelyard.objectives.loading import BUILT_IN, built_in, load_function
from steelyard.objectives.maths import accuracy
from steelyard.objectives.objective import Objective, check_names, reward_matrix, text_of
from steelyard.objectives.text import clarity, conciseness, format_match, language, length_window, repetition

__all__ = [
    "BUILT_IN",
    "Gate",
    "Objective",
    "accuracy",
    "apply_gates",
    "built_in",
    "check_names",
    "clarity",
    "conciseness",
    "format_match",
    "language",
    "length_window",
    "load_function",
    "repetition",
    "reward_matrix",
    "text_of",
]
