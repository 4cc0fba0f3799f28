"""Pretrain the character-level policy that ships with the package.

    python -m steelyard.tasks.sums.pretrain OUT_DIR [STEPS] [SEED]

A 0.65-million-parameter Llama learns to answer sums in every style of the ladder, drawn at random, and stops well before it gets the
short ones right: that leaves a price on every rung, and arithmetic to improve (LOG.md has what more steps do). The shipped folder was made
with the defaults, 6,000 steps and seed 0, on one thread in about ten minutes. The sums that validation uses are held out here as well.
"""

from __future__ import annotations

import itertools
import random
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from steelyard.tasks.sums.task import STYLES, draw_terms, prompt_text

BATCH_SIZE = 64
POOL_BATCHES = 16  # examples are sorted by length within a pool of so many batches: less padding
TOKENS_A_BATCH = 1600
PEAK_LEARNING_RATE = 3e-3


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character (printable ASCII and newline), with padding on the left, as generation needs it."""
    special = ["<pad>", "<eos>", "<unk>"]
    vocabulary = {token: i for i, token in enumerate(special + list(string.printable[:95]) + ["\n"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A three-layer Llama with tied embeddings, 0.65 million parameters."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            tie_word_embeddings=True,
        )
    )


def draw_batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield padded (ids, labels) batches of fresh sums in random styles for ever; labels are -100 on prompt and padding."""
    rng, terms = random.Random(seed), draw_terms(seed)
    writers = list(STYLES.values())
    while True:
        pool = []
        for _ in range(BATCH_SIZE * POOL_BATCHES):
            now = next(terms)
            prompt = tokenizer.encode(prompt_text(now), add_special_tokens=False)
            answer = [*tokenizer.encode(rng.choice(writers)(*now), add_special_tokens=False), tokenizer.eos_token_id]
            pool.append((prompt, answer))
        pool.sort(key=lambda row: len(row[0]) + len(row[1]))
        batches = [pool[i : i + BATCH_SIZE] for i in range(0, len(pool), BATCH_SIZE)]
        rng.shuffle(batches)
        for rows in batches:
            width = max(len(prompt) + len(answer) for prompt, answer in rows)
            ids = torch.full((BATCH_SIZE, width), tokenizer.pad_token_id)
            labels = torch.full((BATCH_SIZE, width), -100)
            for i, (prompt, answer) in enumerate(rows):
                ids[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
                labels[i, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
            yield ids, labels


def pretrain(out_dir: Path, *, steps: int = 6000, seed: int = 0) -> float:
    """Train from scratch, save model and tokenizer into ``out_dir``, and return the mean loss of the last 100 steps."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.05)
    losses: list[float] = []
    for step, (ids, labels) in enumerate(itertools.islice(draw_batches(tokenizer, seed), steps)):
        logits = model(input_ids=ids).logits
        # A sum over a constant and not a mean: batches hold answers of like length, and a mean would favour the styles of the short ones.
        loss = F.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="sum") / TOKENS_A_BATCH
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 250 == 0:
            print(f"step {step + 1:5d}  loss {sum(losses[-100:]) / len(losses[-100:]):.4f}", flush=True)
        if (step + 1) % 1000 == 0 or step == steps - 1:
            model.save_pretrained(out_dir)
            tokenizer.save_pretrained(out_dir)
    return sum(losses[-100:]) / len(losses[-100:])


if __name__ == "__main__":
    options = [int(text) for text in sys.argv[2:4]]
    pretrain(Path(sys.argv[1]), **dict(zip(("steps", "seed"), options, strict=False)))
