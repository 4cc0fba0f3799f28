"""Shorter among the right answers: the sign is right for every mixture of right and wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import InputError
from steelyard.objectives import brevity


def scores(answers, tokens, prompts=None, truths=None):
    objective = brevity()
    return objective.scores(
        prompts=prompts or ["p"] * len(answers),
        completions=answers,
        completion_ids=[[0] * count for count in tokens],
        answer=truths or ["4"] * len(answers),
    )


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50)), min_size=1, max_size=8))
def test_a_wrong_answer_gains_nothing_by_its_length_and_no_right_one_gets_less(answers):
    found = scores(["4" if right else "5" for right, _ in answers], [tokens for _, tokens in answers])
    assert all(score == 0 for score, (right, _) in zip(found, answers, strict=True) if not right)
    assert all(0 <= score < 1 for score in found)
    mine = sorted((tokens, -score) for score, (right, tokens) in zip(found, answers, strict=True) if right)
    assert [score for _, score in mine] == sorted(score for _, score in mine)


def test_each_prompt_has_its_own_mean_and_one_without_a_truth_is_left_out():
    found = scores(["4", "4", "4", "4", "4"], [10, 30, 5, 5, 1], ["p", "p", "q", "q", "z"], ["4"] * 4 + [None])
    assert found == [0.5, 0.0, 0.0, 0.0, None]
    with pytest.raises(InputError, match="needs the ground truth in a column 'answer'"):
        brevity().scores(prompts=["p"], completions=["4"])
