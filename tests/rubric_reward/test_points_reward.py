"""Points as a reward: which criteria an answer is graded by, what it gets, and what follows a failure."""

import asyncio
import json

import pytest

from steelyard.checks import check
from steelyard.errors import InputError, RunError
from steelyard.llm import Client
from steelyard.rubric import PointwiseJudge, ProgrammaticJudge
from steelyard.rubric_reward import PointsReward

RUBRIC = [
    {"criterion": "stars: has stars", "points": 5, "scale": "graded", "tags": ["form"]},
    {"criterion": "dots: has dots", "points": -5, "tags": ["faults"]},
]
MEASURES = {"stars": lambda prompt, answer: answer.count("*") / 10, "dots": lambda prompt, answer: "." in answer}


@pytest.fixture
def judge_server():
    with ProgrammaticJudge(MEASURES) as server:
        yield server


def judge_of(server, **options):
    url = server if isinstance(server, str) else server.url
    return PointwiseJudge(Client(url, "m", retries=0), **options)


def judged(reward, answers, prompts=None, **columns):
    return asyncio.run(reward.judged(prompts or ["p"] * len(answers), answers, columns))


def test_each_answer_is_graded_by_the_criteria_of_its_row_and_equal_ones_once(judge_server):
    reward = PointsReward(judge_of(judge_server), "rubrics")
    rows = [json.dumps(RUBRIC)] * 3 + [RUBRIC[:1]] + [None]
    found = judged(reward, ["**", "** .", "**", "**", "**"], ["p", "p", "p", "q", "z"], rubrics=rows)
    # 1 of 5 and no fault; the same with the fault; the same again; 1 of 5 alone; and a prompt without criteria.
    assert found.scores == [0.6, 0.1, 0.6, 0.2, None]
    assert judge_server.questions == 3
    assert (found.counts["pairs"], found.counts["calls"], found.counts["failed"]) == (4, 3, 0)
    again = judged(reward, ["**", "** .", "**", "**", "**"], ["p", "p", "p", "q", "z"], rubrics=rows)
    assert again is found


def test_every_way_to_count_and_to_ask_gives_the_scores_that_it_says(judge_server):
    reward = PointsReward(judge_of(judge_server, normalize="positive"), RUBRIC)
    assert judged(reward, ["**", "** ."]).scores == [0.2, -0.8]
    assert reward.objective().bounds == (-1.0, 1.0)
    several = PointsReward([judge_of(judge_server), judge_of(judge_server, normalize="positive")], RUBRIC, samples=2)
    assert judged(several, ["**", "** ."]).scores == pytest.approx([(0.6 + 0.2) / 2, (0.1 - 0.8) / 2])


def test_an_answer_that_fails_a_guard_gets_less_than_any_other_without_a_call(judge_server):
    guard = check("characters", at_most=4, role="guard")
    for normalize, expected in (("range", [0.0, -1.0]), ("positive", [-1.0, -2.0])):
        reward = PointsReward(judge_of(judge_server, checks=[guard], normalize=normalize), RUBRIC)
        before = judge_server.questions
        found = judged(reward, [".", "." * 9])
        assert found.scores == expected
        assert judge_server.questions == before + 1
        assert reward.objective().bounds == (expected[1], 1.0)
    everyone = judged(reward, ["." * 9, "." * 10])
    assert everyone.scores == [-2.0, -2.0]
    assert (everyone.counts["guarded"], everyone.counts["no_gradient"]) == (1, 1)
    # Where its prompt has no criteria, the objective does not apply, guard or no guard.
    by_row = PointsReward(judge_of(judge_server, checks=[guard]), "rubrics")
    assert judged(by_row, ["." * 9], rubrics=[None]).scores == [None]


def test_criteria_are_written_once_a_prompt_and_are_the_same_after_a_stop(judge_server):
    reward = PointsReward(judge_of(judge_server), "rubrics", written_from="gold")
    columns = {"rubrics": [None] * 3 + [RUBRIC], "gold": ["good"] * 2 + [None] + ["good"]}
    found = judged(reward, ["*" * 10, "*" * 10 + ".", "*", "*"], ["p", "p", "q", "z"], **columns)
    # Two criteria of 5 points: yes and no, yes and yes; and a prompt that has neither criteria nor an answer to write them from.
    assert found.scores == [0.5, 1.0, None, 0.55]
    assert found.counts["calls"] == 4
    again = PointsReward(judge_of(judge_server), "rubrics", written_from="gold")
    again.load_state_dict(json.loads(json.dumps(reward.state_dict())))
    before = judge_server.questions
    assert judged(again, ["*" * 10], ["p"], rubrics=[None], gold=["good"]).scores == [0.5]
    assert judge_server.questions == before + 1
    with pytest.raises(InputError, match="began with another judge"):
        PointsReward(judge_of(judge_server, per_call=3), "rubrics").load_state_dict(reward.state_dict())


