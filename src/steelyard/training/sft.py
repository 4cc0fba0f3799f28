"""`MixtureSFTTrainer`: TRL's SFTTrainer on domains of very different size, with a loss for each of them.

What is added hangs on these methods of TRL's trainer, each overridden and each calling the original unless the mixture takes its place:

    order        _get_train_sampler, train           rows by the mixture, from the start or where a run goes on
                 _set_signature_columns_if_needed    keeps the column with the domains
    loss         get_batch_samples                   turns an example's domain into its loss weight
                 compute_loss                        multiplies every token's loss by it, with scalarization
    records      log                                 writes an update's record
    validation   evaluate                            the held-out loss of every domain
    state        _save_checkpoint, _load_optimizer_and_scheduler
                                                     add our state to a checkpoint, and take it up
                 create_model_card                   writes none
"""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler
from trl import SFTTrainer

from steelyard.errors import InputError, RunError
from steelyard.mixture import Schedule
from steelyard.mixture.mixture import Mixture, as_mixture
from steelyard.training._domain_losses import DOMAIN, WithDomain, check_held_out, domain_losses, target_counts
from steelyard.training._state import check_finite, checkpoint_of, read_state, restore, write_state
from steelyard.training.mixing import column_of, mixture_state, order_for, train_sampler
from steelyard.training.record import nonzero


class SFTRecorder(Protocol):
    """What a supervised run tells of itself."""

    def on_step(self, record: dict[str, Any]) -> None:
        """An update is made."""

    def on_validation(self, step: int, losses: dict[str, float], tokens: dict[str, int], seconds: float) -> None:
        """Every domain's held-out loss, in nats a token, and how many tokens it is over."""

    def on_message(self, text: str) -> None:
        """Something worth a line."""


