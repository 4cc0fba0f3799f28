"""Three ways to the same influences, on real models of transformers."""

import gc
import warnings

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from steelyard import gradient_influence
from steelyard.errors import InputError
from steelyard.weighting import AnswerGradients, AnswerTerms, sequence_logprobs
from steelyard.weighting import influence as module
from steelyard.weighting import inner_products as products
from steelyard.weighting.influence import INFLUENCE_METHODS as METHODS
from steelyard.weighting.influence import chosen_parameters


def policy(dtype=torch.float64, layers=2, **options):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=48, hidden_size=32, intermediate_size=64, num_hidden_layers=layers, num_attention_heads=4, **options
    )
    return LlamaForCausalLM(config).to(dtype).eval()


def batch(answers=8, length=14):
    ids = torch.randint(0, 48, (answers, length), generator=torch.Generator().manual_seed(1))
    mask, completion = torch.ones_like(ids), torch.ones_like(ids)
    mask[0, :3] = 0
    completion[:, :5] = 0
    completion[1, -4:] = 0
    return {"input_ids": ids, "attention_mask": mask, "completion_mask": completion}


def advantages(answers=8, objectives=3):
    return torch.randn(answers, objectives, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def by_hand(model, inputs, values):
    """Separate losses, separate backward passes, the products of whole gradients."""
    gradients = []
    for k in range(values.shape[1]):
        model.zero_grad()
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.double()
        loss = torch.zeros((), dtype=torch.float64)
        for i, row in enumerate(inputs["input_ids"].tolist()):
            for t in range(1, len(row)):
                if inputs["completion_mask"][i, t]:
                    loss = loss + values[i, k] * torch.log_softmax(logits[i, t - 1], -1)[row[t]]
        (loss / inputs["completion_mask"].sum()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]).double())
    model.zero_grad(set_to_none=True)
    return torch.stack([gradient @ sum(gradients) for gradient in gradients])


@pytest.mark.parametrize(("method", "within"), [("exact", 1e-6), ("jvp", 1e-6), ("finite-difference", 1e-4)])
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_every_method_agrees_with_separate_gradients(method, within, micro_batch):
    model, inputs, values = policy(), batch(), advantages()
    before = [p.detach().clone() for p in model.parameters()]
    found = gradient_influence(model, inputs, values, method=method, micro_batch=micro_batch)
    torch.testing.assert_close(found, by_hand(model, inputs, values), rtol=within, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 0.02), (torch.bfloat16, 0.3)])
