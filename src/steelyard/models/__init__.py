"""Language models to train: from the package, a wheel, a folder, a GGUF file or the hub; or made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.models.loading import load_policy as load_policy
    from steelyard.models.scratch import byte_tokenizer as byte_tokenizer
    from steelyard.models.scratch import new_model as new_model

__getattr__, __dir__, __all__ = lazy(__name__)
