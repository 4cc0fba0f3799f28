"""Scores that rest on nothing are no verdict: one criterion said again and again, quotes that stand nowhere."""

import json

import pytest
from test_judge import shown

from steelyard.errors import InputError
from steelyard.llm import Client
from steelyard.rubric import Criterion, MetaRubric, PairwiseJudge

A, B = "The capital is Paris, on the Seine.", "The capital is Lyon, I think; or \u201cLutetia\u201d."
GOOD = {
    "name": "truth",
    "tier": "core",
    "reason": "answer 1 is right",
    "quote_1": "capital is Paris",
    "quote_2": "capital is Lyon",
    "score": 2,
}


def one(**changes):
    return {**GOOD, **changes}


def reply(*criteria, swap=False):
    return json.dumps({"differences": [], "criteria": list(criteria)})


def judge(server, **keywords):
    return PairwiseJudge(
        Client(server.url, "m", retries=2), MetaRubric.load("general"), orders="one", **{"criteria": 6, **keywords}
    )


def told_of(criteria):
    """The criteria with quotes of the answers as they are shown, whichever is first."""

    def answer(number, body):
        first = shown(body)["answer 1"]
        given = criteria(number) if callable(criteria) else criteria
        if first.startswith(A[:16]):
            return reply(*given)
        return reply(*({**item, "quote_1": item["quote_2"], "quote_2": item["quote_1"]} for item in given))

    return answer


DEGENERATE = {
    "one criterion again and again": ([GOOD] * 6, "the criterion 'truth' is there 6 times"),
    "its name in other letters": (
        [one(), one(name="  TRUTH ", reason="other", score=1)],
        "the criterion 'truth' is there 2 times",
    ),
    "one criterion under many names": (
        [one(name=f"criterion {i}") for i in range(4)],
        "all 4 criteria have the same reason and quotes",
    ),
    "no quote is there": (
        [one(quote_1="Paris is lovely", quote_2="no")],
        "only 0 of 2 quotes stand in the answers, where 25% must",
    ),
    "quotes of the other answer": ([one(quote_1="is Lyon", quote_2="is Paris")], "only 0 of 2 quotes"),
    "one of five": (
        [
            one(quote_2=""),
            *(one(name=f"n{i}", reason=f"{i}", quote_1="nothing", quote_2="nowhere" if i else "") for i in range(3)),
        ],
        "only 1 of 6 quotes",
    ),
    "the prompt's own words": ([one(quote_1="answer 1", quote_2="answer 2")], "only 0 of 2 quotes"),
}
SOUND = {
    "all are there": [GOOD],
    "one of two": [one(quote_2="not a word of it")],
    "one of four": [one(quote_2="nowhere"), one(name="style", reason="x", quote_1="nothing", quote_2="nix")],
    "none is given": [one(quote_1="", quote_2="")],
    "none is given, twice": [one(quote_1="", quote_2="", reason=""), one(name="style", quote_1="", quote_2="", reason="")],
    "in other letters and spaces": [one(quote_1='"CAPITAL  is paris"', quote_2="")],
    "in parts": [one(quote_1="The capital ... the Seine", quote_2="")],
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_scores_that_rest_on_nothing_are_asked_again_and_then_fail(serve, name):
    criteria, message = DEGENERATE[name]
    server = serve(told_of(criteria))
    verdict = judge(server).compare_sync("p", A, B)
    assert (verdict.winner, verdict.score, verdict.decided_by, verdict.calls) == (None, None, "failure", 3)
    assert message in verdict.error
    assert len(server.bodies) == 3
    mended = serve(told_of(lambda number: criteria if number == 1 else [GOOD]))
    verdict = judge(mended).compare_sync("p", A, B)
    assert (verdict.winner is not None, verdict.calls) == (True, 2)


@pytest.mark.parametrize("name", SOUND)
def test_scores_with_enough_to_rest_on_are_a_verdict(serve, name):
    verdict = judge(serve(told_of(SOUND[name]))).compare_sync("p", A, B)
    assert (verdict.winner is not None, verdict.calls) == (True, 1), verdict.error


@pytest.mark.parametrize(("quotes", "calls"), [(0, 1), (0.5, 1), (0.51, 3), (1, 3)])
def test_the_share_of_quotes_is_a_setting(serve, quotes, calls):
    server = serve(told_of([one(quote_2="not a word of it")]))
    assert judge(server, quotes=quotes).compare_sync("p", A, B).calls == calls
    with pytest.raises(InputError, match=r"quotes must be a share from 0 to 1, but is 1\.5"):
        judge(server, quotes=1.5)


def test_given_criteria_may_have_one_reason_but_no_invented_quotes(serve):
    given = [Criterion("truth", "says what is true"), Criterion("style", "is well put")]

    def answer(number, body):
        quotes = {"quote_1": "The capital is", "quote_2": ""} if number > 1 else {"quote_1": "invented", "quote_2": "made up"}
        return reply(*({"name": name, "reason": "r", **quotes, "score": 1} for name in ("truth", "style")))

    verdict = judge(serve(answer)).compare_sync("p", A, B, criteria=given)
    assert (verdict.winner is not None, verdict.calls) == (True, 2)


def test_the_commands_count_such_failures_and_found_quotes(command, serve, jsonl):
    rows = [{"prompt": f"p{i}", "a": A, "b": B} for i in range(4)]
    server = serve(
        lambda number, body: told_of([GOOD] * 3 if "p0" in shown(body)["prompt"] else [one(quote_2="nowhere")])(number, body)
    )
    words = ["judge", jsonl(rows), "--base-url", server.url, "--model", "m", "--show", 0, "--retries", 1]
    code, said, _ = command(*words)
    assert code == 0
    assert "failed 1" in said
    assert "12 quotes, of which 6 (50%) stand in the answers" in said
    code, said, error = command(*words, "--quotes", 0.9)
    assert code == 1
    # Which of the four is the last to fail depends on the machine.
    assert "where 90% must" in error or "'truth' is there 3 times" in error
    code, _, error = command(*words, "--quotes", 2)
    assert (code, "quotes must be a share from 0 to 1" in error) == (2, True)
