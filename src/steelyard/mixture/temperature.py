"""How often each domain is drawn at a temperature, and how its loss would be weighted instead."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.errors import InputError, repeated

Floats = NDArray[np.float64]


def check_sizes(sizes: ArrayLike, names: Sequence[str] | None = None) -> Floats:
    """Sizes of domains as float64 `[D]`, refusing what is no size.

    Example:
        >>> check_sizes([10, 0])
        Traceback (most recent call last):
        steelyard.errors.InputError: sizes must be positive and finite, but domain 1 has 0: leave empty domains out
    """
    try:
        values = np.asarray(sizes, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"sizes must be a list of numbers, one a domain, but are {sizes!r}") from None
    if values.ndim != 1 or not values.size:
        raise InputError(f"sizes must be a list of one number a domain, but have shape {list(values.shape)}")
    if names is not None and (twice := repeated(names)) is not None:
        raise InputError(f"two domains are named {twice!r}: rename one, or put them together")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if wrong.size:
        first = int(wrong[0])
        name = repr(names[first]) if names is not None and first < len(names) else str(first)
        raise InputError(f"sizes must be positive and finite, but domain {name} has {values[first]:g}: leave empty domains out")
    return values


def check_temperature(tau: float) -> float:
    """A temperature: positive, infinity allowed.

    Example:
        >>> check_temperature(0)
        Traceback (most recent call last):
        steelyard.errors.InputError: a temperature must be positive (1: in proportion, inf: all alike), but is 0
    """
    if not isinstance(tau, Real) or isinstance(tau, bool) or not tau > 0:
        raise InputError(f"a temperature must be positive (1: in proportion, inf: all alike), but is {tau!r}")
    return float(tau)


def temperature_probabilities(sizes: ArrayLike, tau: float) -> Floats:
    """How often each domain is drawn at a temperature, `p(i; tau) = |D_i|^(1/tau) / sum_j |D_j|^(1/tau)`.

    Args:
        sizes: of the domains, `[D]`, positive, in any one unit (examples, tokens, bytes).
        tau: temperature, positive; 1 draws in proportion to size, infinity draws all alike.

    Returns:
        float64 `[D]`, summing to 1; computed in logarithms, so that neither 1e13 nor a low temperature overflows.

    Raises:
        InputError: where a size or the temperature is not positive.

    Example:
        >>> temperature_probabilities([100, 1], 2.0).round(3).tolist()
        [0.909, 0.091]
        >>> temperature_probabilities([1e13, 1], float("inf")).tolist()
        [0.5, 0.5]

    Reference:
        Li et al., Upsample or Upweight?, arXiv 2410.04579, equation 1.
    """
    logs = np.log(check_sizes(sizes))
    with np.errstate(over="ignore"):
        shares = np.exp((logs - logs.max()) / check_temperature(tau))
    return shares / shares.sum()


def scalarization_weights(sizes: ArrayLike, tau: float) -> Floats:
    """The loss weight that stands for a temperature where domains are drawn in proportion, `w_i = p(i; tau) / p(i; 1)`.

    Args:
        sizes: of the domains, `[D]`, positive.
        tau: temperature, positive.

    Returns:
        float64 `[D]`; its mean over examples drawn in proportion is 1.

    Raises:
        InputError: where a size or the temperature is not positive.

    Example:
        >>> scalarization_weights([3, 1], float("inf")).round(3).tolist()
        [0.667, 2.0]

    Reference:
        Li et al., arXiv 2410.04579, section 3: equal to temperature sampling in expectation (theorem 1), of larger variance where
        gradients are alike in size (theorem 2).
    """
    return temperature_probabilities(sizes, tau) / temperature_probabilities(sizes, 1.0)
