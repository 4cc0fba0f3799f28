"""A short supervised stage before reinforcement learning, so that a policy which gets nothing right has something to build on."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from typing import Any

from steelyard.files import saved_whole
from steelyard.recipes.recipe import Recipe
from steelyard.runlog import RunLog
from steelyard.runs._templates import Template
from steelyard.runs._trl_arguments import common_arguments, lora_config, quiet
from steelyard.runs.progress import Progress

FOLDER = "supervised"


def supervised_stage(
    recipe: Recipe, model: Any, tokenizer: Any, raw_rows: Sequence[dict], rows: Sequence[dict], log: RunLog, progress: Progress
) -> Any:
    """Fine-tune on completions written from the training rows by TRL's SFTTrainer, merge adapters, and keep the result with the run.

    A run that is resumed finds the result in its folder and does not train it again.

    Returns:
        The model to go on with, without adapters.
    """
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    config = recipe.supervised
    assert config is not None
    done = log.checkpoints / FOLDER
    if done.is_dir():
        progress.message(f"supervised stage is done already ({done})")
        return AutoModelForCausalLM.from_pretrained(done, dtype=model.dtype).eval()
    began = time.perf_counter()
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **common_arguments(log.checkpoints / "supervised-work", recipe.seed),
            max_steps=config.steps,
            per_device_train_batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            lr_scheduler_type="linear",
            save_strategy="no",
            logging_steps=max(1, config.steps // 5),
        ),
        train_dataset=Dataset.from_list(completion_rows(recipe, raw_rows, rows)),
        processing_class=tokenizer,
        peft_config=None if config.lora is None else lora_config(config.lora),
    )
    quiet(trainer)

    class Tell(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                progress.message(f"supervised stage, step {state.global_step}/{state.max_steps}, loss {float(logs['loss']):.3f}")

    trainer.add_callback(Tell())
    trainer.train()
    trained = trainer.model.merge_and_unload() if config.lora is not None else trainer.model
    with saved_whole(done) as unfinished:
        trained.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    shutil.rmtree(log.checkpoints / "supervised-work", ignore_errors=True)
    progress.message(f"supervised stage took {time.perf_counter() - began:.0f} s; kept in {done}")
    # Loaded anew, so that a run that was resumed starts from the very same weights.
    return AutoModelForCausalLM.from_pretrained(done, dtype=model.dtype).eval()


def completion_rows(recipe: Recipe, raw_rows: Sequence[dict], rows: Sequence[dict]) -> list[dict[str, Any]]:
    """Write a completion for every training row, by a template drawn by the run's seed.

    Returns:
        Rows of `prompt` and `completion`, texts or message lists as the prompts are.
    """
    assert recipe.supervised is not None
    rng = random.Random(recipe.seed)
    templates = [Template(text, f"supervised.completions[{i}]") for i, text in enumerate(recipe.supervised.completions)]
    out = []
    for i, (raw, row) in enumerate(zip(raw_rows, rows, strict=True)):
        text = rng.choice(templates).render(raw, f"training row {i + 1}")
        completion: Any = text if isinstance(row["prompt"], str) else [{"role": "assistant", "content": text}]
        out.append({"prompt": row["prompt"], "completion": completion})
    return out
