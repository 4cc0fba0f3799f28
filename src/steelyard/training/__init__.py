"""Training on TRL. Importing this module is quick; TRL itself is imported when a trainer is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steelyard import _moved
from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.mixture import Mixture as Mixture
    from steelyard.training.callback import WeightingCallback as WeightingCallback
    from steelyard.training.mixing import use_mixture as use_mixture
    from steelyard.training.preferences import drawn_preferences as drawn_preferences
    from steelyard.training.preferences import preference_text as preference_text
    from steelyard.training.preferences import read_preference as read_preference
    from steelyard.training.preferences import with_preference as with_preference
    from steelyard.training.record import Recorder as Recorder
    from steelyard.training.references import use_references as use_references
    from steelyard.training.sft import MixtureSFTTrainer as MixtureSFTTrainer
    from steelyard.training.sft import SFTRecorder as SFTRecorder
    from steelyard.training.trainer import PolicyTrainer as PolicyTrainer

_get, __dir__, __all__ = lazy(__name__)


def __getattr__(name: str) -> Any:
    return _get(name) if name in __all__ else _moved.elsewhere(__name__, name)
