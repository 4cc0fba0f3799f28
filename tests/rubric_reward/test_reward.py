"""A rubric as a reward: which pairs are judged, what every answer gets, and what follows a failure."""

import asyncio
import itertools
import json
import math
import random
import time

import pytest

from misbehaving_server import completion
from steelyard.checks import Check
from steelyard.errors import BudgetError, InputError, RunError
from steelyard.llm import Budget, Client
from steelyard.rubric import (
    Judgement,
    MetaRubric,
    PairwiseJudge,
    ProgrammaticJudge,
    Scored,
    Verdict,
    aggregate,
    principle_values,
    shipped_rubrics,
    tier_weights,
)
from steelyard.rubric_reward import RubricReward, strengths

GENERAL = MetaRubric.load("general")


def stars(prompt, answer):
    return float(answer.count("*"))


def dots(prompt, answer):
    return -float(answer.count("."))


@pytest.fixture
def serve_judge():
    with_open = []

    def make(measures=None, **options):
        server = ProgrammaticJudge(measures or {"correctness": stars, "economy": dots}, **options)
        with_open.append(server.__enter__())
        return server

    yield make
    for server in with_open:
        server.__exit__(None, None, None)


def judge_of(server, *, principles=True, checks=(), client=None, **options):
    url = server if isinstance(server, str) else server.url
    return PairwiseJudge(Client(url, "m", **(client or {"retries": 0})), GENERAL, principles=principles, checks=checks, **options)


def scores(reward, answers, prompts=None, **columns):
    prompts = prompts or ["Say something."] * len(answers)
    return asyncio.run(reward(prompts, answers, **columns))


ANSWERS = ["*", "**", "***", "****"]


def test_a_random_member_is_the_reference_and_gets_nothing(serve_judge):
    server = serve_judge()
    reward = RubricReward(judge_of(server), seed=3)
    found = scores(reward, ANSWERS)
    pairs = list(reward.latest.verdicts)
    reference = {second for _, second in pairs}
    assert len(pairs) == 3 == reward.pairs_of_a_group(4)
    assert len(reference) == 1
    at = reference.pop()
    # Of a reference that is the best or the worst, the group is left out.
    assert found == ([None] * 4 if at in (0, 3) else [float((i > at) - (i < at)) for i in range(4)])
    assert server.questions == 6  # both orders


def test_references_are_drawn_by_the_seed_and_the_texts_alone(serve_judge):
    server = serve_judge()

    def drawn(seed):
        reward = RubricReward(judge_of(server), seed=seed)
        scores(reward, ANSWERS)
        return {second for _, second in reward.latest.verdicts}

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(12)}) > 2


def test_one_sided_groups_are_left_out_by_who_won_and_not_by_how_much(serve_judge):
    server = serve_judge(steps=(0.5, 100.0))
    for grade in ("sign", "aggregate"):
        lost = RubricReward(judge_of(server), grade=grade)
        assert scores(lost, ["*", "*.", "*..", "*..."])[0] is None or None not in scores(lost, ["*", "*.", "*..", "*..."])
        kinds = {scores(RubricReward(judge_of(server), grade=grade, seed=seed), ANSWERS)[0] is None for seed in range(8)}
        assert kinds == {True, False}


@pytest.mark.parametrize(("reference", "calls"), [("bootstrap", 7), ("round-robin", 28), ("tournament", 7)])
def test_the_better_answer_gets_the_higher_score_for_the_calls_that_are_stated(serve_judge, reference, calls):
    server = serve_judge({"correctness": stars}, steps=(0.5, 2.5))
    answers = ["*" * n for n in (3, 1, 4, 8, 5, 2, 6, 7)]
    reward = RubricReward(judge_of(server, orders="one"), reference=reference, seed=1)
    found = scores(reward, answers)
    assert reward.pairs_of_a_group(8) == calls == server.questions
    best, worst = found[3], found[1]
    if reference == "round-robin":
        assert sorted(found) == [found[answers.index("*" * n)] for n in range(1, 9)]
    if best is not None:
        assert best == max(found)
        assert worst <= min(found) + 0.5


