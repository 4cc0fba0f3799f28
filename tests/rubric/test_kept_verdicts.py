"""A verdict is kept for as long as nothing that it depends on is another; checks, which are free, are run again."""

import json

import pytest
from test_pairs import answer

from steelyard.errors import InputError
from steelyard.llm import Client
from steelyard.rubric import Check, MetaRubric, PairwiseJudge, check, run_pairs
from steelyard.rubric.pairs import Pair
from steelyard.rubric.router import shipped_rubrics
from steelyard.rubric.verdict_files import read_verdicts

GENERAL = MetaRubric.load("general")


def judge(server=None, *, client=None, **keywords):
    url = "http://127.0.0.1:9/v1" if server is None else server.url
    return PairwiseJudge(Client(url, "m", **(client or {})), keywords.pop("rubric", GENERAL), orders="one", **keywords)


FINGERPRINTS = {
    "as it is": judge,
    "options of a check": lambda: judge(checks=[check("words", at_most=50)]),
    "other options": lambda: judge(checks=[check("words", at_most=100)]),
    "another role": lambda: judge(checks=[check("words", at_most=100, role="reward")]),
    "a function": lambda: judge(checks=[Check("words", lambda p, a, c: float(len(a) < 3))]),
    "another function": lambda: judge(checks=[Check("words", lambda p, a, c: float(len(a) < 4))]),
    "temperature": lambda: judge(client={"temperature": 0.5}),
    "extra": lambda: judge(client={"extra": {"top_p": 0.5}}),
    "structure": lambda: judge(client={"structure": "prompt"}),
    "longest string": lambda: judge(client={"longest_string": 60}),
    "rubric": lambda: judge(rubric=MetaRubric.load("maths")),
    "rubrics": lambda: judge(rubric=shipped_rubrics()),
    "share of quotes": lambda: judge(quotes=0.5),
}


def test_all_that_a_verdict_depends_on_is_in_the_fingerprint():
    made = {name: make().fingerprint for name, make in FINGERPRINTS.items()}
    assert len(set(made.values())) == len(made)
    assert made == {name: make().fingerprint for name, make in FINGERPRINTS.items()}


def pairs(truths, **more):
    return [Pair(f"p{i}", f"q{i}", "right 4", "right 5", columns={"answer": truth}, **more) for i, truth in enumerate(truths)]


def test_a_changed_ground_truth_changes_the_verdict_without_a_call(serve, tmp_path):
    server, out = serve(answer), tmp_path / "v.jsonl"
    judging = judge(server, checks=[check("maths")])
    run_pairs(judging, pairs(["4", "4", "7"]), out=out)
    before = read_verdicts(out)
    assert [before[f"p{i}"].winner for i in range(2)] == ["a", "a"]
    asked = len(server.bodies)
    # The second truth is now B's, the third A's, where neither was right before.
    summary, _ = run_pairs(judging, pairs(["4", "5", "4"]), out=out)
    after = read_verdicts(out)
    assert [after[f"p{i}"].winner for i in range(3)] == ["a", "b", "a"]
    assert after["p0"] == before["p0"]
    assert after["p1"].checks == {"maths": (0.0, 1.0)}
    assert dict(summary.winners) == {"a": 2, "b": 1}
    assert len(server.bodies) == asked
    size = out.stat().st_size
    run_pairs(judging, pairs(["4", "5", "4"]), out=out)
    assert out.stat().st_size == size


def test_where_checks_do_not_decide_any_more_the_model_is_asked(serve, tmp_path):
    server, out = serve(answer), tmp_path / "v.jsonl"
    reads = Check(
        "truth", lambda prompt, answer, columns: None if columns["answer"] is None else float(columns["answer"] in answer)
    )
    run_pairs(judge(server, checks=[reads]), pairs(["4", None]), out=out)
    assert len(server.bodies) == 1
    summary, _ = run_pairs(judge(server, checks=[reads]), pairs([None, "nine"]), out=out)
    assert len(server.bodies) == 2
    kept = read_verdicts(out)
    # The first was decided by the check; the second was judged, and is now a tie of two that fail.
    assert kept["p0"].decided_by in ("criteria", "veto", "no difference")
    assert (kept["p1"].winner, kept["p1"].decided_by, kept["p1"].judgements) == ("tie", "checks", [])
    assert summary.judged == 2


