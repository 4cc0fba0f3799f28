"""The trade-off, drawn: `write_report` makes one HTML page of one or more run folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    # When first used: the picture of a plan needs no page.
    from steelyard.report.page import write_figures as write_figures
    from steelyard.report.page import write_report as write_report

__getattr__, __dir__, __all__ = lazy(__name__)
