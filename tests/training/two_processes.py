"""Run by test_distributed.py under torchrun: two processes train together and write what they saw.

torchrun --nproc_per_node 2 two_processes.py POLICY_DIR OUT_DIR INFLUENCE [ESTIMATE]
"""

import json
import os
import sys
import time
from pathlib import Path

from datasets import Dataset
from trl import GRPOConfig

from steelyard import FixedWeights, GradientInfluence
from steelyard.models.loading import load_policy
from steelyard.objectives import accuracy, conciseness, repetition
from steelyard.tasks.sums import sums_rows
from steelyard.training import PolicyTrainer


class Memory:
    def __init__(self):
        self.answers, self.steps = [], []

    def on_answers(self, step, columns):
        self.answers.append(columns)

    def on_step(self, record):
        self.steps.append(record)

    def on_checkpoint(self, step):
        pass

    def on_validation(self, step, point, seconds, trainer):
        pass


class Asks(FixedWeights):
    """Keeps every batch's unbiased influences and Gram matrix by every way."""

    needs_gradients = True

    def on_batch(self, batch):
        self.found = getattr(self, "found", [])
        ways = ("exact", "jvp", "finite-difference")
        influences = {way: batch.influence(method=way, unbiased=True).influence_K.tolist() for way in ways}
        self.found.append({"influence": influences, "gram": batch.influence(unbiased=True, gram=True).gram_KK.tolist()})


def arguments(out, **given):
    """TRL's arguments for a run of two processes."""
    return GRPOConfig(
        output_dir=out,
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        max_completion_length=12,
        learning_rate=1e-3,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        gradient_checkpointing=False,
        ddp_find_unused_parameters=False,
        per_device_eval_batch_size=2,
        **given,
    )


if __name__ == "__main__":
    policy, out, influence, *estimate = sys.argv[1:]
    weighting = GradientInfluence(mu=1e-3, normalize="each", influence=influence, gram_every=1)
    if estimate:
        weighting = Asks()
    model, tokenizer = load_policy(policy)
    memory = Memory()
    trainer = PolicyTrainer(
        model,
        None,
        arguments(out, num_generations=4 if estimate else 8, max_steps=3, num_generations_eval=2),
        train_dataset=Dataset.from_list(sums_rows(16, 1)[0]),
        eval_dataset=Dataset.from_list(sums_rows(16, 7)[1]),
        processing_class=tokenizer,
        objectives=[conciseness(max_tokens=12), repetition(ngram=1), accuracy()],
        weighting=weighting,
        recorder=memory,
    )
    trainer.train()
    rank = trainer.accelerator.process_index
    kind = str(trainer.accelerator.distributed_type)
    measured = trainer.evaluate()
    state = trainer.objectives[0].state_dict()
    found = {"kind": kind, "steps": memory.steps, "answers": memory.answers, "measured": measured, "state": state}
    found["prompts"] = trainer.last_measured.prompts
    found["found"] = getattr(weighting, "found", None)
    Path(out, f"rank{rank}.json").write_text(json.dumps(found))
    # What is tested is done and written. gloo's threads now and then abort a process that Python tears down in the usual way.
    trainer.accelerator.wait_for_everyone()
    time.sleep(1)
    os._exit(0)
