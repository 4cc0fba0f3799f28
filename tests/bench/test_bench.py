"""Benchmarks of judges: their files are read, their protocols counted, a run goes on where it stopped."""

import itertools
import json
import re

import pytest

from steelyard.bench import Item, benchmark, benchmark_names, tabulate
from steelyard.bench.judging import choose
from steelyard.errors import InputError
from steelyard.rubric import Judgement, Verdict
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict_files import read_verdicts

JUDGEBENCH = {
    "pair_id": "x",
    "source": "mmlu-pro-law",
    "question": "q",
    "response_A": "right",
    "response_B": "wrong",
    "label": "A>B",
}
LLMBAR = {"input": "q", "output_1": "wrong", "output_2": "right", "label": 2}
REWARDBENCH2 = {"id": "1", "prompt": "q", "chosen": ["right"], "rejected": ["wrong 1", "wrong 2", "wrong 3"], "subset": "Math"}
RMBENCH = {
    "id": "1",
    "prompt": "q",
    "chosen": ["right", "right!", "right!!"],
    "rejected": ["wrong", "wrong!", "wrong!!"],
    "domain": "safety-refuse",
}
HUMAN = {"question_id": "h", "prompt": "q", "response_1": "wrong", "response_2": "right", "winner": "model_b"}
BEST_OF_K = {
    "question_id": "k", "model_name": "m", "prompt": "q", "scores": [True, False, True],
    "response_1": "right 1", "response_2": "wrong", "response_3": "right 3", "sampled_conflict_pairs": [[0, 1], [1, 2], [0, 1]],
}  # fmt: skip
ROWS = {"judgebench": JUDGEBENCH, "llmbar": LLMBAR, "rewardbench2": REWARDBENCH2, "rmbench": RMBENCH, "ppe": HUMAN}


def verdict(*winners):
    """Of one order or two; they must agree."""
    total = winners[0] if len(set(winners)) == 1 else "tie"
    orders = [Judgement(i == 1, [], [], {"a": 1.0, "b": -1.0, "tie": 0.0}[winner]) for i, winner in enumerate(winners)]
    return Verdict(total, orders[0].score if total != "tie" else 0.0, "criteria", orders)


def earned(name, row, verdicts, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (item,), _ = benchmark(name).read(str(path))
    return benchmark(name).credits(item, verdicts)


def test_every_benchmark_is_tested_and_reads_its_rows_with_the_right_answer_where_the_label_says(tmp_path):
    assert set(ROWS) == set(benchmark_names())
    for name, row in ROWS.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps(row) + "\n")
        items, notes = benchmark(name).read(str(path))
        assert notes == []
        for pair in items[0].pairs:
            better, worse = (pair.a, pair.b) if pair.label == "a" else (pair.b, pair.a)
            assert ("right" in better, "wrong" in worse, pair.prompt) == (True, True, "q")


@pytest.mark.parametrize(
    ("winners", "right"),
    [("aa", 1.0), ("at", 1.0), ("ta", 1.0), ("ab", 0.0), ("tt", 0.0), ("bt", 0.0), ("bb", 0.0), ("a", 1.0), ("b", 0.0)],
)
def test_judgebench_counts_right_and_wrong_orders_against_each_other(winners, right, tmp_path):
    found = earned("judgebench", JUDGEBENCH, [verdict(*("tie" if one == "t" else one for one in winners))], tmp_path)
    agree = {"orders agree": float(len(set(winners)) == 1)} if len(winners) > 1 else {}
    assert found == {"accuracy": right, **agree}


@pytest.mark.parametrize(("winners", "right"), [("bb", 1.0), ("ab", 0.5), ("aa", 0.0), ("tb", 0.75), ("b", 1.0)])
def test_llmbar_is_the_mean_over_orders(winners, right, tmp_path):
    found = earned("llmbar", LLMBAR, [verdict(*("tie" if one == "t" else one for one in winners))], tmp_path)
    assert found["accuracy"] == right