def test_criteria_that_cannot_be_written_are_failures_and_not_scores(serve):
    server = serve(lambda number, body: "no JSON")
    reward = PointsReward(judge_of(server), None, written_from="gold", patience=0.0)
    with pytest.raises(RunError, match=r"2 of 2 answers have no verdict .*; check the judge, and resume"):
        judged(reward, ["x", "y"], gold=["good", "good"])


def test_a_judge_that_is_not_there_stops_the_run_or_leaves_the_objective_out():
    gone = "http://127.0.0.1:9/v1"
    with pytest.raises(RunError, match="objective 'points': 2 of 2 answers have no verdict"):
        judged(PointsReward(judge_of(gone), RUBRIC, patience=0.0), ["x", "y"])
    reward = PointsReward(judge_of(gone), RUBRIC, patience=0.0, on_failure="missing")
    reward.objectives(["form"])
    with pytest.warns(UserWarning, match="this batch goes on without it"):
        found = judged(reward, ["x", "y"])
    assert (found.scores, found.by_principle) == ([None, None], {"form": [None, None]})


def test_one_failure_leaves_one_answer_out(serve):
    said = {"reason": "r", "quote": "", "verdict": "yes"}
    server = serve(lambda number, body: "no" if "bad" in str(body) else json.dumps({"criterion_1": said}))
    reward = PointsReward(judge_of(server), ["Is good."])
    found = judged(reward, ["good", "bad", "fine"])
    assert found.scores == [1.0, None, 1.0]
    assert found.counts["failed"] == 1


def test_the_parts_of_the_criteria_are_objectives(judge_server):
    reward = PointsReward(judge_of(judge_server), RUBRIC)
    form, faults = reward.objectives(["form", "faults"])
    assert [form.name, faults.name] == ["points-form", "points-faults"]
    given = {"prompts": ["p", "p"], "completions": ["**", "** ."]}
    assert form.scores(**given) == [0.2, 0.2]
    assert faults.scores(**given) == [1.0, 0.0]
    assert judge_server.questions == 2
    assert form.scores(measuring=True, **given) == [0.2, 0.2]
    assert faults.scores(measuring=True, **given) == [1.0, 0.0]
    # Measuring is counted apart.
    assert judge_server.questions == 4
    assert reward.account(measuring=True)["calls"] == 2
    assert reward.totals["calls"] == 2
    assert [one.name for one in reward.objectives()] == ["points-stars: has stars", "points-dots: has dots"]
    with pytest.raises(InputError, match=r"no criterion has the name or the tag 'fault' .did you mean 'faults'"):
        reward.objectives(["fault"])
    by_row = PointsReward(judge_of(judge_server), "rubrics")
    by_row.objectives(["form", "nowhere"])
    assert judged(by_row, ["**"], rubrics=[RUBRIC]).by_principle == {"form": [0.2], "nowhere": [None]}


def test_dropped_criteria_are_not_asked_and_are_the_same_for_a_group(judge_server):
    many = [{"criterion": f"stars: {i}", "scale": "graded"} for i in range(8)]
    reward = PointsReward(judge_of(judge_server), many, dropout=0.5, seed=3)
    found = judged(reward, ["*", "**", "***"], ["p", "p", "p"])
    dropped = {tuple(grading["dropped"]) for gradings in found.graded.values() for grading in gradings}
    assert len(dropped) == 1
    left_out = dropped.pop()
    assert 0 < len(left_out) < 8
    assert len(found.graded[0][0]["criteria"]) == 8 - len(left_out)
    assert judged(PointsReward(judge_of(judge_server), many, dropout=0.5, seed=3), ["*", "**", "***"]).graded == found.graded
    whole = PointsReward(judge_of(judge_server), many, dropout=0.5, seed=3).objective()
    assert whole.scores(prompts=["p"], completions=["*"], measuring=True) == pytest.approx([0.1])


def test_answers_beyond_the_budget_of_a_step_have_no_score(judge_server):
    reward = PointsReward(judge_of(judge_server), RUBRIC, answers_per_step=2)
    found = judged(reward, ["*", "*", "**", "***", "***"])
    assert found.scores == [0.55, 0.55, 0.6, None, None]
    assert found.counts["beyond"] == 2
    assert found.counts["failed"] == 0


def test_what_is_missing_is_named(judge_server):
    judge = judge_of(judge_server)
    with pytest.raises(InputError, match=r"there is no column 'rubric' .did you mean 'rubrics'"):
        judged(PointsReward(judge, "rubric"), ["x"], rubrics=[RUBRIC])
    with pytest.raises(InputError, match=r"there is no column 'gold'.*: give the one that holds a reference answer"):
        judged(PointsReward(judge, "rubrics", written_from="gold"), ["x"], rubrics=[None])
    with pytest.raises(InputError, match="prompt 'p', criterion 1: points must be a finite number"):
        judged(PointsReward(judge, "rubrics"), ["x"], rubrics=[[{"criterion": "a", "points": "many"}]])
    for made, said in (
        (lambda: PointsReward(judge, []), "needs criteria"),
        (lambda: PointsReward(judge, None), "needs criteria"),
        (lambda: PointsReward(None, RUBRIC), "needs a PointwiseJudge"),
        (lambda: PointsReward(judge, RUBRIC, samples=0), "samples must be a whole number"),
        (lambda: PointsReward(judge, RUBRIC, dropout=1.0), "dropout must be at least 0 and below 1"),
        (lambda: PointsReward(judge, RUBRIC, on_failure="go"), "on_failure must be one of stop, missing"),
        (lambda: PointsReward(judge, RUBRIC).objectives(["form", "form"]), "each once"),
    ):
        with pytest.raises(InputError, match=said):
            made()