def test_a_columns_answer_is_the_reference(serve_judge):
    server = serve_judge({"correctness": stars}, steps=(0.5, 1.5))
    reward = RubricReward(judge_of(server), reference="gold")
    assert scores(reward, ANSWERS, gold=["**"] * 4) == [-0.5, 0.0, 0.5, 1.0]
    assert server.questions == 6  # the equal answer is not asked about
    assert scores(reward, ["x", "**"], prompts=["a", "b"], gold=["*", "*"]) == [-0.5, 0.5]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"there is no column 'gold': give one of bootstrap, greedy, listwise, round-robin, start, tournament"),
        ({"golf": ["x", "y"]}, r"there is no column 'gold': .*\(did you mean 'golf'\?\)"),
        ({"gold": ["x", None]}, r"prompt 'b': column 'gold' has no reference answer: fill it in"),
        ({"gold": ["x", "  "]}, r"prompt 'b': column 'gold' has no reference answer"),
    ],
)
def test_a_missing_reference_is_named(serve_judge, columns, message):
    reward = RubricReward(judge_of(serve_judge()), reference="gold")
    with pytest.raises(InputError, match=message):
        scores(reward, ["*", "**"], prompts=["a", "b"], **columns)


def test_groups_are_of_one_prompt_and_of_a_size(serve_judge):
    server = serve_judge({"correctness": stars}, steps=(0.5, 1.5))
    reward = RubricReward(judge_of(server), reference="round-robin", group_size=2)
    # The same prompt, drawn twice: two groups.
    assert scores(reward, ["*", "**", "***", "****"]) == [-0.5, 0.5, -0.5, 0.5]
    with pytest.raises(InputError, match="every prompt of the batch has a single answer"):
        scores(RubricReward(judge_of(server)), ["*", "**"], prompts=["a", "b"])
    with pytest.raises(InputError, match="group_size is 1: give a column"):
        RubricReward(judge_of(server), group_size=1)


def test_an_answer_that_fails_a_guard_loses_to_every_answer_that_passes_without_a_call(serve_judge):
    server = serve_judge({"correctness": stars})
    guard = Check("clean", lambda prompt, answer, columns: float("!" not in answer))
    for reference in ("bootstrap", "round-robin", "tournament"):
        before = server.questions
        reward = RubricReward(judge_of(server, checks=[guard]), reference=reference, grade="aggregate")
        found = scores(reward, ["*****!", "*", "!"])
        assert server.questions == before
        if reference != "bootstrap":  # there the group is one-sided
            assert found[1] == max(found)
        # The reference is one that passes.
        if reference == "bootstrap":
            assert {second for _, second in reward.latest.verdicts} == {1}


def test_a_group_in_which_all_fail_or_all_are_alike_gives_nothing_and_is_counted(serve_judge):
    server = serve_judge()
    guard = Check("clean", lambda prompt, answer, columns: float("!" not in answer))
    logged = {}
    reward = RubricReward(judge_of(server, checks=[guard]), reference="round-robin")
    prompts = ["a", "a", "b", "b", "c", "c"]
    answers = ["!", "*!", "*", "*", "*", "**"]
    found = scores(reward, answers, prompts, log_metric=logged.__setitem__)
    assert found[:4] == [None, None, 0.0, 0.0]
    assert found[4] == -found[5] != 0
    assert reward.latest.counts["guarded"] == 1
    assert logged["rubric/no_gradient"] == 2
    assert logged["rubric/failed"] == 0


def test_each_principle_is_an_objective_and_pairs_are_judged_once_for_all(serve_judge):
    server = serve_judge(steps=(0.5, 1.5))
    reward = RubricReward(judge_of(server), reference="gold")
    objectives = {objective.name: objective for objective in reward.objectives()}
    assert set(objectives) == {f"rubric-{principle.id}" for principle in GENERAL.principles}
    given = dict(prompts=["p"] * 3, completions=["**", "*.", "..."], gold=["*"] * 3)

    async def all_of_them():
        return await asyncio.gather(*(objective.scores_async(**given) for objective in objectives.values()))

    found = dict(zip(objectives, asyncio.run(all_of_them()), strict=True))
    assert server.questions == 6
    assert found["rubric-correctness"] == [0.5, 0.0, -0.5]
    assert found["rubric-economy"] == [0.0, -0.5, -1.0]
    assert found["rubric-insight"] == [None] * 3
    # One after the other, and each with an event loop of its own, as code without one calls them.
    assert objectives["rubric-economy"].scores(**given) == [0.0, -0.5, -1.0]
    assert server.questions == 6


