"""The picture of a planned mixture: shares and epochs of every domain against its size."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from steelyard.mixture import MixturePlan
from steelyard.report._drawing import RUN_COLOURS, STYLE


def mixture_figure(plan: MixturePlan, *, max_epochs: float) -> Figure:
    """Two panels over the domains' sizes: the share in each phase beside the share in proportion, and how often each domain is seen."""
    sizes = np.array([domain.size for domain in plan.domains])
    order = np.argsort(sizes)
    with matplotlib.rc_context(STYLE):
        # Fixed margins: to have them worked out takes as long as all the rest.
        figure = Figure(figsize=(9.6, 3.9))
        left, right = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.085, right=0.965, bottom=0.125, top=0.97, wspace=0.2)
        left.plot(
            sizes[order], (sizes / sizes.sum())[order], color="#8a929c", linestyle="--", linewidth=1.2, label="in proportion"
        )
        for p, start in enumerate(plan.phases):
            shares = np.array([domain.shares[p] for domain in plan.domains])
            label = "whole run" if len(plan.phases) == 1 else f"from {start:.0%} of the run"
            left.plot(sizes[order], shares[order], "o-", color=RUN_COLOURS[p % 8], markersize=3.5, linewidth=1.4, label=label)
        left.set_ylabel("share of the draws")
        left.set_yscale("log")
        left.legend()
        epochs = np.array([domain.epochs for domain in plan.domains])
        over = epochs > max_epochs
        right.scatter(sizes[~over], epochs[~over], color=RUN_COLOURS[0], s=22)
        right.scatter(sizes[over], epochs[over], color=RUN_COLOURS[1], s=22)
        right.axhline(max_epochs, color=RUN_COLOURS[1], linewidth=0.9, linestyle="--")
        right.axhline(1, color="#8a929c", linewidth=0.8)
        right.set_ylabel("times each example is seen")
        right.set_yscale("log")
        labelled = np.inf
        for d in order[::-1]:
            # From the largest down, those that have room.
            if np.log(labelled / sizes[d]) > 0.05 * np.log(sizes.max() / sizes.min() + 1):
                domain, labelled = plan.domains[d], sizes[d]
                right.annotate(domain.name, (domain.size, domain.epochs), xytext=(3, 3), textcoords="offset points", fontsize=7)
        for axis in (left, right):
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.yaxis.set_minor_locator(NullLocator())
            axis.set_xlabel("size of the domain")
    return figure
