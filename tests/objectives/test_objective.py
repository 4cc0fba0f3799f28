import asyncio
import math

import pytest
import torch

from steelyard.errors import InputError, RewardError
from steelyard.objectives import Objective, built_in, reward_matrix


def test_async_and_plain_rewards_fill_one_matrix():
    async def later(completions, **columns):
        await asyncio.sleep(0)
        return [float(len(text)) for text in completions]

    matrix = reward_matrix(
        [Objective("later", later), Objective("cost", lambda completions: [1.0, 2.0], goal="minimize")],
        prompts=["p", "q"],
        completions=["a", "bb"],
    )
    assert matrix.tolist() == [[1.0, -1.0], [2.0, -2.0]]
    assert matrix.dtype == torch.float32


def test_columns_a_reward_does_not_take_are_not_passed():
    objective = Objective("o", lambda prompts, answer: [float(p == a) for p, a in zip(prompts, answer, strict=True)])
    assert objective.scores(
        prompts=["1", "2"], completions=["", ""], answer=["1", "3"], other=[0, 0], trainer_state=object()
    ) == [1.0, 0.0]


def test_an_objective_is_asked_only_about_its_domains():
    seen = []

    def reward(completions, **columns):
        seen.extend(completions)
        return [1.0] * len(completions)

    objective = Objective("maths", reward, applies_to=["maths"])
    matrix = reward_matrix([objective], prompts=["", "", ""], completions=["a", "b", "c"], domain=["maths", "chat", "maths"])
    assert seen == ["a", "c"]
    assert matrix[:, 0].isnan().tolist() == [False, True, False]
    with pytest.raises(InputError, match="have no column 'domain'"):
        objective.scores(prompts=[""], completions=["a"])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "high", 10**400, 1e39])
def test_a_score_that_is_no_finite_number_is_named_with_objective_and_prompt(bad):
    objective = Objective("taste", lambda completions: [1.0, bad])
    with pytest.raises(RewardError, match=r"objective 'taste' returned .* for prompt 'second', answer 'b'"):
        objective.scores(prompts=["first", "second"], completions=["a", "b"])


def test_a_wrong_count_is_named():
    with pytest.raises(RewardError, match="objective 'taste' returned 1 scores for 2 answers"):
        Objective("taste", lambda completions: [1.0]).scores(prompts=["p", "q"], completions=["a", "b"])
    for returned in ("1", {0: 1.0}):
        with pytest.raises(RewardError, match="must return a list of scores, but returned"):
            Objective("taste", lambda completions, found=returned: found).scores(prompts=["p"], completions=["a"])
    with pytest.raises(RewardError, match="must return a list of scores, but returned float"):
        Objective("taste", lambda completions: 1.0).scores(prompts=["p"], completions=["a"])


def test_a_reward_that_raises_is_named_with_the_prompt_it_fails_on():
    objective = Objective("fragile", lambda completions: [1 / len(text) for text in completions])
    with pytest.raises(RewardError, match=r"objective 'fragile' raised ZeroDivisionError.*prompt 'second'"):
        objective.scores(prompts=["first", "second"], completions=["a", ""])


def test_an_async_reward_that_raises_is_named():
    async def fails(completions):
        raise ValueError("no server")

    with pytest.raises(RewardError, match="objective 'remote' raised ValueError: no server"):
        Objective("remote", fails).scores(prompts=["p"], completions=["a"])


def test_the_measure_is_used_for_measuring_only():
    objective = Objective("o", lambda completions: [1.0], measure=lambda completions: [7.0], goal="minimize")
    assert objective.scores(prompts=[""], completions=[""]) == [1.0]
    assert objective.scores(prompts=[""], completions=[""], measuring=True) == [7.0]
    assert objective.reward_sign == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="", reward=len), "needs a name"),
        (dict(name="a", reward=len, goal="up"), "must be 'maximize' or 'minimize'"),
        (dict(name="a", reward=3), "needs functions"),
        (dict(name="a", reward=len, bounds=(1, 1)), "low < high"),
        (dict(name="a", reward=len, bounds=(0, math.nan)), "low < high"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Objective(**arguments)


def test_a_built_in_that_lacks_an_option_says_which():
    with pytest.raises(InputError, match=r"objective 'length' needs options \{high: ...\}"):
        built_in("length", low=1)
