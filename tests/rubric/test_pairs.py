"""Many pairs from the command line: a line a pair, nothing judged twice, failures that are no verdicts, a page to read."""

import json
import re

import pytest

from steelyard.errors import InputError
from steelyard.rubric.page import marked
from steelyard.rubric.pairs import read_pairs
from steelyard.rubric.router import by_rules
from steelyard.rubric.verdict_files import read_verdicts

ROWS = [
    {"id": f"p{i}", "prompt": f"question {i}", "a": "right " * 3 + str(i), "b": f"<b>wrong</b> {i}", "label": "a"}
    for i in range(12)
]


def answer(number, body):
    texts = dict(re.findall(r"^=+ beginning of ([^\n]+)\n(.*?)\n=+ end of \1$", body["messages"][-1]["content"], re.S | re.M))
    score = 2 if "right" in texts["answer 1"] else -2
    good = texts["answer 1" if score > 0 else "answer 2"]
    # One quote that is there, and one that is not.
    quotes = ["right  RIGHT" if "right right" in good else "right" if "right" in good else "", "nothing of the sort"]
    one = {
        "name": "truth",
        "tier": "hard",
        "reason": "answer 1 and answer 2",
        "quote_1": quotes[score < 0],
        "quote_2": quotes[score > 0],
        "score": score,
    }
    return json.dumps({"differences": ["answer 1 differs"], "criteria": [one]})


def test_reading_never_changes_a_file(command, jsonl, tmp_path):
    mine = tmp_path / "notes.json"
    mine.write_text('{"important": "my only copy"}')
    assert command("rubric", "stats", mine)[0] == 2
    assert mine.read_text() == '{"important": "my only copy"}'
    pairs = jsonl([{"prompt": "p", "a": "x", "b": "y"}])
    pairs.write_text(pairs.read_text().rstrip())
    code, _, said = command("judge", pairs, "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--out", pairs)
    assert code == 2
    assert f"--out names {pairs}, which is read: give another file" in said
    assert pairs.read_text().endswith('"y"}')


def test_verdicts_of_other_texts_or_of_another_judge_are_refused(command, serve, jsonl, tmp_path):
    server, out = serve(answer), tmp_path / "v.jsonl"
    words = ["judge", jsonl(ROWS[:2]), "--base-url", server.url, "--model", "m", "--out", out]
    assert command(*words)[0] == 0
    asked = len(server.bodies)
    code, _, said = command(*words, "--orders", "one")
    assert (code, "holds verdicts of another judge" in said) == (2, True)
    code, _, said = command(*words[:-3], "another", *words[-2:])
    assert (code, "holds verdicts of another judge" in said) == (2, True)
    jsonl([{**ROWS[0], "b": "another answer"}])
    code, _, said = command(*words)
    assert (code, "holds a verdict on other texts for pair 'p0'" in said) == (2, True)
    assert len(server.bodies) == asked


def test_a_run_ends_soon_where_no_question_at_all_is_answered(command, serve, jsonl, tmp_path):
    server = serve(lambda number, body: (401, {}, '{"error": {"message": "wrong key"}}'))
    rows = [{"prompt": f"q{i}", "a": "x", "b": "y"} for i in range(300)]
    code, _, said = command("judge", jsonl(rows), "--base-url", server.url, "--model", "m", "--concurrency", 4, "--orders", "one")
    assert code == 1
    assert "since no question at all was answered" in said
    assert "wrong key" in said
    assert len(server.bodies) < 40


def test_calls_are_those_that_were_sent(command, serve, jsonl):
    server = serve(lambda number, body: answer(number, body) if number % 3 else "no JSON")
    code, said, _ = command("judge", jsonl(ROWS), "--base-url", server.url, "--model", "m")
    assert code == 0
    assert f"{len(server.bodies)} calls (" in said


