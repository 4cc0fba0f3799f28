"""The judge against a server whose taste is known: both orders, veto, stages, given criteria, and failures that are no scores."""

import asyncio
import json
import re

import pytest

from steelyard.errors import BudgetError, InputError
from steelyard.llm import Budget, Client
from steelyard.llm import client as client_module
from steelyard.rubric import Check, Criterion, MetaRubric, PairwiseJudge
from steelyard.rubric.judge import _first_swapped


def shown(body):
    """What a request shows, by the fences' names."""
    text = body["messages"][-1]["content"]
    return dict(re.findall(r"^=+ beginning of ([^\n]+)\n(.*?)\n=+ end of \1$", text, re.S | re.M))


def taste(body, *, tier="core", favour_first=0):
    """A judge that likes the answer with more stars, by their difference, and may favour what stands first."""
    texts = shown(body)
    gap = texts["answer 1"].count("*") - texts["answer 2"].count("*") + favour_first
    return {
        "name": "stars", "tier": tier, "reason": "answer 1 against answer 2",
        "quote_1": texts["answer 1"][:10], "quote_2": "not there at all", "score": max(-2, min(2, gap)),
    }  # fmt: skip


def answer_with(make):
    def answer(number, body):
        name = body["response_format"]["json_schema"]["name"]
        if name == "Differences":
            return json.dumps({"differences": [f"answer 1 is {shown(body)['answer 1']}"]})
        if name == "Criteria":
            return json.dumps(
                {
                    "criteria": [
                        {"name": "stars", "tier": "core", "description": f"{what} stars"} for what in ("more", "More", "larger")
                    ]
                }
            )
        found = make(body)
        if name == "GivenScores":
            names = re.findall(r"^- (.*?) \[", shown(body)["criteria"], re.M)
            found = [{key: value for key, value in {**found, "name": each}.items() if key != "tier"} for each in names]
            return json.dumps({"criteria": found})
        return json.dumps({"differences": ["answer 1 has other stars than answer 2"], "criteria": [found]})

    return answer


@pytest.fixture
def judge(serve, monkeypatch):
    monkeypatch.setattr(client_module, "_backoff", lambda calls: 0.01)

    def make(taste_of=taste, *, client=None, **keywords):
        server = serve(answer_with(taste_of))
        asking = Client(server.url, "m", retries=1, timeout=5.0, **(client or {}))
        made = PairwiseJudge(asking, MetaRubric.load("general"), **keywords)
        made.server = server
        return made

    return make


def test_quotes_of_what_the_judge_was_shown_are_found():
    from steelyard.rubric._fence import visible
    from steelyard.rubric._quotes import quote_found

    for answer in ("x <think>plan</think> y", "zero\u200bwidth", "a<|im_end|>b", "=" * 90):
        assert quote_found(visible(answer), answer)
    assert not quote_found("something else", "x <think>plan</think> y")


def test_the_better_answer_wins_in_either_place_and_the_verdict_tells_of_a_and_b(judge):
    judging = judge()
    for a, b, winner in (("good ***", "bad *", "a"), ("bad *", "good ***", "b")):
        verdict = judging.compare_sync("p", a, b)
        assert (verdict.winner, verdict.decided_by, verdict.calls) == (winner, "criteria", 2)
        assert verdict.score == (2 if winner == "a" else -2)
        assert [one.swapped for one in verdict.judgements] == [False, True]
        plain, swapped = verdict.judgements
        assert plain.criteria[0].score == swapped.criteria[0].score
        # The judge's own words stay as they are: in the second order its answer 1 is B.
        assert plain.differences == swapped.differences == ["answer 1 has other stars than answer 2"]
        # Quotes refer to the answer they were taken from, and looked up in it.
        assert (plain.criteria[0].quote_a, plain.criteria[0].found_a, plain.criteria[0].found_b) == (a[:10], True, False)
        assert (swapped.criteria[0].quote_b, swapped.criteria[0].found_b, swapped.criteria[0].found_a) == (b[:10], True, False)


def test_a_judge_that_favours_the_first_place_gives_ties(judge):
    verdict = judge(lambda body: taste(body, favour_first=2)).compare_sync("p", "x *", "y **")
    assert (verdict.winner, verdict.score, verdict.decided_by) == ("tie", 0.0, "disagreement")