def test_a_judge_that_names_no_principles_cannot_be_split(serve_judge):
    with pytest.raises(InputError, match=r"make it with PairwiseJudge\(..., principles=True\)"):
        RubricReward(judge_of(serve_judge(), principles=False)).objectives()


def verdict_of(*orders):
    judgements = [
        Judgement(swapped, [], list(criteria), aggregate([one.score for one in criteria], [one.tier for one in criteria]))
        for swapped, criteria in orders
    ]
    winners = {one.winner for one in judgements}
    score = sum(one.score for one in judgements) / len(judgements)
    if len(winners) > 1:
        return Verdict("tie", 0.0, "disagreement", judgements)
    return Verdict(winners.pop(), score, "criteria", judgements)


def random_criteria(drawn, *, hard):
    tiers = {principle.id: principle.tier for principle in GENERAL.principles}
    names = [name for name, tier in tiers.items() if hard or tier != "hard"]
    made = []
    for name in drawn.choices(names, k=drawn.randint(1, 6)):
        tier = tiers[name] if drawn.random() < 0.7 or tiers[name] == "hard" else drawn.choice(["core", "important", "highlight"])
        made.append(Scored(f"c{len(made)}", tier, "", drawn.randint(-2, 2), principle=name))
    return made


@pytest.mark.parametrize("seed", range(40))
def test_shares_times_the_tiers_weights_are_the_verdicts_score_exactly(seed):
    drawn = random.Random(seed)
    verdict = verdict_of(
        *[(swapped, random_criteria(drawn, hard=seed % 2 == 1)) for swapped in (False, True)[: 1 + seed % 3 // 2 + seed % 2]]
    )
    shares, weights = principle_values(verdict, GENERAL, "share"), tier_weights(GENERAL)
    assert sum(weights[name] * share for name, share in shares.items()) == pytest.approx(verdict.score, abs=1e-12)


def test_a_veto_gates_the_other_principles():
    said = [
        Scored("lie", "hard", "", -2, principle="grave-falsehood"),
        Scored("style", "core", "", 2, principle="usefulness"),
    ]
    means = principle_values(verdict_of((False, said)), GENERAL)
    assert means["grave-falsehood"] == -1.0
    assert means["usefulness"] is None
    shares = principle_values(verdict_of((False, said)), GENERAL, "share")
    assert (shares["grave-falsehood"], shares["usefulness"]) == (-2.0, 0.0)


def test_orders_that_contradict_each_other_by_a_principle_are_a_tie_there_alone():
    def one(score, other):
        return [Scored("x", "core", "", score, principle="correctness"), Scored("y", "important", "", other, principle="economy")]

    means = principle_values(verdict_of((False, one(2, 1)), (True, one(2, -1))), GENERAL)
    assert (means["correctness"], means["economy"]) == (1.0, 0.0)


def test_failures_are_left_out_and_counted(serve_judge, monkeypatch):
    server = serve_judge({"correctness": stars}, steps=(0.5, 1.5))
    reply = server.reply

    def sometimes(body):
        return {} if "***" in body["messages"][-1]["content"] else reply(body)

    monkeypatch.setattr(server, "reply", sometimes)
    logged = {}
    reward = RubricReward(judge_of(server), reference="gold", patience=0)
    assert scores(reward, ANSWERS[:3], gold=["."] * 3, log_metric=logged.__setitem__) == [0.5, 1.0, None]
    assert logged["rubric/failed"] == pytest.approx(1 / 3)
    assert reward.totals["failed"] == 1


def test_where_too_much_fails_the_run_stops_or_goes_on_without(serve_judge, monkeypatch):
    server = serve_judge()
    monkeypatch.setattr(server, "reply", lambda body: {})
    with pytest.raises(
        RunError, match=r"objective 'rubric': 6 of 6 pairs of answers have no verdict \(.*\); check the judge, and resume"
    ):
        scores(RubricReward(judge_of(server), reference="round-robin", patience=0), ANSWERS)
    going_on = RubricReward(judge_of(server), reference="round-robin", patience=0, on_failure="missing")
    with pytest.warns(UserWarning, match="this batch goes on without it"):
        assert scores(going_on, ANSWERS) == [None] * 4
    split = going_on.latest.by_principle
    assert split["economy"] == [None] * 4


def test_a_judge_that_comes_back_is_waited_for(serve_judge, monkeypatch):
    server = serve_judge({"correctness": stars}, steps=(0.5, 1.5))
    reply, asked = server.reply, itertools.count()
    monkeypatch.setattr(server, "reply", lambda body: {} if next(asked) < 6 else reply(body))
    reward = RubricReward(judge_of(server), reference="gold", patience=30)
    with pytest.warns(
        UserWarning, match=r"3 of 3 pairs of answers have no verdict \(.*\); the run waits for the judge for up to 30 s"
    ):
        assert scores(reward, ANSWERS[:3], gold=["."] * 3) == [0.5, 1.0, 1.0]
    # What was asked in vain has cost something as well.
    assert reward.latest.counts["calls"] == server.questions + 6


def test_a_judge_that_is_not_there_stops_the_run_in_one_line():
    reward = RubricReward(judge_of("http://127.0.0.1:9/v1"), reference="gold", patience=0)
    with pytest.raises(RunError, match=r"2 of 2 pairs .*no server of 'm' answers at http://127.0.0.1:9/v1"):
        scores(reward, ANSWERS[:2], gold=["."] * 2)


def test_the_end_of_a_budget_ends_the_run(serve_judge):
    judge = judge_of(serve_judge(), client={"budget": Budget(calls=3), "retries": 0})
    with pytest.raises(BudgetError, match="the budget of 3 calls is used up"):
        scores(RubricReward(judge, reference="round-robin"), ANSWERS)


def test_a_deadline_is_kept(serve):
    async def slow(number, body):
        shown = body["messages"][-1]["content"]
        await asyncio.sleep(60 if "***" in shown else 0)
        one = {
            "name": "x",
            "tier": "core",
            "reason": "",
            "quote_1": "",
            "quote_2": "",
            "score": 1 if "answer 1\n*" in shown else -1,
        }
        return 200, {}, completion(json.dumps({"differences": [], "criteria": [one]}))

    reward = RubricReward(judge_of(serve(slow).url, principles=False), reference="gold", deadline=8.0, patience=60)
    scores(reward, ["*"], gold=["."])  # the first question to a server goes alone, to learn how it wants to be asked
    began = time.monotonic()
    found = scores(reward, ["*", "*", "***"], gold=["."] * 3)
    assert time.monotonic() - began < 40
    assert found[:2] == [0.5, 0.5]
    assert found[2] is None
    assert "within the deadline of 8 s" in reward.latest.verdicts[2, -1][0].error


def test_a_judge_that_goes_by_the_place_is_named_within_fifty_calls(serve_judge):
    server = serve_judge(place=99.0)
    reward = RubricReward(judge_of(server), reference="round-robin")
    with pytest.warns(
        UserWarning, match=r"preferred the answer that was shown first in \d+ of \d+ judgements: it goes by the place"
    ):
        scores(reward, ["*" * n for n in range(1, 8)])
    assert server.questions <= 50


def test_an_honest_judge_is_not_named(serve_judge, recwarn):
    scores(RubricReward(judge_of(serve_judge()), reference="round-robin"), ["*" * n for n in range(1, 9)])
    assert not [warning for warning in recwarn if "by the place" in str(warning.message)]


def test_several_judges_and_samples_are_averaged(serve_judge):
    one, other = serve_judge({"correctness": stars}, steps=(0.5, 1.5)), serve_judge({"economy": dots}, steps=(0.5, 1.5))
    reward = RubricReward([judge_of(one), judge_of(other)], reference="gold", samples=2)
    assert scores(reward, ["**...", "*"], gold=["*"] * 2) == [(0.5 - 1.0) / 2, 0.0]
    assert one.questions == other.questions == 4


def test_the_majority_of_judges_decides_and_where_they_disagree_is_counted(serve_judge):
    likes_stars, too = (serve_judge({"correctness": stars}, steps=(0.5, 9.0)) for _ in range(2))
    likes_few_dots = serve_judge({"economy": dots}, steps=(0.1, 0.5))
    judges = [judge_of(one) for one in (likes_stars, too, likes_few_dots)]
    answers, gold = ["**...", "*.", "*"], ["*", "*", "*"]
    logged = {}
    majority = RubricReward(judges, reference="gold", pool="majority")
    # Two to one; nobody but the third sees a difference; nobody does.
    assert scores(majority, answers, gold=gold, log_metric=logged.__setitem__) == [1.0, -1.0, 0.0]
    assert logged["rubric/disagreed"] == pytest.approx(2 / 3)
    assert scores(RubricReward(judges, reference="gold"), answers, gold=gold) == pytest.approx([0.0, -1 / 3, 0.0])


def test_pairs_beyond_the_limit_of_a_step_give_no_score_and_are_no_failures(serve_judge):
    server = serve_judge({"correctness": stars}, steps=(0.5, 1.5))
    reward = RubricReward(judge_of(server, orders="one"), reference="gold", pairs_per_step=2, most_failed=0.0, patience=0)
    found = scores(reward, ANSWERS, gold=["."] * 4)
    assert found.count(None) == 2
    assert server.questions == 2
    assert {name: reward.latest.counts[name] for name in ("pairs", "failed", "beyond")} == {"pairs": 2, "failed": 0, "beyond": 2}


def test_after_failures_in_a_row_the_rest_of_a_step_is_not_asked(serve_judge, monkeypatch):
    server = serve_judge()
    asked = []
    monkeypatch.setattr(server, "reply", lambda body: asked.append(1) or {})
    client = {"retries": 0, "concurrency": 2}
    reward = RubricReward(judge_of(server, orders="one", client=client), reference="gold", in_a_row=3, patience=0)
    answers = ["*" * n for n in range(1, 41)]
    with pytest.raises(RunError, match=r"40 of 40 pairs of answers have no verdict \((?!not asked)"):
        scores(reward, answers, prompts=[f"{n}?" for n in range(40)], gold=["."] * 40)
    assert len(asked) < 10


def test_what_was_asked_has_a_price_and_is_told_once(serve_judge):
    server = serve_judge({"correctness": stars})
    logged = {}
    reward = RubricReward(judge_of(server), reference="gold", price=(2.0, 6.0))
    scores(reward, ANSWERS[:2], gold=["."] * 2, log_metric=logged.__setitem__)
    counts = reward.latest.counts
    account = reward.account()
    assert account["price"] == pytest.approx((2 * counts["tokens_in"] + 6 * counts["tokens_out"]) / 1e6) == logged["rubric/price"]
    assert (account["pairs"], account["calls"]) == (2, 4)
    # A step in which nothing is judged has cost nothing.
    assert reward.account() == {}


def test_criteria_are_dropped_by_the_group_and_never_hard_ones(serve_judge):
    server = serve_judge()
    judge = judge_of(server, orders="one")
    pairs = dict(reference="gold", seed=1)
    whole = scores(RubricReward(judge, **pairs), ["**..."], gold=["*"])
    seen = set()
    for n in range(30):
        reward = RubricReward(judge, dropout=0.5, **pairs)
        found = scores(reward, ["**...", "***"], prompts=[f"{n}?"] * 2, gold=["*", "*"])
        again = RubricReward(judge, dropout=0.5, **pairs)
        assert scores(again, ["**...", "***"], prompts=[f"{n}?"] * 2, gold=["*", "*"]) == found
        left_out = reward.latest.dropped.get(0, [])
        # Both pairs of a group are judged by the same criteria.
        assert left_out == reward.latest.dropped.get(1, [])
        if len(left_out) == 1:
            assert reward.latest.by_principle[left_out[0]] == [None, None]
            note = json.loads(reward.notes()[f"{n}?", "**..."][0])[0]
            assert note["dropped"] == left_out
            assert len(note["verdicts"][0]["orders"][0]["criteria"]) == 2  # what was said is kept whole
            assert found[0] == (0.5 if left_out == ["economy"] else -1.0)
        else:
            assert found[0] == whole[0]
        seen.add(tuple(left_out))
    assert {(), ("correctness",), ("economy",), ("correctness", "economy")} == seen
    hard = serve_judge({"grave-falsehood": stars, "economy": dots})
    for n in range(8):
        reward = RubricReward(judge_of(hard, orders="one"), dropout=0.9, **pairs)
        assert scores(reward, ["**...."], prompts=[f"{n}?"], gold=["*"])[0] > 0


def test_state_goes_on_and_another_rubric_is_refused(serve_judge):
    server = serve_judge()
    reward = RubricReward(judge_of(server), reference="gold")
    scores(reward, ANSWERS, gold=["."] * 4)
    state = json.loads(json.dumps(reward.objective().state_dict()))
    again = RubricReward(judge_of(server), reference="gold")
    again.objective().load_state_dict(state)
    assert again.totals == reward.totals
    newer = GENERAL.model_copy(update={"version": 2})
    other = RubricReward(PairwiseJudge(Client(server.url, "m"), newer, principles=True), reference="gold")
    with pytest.raises(InputError, match="the run began with the rubric general@1 and would go on with general@2"):
        other.objective().load_state_dict(state)
    stricter = RubricReward(judge_of(server, orders="one"), reference="gold")
    with pytest.raises(InputError, match="began with another judge, or with other settings"):
        stricter.objective().load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judge": None}, "needs a PairwiseJudge"),
        ({"judge": "http://x"}, "needs a PairwiseJudge"),
        ({"grade": "signs"}, r"grade must be one of sign, aggregate, but is 'signs' \(did you mean 'sign'\?\)"),
        ({"form": "sum"}, "form must be one of mean, share"),
        ({"on_failure": "go on"}, "on_failure must be one of stop, missing"),
        ({"samples": 0}, "samples must be a whole number, at least 1"),
        ({"reference": ""}, "or a column's name"),
        ({"most_failed": 2}, "most_failed must lie between 0 and 1"),
        ({"deadline": 0}, "deadline positive"),
        ({"pool": "median"}, "pool must be one of mean, majority"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"pairs_per_step": 0}, "pairs_per_step must be a whole number, at least 1"),
        ({"reference": "listwise", "dropout": 0.5}, "without pairs or criteria"),
        ({"reference": "listwise", "pairs_per_step": 4}, "without pairs or criteria"),
    ],
)
def test_bad_arguments_are_refused(serve_judge, options, message):
    judge = options.pop("judge") if "judge" in options else judge_of(serve_judge())
    with pytest.raises(InputError, match=message):
        RubricReward(judge, **options)


