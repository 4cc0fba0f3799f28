"""The embedded task: three-number sums, and the small policy that ships with the package (`policy/`, made by `pretrain.py`)."""

from pathlib import Path

from steelyard.tasks.sums.task import STYLES, draw_terms, prompt_text, sums_rows, sums_split, sums_test_rows

POLICY_DIR = Path(__file__).parent / "policy"

__all__ = ["POLICY_DIR", "STYLES", "draw_terms", "prompt_text", "sums_rows", "sums_split", "sums_test_rows"]