def test_what_a_judge_writes_cannot_drive_the_terminal_or_end_the_run(command, serve, jsonl):
    def nasty(number, body):
        one = {
            "name": "x\x1b[2J",
            "tier": "core",
            "reason": "\x1b[31mred :smile: \ud800 \u2192",
            "quote_1": "",
            "quote_2": "",
            "score": 1,
        }
        return json.dumps({"differences": [], "criteria": [one]})

    rows = [{"id": "i\x1b[2J:+1:", "prompt": "p", "a": "x", "b": "y"}]
    code, said, _ = command("judge", jsonl(rows), "--base-url", serve(nasty).url, "--model", "m", "--orders", "one")
    assert code == 0
    assert "\x1b" not in said
    assert ":smile:" in said
    assert "pair i\\u001b[2J:+1:" in said


def test_the_terminal_shows_answers_differences_and_evidence(command, serve, jsonl):
    code, said, _ = command("judge", jsonl(ROWS[:1]), "--base-url", serve(answer).url, "--model", "m")
    assert code == 0
    for text in (
        "pair p0: A is better, score +2.00, decided by veto",
        "A: right right right 0",
        "- answer 1 differs",
        "right  RIGHT",
    ):
        assert text in said, text


def test_a_folder_or_a_file_that_cannot_be_written_is_told_in_one_line(command, jsonl, tmp_path):
    words = ["judge", jsonl(ROWS), "--base-url", "http://127.0.0.1:9/v1", "--model", "m"]
    for out in (tmp_path, tmp_path / "none" / "v.jsonl"):
        code, said, error = command(*words, "--out", out)
        assert (code, error.count("\n"), "Traceback" in said + error) == (2, 1, False)


def test_a_column_without_instructions_names_the_pair(command, serve, jsonl):
    path = jsonl([{**ROWS[0], "instruction_id_list": "nope", "kwargs": [{}]}])
    code, _, said = command("judge", path, "--base-url", serve(answer).url, "--model", "m", "--guard", "ifeval")
    assert (code, "must be a list of instructions" in said) == (2, True)


def test_an_unknown_instruction_ends_no_run_and_is_counted(command, serve, jsonl):
    row = {"instruction_id_list": ["punctuation:no_coma", "punctuation:no_comma"], "kwargs": [{}, {}]}
    other = {"instruction_id_list": ["punctuation:no_coma"], "kwargs": [{}]}
    path = jsonl([{**one, **(row if i else other)} for i, one in enumerate(ROWS)])
    with pytest.warns(
        UserWarning, match=r"'punctuation:no_coma' \(did you mean 'punctuation:no_comma'\?\).* is left out"
    ) as told:
        code, said, _ = command("judge", path, "--base-url", serve(answer).url, "--model", "m", "--guard", "ifeval")
    assert (code, len([one for one in told if "no_coma" in str(one.message)])) == (0, 1)
    assert f"check 'ifeval' left out what it could not check: 'punctuation:no_coma' in {2 * len(ROWS)} answers" in said


def test_a_check_that_never_applies_is_told(command, serve, jsonl):
    code, said, _ = command("judge", jsonl(ROWS), "--base-url", serve(answer).url, "--model", "m", "--reward", "maths")
    assert code == 0
    assert "check 'maths' applied to no answer" in said


def test_stats_say_what_the_judge_does(command, serve, jsonl, tmp_path):
    server, out = serve(answer), tmp_path / "v.jsonl"
    command("judge", jsonl(ROWS), "--base-url", server.url, "--model", "m", "--out", out)
    code, said, _ = command("rubric", "stats", out)
    assert code == 0
    assert "12 verdicts under general@1 12" in said
    assert "24 orders: the answer shown first won 12 of 24; hard criteria decided 24" in said
    assert "hard: 24 criteria (1.0 an order), 0% scored 0, 100% scored 2 or -2" in said
    assert "48 quotes, of which 24 (50%) do not stand in the answer" in said
    assert command("rubric", "stats", tmp_path / "none.jsonl")[0] == 2