def test_conversations_that_differ_in_what_tools_said_are_not_equal(judge_server):
    def with_tool(said):
        call = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "look", "arguments": said}}],
        }
        return [call, {"role": "tool", "name": "look", "content": said}, {"role": "assistant", "content": "done"}]

    reward = PointsReward(judge_of(judge_server, quotes=0.0), RUBRIC)
    one, other = with_tool("***"), with_tool("good")
    assert len(set(judged(reward, [one, other]).scores)) == 2
    before = judge_server.questions
    judged(reward, [other, one])
    assert judge_server.questions == before + 2


def test_a_judge_that_cannot_grade_an_answer_does_not_leave_it_to_the_other(serve):
    def says(verdict, failing=None):
        said = json.dumps({"criterion_1": {"reason": "r", "quote": "", "verdict": verdict}})
        return judge_of(serve(lambda number, body: "no" if failing and failing in str(body) else said))

    criteria = [{"criterion": "Is good.", "scale": "graded"}]
    reward = PointsReward([says("9"), says("3", failing="second")], criteria)
    found = judged(reward, ["the first", "the second"])
    assert found.scores == [pytest.approx(0.6), None]
    assert found.counts["failed"] == 1
    with pytest.raises(RunError, match="2 of 2 answers have no verdict"):
        judged(PointsReward([says("9"), says("3", failing="a")], criteria, patience=0.0), ["a", "aa"])
    # Another sample of the same judge is enough.
    once = iter(["no", *[json.dumps({"criterion_1": {"reason": "r", "quote": "", "verdict": "8"}})] * 9])
    server = serve(lambda number, body: next(once))
    assert judged(PointsReward(judge_of(server), criteria, samples=2), ["x"]).scores == [0.8]


def test_a_run_goes_on_with_the_criteria_that_it_began_with(judge_server):
    kept = PointsReward(judge_of(judge_server), RUBRIC).state_dict()
    PointsReward(judge_of(judge_server), RUBRIC).load_state_dict(kept)
    with pytest.raises(InputError, match="the run began with other criteria"):
        PointsReward(judge_of(judge_server), RUBRIC[:1]).load_state_dict(kept)


def test_parts_may_be_asked_for_one_after_the_other(judge_server):
    reward = PointsReward(judge_of(judge_server), RUBRIC)
    given = {"prompts": ["p"], "completions": ["**"]}
    assert reward.objective().scores(**given) == [0.6]
    (form,) = reward.objectives("form")
    (faults,) = reward.objectives(["faults"])
    assert (form.scores(**given), faults.scores(**given)) == ([0.2], [1.0])


def test_a_budget_of_answers_is_one_of_criteria_to_write_as_well(judge_server):
    reward = PointsReward(judge_of(judge_server), None, written_from="gold", answers_per_step=1)
    found = judged(reward, ["*", "*", "*"], ["p", "q", "z"], gold=["good"] * 3)
    assert judge_server.questions == 2
    assert found.scores[1:] == [None, None]


def test_a_number_is_a_reference_answer_and_a_list_of_words_is_none(judge_server):
    judged(PointsReward(judge_of(judge_server), None, written_from="gold"), ["*"], gold=[42])
    with pytest.raises(InputError, match="holds reference answers, texts or messages, but here"):
        judged(PointsReward(judge_of(judge_server), None, written_from="gold"), ["*"], gold=[["a", "b"]])


def test_what_a_judge_says_can_be_recorded(serve):
    server = serve(lambda number, body: '{"criterion_1": {"reason": "cut \\ud83d", "quote": "", "verdict": "yes"}}')
    reward = PointsReward(judge_of(server), ["Is good."])
    (noted,) = judged(reward, ["x"]).notes()["p", "x"]
    assert noted.encode()
    assert json.loads(noted)[0]["graded"][0]["criteria"][0]["reason"] == "cut \ud83d"


def test_many_answers_and_criteria_are_looked_at_in_seconds(serve):
    import time

    many = json.dumps([{"criterion": f"criterion {i}"} for i in range(200)])
    reward = PointsReward(
        judge_of("http://127.0.0.1:9/v1"), "rubrics", dropout=0.5, in_a_row=1, patience=0.0, on_failure="missing"
    )
    began = time.monotonic()
    with pytest.warns(UserWarning, match="goes on without it"):
        judged(reward, [f"answer {i}" for i in range(512)], rubrics=[many] * 512)
    assert time.monotonic() - began < 5