def test_strengths_follow_who_beat_whom():
    rounds = {(0, 1): 1.0, (2, 3): 1.0, (0, 2): 1.0}
    found = strengths([0, 1, 2, 3, 4], rounds)
    assert found[0] > found[2] > found[1]
    assert found[4] is None
    assert all(-1 < score < 1 for score in found.values() if score is not None)
    # Against the closed form of two players with a prior tie: s_0 / s_1 from the stationary point.
    two = strengths([0, 1], {(0, 1): 1.0}, prior=1.0)
    assert two[0] == pytest.approx(-two[1])
    assert strengths([0, 1], {(0, 1): 0.0}) == pytest.approx({0: 0.0, 1: 0.0})
    assert math.isclose(sum(strengths(range(3), {(0, 1): 1.0, (1, 2): 1.0, (2, 0): 1.0}).values()), 0.0, abs_tol=1e-9)


def test_a_list_is_one_question_whatever_the_order(serve_judge):
    server = serve_judge({"correctness": stars}, steps=(0.5, 2.5))
    found = []
    for seed in range(3):
        before = server.questions
        found.append(scores(RubricReward(judge_of(server), reference="listwise", seed=seed), ["**", "*", "****", "***"]))
        assert server.questions == before + 1
    assert found[0] == found[1] == found[2]
    assert sorted(found[0]) == [found[0][i] for i in (1, 0, 3, 2)]
    assert found[0][1] < 0 < found[0][2]