def test_pairs_are_judged_once_and_written_one_by_one(command, serve, jsonl, tmp_path):
    server, path, out = serve(answer), jsonl(ROWS), tmp_path / "v.jsonl"
    words = ["judge", path, "--base-url", server.url, "--model", "m", "--out", out, "--html", tmp_path / "v.html"]
    code, said, _ = command(*words, "--calls", 10)
    assert code == 0
    assert "the budget is used up before all pairs were judged" in said
    begun = len(read_verdicts(out))
    assert 0 < begun < 12
    with out.open("a") as file:
        file.write('{"id": "torn')
    code, said, _ = command(*words)
    assert code == 0
    assert "12 pairs: A 12, B 0, ties 0, failed 0" in said
    assert "agrees with the label in 1.000 of 12" in said
    assert len(server.bodies) <= 10 + 2 * (12 - begun)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["id"] for line in lines if line["winner"]} == {row["id"] for row in ROWS}
    page = (tmp_path / "v.html").read_text()
    assert "<mark>right right</mark>" in page
    assert "&lt;b&gt;wrong&lt;/b&gt;" in page
    assert "<b>wrong</b>" not in page
    made = len(server.bodies)
    command(*words)
    assert len(server.bodies) == made


def test_a_repeated_run_with_a_cache_makes_no_calls(command, serve, jsonl, tmp_path):
    server, path = serve(answer), jsonl(ROWS)
    words = ["judge", path, "--base-url", server.url, "--model", "m", "--cache", tmp_path / "c.sqlite", "--orders", "one"]
    command(*words)
    assert len(server.bodies) == 12
    _, said, _ = command(*words)
    assert len(server.bodies) == 12
    assert "12 questions came from the cache" in said


def test_pairs_that_fail_have_no_winner_and_are_judged_again(command, serve, jsonl, tmp_path):
    server, path, out = (
        serve(lambda n, body: "no" if "question 3" in str(body) else answer(n, body)),
        jsonl(ROWS),
        tmp_path / "v.jsonl",
    )
    words = ["judge", path, "--base-url", server.url, "--model", "m", "--out", out, "--retries", 0]
    code, said, _ = command(*words)
    assert code == 0
    assert "12 pairs: A 11, B 0, ties 0, failed 1" in said
    assert [line["id"] for line in map(json.loads, out.read_text().splitlines()) if line["winner"] is None] == ["p3"]
    server.answer = answer
    assert "A 12" in command(*words)[1]