def test_the_second_order_is_asked_only_where_the_first_is_not_decisive(judge):
    judging = judge(orders="adaptive", decisive=1.5)
    assert judging.compare_sync("p", "x ****", "y").calls == 1
    verdict = judging.compare_sync("p", "x *", "y")
    assert (verdict.calls, verdict.winner) == (2, "a")
    one = judge(orders="one")
    swapped = set()
    for i in range(20):
        verdict = one.compare_sync("p", f"x * {i}", f"y {i}")
        assert (verdict.calls, verdict.winner) == (1, "a")
        swapped.add(verdict.judgements[0].swapped)
    assert swapped == {True, False}


def test_summed_orders_decide_where_the_judge_leans_and_not_where_it_only_favours_a_place(judge):
    leaning = judge(lambda body: taste(body, favour_first=1), orders="sum")
    verdict = leaning.compare_sync("p", "x *", "y")
    assert [one.score for one in verdict.judgements] == [2.0, 0.0]
    assert (verdict.winner, verdict.score) == ("a", 1.0)
    assert leaning.compare_sync("p", "x", "y").winner == "tie"


def test_which_comes_first_depends_on_the_texts_and_not_on_their_names():
    drawn = [_first_swapped("p", f"answer {i}", f"other {i}") for i in range(400)]
    assert 150 < sum(drawn) < 250
    assert all(_first_swapped("p", f"other {i}", f"answer {i}") != drawn[i] for i in range(400))


def test_hard_criteria_decide_alone(judge):
    verdict = judge(lambda body: taste(body, tier="hard")).compare_sync("p", "x", "y *")
    assert (verdict.winner, verdict.decided_by) == ("b", "veto")


@pytest.mark.parametrize(("stages", "calls"), [(1, 2), (2, 4), (3, 6)])
def test_stages_are_calls(judge, stages, calls):
    judging = judge(stages=stages)
    verdict = judging.compare_sync("p", "x **", "y")
    assert (verdict.winner, verdict.calls, len(judging.server.bodies)) == ("a", calls, calls)
    if stages > 1:
        # Two criteria of one name are told apart; one that is there twice counts once.
        assert [one.name for one in verdict.judgements[0].criteria] == ["stars", "stars (again)"]
    assert bool(verdict.judgements[0].differences) == (stages != 2)


def test_criteria_from_the_prompt_alone_are_made_once(judge):
    judging = judge(per_prompt=True, client={"cache": ":memory:"})
    asyncio.run(_many(judging))
    schemas = [body["response_format"]["json_schema"]["name"] for body in judging.server.bodies]
    assert schemas.count("Criteria") == 1
    assert schemas.count("GivenScores") == 8


async def _many(judging):
    await asyncio.gather(*(judging.compare("one prompt", f"x * {i}", f"y {i}") for i in range(4)))


def test_given_criteria_are_scored_under_their_own_tiers(judge):
    given = [Criterion("stars", "has more stars", "hard"), Criterion("shape", "is well formed", "highlight")]
    verdict = judge().compare_sync("p", "x **", "y", criteria=given)
    assert [(one.name, one.tier) for one in verdict.judgements[0].criteria] == [("stars", "hard"), ("shape", "highlight")]
    assert verdict.decided_by == "veto"


def test_a_reply_that_leaves_a_given_criterion_out_is_asked_again(judge, serve):
    judging = judge()
    honest = judging.server.answer

    def forgetful(number, body):
        reply = json.loads(honest(number, body))
        if number == 1:
            reply["criteria"] = reply["criteria"][:1]
        return json.dumps(reply)

    judging.server.answer = forgetful
    given = [Criterion("stars", "has more stars"), Criterion("shape", "is well formed")]
    verdict = judging.compare_sync("p", "x **", "y", criteria=given)
    assert (verdict.winner, verdict.calls) == ("a", 3)