@pytest.mark.parametrize(("winners", "right"), [("aaa", 1.0), ("aat", 0.5), ("ttt", 0.25), ("aab", 0.0), ("ttb", 0.0)])
def test_rewardbench2_wants_the_best_of_four_at_the_top(winners, right, tmp_path):
    verdicts = [verdict("tie" if one == "t" else one) for one in winners]
    assert earned("rewardbench2", REWARDBENCH2, verdicts, tmp_path) == {"accuracy": right}


def test_rmbench_parts_nine_comparisons_by_style(tmp_path):
    # The judge takes the answer with more style, and the right one where both have as much.
    style = [(i, j) for i in range(3) for j in range(3)]
    verdicts = [verdict("a" if i >= j else "b") for i, j in style]
    assert earned("rmbench", RMBENCH, verdicts, tmp_path) == {"average": 6 / 9, "hard": 0.0, "normal": 1.0, "easy": 1.0}
    verdicts = [verdict("tie")] * 9
    assert earned("rmbench", RMBENCH, verdicts, tmp_path)["average"] == 0.0


def test_ppe_takes_each_sampled_pair_once_and_leaves_peoples_ties_out(tmp_path):
    (tmp_path / "PPE-Human").mkdir()
    (tmp_path / "PPE-Human" / "train-00000-of-00001.jsonl").write_text(
        json.dumps(HUMAN) + "\n" + json.dumps({**HUMAN, "question_id": "t", "winner": "tie (both bad)"}) + "\n"
    )
    (tmp_path / "PPE-GPQA").mkdir()
    (tmp_path / "PPE-GPQA" / "data.jsonl").write_text(json.dumps(BEST_OF_K) + "\n")
    items, notes = benchmark("ppe").read(str(tmp_path))
    assert [(item.group, item.pairs[0].label) for item in items] == [("PPE-GPQA", "a"), ("PPE-GPQA", "b"), ("PPE-Human", "b")]
    assert (items[1].pairs[0].a, items[1].pairs[0].b) == ("wrong", "right 3")
    assert notes == ["1 pairs that people called a tie are left out, as the benchmark does"]


def test_rmbench_reads_a_domains_own_file_and_counts_a_row_once(tmp_path):
    row = {key: value for key, value in RMBENCH.items() if key != "domain"}
    (tmp_path / "chat_filtered.json").write_text(json.dumps([row]))
    (tmp_path / "safety-refuse_filtered.json").write_text(json.dumps([row]))
    (tmp_path / "total_dataset.json").write_text(json.dumps([{**row, "domain": "chat"}, {**row, "domain": "safety-refuse"}]))
    items, _ = benchmark("rmbench").read(str(tmp_path))
    assert [(item.id, item.group) for item in items] == [("chat/1", "chat"), ("safety-refuse/1", "safety")]


def test_answers_of_several_models_are_not_pooled_and_an_empty_answer_is_one(tmp_path):
    rows = [{**JUDGEBENCH, "pair_id": name, "response_model": name} for name in ("gpt", "claude")]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        InputError, match=r"answers of several models \(claude, gpt\), which the benchmark reports apart: give one file"
    ):
        benchmark("judgebench").read(str(tmp_path))
    (tmp_path / "a.jsonl").write_text(json.dumps({**JUDGEBENCH, "response_B": ""}) + "\n")
    (item,), _ = benchmark("judgebench").read(str(tmp_path))
    assert item.pairs[0].b == ""


@pytest.mark.parametrize("name", benchmark_names())
def test_chance_is_what_coins_earn(name, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROWS[name]) + "\n")
    (item,), _ = benchmark(name).read(str(path))
    measure, one_coin, two_coins = None, [], []
    for winners in itertools.product("ab", repeat=len(item.pairs)):
        found = benchmark(name).credits(item, [verdict(one, one) for one in winners])
        measure = next(iter(found))
        one_coin.append(found[measure])
    # Nine pairs of two coins are too many to list; they are alike, and a mean of theirs is the mean of one.
    pairs = item.pairs[:1] * len(item.pairs) if name != "rmbench" else item.pairs
    for winners in itertools.product(("aa", "ab", "ba", "bb"), repeat=1 if name == "rmbench" else len(pairs)):
        verdicts = [verdict(*one) for one in winners] * (len(item.pairs) if name == "rmbench" else 1)
        two_coins.append(benchmark(name).credits(item, verdicts)[measure])
    assert (sum(one_coin) / len(one_coin), sum(two_coins) / len(two_coins)) == pytest.approx(benchmark(name).chance)


