"""Our state in a checkpoint of TRL's: a JSON file, and after it the sizes and checksums of all files, so that damage is seen."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerState

from steelyard.errors import RunError
from steelyard.files import seal, write_atomically

STATE_FILE = "steelyard.json"


def write_state(checkpoint: Path, state: dict[str, Any]) -> None:
    """Add a state to a checkpoint, and the sizes and checksums of all its files: it is whole then."""
    write_atomically(checkpoint / STATE_FILE, json.dumps({**state, "sealed": True}, allow_nan=False))
    seal(checkpoint)


def read_state(checkpoint: Path | str | None) -> dict[str, Any] | None:
    """The state in a checkpoint; None where it has none."""
    if checkpoint is None or not (Path(checkpoint) / STATE_FILE).is_file():
        return None
    state: dict[str, Any] = json.loads((Path(checkpoint) / STATE_FILE).read_text(encoding="utf-8"))
    return state


def check_finite(step: int, logs: Mapping[str, Any]) -> None:
    """Refuse an update from which no policy comes back.

    Raises:
        RunError: where its loss or its gradient is not finite.
    """
    if not all(math.isfinite(float(logs.get(name, 0.0))) for name in ("loss", "grad_norm")):
        raise RunError(
            f"step {step}: the loss is {logs.get('loss')}, its gradient's norm {logs['grad_norm']}: lower the learning rate"
        )


@contextmanager
def divergence_is_clear(step: int) -> Iterator[None]:
    """Turn what torch says of probabilities that are no numbers into one clear error."""
    try:
        yield
    except RuntimeError as error:
        if "probability tensor contains" not in str(error):
            raise
        raise RunError(f"step {step}: the policy's probabilities are not finite: lower the learning rate") from error


def checkpoint_of(trainer: Any, trial: Any = None) -> Path:
    """The folder of the checkpoint that a trainer is writing, or has written last."""
    return Path(trainer._get_output_dir(trial=trial)) / f"checkpoint-{trainer.state.global_step}"


def restore(trainer: Any, checkpoint: str) -> None:
    """Take over model and state of a checkpoint, to validate and not to train on."""
    trainer._load_from_checkpoint(checkpoint)
    trainer.state = TrainerState.load_from_json(str(Path(checkpoint) / "trainer_state.json"))
    state = read_state(checkpoint)
    if state is not None:
        trainer.load_state_dict(state)
