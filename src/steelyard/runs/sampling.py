"""Answers of a run's policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.messages import text_of
from steelyard.models.loading import load_policy
from steelyard.recipes.recipe import Recipe
from steelyard.runlog import RunLog
from steelyard.runs._preferences import Preferences
from steelyard.runs._prompts import load_prompts
from steelyard.runs._resume import read_resolved
from steelyard.training.preferences import read_preference


def sample_answers(
    run: Path | str,
    prompts: Sequence[str] | None = None,
    *,
    prefer: str | None = None,
    count: int = 4,
    seed: int = 0,
    base: Path | str = ".",
) -> list[tuple[str, str]]:
    """Answer prompts with the last policy of a run, sampled as in training.

    Args:
        run: its folder.
        prompts: texts; default: the first `count` of its validation prompts.
        prefer: for a run with weighting "conditioned", a preference such as "accuracy=.7,conciseness=.3".
        count: see `prompts`.
        seed: of sampling.
        base: the folder that relative paths of the recipe start from.

    Returns:
        Prompts, as the policy was shown them, and answers.

    Raises:
        InputError: where the run has no policy yet, or takes or lacks a preference.
    """
    import torch

    log = RunLog(run)
    recipe = read_resolved(log.path)
    checkpoint = log.last_checkpoint()
    if not isinstance(recipe, Recipe) or checkpoint is None:
        raise InputError(f"{run} has no policy to sample from: give a run of reinforcement learning that has made a checkpoint")
    objectives = recipe.build_objectives(base=Path(base))
    weighting = recipe.build_weighting(objectives, base=Path(base))
    if weighting.conditions != (prefer is not None):
        raise InputError(
            f"{run} was trained with preferences in its prompts: give one, as in --prefer {objectives[0].name}=1"
            if weighting.conditions
            else f"{run} was trained without preferences in its prompts (weighting {recipe.weighting.method!r}): leave --prefer out"
        )
    rows: list[dict[str, Any]] = (
        [{"prompt": [{"role": "user", "content": text}] if recipe.prompts.chat else text} for text in prompts]
        if prompts is not None
        else load_prompts(recipe.prompts, base=Path(base), seed=recipe.seed, columns=recipe.columns).validation[:count]
    )
    if prefer is not None:
        names = [objective.name for objective in objectives]
        asked = Preferences(weighting, names, recipe.seed)
        rows = [asked.written(row, read_preference(prefer, names)) for row in rows]
    model, tokenizer = _policy(recipe, checkpoint, Path(base), log)
    shown = [
        row["prompt"]
        if isinstance(row["prompt"], str)
        else tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
        for row in rows
    ]
    tokenizer.padding_side = "left"
    batch = tokenizer(shown, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
    torch.manual_seed(seed)
    with torch.no_grad():
        out = model.eval().generate(
            **{name: batch[name] for name in ("input_ids", "attention_mask")}, max_new_tokens=recipe.algorithm.max_answer_tokens, do_sample=True,
            temperature=recipe.algorithm.temperature, top_k=0, top_p=1.0, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
    answers = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return [(text_of(row["prompt"]), answer) for row, answer in zip(rows, answers, strict=True)]


def _policy(recipe: Recipe, checkpoint: Path, base: Path, log: RunLog) -> tuple[Any, Any]:
    """The policy of a checkpoint, whole or as adapters on the model that they were trained on."""
    if recipe.model.lora is None:
        model, _ = load_policy(str(checkpoint), dtype=recipe.model.dtype)
        return model, load_policy(recipe.model.name, base=base)[1]
    from peft import PeftModel

    start = log.checkpoints / "supervised"
    name = str(start) if recipe.supervised is not None and start.is_dir() else recipe.model.name
    model, tokenizer = load_policy(name, dtype=recipe.model.dtype, base=base)
    return PeftModel.from_pretrained(model, str(checkpoint)), tokenizer
