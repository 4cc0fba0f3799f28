"""Run by test_distributed.py, alone and under torchrun: one supervised run on a mixture, and what it saw and came to.

torchrun --nproc_per_node 2 two_processes_supervised.py POLICY_DIR OUT_DIR ROWS_A_DEVICE
"""

import json
import os
import sys
import time
from pathlib import Path

from datasets import Dataset
from trl import SFTConfig

from steelyard.models.loading import load_policy
from steelyard.training import Mixture, MixtureSFTTrainer


class Watching(MixtureSFTTrainer):
    def compute_loss(self, model, inputs, *args, **kwargs):
        if model.training:
            seen.append([self.processing_class.decode([i for i in ids if i > 2]) for ids in inputs["input_ids"].tolist()])
        return super().compute_loss(model, inputs, *args, **kwargs)


if __name__ == "__main__":
    policy, out, rows_a_device = sys.argv[1:]
    seen = []
    model, tokenizer = load_policy(policy)
    rows = [{"text": f"{i}+{i}={2 * i}" + "." * (i % 5), "domain": "b" if i % 10 == 9 else "a"} for i in range(60)]
    trainer = Watching(
        model=model,
        args=SFTConfig(
            output_dir=out,
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=int(rows_a_device),
            gradient_accumulation_steps=2,
            per_device_eval_batch_size=3,
            max_steps=5,
            learning_rate=1e-2,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            gradient_checkpointing=False,
            ddp_find_unused_parameters=False,
        ),
        train_dataset=Dataset.from_list(rows[:50]),
        eval_dataset=Dataset.from_list(rows[50:]),
        processing_class=tokenizer,
        mixture=Mixture("constant:3", by="scalarization"),
    )
    trainer.train()
    metrics = trainer.evaluate()
    expected = [rows[i]["text"] for i in trainer.order]
    rank = trainer.accelerator.process_index
    Path(out, f"rank{rank}.json").write_text(json.dumps({"seen": seen, "expected": expected, "metrics": metrics}))
    trainer.accelerator.wait_for_everyone()
    time.sleep(1)
    os._exit(0)