def test_the_same_answers_beside_another_reference_are_judged_anew(serve_judge):
    reward = RubricReward(judge_of(serve_judge({"correctness": stars}, steps=(0.5, 1.5))), reference="gold")
    assert scores(reward, ["**"], gold=["*"]) == [0.5]
    assert scores(reward, ["**"], gold=["***"]) == [-0.5]


def test_of_several_rubrics_the_prompts_own_is_used_or_the_one_that_rules_find(serve_judge):
    server = serve_judge({"correctness": stars})
    judge = PairwiseJudge(Client(server.url, "m"), shipped_rubrics())
    reward = RubricReward(judge, reference="gold")
    prompts, domains = ["2+2?", "Write a haiku about rain.", "Write a haiku about rain."], ["maths", None, "unheard-of"]
    scores(reward, ["*"] * 3, prompts, gold=["."] * 3, domain=domains)
    used = [reward.latest.verdicts[i, -1][0].rubric.partition("@")[0] for i in range(3)]
    assert used == ["maths", "creative", "creative"]


def test_what_a_list_said_is_noted(serve_judge):
    reward = RubricReward(judge_of(serve_judge({"correctness": stars})), reference="listwise")
    scores(reward, ["*", "**"])
    (note,) = json.loads(reward.notes()["Say something.", "**"][0])
    assert note["listed"][0]["score"] > 0.5
    assert "mean difference" in note["listed"][0]["reason"]


