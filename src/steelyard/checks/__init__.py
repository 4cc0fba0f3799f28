"""Programmatic checks of one answer: offline, deterministic, and never running what an answer holds. Objectives and the rubric use the same."""

from steelyard.checks.answers import boxed_content, equivalent, final_answer, is_right, truth_of
from steelyard.checks.base import CHECKS, Check, compare_checks
from steelyard.checks.content import in_language, language_of
from steelyard.checks.ifeval import IFEVAL, follows
from steelyard.checks.kinds import check, check_kinds
from steelyard.checks.text import paragraphs, sentences, words

__all__ = [
    "CHECKS",
    "IFEVAL",
    "Check",
    "boxed_content",
    "check",
    "check_kinds",
    "compare_checks",
    "equivalent",
    "final_answer",
    "follows",
    "in_language",
    "is_right",
    "language_of",
    "paragraphs",
    "sentences",
    "truth_of",
    "words",
]