class MixtureSFTTrainer(SFTTrainer):
    """A `trl.SFTTrainer` that draws its examples by a mixture of domains, or weights their loss by it.

    Args:
        model, args, train_dataset, eval_dataset, ...: as for `trl.SFTTrainer`; both sets need a column with every row's domain.
        mixture: a `Mixture`, a `Schedule`, or a schedule in a word.
        recorder: see `SFTRecorder`.

    `evaluate()` gives `eval_loss` over all held-out tokens and `eval_loss/NAME` for every domain, in nats a token; the best model by any of them
    (`metric_for_best_model`) has the lowest.

    Raises:
        InputError: where the mixture does not fit the data or TRL's arguments.

    Example:
        >>> import tempfile
        >>> from datasets import Dataset
        >>> from trl import SFTConfig
        >>> from steelyard.models.scratch import byte_tokenizer, new_model
        >>> tokenizer = byte_tokenizer()
        >>> rows = Dataset.from_list([{"text": "one two"}] * 6 + [{"text": "moja"}] * 2).add_column("domain", ["en"] * 6 + ["sw"] * 2)
        >>> trainer = MixtureSFTTrainer(
        ...     model=new_model(tokenizer, width=8, layers=1, heads=1, context=16, seed=0),
        ...     args=SFTConfig(tempfile.mkdtemp(), max_steps=2, per_device_train_batch_size=4, use_cpu=True, bf16=False, report_to="none"),
        ...     train_dataset=rows,
        ...     eval_dataset=rows,
        ...     processing_class=tokenizer,
        ...     mixture="constant:inf",
        ... )
        >>> trainer.order.drawn(0), sorted(trainer.evaluate())
        ({'en': 2, 'sw': 2}, ['eval_loss', 'eval_loss/en', 'eval_loss/sw'])
    """

    def __init__(
        self,
        *positional: Any,
        mixture: Mixture | Schedule | str = "cooldown",
        recorder: SFTRecorder | None = None,
        **keywords: Any,
    ) -> None:
        chosen = as_mixture(mixture)
        super().__init__(*positional, **keywords)
        if self.padding_free:
            raise InputError(
                "padding_free joins examples of several domains in a row: turn it off, so that each domain has its loss"
            )
        if chosen.by == "scalarization" and (
            self.args.loss_type != "nll" or self.label_smoother is not None or self.compute_loss_func is not None
        ):
            raise InputError(
                "scalarization weights a plain loss: leave out label_smoothing_factor, compute_loss_func and any loss_type but 'nll'"
            )
        if self.compute_metrics is not None:
            raise InputError("compute_metrics is never called: every domain's loss is measured, and nothing else")
        if isinstance(self.eval_dataset, dict):
            raise InputError(
                "give one eval_dataset with a column of domains, and not a dictionary: every domain has its own loss"
            )
        self.order = order_for(self, chosen)
        self.add_callback(mixture_state(self.order))
        measured: list[str] = []
        if self.eval_dataset is not None:
            check_held_out(self.eval_dataset, chosen.column)
            labels = column_of(self.eval_dataset, chosen.column)
            measured = [str(label) for label, count in zip(labels, target_counts(self.eval_dataset), strict=True) if count]
            self.order.watched(measured)
        if self.args.metric_for_best_model is not None:
            known = ["loss", *(f"loss/{name}" for name in measured)]
            if self.args.metric_for_best_model.removeprefix("eval_") not in known:
                raise InputError(
                    "metric_for_best_model must be eval_loss, or eval_loss/DOMAIN with a domain of which something is held out, but is "
                    f"{self.args.metric_for_best_model!r}"
                )
            self.args.greater_is_better = False  # TRL takes only names that end in "loss" for losses.
        self._tokens_D: Tensor | None = None
        if chosen.by == "scalarization":
            counts = np.bincount(self.order.ids, weights=target_counts(self.train_dataset))
            self._tokens_D = torch.tensor(counts / self.order.sizes)
        self.recorder = recorder
        self.data_collator: Any = WithDomain(self.data_collator, chosen.column)
        self._began: float | None = None
        self.validated_at: int | None = None

    # The order of rows and their weights -------------------------------------------------------------------------------------------------

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: Any = self._signature_columns
        if isinstance(self.data_collator, WithDomain) and self.data_collator.column not in columns:
            self._signature_columns: Any = [*columns, self.data_collator.column]

    def _get_train_sampler(self, dataset: Any = None) -> Sampler:
        return train_sampler(self, self.order)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As TRL; without a checkpoint another run begins, whose steps count from 0 and whose cooldown is to come."""
        if not resume_from_checkpoint:
            self.validated_at = None if self.validated_at else self.validated_at
            self.order.reset()
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """As TRL; an example's domain becomes its loss weight."""
        if self._began is None:
            self._began = time.perf_counter()
        samples, count = super().get_batch_samples(*args, **kwargs)
        weights_D = self._loss_weights()
        for batch in samples:
            numbers = self.order.index_of(batch.pop(DOMAIN))
            if weights_D is not None:
                batch["loss_weight"] = weights_D[numbers]
        return samples, count

    def _loss_weights(self) -> Tensor | None:
        """What every token's loss is multiplied by, `[D]`; None where domains are sampled.

        A loss is a mean over the batch's tokens, and sampling by the mixture would draw domains of other lengths: where tempered rows have
        r times as many tokens as rows in proportion, weights are divided by r. A constant: a batch's own ratio would take its weights back.
        """
        if self._tokens_D is None:
            return None
        weights_D = torch.tensor(self.order.loss_weights(self.state.global_step / max(1, self.state.max_steps)))
        in_proportion_D = torch.tensor(self.order.sizes) * self._tokens_D
        return (weights_D * in_proportion_D.sum() / (weights_D * in_proportion_D).sum()).float()

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """As TRL; with `loss_weight` in the inputs, every token's loss is multiplied by its example's."""
        weights_B = inputs.pop("loss_weight", None)
        if weights_B is None:
            return super().compute_loss(model, inputs, *args, **kwargs)

        def weighted(**forward: Any) -> Any:
            outputs = model(**forward)
            outputs.log_probs = outputs.log_probs * weights_B[:, None].to(outputs.log_probs)
            return outputs

        return super().compute_loss(weighted, inputs, *args, **kwargs)

    # What happened -----------------------------------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As TRL; an update's log is its record."""
        if self.model.training and "grad_norm" in logs:
            check_finite(self.state.global_step, logs)
        if self.model.training and "grad_norm" in logs and self.recorder is not None:
            step = self.state.global_step
            record = {"step": step, **{name: float(logs[name]) for name in ("loss", "grad_norm", "learning_rate")}}
            seconds = round(time.perf_counter() - (self._began or time.perf_counter()), 4)
            self.recorder.on_step(record | {"draws": nonzero(self.order.drawn(step - 1)), "seconds": seconds})
        if self.model.training and "grad_norm" in logs:
            self._began = None
        super().log(logs, start_time)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The loss of every domain on held-out rows; an adaptive cooldown and the recorder are told, once after an update.

        A dataset given here, with rows as in `trainer.eval_dataset`, is only measured; so is each of several, given by name.
        """
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if dataset is None:
            raise InputError("validation needs held-out rows: give eval_dataset=")
        if isinstance(dataset, dict):
            found = [self.evaluate(one, ignore_keys, f"{metric_key_prefix}_{name}") for name, one in dataset.items()]
            return {name: value for metrics in found for name, value in metrics.items()}
        check_held_out(dataset, self.order.mixture.column)
        step = self.state.global_step
        began = time.perf_counter()
        losses, tokens = domain_losses(self, dataset)
        total = sum(tokens.values())
        if not total:
            raise InputError("no held-out token has a loss: raise max_length, or give longer rows")
        if not all(map(math.isfinite, losses.values())):
            worst = next(name for name, loss in losses.items() if not math.isfinite(loss))
            raise RunError(f"step {step}: the held-out loss of {worst!r} is {losses[worst]}: lower the learning rate")
        mean = sum(loss * tokens[name] for name, loss in losses.items()) / total
        metrics = {f"{metric_key_prefix}_loss": mean}
        metrics |= {f"{metric_key_prefix}_loss/{name}": loss for name, loss in losses.items()}
        if eval_dataset is not None or self.validated_at == step:
            return metrics
        self.validated_at = step
        decided = self.order.on_validation(losses)
        if self.recorder is not None:
            if decided is not None:
                self.recorder.on_message(decided)
            self.recorder.on_validation(step, losses, tokens, time.perf_counter() - began)
        self.log(dict(metrics))
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    # State -------------------------------------------------------------------------------------------------------------------------------

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card: TRL would write one, for a model that is not being published, into every checkpoint's parent."""

    def state_dict(self) -> dict[str, Any]:
        """What our part of the trainer remembers: the last validation."""
        return {"validated": self.validated_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        self.validated_at = state["validated"]

    def restore(self, checkpoint: str) -> None:
        """Take over model and state of a checkpoint, to validate and not to train on."""
        restore(self, checkpoint)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        # Every process writes a part of it.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            write_state(checkpoint_of(self, trial), self.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if (state := read_state(checkpoint)) is not None:
            self.load_state_dict(state)
