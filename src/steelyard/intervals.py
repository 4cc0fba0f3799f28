"""Intervals: of a share (Wilson), and of a mean (Student); and measures as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, stdev


def standard_error(values: Sequence[float]) -> float | None:
    """The standard error of the mean, `s / sqrt(n)`; None for a single value.

    Example:
        >>> standard_error([0.0, 1.0, 0.0, 1.0]), standard_error([1.0])
        (0.28867513459481287, None)
    """
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def wilson(right: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share.

    Example:
        >>> tuple(round(edge, 3) for edge in wilson(8, 10))
        (0.49, 0.943)
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def student_quantile(freedom: int) -> float:
    """The 97.5% quantile of Student's distribution, to half a percent from 3 degrees of freedom on (Hill's expansion; below, known values).

    Example:
        >>> [round(student_quantile(n), 2) for n in (1, 2, 3, 15)]
        [12.71, 4.3, 3.18, 2.13]
    """
    if freedom < 3:
        return {1: 12.7062, 2: 4.3027}[freedom]
    z = 1.959964
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def with_error(value: float, error: float | None) -> str:
    """A measure with its standard error, where it is known.

    Example:
        >>> with_error(0.12345, 0.0221), with_error(123.456, None)
        ('0.123 ± 0.022', '123.5')
    """
    return number(value) if error is None else f"{number(value)} ± {error:.{1 if abs(value) >= 10 else 3}f}"


def number(value: float) -> str:
    """Three decimals for small numbers, one for large ones.

    Example:
        >>> number(0.12345), number(123.456)
        ('0.123', '123.5')
    """
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