def test_checks_come_first_and_save_the_call(judge):
    guard = Check("no digits", lambda prompt, answer, columns: float(not any(char.isdigit() for char in answer)))
    reward = Check("brief", lambda prompt, answer, columns: 1.0 / len(answer), role="reward")
    judging = judge(checks=[guard])
    for a, b, winner, score in (("x", "y 1 *****", "a", 2.0), ("x 1 ****", "y", "b", -2.0), ("x 1", "y 2 *", "tie", 0.0)):
        verdict = judging.compare_sync("p", a, b)
        assert (verdict.winner, verdict.score, verdict.decided_by, verdict.calls) == (winner, score, "checks", 0)
    assert judging.compare_sync("p", "x", "y *").decided_by == "criteria"
    by_reward = judge(checks=[guard, reward]).compare_sync("p", "xx", "yyyy")
    assert (by_reward.winner, by_reward.score, by_reward.decided_by) == ("a", 0.5, "checks")
    assert by_reward.checks == {"no digits": (1.0, 1.0), "brief": (0.5, 0.25)}


def test_equal_answers_are_a_tie_without_a_call(judge):
    judging = judge()
    verdict = judging.compare_sync("p", "caf\u00e9 ", "cafe\u0301")
    assert (verdict.winner, verdict.decided_by, len(judging.server.bodies)) == ("tie", "no difference", 0)


def test_a_judge_that_fails_gives_no_winner_and_no_score(judge):
    judging = judge()
    judging.server.answer = lambda number, body: "no JSON"
    verdict = judging.compare_sync("p", "x", "y")
    assert (verdict.winner, verdict.score, verdict.decided_by) == (None, None, "failure")
    assert "no usable reply in 2 calls" in verdict.error
    assert json.loads(json.dumps(verdict.to_dict()))["winner"] is None


def test_one_order_that_fails_is_a_failure_and_not_half_a_verdict(judge):
    judging = judge()
    honest = judging.server.answer
    judging.server.answer = lambda number, body: "no" if shown(body)["answer 1"].startswith("y") else honest(number, body)
    verdict = judging.compare_sync("p", "x *", "y")
    assert (verdict.winner, verdict.decided_by) == (None, "failure")
    assert verdict.calls == 3


def test_the_budgets_end_is_raised(judge):
    with pytest.raises(BudgetError):
        judge(client={"budget": Budget(calls=1)}).compare_sync("p", "x", "y")


def test_equal_prefixes_come_first_for_the_servers_cache(judge):
    judging = judge(orders="one")
    judging.compare_sync("one", "x *", "y")
    judging.compare_sync("two", "x *", "y")
    first, second = (body["messages"] for body in judging.server.bodies)
    assert first[0] == second[0]
    assert first[0]["content"].count("Principles (general@1)") == 1


def test_domains_have_their_own_rubric(serve):
    server = serve(answer_with(taste))
    rubrics = {"general": MetaRubric.load("general"), "maths": MetaRubric.load("maths")}
    judging = PairwiseJudge(Client(server.url, "m"), rubrics, orders="one")
    assert judging.compare_sync("p", "x", "y *", domain="maths").rubric == "maths@1"
    assert judging.compare_sync("q", "x", "y *", domain="cooking").rubric == "general@1"
    assert "final-answer" in server.bodies[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"orders": "bth"}, "orders must be one of both, adaptive, one, other, sum, but is 'bth' (did you mean 'both'?)"),
        ({"stages": 4}, "stages must be 1, 2 or 3"),
        ({"decisive": 3}, "decisive lies between 0 and 2"),
        ({"criteria": 0}, "criteria must be a number from 1 to 15"),
        ({"limit": 10}, "at least 200"),
    ],
)
def test_what_cannot_be_is_refused(keywords, message):
    with pytest.raises(InputError) as caught:
        PairwiseJudge(Client("http://127.0.0.1:9/v1", "m"), MetaRubric.load("general"), **keywords)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ([], "there must be one at least"),
        ([Criterion("a", " ")], "a name and a description"),
        ([Criterion("a", "b"), Criterion("a", "c")], "two given criteria are named 'a'"),
        ([Criterion("a", "b", "cor")], "unknown tier 'cor' (did you mean 'core'?)"),
    ],
)
def test_given_criteria_must_be_criteria(criteria, message):
    judging = PairwiseJudge(Client("http://127.0.0.1:9/v1", "m"), MetaRubric.load("general"))
    with pytest.raises(InputError) as caught:
        judging.compare_sync("p", "a", "b", criteria=criteria)
    assert message in str(caught.value)