def test_a_verdict_that_holds_no_more_is_not_read_where_judging_again_failed(serve, tmp_path):
    server, out = serve(answer), tmp_path / "v.jsonl"
    reads = Check(
        "truth", lambda prompt, answer, columns: None if columns["answer"] is None else float(columns["answer"] in answer)
    )
    run_pairs(judge(server, checks=[reads]), pairs(["4"]), out=out)
    assert read_verdicts(out)["p0"].winner == "a"
    server.answer = lambda number, body: "no JSON"
    summary, _ = run_pairs(judge(server, checks=[reads], client={"retries": 0}), pairs([None]), out=out)
    assert (summary.failed, read_verdicts(out)) == (1, {})
    server.answer = answer
    run_pairs(judge(server, checks=[reads]), pairs([None]), out=out)
    assert read_verdicts(out)["p0"].decided_by != "checks"


def test_judged_pairs_keep_their_judgement_where_a_check_that_decides_nothing_changes(serve, tmp_path):
    server, out = serve(answer), tmp_path / "v.jsonl"
    passes = Check("seen", lambda prompt, answer, columns: 1.0 if columns["answer"] else None)
    run_pairs(judge(server, checks=[passes]), pairs([None]), out=out)
    before = read_verdicts(out)["p0"]
    run_pairs(judge(server, checks=[passes]), pairs(["4"]), out=out)
    after = read_verdicts(out)["p0"]
    assert len(server.bodies) == 1
    assert (after.winner, after.judgements) == (before.winner, before.judgements)
    assert after.checks == {"seen": (1.0, 1.0)}


def test_a_run_is_not_ended_by_the_failures_of_the_one_before(serve, tmp_path):
    server = serve(lambda number, body: (401, {}, "no"))
    judging = judge(server)
    first, _ = run_pairs(judging, pairs(["4"] * 20), in_flight=2)
    assert first.gave_up
    # By its words, since a request of the first run may still arrive.
    server.answer = lambda number, body: (401, {}, "no") if "the first" in json.dumps(body) else answer(number, body)
    second, _ = run_pairs(judging, [Pair("s", "the first", "right 4", "right 5"), *pairs(["4"] * 19)], in_flight=1)
    assert (second.gave_up, second.failed, second.judged) == (False, 1, 19)


def rules(pair):
    return "general"


def others(pair):
    return "maths"


def test_another_domain_or_way_to_tell_it_is_refused(serve, tmp_path):
    server, out = serve(answer), tmp_path / "v.jsonl"
    rubrics = shipped_rubrics()
    run_pairs(judge(server, rubric=rubrics), pairs(["4"], domain="maths"), out=out)
    with pytest.raises(InputError, match="holds a verdict on other texts"):
        run_pairs(judge(server, rubric=rubrics), pairs(["4"], domain="code"), out=out)
    routed = tmp_path / "routed.jsonl"
    run_pairs(judge(server, rubric=rubrics), pairs(["4"]), out=routed, route=rules)
    run_pairs(judge(server, rubric=rubrics), pairs(["4"]), out=routed, route=rules)
    for route in (others, None, lambda pair: "general"):
        with pytest.raises(InputError, match="orders, --domain or"):
            run_pairs(judge(server, rubric=rubrics), pairs(["4"]), out=routed, route=route)


def test_the_command_tells_domains_by_rules_or_by_the_judge_and_not_by_both_in_one_file(command, serve, jsonl, tmp_path):
    server = serve(answer)
    words = [
        "judge",
        jsonl([{"prompt": "p", "a": "right", "b": "wrong"}]),
        "--base-url",
        server.url,
        "--model",
        "m",
        "--out",
        tmp_path / "v.jsonl",
    ]
    assert command(*words)[0] == 0
    code, _, error = command(*words, "--domain", "judge")
    assert (code, "orders, --domain or" in error) == (2, True)
