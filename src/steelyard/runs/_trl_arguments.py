"""A recipe in the words of TRL and peft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steelyard.recipes.recipe import Recipe
from steelyard.recipes.supervised import SupervisedRecipe
from steelyard.runlog import RunLog


def common_arguments(folder: Path, seed: int) -> dict[str, Any]:
    """What every run tells TRL: where it runs, and that nothing is shown or kept but what we write."""
    import torch

    cpu = not torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "seed": seed,
        "use_cpu": cpu,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": not cpu,
    }


def record_arguments(validate_every: int, keep_every: int) -> dict[str, Any]:
    """How a run folder is written: every update, validations, and the last two checkpoints."""
    return {
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": validate_every,
        "save_strategy": "steps",
        "save_steps": keep_every,
        "save_total_limit": 2,
    }


def training_arguments(recipe: Recipe, log: RunLog) -> Any:
    """TRL's arguments for a recipe."""
    from trl import GRPOConfig

    algorithm = recipe.algorithm
    answers = algorithm.prompts_per_step * algorithm.answers_per_prompt
    micro_batch = algorithm.micro_batch or answers
    # TRL asks for groups of two at least; where answers stand alone, its setting only has to divide the batch.
    group = algorithm.answers_per_prompt if algorithm.answers_per_prompt > 1 else answers
    return GRPOConfig(
        **common_arguments(log.checkpoints, recipe.seed),
        **record_arguments(recipe.validation.every, recipe.checkpoint.every),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=answers // micro_batch,
        num_generations=group,
        num_generations_eval=1,
        per_device_eval_batch_size=recipe.validation.batch,
        max_completion_length=algorithm.max_answer_tokens,
        temperature=algorithm.temperature,
        learning_rate=algorithm.learning_rate,
        lr_scheduler_type=algorithm.schedule,
        max_grad_norm=algorithm.max_grad_norm,
        max_steps=algorithm.steps,
        loss_type=algorithm.loss,
        beta=0.0,
        remove_unused_columns=False,
    )


def supervised_arguments(recipe: SupervisedRecipe, log: RunLog) -> Any:
    """TRL's arguments for a recipe of a supervised run."""
    from trl import SFTConfig

    settings = recipe.training
    micro_batch = settings.micro_batch or settings.batch_size
    return SFTConfig(
        **common_arguments(log.checkpoints, recipe.seed),
        **record_arguments(recipe.validation.every, recipe.checkpoint.every),
        max_steps=settings.steps,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=settings.batch_size // micro_batch,
        per_device_eval_batch_size=recipe.validation.batch,
        max_length=settings.max_tokens,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=round(settings.warmup * settings.steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
    )


def lora_config(config: Any) -> Any:
    """peft's configuration for a recipe's `lora`."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.target_modules,
        task_type="CAUSAL_LM",
    )


def quiet(trainer: Any) -> Any:
    """A trainer of TRL without its own lines and progress bars: a run shows how it goes itself, and at the pace that its recipe says now."""
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback

    class Pace(TrainerCallback):
        # transformers would go on at the pace that the checkpoint was written at.
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            state.eval_steps, state.save_steps, state.logging_steps = args.eval_steps, args.save_steps, args.logging_steps

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Pace())
    return trainer
