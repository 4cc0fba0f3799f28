import math

import pytest
import torch

from steelyard.errors import InputError
from steelyard.objectives import Gate, Objective, apply_gates, check_names, reward_matrix


def objective(name, gate=None, **options):
    return Objective(name, lambda completions: [float(len(text)) for text in completions], gate=gate, **options)


def test_a_shut_gate_leaves_the_objective_out_or_gives_what_is_said():
    scores = torch.tensor([[1.0, 0.3], [0.5, 0.9], [math.nan, 0.4], [1.0, math.nan], [0.0, math.nan]])
    left_out = apply_gates(scores, [objective("right"), objective("short", Gate("right"))])
    zero = apply_gates(scores, [objective("right"), objective("short", Gate("right", otherwise=0.0))])
    nan = math.nan
    torch.testing.assert_close(left_out[:, 1], torch.tensor([0.3, nan, nan, nan, nan]), equal_nan=True)
    torch.testing.assert_close(zero[:, 1], torch.tensor([0.3, 0.0, 0.0, nan, nan]), equal_nan=True)
    torch.testing.assert_close(left_out[:, 0], scores[:, 0], equal_nan=True)
    assert scores[1, 1] == pytest.approx(0.9)


def test_gates_look_at_raw_rewards_so_that_their_order_does_not_matter():
    scores = torch.tensor([[1.0, 5.0, 7.0], [0.0, 5.0, 7.0], [1.0, 0.0, 7.0]])
    chain = [objective("a"), objective("b", Gate("a")), objective("c", Gate("b", at_least=5.0))]
    found = apply_gates(scores, chain)
    assert found[:, 2].isnan().tolist() == [False, False, True]
    order = [2, 1, 0]
    torch.testing.assert_close(apply_gates(scores[:, order], [chain[i] for i in order])[:, order], found, equal_nan=True)


def test_the_reward_matrix_is_gated_before_signs_are_turned():
    short = objective("short", Gate("right", otherwise=9.0), goal="minimize")
    right = Objective("right", lambda completions: [float(text == "ok") for text in completions])
    assert reward_matrix([right, short], prompts=["p", "p"], completions=["ok", "wrong"]).tolist() == [[1.0, -2.0], [0.0, -9.0]]


def test_gates_that_open_nothing_are_refused():
    with pytest.raises(InputError, match=r"gated by 'short', but the others are right"):
        check_names([objective("short", Gate("short")), objective("right")])
    with pytest.raises(InputError, match=r"the gate of 'short' never opens: it needs 'right' at 2, which is 1 at best"):
        check_names([objective("short", Gate("right", at_least=2)), objective("right", bounds=(0, 1))])
    with pytest.raises(InputError, match="must be finite"):
        Gate("right", at_least=math.inf)