def test_low_precision_stays_close(method, dtype, within):
    inputs, values = batch(), advantages()
    expected = by_hand(policy(), inputs, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = gradient_influence(policy(dtype), inputs, values, method=method)
    torch.testing.assert_close(found, expected, rtol=0, atol=within * expected.abs().max().item())


def test_finite_differences_choose_their_step_whatever_the_size_of_advantages_and_weights():
    model, inputs, values = policy(torch.float32), batch(), advantages()
    reference = gradient_influence(model, inputs, values, method="exact")
    for size in (1e-6, 1e-3, 1e3, 1e6):
        found = gradient_influence(model, inputs, size * values, method="finite-difference")
        torch.testing.assert_close(found, size**2 * reference, rtol=0.02, atol=0.02 * size**2 * reference.abs().max().item())


def test_where_finite_differences_cannot_be_right_it_is_said_once_and_mended():
    """A model that answers otherwise every time: the known length of the gradient gives it away."""
    model, inputs, values = policy(torch.float32), batch(), advantages()
    exact = gradient_influence(model, inputs, values, method="exact")

    own = torch.Generator().manual_seed(0)  # dropout, which draws from torch's, is the same in every pass

    def waver(module, given, output):
        if not torch.is_grad_enabled():
            output.logits = output.logits + 10 * torch.randn(output.logits.shape, generator=own)
        return output

    model.register_forward_hook(waver)
    products._warned.clear()
    with pytest.warns(
        UserWarning, match=r"finite differences miss the known squared length .* backward passes are used instead"
    ) as said:
        found = [gradient_influence(model, inputs, size * values, method="finite-difference") for size in (1.0, 2.0)]
    assert len(said) == 1
    torch.testing.assert_close(found, [exact, 4 * exact], rtol=1e-5, atol=1e-5 * exact.abs().max().item())


def test_half_precision_parameters_take_no_finite_differences():
    model, inputs, values = policy(torch.bfloat16), batch(), advantages()
    products._warned.clear()
    with pytest.warns(
        UserWarning, match=r"bfloat16 parameters swallow a finite difference's step: backward passes are used instead"
    ):
        found = gradient_influence(model, inputs, values, method="finite-difference")
    assert torch.equal(found, gradient_influence(model, inputs, values, method="exact"))


def test_no_gradients_no_influence():
    model = policy()
    for method in METHODS:
        assert gradient_influence(model, batch(), torch.zeros(8, 3), method=method).tolist() == [0, 0, 0]


@pytest.mark.parametrize("estimate", ["published", "unbiased"])
@pytest.mark.parametrize("method", METHODS)
def test_an_objective_without_advantages_has_no_influence_wherever_it_stands(method, estimate):
    """A rounding in its place would count as an influence: relative to its own size it is as large as any."""
    for place in range(3):
        values = advantages()
        values[:, place] = 0
        found = gradient_influence(policy(), batch(), values, method=method, estimate=estimate, group_size=2)
        assert found[place] == 0
        assert (found != 0).sum() == 2


def test_chosen_layers_count_alone_and_agree():
    model, inputs, values = policy(), batch(), advantages()
    patterns = ["*.layers.1.*"]
    found = [gradient_influence(model, inputs, values, method=method, layers=patterns) for method in METHODS]
    for parameter in (p for name, p in model.named_parameters() if ".layers.1." not in name):
        parameter.requires_grad_(False)
    expected = gradient_influence(model, inputs, values, method="exact")
    torch.testing.assert_close(found[0], expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(found[1], expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(found[2], expected, rtol=1e-4, atol=0)
    with pytest.raises(InputError, match=r"fit no trained parameter; names are like 'model.layers.1"):
        chosen_parameters(model, ["*.layers.7.*"])


@pytest.mark.parametrize("method", METHODS)
def test_cost_in_memory_does_not_grow_with_the_number_of_objectives(method, monkeypatch):
    """While products are taken, no more than two gradients, one copy and the parameters are alive, for eight objectives as for three."""
    model, inputs = policy(layers=1), batch()
    shape = model.lm_head.weight.shape
    most = []

    def counting(function):
        def counted(*args, **kwargs):
            gc.collect()
            alive = [thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor) and thing.shape == shape]
            most.append(len({thing.data_ptr() for thing in alive}))
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(products, "inner", counting(products.inner))
    monkeypatch.setattr(module, "sequence_logprobs", counting(sequence_logprobs))
    counts = {}
    for objectives in (3, 8):
        most.clear()
        gradient_influence(model, inputs, advantages(objectives=objectives), method=method)
        counts[objectives] = max(most)
    assert counts[8] == counts[3] <= 6


def test_gram_matrices_agree_and_hold_the_influences():
    model, inputs, values = policy(), batch(), advantages()

    def of(method, micro_batch):
        def part(rows):
            def terms(call=model):
                return module.sequence_logprobs(call, {name: tensor[rows] for name, tensor in inputs.items()})

            return AnswerTerms(rows, terms, terms)

        parts = [part(rows) for rows in torch.arange(8).split(micro_batch)]
        return AnswerGradients(model, chosen_parameters(model), parts, method)

    exact = of("exact", 8).gram(values).gram_KK
    torch.testing.assert_close(exact, exact.T)
    torch.testing.assert_close(exact.sum(0), of("exact", 8).influence(values).influence_K)
    for method, within in (("exact", 1e-9), ("jvp", 1e-6), ("finite-difference", 1e-3)):
        found = of(method, 3).gram(values)
        torch.testing.assert_close(found.gram_KK, exact, rtol=within, atol=within * exact.abs().max().item())
        assert found.cosine_KK.diagonal().tolist() == pytest.approx([1, 1, 1])


def test_a_kernel_without_a_forward_mode_rule_falls_back_with_one_warning():
    class Opaque(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = policy()

        def forward(self, **inputs):
            output = self.inner(**inputs)
            output.logits = Opaque.apply(output.logits)
            return output

    model, inputs, values = Wrapped(), batch(), advantages()
    products._warned.clear()
    with pytest.warns(UserWarning, match="Wrapped has a layer without a forward-mode rule: finite differences"):
        found = gradient_influence(model, inputs, values, method="jvp")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient_influence(model, inputs, values, method="jvp")
    torch.testing.assert_close(found, by_hand(model.inner, inputs, values), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(advantages_BK=advantages() * float("nan")), "must be finite"),
        (dict(advantages_BK=advantages()[:3]), r"shape \[8, K\]"),
        (dict(advantages_BK=torch.zeros(8, 0)), r"shape \[8, K\]"),
        (dict(method="finite-diference"), "did you mean 'finite-difference'"),
        (dict(method="optimizer-step"), "needs a trainer's step: here use one of exact, jvp, finite-difference"),
        (dict(layers="*layers.0*"), "layers must be a list of patterns"),
        (dict(temperature=0), "temperature must be positive"),
        (dict(micro_batch=0), "micro_batch must be a number of answers"),
        (dict(micro_batch=2.5), "micro_batch must be a number of answers"),
        (dict(batch={"input_ids": torch.ones(2, 3, dtype=torch.long)}), "lacks attention_mask, completion_mask"),
        (dict(batch={**batch(), "completion_mask": torch.ones(8, 3)}), "of one shape"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {"batch": batch(), "advantages_BK": advantages(), **changes}
    with pytest.raises(InputError, match=message):
        gradient_influence(policy(), **arguments)


def test_a_model_without_trained_parameters_is_named():
    with pytest.raises(InputError, match="LlamaForCausalLM has no parameter that requires a gradient"):
        gradient_influence(policy().requires_grad_(False), batch(), advantages())


@pytest.mark.parametrize("method", ["exact", "finite-difference", "jvp"])
def test_a_layer_that_reentrant_checkpointing_hides_is_refused(method):
    """Its parameters have a gradient, which only `backward()` finds: to take them for zero would leave them out of every influence."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))

    def terms(call=model):
        first = model[0](torch.ones(2, 3))
        return torch.utils.checkpoint.checkpoint(model[1], first, use_reentrant=True).sum(1)

    gradients = AnswerGradients(model, dict(model.named_parameters()), [AnswerTerms(torch.arange(2), terms, terms)], method)
    with pytest.raises(InputError, match="reentrant gradient checkpointing hides its layers"):
        gradients.influence(torch.tensor([[1.0, 0.5], [-1.0, 0.5]]))