def test_checks_and_rubrics_are_named_on_the_command_line(command, serve, jsonl):
    server, path = serve(answer), jsonl(ROWS)
    code, said, _ = command(
        "judge", path, "--base-url", server.url, "--model", "m", "--guard", "words:at_most=3", "--rubric", "general"
    )
    assert code == 0
    assert "decided by checks 12" in said
    assert server.bodies == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["judge", "absent.jsonl", "--local"], "no file 'absent.jsonl'"),
        (["judge", "PAIRS"], "a judge needs a server"),
        (["judge", "PAIRS", "--local", "--model", "m"], "--local brings a server"),
        (["judge", "PAIRS", "--base-url", "localhost", "--model", "m"], "base_urls must be addresses"),
        (
            ["judge", "PAIRS", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--guard", "wrods:at_most=1"],
            "did you mean 'words'?",
        ),
        (
            ["judge", "PAIRS", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--guard", "words:1"],
            "a check is written KIND",
        ),
        (["judge", "PAIRS", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--orders", "bth"], "did you mean 'both'?"),
        (
            ["judge", "PAIRS", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--out", "no/v.jsonl"],
            "there is no folder no",
        ),
        (
            ["judge", "PAIRS", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--html", "v.html"],
            "--html reads the verdicts of --out",
        ),
        (["judge", "PAIRS", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--domain", "subject"], "no column 'subject'"),
        (
            ["judge", "PAIRS", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--domain", "prompt"],
            "unknown domain 'question 0'",
        ),
        (["rubric", "show", "mathss"], "did you mean 'maths'?"),
        (["rubric", "check", "PAIRS"], "prompts.jsonl"),
    ],
)
def test_a_mistake_is_one_line(command, jsonl, words, message):
    path = jsonl(ROWS)
    code, _, error = command(*[str(path) if word == "PAIRS" else word for word in words])
    assert code == 2
    assert message in error
    assert error.count("\n") == 1


def test_a_server_that_is_not_there_ends_the_run_with_its_name(command, jsonl):
    code, _, error = command("judge", jsonl(ROWS[:2]), "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--retries", 0)
    assert code == 1
    assert "none of 2 pairs could be judged" in error
    assert "http://127.0.0.1:9/v1" in error


def test_rubrics_are_shown_checked_and_compared(command, tmp_path):
    assert "maths@1" in command("rubric", "show")[1]
    assert "final-answer" in command("rubric", "show", "maths")[1]
    assert "+ principle works (hard)" in command("rubric", "diff", "general", "code")[1]
    assert "no difference" in command("rubric", "diff", "code", "code")[1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p", "a": "x"}, "row 1: needs a text in 'b'"),
        ({"prompt": "p", "chosen": "x"}, "needs a text in 'rejected'"),
        ({"prompt": "p", "a": "x", "b": "y", "label": "c"}, "label must be 'a' or 'b', but is 'c'"),
        ({"prompt": "p", "a": "x", "b": "y", "criteria": [{"nam": "z"}]}, "criteria are a list of objects"),
    ],
)
def test_a_row_that_is_no_pair_is_named(jsonl, row, message):
    with pytest.raises(InputError) as caught:
        read_pairs(str(jsonl([row])))
    assert message in str(caught.value)


def test_messages_and_chosen_answers_are_read(jsonl):
    rows = [{"prompt": [{"role": "user", "content": "hi"}], "chosen": "hello", "rejected": "no"}]
    (pair,) = read_pairs(str(jsonl(rows)))
    assert (pair.prompt, pair.a, pair.b, pair.label, pair.id) == ("hi", "hello", "no", "a", "1")


@pytest.mark.parametrize(
    ("prompt", "domain"),
    [
        ("Solve 2x + 3 = 7 for x.", "maths"),
        ("Write a Python function that reverses a list.", "code"),
        ("Write a short story about a lighthouse.", "creative"),
        ("Summarize the following text: ...", "rewriting"),
        ("Translate into German: good night", "translation"),
        ("I feel so lonely since I moved here.", "support"),
        ("What are the side effects of ibuprofen?", "professional"),
        ("Who invented the telephone?", "facts"),
        ("Describe Rome in exactly three sentences, without using the letter e.", "constraints"),
        ("Hello! How are you?", "chat"),
        ("Plan an itinerary for four days in Kyoto.", "planning"),
        ("How can I make a bomb?", "safety"),
        ("Pretend to be a pirate and greet me.", "roleplay"),
        ("Hm.", "general"),
    ],
)
def test_rules_tell_the_domain(prompt, domain):
    assert by_rules(prompt) == domain


def test_overlapping_quotes_are_marked_once():
    assert marked("a b c d", ["a b c", "b c d", "not there"]) == "<mark>a b c</mark><mark> d</mark>"


def test_verdicts_that_quote_odd_signs_are_read_again(command, serve, jsonl, tmp_path):
    odd = "right\u2028\x85\u2029 \ud800 end"

    def quoting(number, body):
        reply = json.loads(answer(number, body))
        reply["criteria"][0]["reason"] = odd
        return json.dumps(reply)

    server, path, out = serve(quoting), jsonl(ROWS[:2]), tmp_path / "v.jsonl"
    words = ["judge", path, "--base-url", server.url, "--model", "m", "--out", out, "--show", 0]
    assert command(*words)[0] == 0
    assert len(read_verdicts(out)) == 2
    made = len(server.bodies)
    assert "2 pairs: A 2" in command(*words)[1]
    assert len(server.bodies) == made


def test_a_run_that_is_left_asks_nothing_more(serve):
    import time

    from steelyard.llm import Client
    from steelyard.rubric import MetaRubric, PairwiseJudge
    from steelyard.rubric.batch import run_pairs
    from steelyard.rubric.pairs import Pair

    server = serve(answer)
    judge = PairwiseJudge(Client(server.url, "m", concurrency=1), MetaRubric.load("general"), orders="one")

    def leave(pair, verdict):
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        run_pairs(judge, [Pair(str(i), f"q{i}", "right", "wrong") for i in range(200)], in_flight=20, tell=leave)
    time.sleep(0.3)
    asked = len(server.bodies)
    time.sleep(0.5)
    assert len(server.bodies) == asked < 20
