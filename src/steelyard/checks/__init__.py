"""Programmatic checks of one answer: offline, deterministic, and never running what an answer holds. Objectives and the rubric use the same."""

from steelyard.checks.answers import boxed_content, equivalent, final_answer
from steelyard.checks.base import Check, compare_checks
from steelyard.checks.kinds import check, check_kinds

__all__ = ["Check", "boxed_content", "check", "check_kinds", "compare_checks", "equivalent", "final_answer"]
