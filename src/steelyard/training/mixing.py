"""A mixture of domains in a trainer: how it fits the trainer's arguments, data and checkpoints.

`use_mixture(trainer, "cooldown")` gives any of TRL's trainers the order; our own trainers take `mixture=` and can weight the loss as well.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from torch.utils.data import Sampler
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from steelyard.errors import InputError
from steelyard.mixture import Schedule
from steelyard.mixture.mixture import Mixture, as_mixture
from steelyard.training._domain_order import DomainOrder
from steelyard.training._prompt_order import GroupSampler

_MIXTURE_STATE = "MixtureState"
"""What an order is called in a checkpoint's trainer_state.json."""


def order_for(trainer: Any, mixture: Mixture) -> DomainOrder:
    """A mixture's order for one of TRL's trainers: global batches of rows, or of prompts where answers are generated."""
    # A copy, since the caller may give the same arguments to another trainer.
    args = trainer.args = copy.copy(trainer.args)
    dataset = trainer.train_dataset
    _check_order(args)
    if dataset is None or not hasattr(dataset, "__len__"):
        raise InputError(
            "a mixture draws rows by number, but the training set streams: load it, or mix the sources by MixtureStream"
        )
    columns = getattr(dataset, "column_names", None)
    if columns is None or mixture.column not in columns:
        raise InputError(f"a mixture needs the column {mixture.column!r} in the training set (columns found: {columns})")
    batch_size = _rows_a_batch(trainer)
    if args.max_steps <= 0:
        # Said in steps: the order covers the whole run, and the trainer would take it for one epoch of several.
        args.max_steps = math.ceil(args.num_train_epochs * len(dataset) / batch_size * steps_a_batch(trainer))
    a_pass = max(1, round(len(dataset) / batch_size * steps_a_batch(trainer)))
    for what in ("eval", "save", "logging"):
        # The order is one epoch to the trainer, however long the run.
        if getattr(args, f"{what}_strategy") == "epoch":
            setattr(args, f"{what}_strategy", type(getattr(args, f"{what}_strategy"))("steps"))
            setattr(args, f"{what}_steps", a_pass)
    batches = math.ceil(args.max_steps / steps_a_batch(trainer))
    return DomainOrder(
        mixture, column_of(dataset, mixture.column), num_samples=batches * batch_size, batch_size=batch_size, seed=args.seed
    )


def _check_order(args: Any) -> None:
    """Refuse settings with which the order would not be the run's."""
    if getattr(args, "packing", False) or getattr(args, "eval_packing", False):
        raise InputError(
            "packing mixes domains within an example: turn it off with a mixture, or pack each domain's rows on their own"
        )
    if args.ignore_data_skip:
        raise InputError("ignore_data_skip begins the mixture anew where a run is resumed: turn it off, to skip takes no time")
    if args.auto_find_batch_size:
        raise InputError(
            "auto_find_batch_size changes the batches that a mixture is laid out in: turn it off, and set their size"
        )
    if args.train_sampling_strategy != "random":
        raise InputError(
            f"train_sampling_strategy={args.train_sampling_strategy!r} orders the rows, and so does a mixture: leave it out"
        )


def column_of(dataset: Any, name: str) -> list[Any]:
    """A column of a dataset, read at once: row by row it takes a hundred times as long.

    Example:
        >>> from datasets import Dataset
        >>> column_of(Dataset.from_list([{"domain": "en"}, {"domain": "sw"}]).select([1]), "domain")
        ['sw']
    """
    return list(dataset[name][:])


