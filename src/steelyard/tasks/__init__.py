"""Tasks the project generates itself: prompts, and a policy small enough to ship."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steelyard.tasks.everyday import everyday_rows
from steelyard.tasks.sums import sums_split

Row = dict[str, Any]
GENERATED: dict[str, Callable[..., tuple[list[Row], list[Row], list[Row]]]] = {"everyday": everyday_rows, "sums": sums_split}
"""By the name of a source, what makes its training, validation and test prompts: `(num_train, num_validation, num_test, seed=)`."""
