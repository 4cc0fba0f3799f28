import asyncio
import math

import pytest
import torch

from steelyard.errors import InputError, RewardError
from steelyard.objectives import Gate, Objective, built_in, reward_matrix


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


def test_given_scores_and_given_answers_make_one_matrix():
    objectives = [
        Objective("a", lambda completions: [float(len(text)) for text in completions], goal="minimize"),
        Objective("b", lambda completions: [None if text == "" else 1.0 for text in completions], gate=Gate("a", at_least=2)),
    ]
    answers = ["one", "", "x", "four"]
    scores = torch.tensor([[3.0, 1.0], [0.0, math.nan], [1.0, 1.0], [4.0, 1.0]])
    made = reward_matrix(objectives, prompts=["p"] * 4, completions=answers)
    torch.testing.assert_close(made, reward_matrix(objectives, scores_BK=scores), equal_nan=True, rtol=0, atol=0)
    assert made[:, 0].tolist() == [-3.0, -0.0, -1.0, -4.0]
    assert made[:, 1].isnan().tolist() == [False, True, True, False]
    assert reward_matrix(objectives, scores_BK=scores.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there are neither"),
        ({"prompts": ["p"]}, "there are neither"),
        ({"prompts": ["p"], "completions": ["a"], "scores_BK": torch.zeros(1, 1)}, "give either"),
        ({"scores_BK": torch.zeros(1, 1), "answer": ["4"]}, "give either"),
        ({"scores_BK": torch.zeros(1, 2)}, r"must have shape \[B, 1\], a column an objective, but have \[1, 2\]"),
        ({"scores_BK": torch.zeros(3)}, r"but have \[3\]"),
    ],
)
def test_a_matrix_is_made_of_answers_or_of_scores(given, message):
    with pytest.raises(InputError, match=message):
        reward_matrix([Objective("a", len)], **given)


def test_objectives_apply_by_whatever_column_names_the_domain():
    objective = Objective("a", lambda completions: [1.0] * len(completions), applies_to=["en"])
    rows = {"prompts": ["p"] * 2, "completions": ["x"] * 2, "lang": ["en", "sw"], "domain": ["sw", "en"]}
    assert objective.scores(**rows) == [None, 1.0]
    assert objective.scores(**rows, domain_column="lang") == [1.0, None]
    assert reward_matrix([objective], **rows, domain_column="lang").isnan().flatten().tolist() == [False, True]
    with pytest.raises(InputError, match=r"no column 'topic' \(found: domain, lang\)"):
        objective.scores(**rows, domain_column="topic")


class OfAServer(Exception):
    __module__ = "httpx"


@pytest.mark.parametrize("error", [TimeoutError("late"), ConnectionResetError("gone"), OfAServer("503")])
def test_after_a_failure_of_the_outside_world_no_prompt_is_blamed_and_nothing_is_called_again(error):
    calls = []

    def reward(completions, **columns):
        calls.append(len(completions))
        raise error

    with pytest.raises(
        RewardError, match=r"raised \w+: \w+ \(for a batch of 3 answers\); see whether what it calls can be reached"
    ):
        Objective("remote", reward).scores(prompts=["p"] * 3, completions=["a", "b", "c"])
    assert calls == [3]


def test_log_extra_of_an_objective_of_some_domains_has_a_line_an_answer():
    table = {}

    def reward(completions, log_extra, **columns):
        log_extra("length", [len(text) for text in completions])
        return [1.0] * len(completions)

    objective = Objective("some", reward, applies_to=["a"])
    rows = dict(prompts=["p"] * 3, completions=["x", "yy", "zzz"], domain=["a", "b", "a"])
    assert objective.scores(**rows, log_extra=table.__setitem__) == [1.0, None, 1.0]
    assert table == {"length": [1, None, 3]}


def flaky(fails, error=None):
    """A reward that fails so many times before it answers."""
    calls = []

    def reward(completions, **columns):
        calls.append(len(completions))
        if len(calls) <= fails:
            raise error or TimeoutError("late")
        return [1.0] * len(completions)

    async def awaited(completions, **columns):
        return reward(completions)

    return calls, {"plain": reward, "async": awaited}


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were waited, without waiting."""
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr("steelyard.objectives.objective.time.sleep", waited.append)
    monkeypatch.setattr("steelyard.objectives.objective.asyncio.sleep", sleep)
    return waited


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_reward_that_fails_for_a_while_is_asked_again(waits, kind):
    calls, made = flaky(2)
    objective = Objective("remote", made[kind], on_error="retry")
    assert objective.scores(prompts=["p"] * 2, completions=["a", "b"]) == [1.0, 1.0]
    assert (calls, waits, objective.failures) == ([2, 2, 2], [1.0, 2.0], {"retried": 2})


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_reward_that_goes_on_failing_stops_the_run_or_is_left_out(waits, kind):
    calls, made = flaky(100)
    with pytest.raises(RewardError, match="raised TimeoutError: late"):
        Objective("remote", made[kind], on_error="retry", retries=2).scores(prompts=["p"], completions=["a"])
    assert (len(calls), waits) == (3, [1.0, 2.0])
    left_out = Objective("remote", made[kind], on_error="missing", retries=1, applies_to=["x"])
    assert left_out.scores(prompts=["p"] * 3, completions=["a", "b", "c"], domain=["x", "y", "x"]) == [None, None, None]
    assert left_out.failures == {"retried": 1, "missing": 2}
    with pytest.raises(RewardError):
        Objective("remote", made[kind]).scores(prompts=["p"], completions=["a"])


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_bug_stops_the_run_at_once_whatever_the_policy(waits, kind):
    calls, made = flaky(100, error=KeyError("x"))
    with pytest.raises(RewardError, match="raised KeyError"):
        Objective("mine", made[kind], on_error="missing").scores(prompts=["p"], completions=["a"])
    assert waits == []
    assert len(calls) <= 2  # a plain one is asked once more, which prompt it was


def test_a_policy_that_is_none_is_named():
    with pytest.raises(
        InputError, match=r"on_error of objective 'a' must be one of stop, retry, missing, .*'mising'.*did you mean 'missing'"
    ):
        Objective("a", len, on_error="mising")
