"""Schedules by the word that begins how they are written; each adds itself where it stands, one file a schedule."""

from __future__ import annotations

from steelyard.mixture.base import Schedule
from steelyard.registry import Registry

SCHEDULES: Registry[type[Schedule]] = Registry("schedule", __package__)
