"""A schedule in one word, as in recipes and on the command line."""

from __future__ import annotations

from steelyard.errors import InputError, nearest
from steelyard.mixture.adaptive import AdaptiveCooldown, CooldownAtCap
from steelyard.mixture.base import Schedule
from steelyard.mixture.order_matters import OrderMatters
from steelyard.mixture.schedules import ConstantTemperature, Cooldown, CosineTemperature, LinearTemperature, PiecewiseTemperature
from steelyard.mixture.shares import Shares
from steelyard.mixture.unimax import UniMax

FORMS = {
    "constant": "constant:TAU",
    "cooldown": "cooldown, or cooldown:START,END,AT",
    "cooldown-at-cap": "cooldown-at-cap:EPOCHS, or cooldown-at-cap:EPOCHS,START,END",
    "adaptive": "adaptive, or adaptive:START,END,LATEST,PATIENCE",
    "piecewise": "piecewise:0=TAU,AT=TAU,...",
    "linear": "linear:START,END",
    "cosine": "cosine:START,END",
    "unimax": "unimax:EPOCHS",
    "late": "late:DOMAIN,DOMAIN,...@AT",
    "shares": "shares:FILE.json",
}
"""How a schedule is written in one word."""


def parse_schedule(text: str) -> Schedule:
    """A schedule from one word, as on the command line.

    Args:
        text: one of `FORMS`, numbers filled in.

    Returns:
        The schedule.

    Raises:
        InputError: naming the forms there are.

    Example:
        >>> parse_schedule("cooldown"), parse_schedule("piecewise:0=100,0.2=5,0.6=1").changes()
        (Cooldown(start=5.0, end=1.0, at=0.5), [0.2, 0.6])
        >>> parse_schedule("cooldwn")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown schedule 'cooldwn' (did you mean 'cooldown'?): use constant:TAU; cooldown, or ...
    """
    kind, _, rest = text.partition(":")
    if kind not in FORMS:
        raise InputError(f"unknown schedule {kind!r}{nearest(kind, FORMS)}: use {'; '.join(FORMS.values())}")
    try:
        if kind == "shares":
            return Shares.load(rest)
        if kind == "late":
            domains, _, at = rest.partition("@")
            return OrderMatters(domains.split(","), at=float(at or 0.5))
        if kind == "piecewise":
            pairs = [pair.split("=") for pair in rest.split(",")]
            return PiecewiseTemperature([(float(at), float(tau)) for at, tau in pairs])
        numbers = [float(number) for number in rest.split(",")] if rest else []
        made: dict[str, type[Schedule]] = {
            "constant": ConstantTemperature, "cooldown": Cooldown, "cooldown-at-cap": CooldownAtCap, "adaptive": AdaptiveCooldown,
            "linear": LinearTemperature, "cosine": CosineTemperature, "unimax": UniMax,
        }  # fmt: skip
        return made[kind](*numbers)
    except (ValueError, TypeError):
        raise InputError(f"cannot read schedule {text!r}: write {FORMS[kind]}") from None
