"""The trade-off, drawn: `write_report` makes one HTML page of one or more run folders."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelyard.report.page import write_figures, write_report

__all__ = ["write_figures", "write_report"]


def __getattr__(name: str) -> Any:
    # When first used: the picture of a plan needs no page.
    if name not in __all__:
        raise AttributeError(f"module 'steelyard.report' has no attribute {name!r}")
    return getattr(importlib.import_module("steelyard.report.page"), name)
