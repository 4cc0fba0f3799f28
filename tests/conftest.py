"""Shared fixtures: a random policy of 20,000 parameters, recipes that use it, and the folder of shared data where there is one."""

import json
import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def tiny_policy_dir(tmp_path_factory):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from steelyard.tasks.sums.pretrain import build_tokenizer

    place = tmp_path_factory.mktemp("policy")
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=64,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture
def tiny_recipe(tiny_policy_dir):
    """The content of a recipe that runs in a second or two."""
    return {
        "name": "tiny",
        "model": {"name": str(tiny_policy_dir)},
        "prompts": {"source": "sums", "size": 24, "validation": {"size": 8}},
        "objectives": [
            {"kind": "conciseness"},
            {"kind": "repetition", "options": {"ngram": 1}},
            {"kind": "accuracy"},
        ],
        "algorithm": {
            "steps": 4,
            "prompts_per_step": 4,
            "answers_per_prompt": 4,
            "micro_batch": 8,
            "max_answer_tokens": 12,
            "learning_rate": 1e-3,
        },
        "weighting": {"method": "gradient-influence", "mu": 1e-3},
        "validation": {"every": 2},
        "checkpoint": {"every": 2},
    }


@pytest.fixture
def jsonl(tmp_path):
    """Write rows (or raw lines) as a JSONL file and return its path."""

    def write(rows, name="prompts.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def shared_data():
    if not SHARED.is_dir():
        pytest.skip("the shared data folder is not on this machine")
    return SHARED


@pytest.fixture
def serve():
    """Start servers that answer what the test tells them to; what one taught is not told of another that gets its port."""
    from misbehaving_server import Server
    from steelyard.llm._dialects import forget_dialects

    forget_dialects()
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run a command as a user does, in a folder of its own; gives its exit code and what it said."""
    from steelyard.cli.root import main
    from steelyard.llm import client as client_module

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client_module, "_backoff", lambda calls: 0.01)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["steelyard", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return run
