"""The held-out loss of every domain: which domain a batch's rows belong to, how many tokens have a loss, and their mean."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steelyard.errors import InputError
from steelyard.fields import is_missing
from steelyard.training.mixing import column_of

DOMAIN = "domain_label"


class WithDomain:
    """A collator that passes every example's domain on, as text, beside what another collator makes of the rest."""

    def __init__(self, collator: Any, column: str) -> None:
        self.collator, self.column = collator, column

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Collate a batch."""
        labels = [example.get(self.column) for example in examples]
        batch = self.collator([{k: v for k, v in example.items() if k != self.column} for example in examples])
        return {**batch, DOMAIN: labels}


def check_held_out(dataset: Any, column: str) -> None:
    """Refuse held-out rows whose losses cannot be split by domain.

    Example:
        >>> from datasets import Dataset
        >>> check_held_out(Dataset.from_list([{"text": "a", "domain": "en"}]), "domain")
        Traceback (most recent call last):
        steelyard.errors.InputError: held-out rows need the column 'input_ids' (columns found: text, domain): give text as eval_dataset= ...
    """
    columns = getattr(dataset, "column_names", None) or []
    if not hasattr(dataset, "__len__"):
        raise InputError("held-out rows that stream cannot be measured by domain: give a datasets.Dataset")
    for name in (column, "input_ids"):
        if name not in columns:
            raise InputError(
                f"held-out rows need the column {name!r} (columns found: {', '.join(columns)}): give text as eval_dataset= to the "
                "trainer, which tokenizes it and keeps every row's domain"
            )
    missing = next((row for row, label in enumerate(column_of(dataset, column), start=1) if is_missing(label)), None)
    if missing is not None:
        raise InputError(f"held-out row {missing} has no {column}: every row belongs to one")


def token_counts(dataset: Any) -> list[int]:
    """How many tokens every row of a tokenized dataset has.

    Example:
        >>> from datasets import Dataset
        >>> token_counts(Dataset.from_list([{"input_ids": [1, 2]}, {"input_ids": [3]}]).select([1, 0]))
        [1, 2]
    """
    import pyarrow.compute as pc

    counts: list[int] = pc.list_value_length(dataset.select_columns("input_ids").with_format("arrow")[:]["input_ids"]).to_pylist()
    return counts


def target_counts(dataset: Any) -> list[int]:
    """How many tokens of every row have a loss: those after the first whose label is not masked.

    Example:
        >>> from datasets import Dataset
        >>> target_counts(Dataset.from_dict({"labels": [[1, 2, 3], [-100, -100, 5], [7]]}))
        [2, 1, 0]
    """
    if "labels" not in dataset.column_names:
        return [max(0, count - 1) for count in token_counts(dataset)]
    found: list[int] = []
    for table in dataset.select_columns("labels").with_format("arrow").iter(10_000):
        labels = table["labels"].combine_chunks()
        ends = np.cumsum([0, *(len(row) for row in labels)])
        counted = np.concatenate([[0], np.cumsum(labels.flatten().to_numpy() != -100)])
        found += (counted[ends[1:]] - counted[np.minimum(ends[:-1] + 1, ends[1:])]).tolist()
    return found


@torch.no_grad()
def domain_losses(trainer: Any, dataset: Any) -> tuple[dict[str, float], dict[str, int]]:
    """Mean loss a token on each domain's rows, in nats, and the number of tokens; over all processes, without domains none of whose tokens has a
    loss.
    """
    accelerator, model = trainer.accelerator, trainer.model
    column = trainer.order.mixture.column
    lengths = token_counts(dataset)
    # Alike in length, alike in batch: little padding.
    rows = sorted(range(len(lengths)), key=lengths.__getitem__)[accelerator.process_index :: accelerator.num_processes]
    size = trainer.args.per_device_eval_batch_size
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(rows), size):
            batch = trainer.data_collator([dataset[row] for row in rows[start : start + size]])
            labels = batch.pop(DOMAIN)
            batch = {name: value.to(accelerator.device) for name, value in batch.items() if isinstance(value, Tensor)}
            outputs = trainer.model(**batch, use_cache=False, fused_lm_head=True)
            for label, loss, count in zip(
                labels, (-outputs.log_probs).sum(1).tolist(), outputs.label_mask.sum(1).tolist(), strict=True
            ):
                sums[str(label)][0] += loss
                sums[str(label)][1] += count
    finally:
        model.train(was_training)
    names = sorted({str(label) for label in column_of(dataset, column)})
    totals = torch.tensor([sums[name] for name in names], dtype=torch.float64, device=accelerator.device)
    totals = accelerator.reduce(totals, reduction="sum").cpu()
    counted = {name: (loss, count) for name, (loss, count) in zip(names, totals.tolist(), strict=True) if count}
    return {name: loss / count for name, (loss, count) in counted.items()}, {name: int(n) for name, (_, n) in counted.items()}
