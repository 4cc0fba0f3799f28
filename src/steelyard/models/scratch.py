"""A language model that starts from nothing: a small Llama, over bytes or another model's tokens."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from steelyard.seeds import spread_seed


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte of UTF-8, with `<pad>` and `<eos>` beside the 256.

    Example:
        >>> tokenizer = byte_tokenizer()
        >>> ids = tokenizer.encode("né", add_special_tokens=False)
        >>> len(ids), tokenizer.decode(ids), len(tokenizer)
        (3, 'né', 258)
    """
    special = ["<pad>", "<eos>"]
    vocabulary = {token: i for i, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", padding_side="left", clean_up_tokenization_spaces=False
    )


def new_model(tokenizer: Any, *, width: int, layers: int, heads: int, context: int, seed: int) -> LlamaForCausalLM:
    """A Llama with tied embeddings and random weights.

    Args:
        tokenizer: whose tokens it reads.
        width, layers, heads: of the transformer; heads must divide width. The inner layer is three times as wide.
        context: the longest sequence, in tokens.
        seed: of the weights.

    Example:
        >>> model = new_model(byte_tokenizer(), width=32, layers=1, heads=2, context=64, seed=0)
        >>> sum(p.numel() for p in model.parameters())
        21664
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spread_seed(seed, "weights"))
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=width,
                intermediate_size=3 * width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=heads,
                max_position_embeddings=context,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
                bos_token_id=None,
                tie_word_embeddings=True,
            )
        )