def test_a_table_leaves_out_what_lacks_a_verdict_and_means_are_of_groups():
    items = [Item(str(i), "small" if i < 2 else "large", (Pair(str(i), "q", "right", "wrong", "a"),)) for i in range(10)]
    verdicts = {str(i): verdict("a" if i < 2 else "b") for i in range(9)}
    table = tabulate(benchmark("ppe"), items, verdicts)
    assert table.left_out == 1
    assert [(group, count, figures["accuracy"][0]) for group, count, figures in table.rows] == [
        ("large", 7, 0.0), ("small", 2, 1.0), ("mean of groups", 9, 0.5),
    ]  # fmt: skip
    _, low, high = table.rows[-1][2]["accuracy"]
    assert 0.2 < low < 0.5 < high < 0.8
    assert tabulate(benchmark("judgebench"), items, verdicts).rows[-1][2]["accuracy"][0] == pytest.approx(2 / 9)


def test_choosing_is_the_same_every_time_and_groups_are_checked():
    items = [Item(str(i), "x/y" if i % 2 else "z", ()) for i in range(40)]
    assert choose(items, limit=5, seed=1) == choose(items, limit=5, seed=1) != choose(items, limit=5, seed=2)
    assert {item.group for item in choose(items, groups=["x"])} == {"x/y"}
    with pytest.raises(InputError, match=r"no group 'w' in this data: there are z, x/y"):
        choose(items, groups=["w"])


def answer(number, body):
    shown = dict(re.findall(r"^=+ beginning of ([^\n]+)\n(.*?)\n=+ end of \1$", body["messages"][-1]["content"], re.S | re.M))
    if "broken" in shown["prompt"]:
        return "no JSON at all"
    one = {
        "name": "truth",
        "tier": "core",
        "reason": "r",
        "quote_1": "",
        "quote_2": "",
        "score": 1 if "right" in shown["answer 1"] else -1,
    }
    return json.dumps({"differences": [], "criteria": [one]})


def test_a_run_goes_on_where_it_stopped_and_writes_table_result_and_errors(command, serve, jsonl, tmp_path):
    server = serve(answer)
    rows = [{**LLMBAR, "input": f"q{i}", "output_2": "good" if i == 3 else "right", "label": 2} for i in range(6)]
    rows.append({**LLMBAR, "input": "broken"})
    path = jsonl(rows)
    words = ["bench", "llmbar", "--data", path, "--base-url", server.url, "--model", "m", "--concurrency", 2, "--retries", 0]
    code, said, _ = command(*words, "--calls", 6)
    assert code == 0
    assert "the budget is used up before all pairs were judged; the same command goes on" in said
    begun = len(read_verdicts(tmp_path / "bench-llmbar" / "verdicts.jsonl"))
    assert 0 < begun < 6
    code, said, _ = command(*words)
    assert code == 0
    assert "1 items lack a verdict and count nowhere" in said
    # Five are right; the sixth is decided by the place, since no word tells its answers apart: right in one order of two.
    assert re.search(r"prompts +│ 6 +│ 0\.917", said)
    result = json.loads((tmp_path / "bench-llmbar" / "result.json").read_text())
    assert (result["model"], result["left_out"], result["pairs"]) == ("m", 1, 6)
    assert result["cost"]["calls"] == 14  # of the pair that failed as well
    assert "1 of 1 pairs of 6 that were judged" in (tmp_path / "bench-llmbar" / "errors.html").read_text()
    asked = len(server.bodies)
    command(*words)
    assert len(server.bodies) <= asked + 2  # the broken pair is tried again, and nothing else
    code, _, said = command(*words, "--orders", "one")
    assert code == 2
    rows[0]["input"] = "another question"
    jsonl(rows)
    code, _, other = command(*words)
    assert code == 2
    assert "holds a verdict on other texts for pair 'prompts/1': give another --out, or remove the file" in other
    assert "bench-llmbar holds verdicts with orders 'both', but now it is 'one': give another --out, or remove the folder" in said