def _rows_a_batch(trainer: Any) -> int:
    """Rows of a global batch, or prompts where answers are generated."""
    args = trainer.args
    if hasattr(trainer, "num_generations"):
        return int(args.generation_batch_size // (getattr(trainer, "_given_group_size", None) or trainer.num_generations))
    return int(args.train_batch_size * args.gradient_accumulation_steps * trainer.accelerator.num_processes)


def steps_a_batch(trainer: Any) -> float:
    """How many updates are made from one batch that the order gives."""
    if not hasattr(trainer, "num_generations"):
        return 1.0
    return trainer.args.steps_per_generation * trainer.num_iterations / trainer.args.gradient_accumulation_steps


def use_mixture(trainer: Any, mixture: Mixture | Schedule | str = "cooldown") -> DomainOrder:
    """Let a `trl.SFTTrainer`, `GRPOTrainer` or `RLOOTrainer` draw its training rows by a mixture; call it before `train()`.

    Args:
        trainer: its training set needs a column with each row's domain.
        mixture: a `Mixture`, a `Schedule`, or a schedule in a word. It must work by sampling: loss weights need our trainers.

    Returns:
        The order that is used.

    Raises:
        InputError: where the column is missing, examples are packed, the mixture does not fit, or the trainer takes one itself.

    A run that is resumed draws on where it stopped, since the order follows from the seed alone; on other data, or with another mixture, it is
    refused. Groups stay whole. The trainer gets arguments of its own (`trainer.args`), so that others may share those it was given; strategies by
    epoch (`eval_strategy="epoch"`) become ones by steps: as many as draw as many rows as there are.

    Example:
        >>> import tempfile
        >>> from datasets import Dataset
        >>> from trl import SFTConfig, SFTTrainer
        >>> from steelyard.models.scratch import byte_tokenizer, new_model
        >>> tokenizer = byte_tokenizer()
        >>> trainer = SFTTrainer(
        ...     new_model(tokenizer, width=8, layers=1, heads=1, context=16, seed=0),
        ...     SFTConfig(tempfile.mkdtemp(), max_steps=2, per_device_train_batch_size=4, use_cpu=True, bf16=False, report_to="none"),
        ...     train_dataset=Dataset.from_dict({"text": ["one", "two", "three", "moja"], "domain": ["en", "en", "en", "sw"]}),
        ...     processing_class=tokenizer,
        ... )
        >>> order = use_mixture(trainer, "constant:inf")
        >>> [order.drawn(batch) for batch in range(2)]
        [{'en': 2, 'sw': 2}, {'en': 2, 'sw': 2}]
    """
    chosen = as_mixture(mixture)
    if hasattr(trainer, "order"):
        raise InputError(f"a {type(trainer).__name__} takes mixture= itself, when it is made")
    if chosen.follows_losses:
        raise InputError("an adaptive cooldown follows the losses of domains, which needs steelyard.training.MixtureSFTTrainer")
    if chosen.by != "sampling":
        raise InputError("scalarization weights the loss, which needs steelyard.training.PolicyTrainer or MixtureSFTTrainer")
    order = order_for(trainer, chosen)
    trainer._get_train_sampler = lambda dataset=None: train_sampler(trainer, order)
    for callback in [found for found in trainer.callback_handler.callbacks if type(found).__name__ == _MIXTURE_STATE]:
        trainer.remove_callback(callback)
    trainer.add_callback(mixture_state(order))
    return order


def check_mixture_state(trainer: Any, mixture: Mixture | None) -> None:
    """Refuse to go on without a mixture from a checkpoint that was made with one."""
    if mixture is None and _MIXTURE_STATE in trainer.state.stateful_callbacks:
        raise InputError("the checkpoint was made with a mixture: give mixture= as then, or begin a new run")


def mixture_state(order: DomainOrder) -> TrainerCallback:
    """A callback that writes what an order depends on into every checkpoint, and refuses one of another order."""

    class MixtureState(TrainerCallback, ExportableState):
        # Without arguments, since transformers makes another one where it restores callbacks from a checkpoint.

        def state(self) -> dict[str, Any]:
            return {"order": order.state_dict()}

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            order.load_state_dict(_kept_order(state.stateful_callbacks))

    MixtureState.__name__ = _MIXTURE_STATE
    return MixtureState()


def _kept_order(stateful_callbacks: dict[str, Any]) -> dict[str, Any]:
    """The state of the order that a checkpoint was made with."""
    kept = stateful_callbacks.get(_MIXTURE_STATE)
    if kept is None:
        raise InputError(
            "the checkpoint does not say by which mixture it was made: resume as it was made, without a mixture, or begin a new run"
        )
    found: dict[str, Any] = kept["order"]
    return found


def train_sampler(trainer: Any, order: DomainOrder) -> Sampler[int]:
    """What the trainer's loader draws from: the order, for generating trainers in whole groups.

    Raises:
        InputError: where the run has another length than the order, which is asked for when it begins.
    """
    batches, rows = math.ceil(trainer.args.max_steps / steps_a_batch(trainer)), _rows_a_batch(trainer)
    if (batches, rows) != (order.batches, order.batch_size):
        raise InputError(
            f"the mixture is laid out over {order.batches} batches of {order.batch_size}, but the arguments ask for {batches} of {rows} now: "
            "set them before the mixture"
        )
    if not hasattr(trainer, "num_generations"):
        return order
    return GroupSampler(
        order,
        group_size=getattr(trainer, "_given_group_size", None) or trainer.num_generations,
        prompts_per_batch=order.batch_size,
        repeats=trainer.num_iterations * trainer.args.steps_per_generation,
    )