def test_a_list_keeps_guards_and_failures(serve_judge, monkeypatch):
    server = serve_judge({"correctness": stars})
    guard = Check("clean", lambda prompt, answer, columns: float("!" not in answer))
    reward = RubricReward(judge_of(server, checks=[guard]), reference="listwise", patience=0)
    found = scores(reward, ["*****!", "*", "**", "!"])
    assert found[0] == found[3] == -1.0
    assert found[1] < found[2]
    assert scores(reward, ["!", "*", "!!"]) == [-1.0, 1.0, -1.0]
    monkeypatch.setattr(server, "reply", lambda body: {"answers": []})
    with pytest.raises(RunError, match=r"4 of 4 pairs of answers have no verdict"):
        scores(reward, ["*", "**", "***", "****"])
    with pytest.raises(InputError, match="cannot be split by principles"):
        reward.objectives()


def test_shares_of_light_principles_can_play_a_tournament(serve_judge, tmp_path):
    (tmp_path / "light.yaml").write_text(
        "name: light\nversion: 1\nextends: general\nprinciples:\n"
        "  - {id: economy, tier: highlight, means: As few dots as possible., fails: More dots than it needs.}\n"
        "changelog: [{version: 1, date: 2026-11-28, what: First version.}]\n"
    )
    rubric = MetaRubric.load(tmp_path / "light.yaml").only(["economy"])
    server = serve_judge({"economy": dots}, steps=(0.5, 1.0))
    judge = PairwiseJudge(Client(server.url, "m", retries=0), rubric, principles=True)
    reward = RubricReward(judge, reference="tournament", form="share")
    (objective,) = reward.objectives()
    # Alone in its verdicts, a principle of weight 1 has a share of 2, which counts as a whole victory.
    assert principle_values(judge.compare_sync("p", ".", "...."), rubric, "share") == {"economy": 2.0}
    found = objective.scores(prompts=["p"] * 4, completions=[".", "..", "...", "...."])
    assert found[0] == max(found) > 0
    assert found[3] < 0
    assert all(-1 < score < 1 for score in found)
