"""The trade-off, drawn: `write_report` makes one HTML page of one or more run folders."""

from steelyard.report.page import write_figures, write_report

__all__ = ["write_figures", "write_report"]