@pytest.mark.parametrize(
    ("name", "row", "problem"),
    [
        ("llmbar", {**LLMBAR, "label": 3}, "rows, row 1: label must be 1 or 2, but is 3"),
        ("judgebench", {**JUDGEBENCH, "label": "A"}, "label must be one of A>B, B>A, but is 'A'"),
        ("judgebench", {"prompt": "x", "label": "A>B"}, "rows, row 1: needs a text in 'source' (found: prompt, label)"),
        ("rewardbench2", {**REWARDBENCH2, "rejected": []}, "needs a list of texts in 'rejected'"),
        ("rmbench", {**RMBENCH, "chosen": ["one"]}, "needs 3 chosen and 3 rejected answers, but has 1 and 3"),
        ("ppe", {**HUMAN, "winner": None}, "winner must be model_a, model_b or tie, but is None"),
        ("ppe", {**BEST_OF_K, "sampled_conflict_pairs": [[0, 2]]}, "the pair 0, 2 is not one of a right and a wrong answer"),
        ("ppe", {**BEST_OF_K, "sampled_conflict_pairs": [[0.5, 1]]}, "must hold pairs of numbers of answers, but found [0.5, 1]"),
        ("ppe", {**BEST_OF_K, "scores": None}, "needs lists in 'scores' and 'sampled_conflict_pairs'"),
        ("rewardbench2", {**REWARDBENCH2, "rejected": ["x"]}, "needs one chosen and three rejected answers, but has 1 and 1"),
        ("llmbra", LLMBAR, "unknown benchmark 'llmbra' (did you mean 'llmbar'?)"),
    ],
)
def test_a_file_of_something_else_is_told_in_one_line(name, row, problem, command, jsonl):
    code, said, error = command("bench", name, "--data", jsonl([row], "rows.jsonl"), "--local")
    assert code == 2
    assert problem in error
    assert "Traceback" not in said + error


def test_a_run_that_came_to_nothing_binds_nobody_and_a_file_is_no_folder(command, serve, jsonl, tmp_path):
    path = jsonl([LLMBAR] * 3, "rows.jsonl")
    words = ["bench", "llmbar", "--data", path, "--model", "m", "--retries", 0, "--out", tmp_path / "out"]
    code, _, error = command(*words, "--base-url", "http://127.0.0.1:9/v1", "--orders", "one")
    assert code == 1
    assert "none of 3 pairs could be judged; the last reason: no server" in error
    code, said, _ = command(*words, "--base-url", serve(answer).url)
    assert code == 0
    assert "orders agree" in said
    other = jsonl([LLMBAR], "other.jsonl")
    code, _, error = command(*words[:-1], other, "--base-url", "http://127.0.0.1:9/v1")
    assert (code, "it is a file; give a folder" in error) == (2, True)
    code, _, error = command(*words[:-1], path, "--base-url", "http://127.0.0.1:9/v1")
    assert (code, "which is read: give another file" in error) == (2, True)


def test_the_real_files_are_read(shared_data):
    items, notes = benchmark("llmbar").read(str(shared_data / "llmbar"))
    assert len(items) == 419
    assert notes == ["781 rows beside LLMBar proper are left out"]
    items, _ = benchmark("judgebench").read(str(shared_data / "judgebench" / "gpt.jsonl"))
    assert len(items) == 350
    assert {item.group for item in items} == {"knowledge", "reasoning", "maths", "coding"}
