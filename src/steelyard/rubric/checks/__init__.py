"""Programmatic checks of one answer: offline, deterministic, and never running what an answer holds."""

from steelyard.rubric.checks.base import Check, check, check_kinds, compare_checks

__all__ = ["Check", "check", "check_kinds", "compare_checks"]
