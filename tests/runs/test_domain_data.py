"""Rows of many domains: what is held out, what is learned of a row, and that nothing is learned as Python writes it."""

import csv
import datetime
import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steelyard.errors import InputError
from steelyard.mixture import count_domains
from steelyard.models.scratch import byte_tokenizer
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs._conversations import read_conversation, tokens_of
from steelyard.runs._domain_data import cut_texts, load_domains, pack_domains
from steelyard.runs._held_out import held_out_by_checksum
from steelyard.runs._prompts import load_prompts
from steelyard.runs.progress import QuietProgress
from steelyard.training import train

CHATML = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<eos>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"


@pytest.fixture
def recipe(jsonl, tmp_path):
    def make(rows, *, name="rows.jsonl", **data):
        source = rows if isinstance(rows, (str, dict)) else str(jsonl(rows, name))
        return parse_recipe(
            {
                "name": "tiny",
                "kind": "supervised",
                "model": {"scratch": {"width": 16, "layers": 1, "heads": 2, "context": 256}},
                "data": {"source": source, "held_out": {"share": 0.2, "least": 1}, **data},
                "training": {"steps": 2, "batch_size": 4, "max_tokens": 64},
                "validation": {"every": 2},
            }
        )

    return make


def texts(rows):
    return {row["text"] for row in rows}


# What is held out ------------------------------------------------------------------------------------------------------------------------


def test_a_text_of_several_domains_is_held_out_in_all_of_them_or_in_none(recipe):
    shared = [f"text {i}" for i in range(100)]
    rows = [
        {"text": text, "domain": domain} for domain in ("en", "sw", "lo") for text in (shared if domain != "lo" else shared[:30])
    ]
    rows += [{"text": f"own {i}", "domain": "lo"} for i in range(30)]
    found = load_domains(recipe(rows).data)
    assert texts(found.train).isdisjoint(texts(found.held_out))
    assert {row["domain"] for row in found.held_out} == {row["domain"] for row in found.train} == {"en", "sw", "lo"}
    assert len([row for row in found.held_out if row["domain"] == "en"]) >= 20
    assert len(found.train) + len(found.held_out) == len(rows)


@pytest.mark.parametrize("change", ["sorted", "shuffled", "one in front", "grown"])
def test_files_that_grow_or_are_sorted_anew_keep_their_split(recipe, change):
    rows = [{"text": f"text {i}", "domain": "en" if i % 3 else "sw"} for i in range(300)]
    before = texts(load_domains(recipe(rows).data).held_out)
    others = {
        "sorted": sorted(rows, key=lambda row: row["text"]),
        "shuffled": random.Random(0).sample(rows, len(rows)),
        "one in front": [{"text": "a new one", "domain": "en"}, *rows],
        "grown": [*rows, *({"text": f"text {i}", "domain": "en"} for i in range(300, 450))],
    }
    after = texts(load_domains(recipe(others[change]).data).held_out)
    moved = len((before - after) & texts(others[change]))
    assert moved <= {"sorted": 0, "shuffled": 0, "one in front": 1, "grown": 6}[change]
    assert len(after) >= len(before)


def test_what_is_held_out_differs_from_what_chance_would_move():
    """Were rows drawn by number, a row in front would move most of them."""
    keys = [f"text {i}" for i in range(1000)]
    before = set(held_out_by_checksum(keys, 100))
    after = set(held_out_by_checksum([f"new {i}" for i in range(1000)] + keys, 200))
    assert len(before & after) > 80
    assert len(before) == 100


def test_all_answers_to_a_held_out_prompt_are_held_out(recipe):
    rows = [{"q": f"question {i // 4}", "a": f"answer {i}", "domain": "en" if i < 80 else "sw"} for i in range(160)]
    found = load_domains(recipe(rows, prompt="{{ q }}", completion="{{ a }}").data)
    assert {row["prompt"] for row in found.train}.isdisjoint(row["prompt"] for row in found.held_out)
    assert len(found.held_out) == 2 * 4 * 4


def test_a_domain_whose_texts_are_all_held_out_elsewhere_is_refused(recipe):
    rows = [{"text": f"text {i}", "domain": "en"} for i in range(50)]
    held_out = load_domains(recipe([*rows, {"text": "x", "domain": "sw"}, {"text": "y", "domain": "sw"}]).data).held_out
    text = next(row["text"] for row in held_out if row["domain"] == "en")
    with pytest.raises(
        InputError, match="domain 'lo': all of its texts are held out, since en holds them out as well: one text has one side"
    ):
        load_domains(recipe([*rows, {"text": text, "domain": "lo"}]).data)


def test_a_rest_is_no_example_of_two_tokens():
    tokenizer = byte_tokenizer()
    for length in (1, 5, 63, 64, 65, 127, 129, 1000):
        packed = pack_domains([{"text": "x" * length, "domain": "en"}], tokenizer, 64)
        sizes = [len(row["input_ids"]) for row in packed]
        assert sum(sizes) == length + 1
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= 64
        assert len(sizes) == -(-(length + 1) // 64)


def test_texts_that_are_cut_are_counted_and_named(recipe, tmp_path):
    rows = [{"text": f"{i}" + "x" * (500 if i % 2 else 5), "domain": "en" if i < 20 else "sw"} for i in range(40)]
    rows = [row for i, row in enumerate(rows) if row["domain"] == "en" or i % 2 == 0]
    found = load_domains(recipe(rows).data)
    assert set(cut_texts([*found.train, *found.held_out], byte_tokenizer(), 64)) == {"en"}

    class Told(QuietProgress):
        lines = ()

        def message(self, text):
            self.lines = (*self.lines, text)

    told = Told()
    train(recipe(rows), out=tmp_path / "run", progress=told)
    assert told.lines == ("en: 10 of 20 texts are cut off at training.max_tokens = 64, and 86% of its tokens are not learned",)


# Nothing is learned as Python writes it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "part", "written"),
    [
        (["a", "b"], "a list", '{{ text | join("\\n") }}', "a\nb"),
        ({"en": "hello", "sw": "jambo"}, "a dictionary", "{{ text['en'] }}", "hello"),
        (True, "true or false", "{{ 'yes' if text else 'no' }}", "yes"),
        ([{"type": "text", "text": "hi"}], "a list", "{{ text[0]['text'] }}", "hi"),
        ([[1, 2], [3]], "a list", '{{ text | join("\\n") }}', None),
    ],
)
def test_what_is_no_text_is_refused_with_the_template_that_takes_the_right_part(recipe, value, kind, part, written):
    rows = [{"text": f"plain {i}", "domain": "en" if i % 2 else "sw"} for i in range(20)]
    with pytest.raises(InputError) as error:
        load_domains(recipe([*rows, {"text": value, "domain": "en"}]).data)
    assert str(error.value).endswith(
        f"row 21: column 'text' holds {kind}, and not a text: take the part that is meant, as in '{part}' in data.text"
    )
    if written is not None:
        taken = [{"text": value, "domain": "en" if i % 2 else "sw", "number": i} for i in range(20)]
        found = load_domains(recipe(taken, text=part + " {{ number }}").data)
        assert {text.rpartition(" ")[0] for text in texts(found.train)} == {written}
    # A template that writes it whole is no way round.
    with pytest.raises(InputError, match=f"template data.text gives {kind} and no text"):
        load_domains(recipe([*rows, {"text": value, "domain": "en"}], text="{{ text }}").data)


@pytest.mark.parametrize("value", [b"bytes", datetime.date(2026, 1, 2), np.array([1, 2])])
def test_what_parquet_holds_beside_texts_is_refused_and_can_be_taken(recipe, tmp_path, value):
    table = pa.table({"text": [value] * 6, "domain": ["en", "sw"] * 3, "n": list(range(6))})
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(InputError) as error:
        load_domains(recipe(str(tmp_path / "rows.parquet")).data)
    part = str(error.value).partition("as in '")[2].partition("' in data")[0]
    found = load_domains(recipe(str(tmp_path / "rows.parquet"), text=part + "{{ n }}").data)
    assert all("[" not in text and "b'" not in text and "datetime" not in text for text in texts(found.train))


def test_domains_are_names_and_numbers_and_nothing_else(recipe):
    rows = [{"text": f"text {i}", "domain": i % 2} for i in range(8)]
    assert {row["domain"] for row in load_domains(recipe(rows).data).train} == {"0", "1"}
    for value in (["en"], {"a": 1}, True):
        with pytest.raises(InputError, match=r"column 'domain' holds .* and not a text: take the part that is meant"):
            load_domains(recipe([*rows, {"text": "x", "domain": value}]).data)


def test_the_same_holds_for_prompts_and_for_the_plan(jsonl, tmp_path):
    def prompts(rows, **settings):
        base = {"name": "x", "model": {"name": "sums"}, "algorithm": {"steps": 1}, "weighting": {"method": "fixed"}}
        objectives = [{"kind": "accuracy"}, {"kind": "repetition"}]
        content = {
            **base,
            "objectives": objectives,
            "prompts": {"source": str(jsonl(rows)), "validation": {"size": 1}, **settings},
        }
        return load_prompts(parse_recipe(content).prompts)

    row = {"prompt": "1+1=", "answer": "2"}
    for column, value in (("answer", ["2"]), ("answer", True), ("domain", ["en"]), ("answer", {"value": 2})):
        with pytest.raises(InputError, match=f"column '{column}' holds .* and not a text"):
            prompts([{**row, "prompt": f"{i}"} | {column: value} for i in range(3)])
    with pytest.raises(InputError, match=r"template prompts\.answer gives a list and no text"):
        prompts([{**row, "prompt": f"{i}", "answer": ["2"]} for i in range(3)], answer="{{ answer }}")
    assert (
        prompts([{**row, "prompt": f"{i}", "answer": ["2"]} for i in range(3)], answer="{{ answer[0] }}").train[0]["answer"]
        == "2"
    )
    with pytest.raises(InputError, match="row 1: column 'd' holds a list, and not a text"):
        count_domains([str(jsonl([{"d": ["en"]}], "d.jsonl"))], column="d")


def test_a_column_with_a_space_is_reached_through_row(recipe):
    rows = [{"the text": f"text {i}", "the domain": "en" if i % 2 else "sw"} for i in range(10)]
    found = load_domains(recipe(rows, text="{{ row['the text'] }}", domain="{{ row['the domain'] }}").data)
    assert len(found.train) == 8


# Conversations ---------------------------------------------------------------------------------------------------------------------------


def turns(i):
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"{i}?"},
        {"role": "assistant", "content": f"a{i}"},
        {"role": "user", "content": "sure?"},
        {"role": "assistant", "content": f"b{i}"},
    ]


@pytest.fixture
def with_template(monkeypatch):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = CHATML
    monkeypatch.setattr("steelyard.models.scratch.byte_tokenizer", lambda: tokenizer)
    return tokenizer


SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


@pytest.mark.parametrize("column", ["messages", "conversations", "chat log"])
def test_every_turn_of_the_assistant_is_learned_and_nothing_else(recipe, tmp_path, with_template, column):
    def written(i):
        if column == "conversations":
            return [{"from": SHAREGPT[turn["role"]], "value": turn["content"]} for turn in turns(i)]
        return turns(i)

    rows = [{column: written(i), "domain": "en" if i % 2 else "sw"} for i in range(20)]
    config = recipe(rows, **({"messages": column} if column == "chat log" else {}))
    found = load_domains(config.data)
    assert len(found.train) == 16
    ids, labels = tokens_of(found.train[0]["messages"], with_template)
    number = found.train[0]["messages"][1]["content"][:-1]
    assert with_template.decode(ids) == (
        f"<|system|>Be brief.<eos><|user|>{number}?<eos><|assistant|>a{number}<eos><|user|>sure?<eos><|assistant|>b{number}<eos>"
    )
    learned = with_template.decode([label for label in labels if label >= 0])
    assert learned == f"a{number}<eos>b{number}<eos>"
    assert [label for label in labels if label >= 0] == [i for i, label in zip(ids, labels, strict=True) if label >= 0]
    result = train(config, out=tmp_path / "run")
    assert set(result.losses) == {"en", "sw"}
    # Two held-out conversations a domain, of which the assistant's words have a loss, as far as they fit into 64 tokens.
    last = RunLog(tmp_path / "run").validations()[-1]
    held_out = [row for row in found.held_out if row["domain"] == "en"]
    assert last["tokens"]["en"] == sum(
        sum(label >= 0 for label in tokens_of(row["messages"], with_template)[1][:64]) for row in held_out
    )
    assert 0 < last["tokens"]["en"] < 30


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "must hold a list of messages, each with role and content, but holds a text"),
        ([], "must hold a list of messages"),
        ([{"role": "usr", "content": "x"}], r"message 1 of column 'messages' has the role 'usr': .*\(did you mean 'user'\?\)"),
        ([{"from": "robot", "value": "x"}], "message 1 of column 'messages' has the role 'robot': use one of system, user"),
        ([{"from": "human", "value": None}], "needs role and content, or from and value, but has from$"),
        (
            [{"speaker": "a", "text": "x"}],
            "message 1 of column 'messages' needs role and content, or from and value, but has speaker, text",
        ),
        ([{"role": "user", "content": "x"}], "the assistant says nothing in column 'messages'"),
        ([{"role": "assistant", "content": [{"type": "image"}]}], r"has a part that is no text \(image\)"),
        ([{"role": "assistant", "content": {"a": 1}}], "holds a dictionary, and not a text"),
    ],
)
def test_what_is_no_conversation_says_why(value, message):
    with pytest.raises(ValueError, match=message):
        read_conversation(value, "messages")


def test_parts_and_nothing_are_read_as_they_are_meant():
    value = [
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]},
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "four"},
    ]
    read = read_conversation(value, "messages")
    assert [turn.get("content") for turn in read] == ["one\ntwo", None, "4", "four"]


def test_a_template_that_rewrites_earlier_turns_is_refused(with_template):
    with_template.chat_template = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(ValueError, match="writes earlier turns anew"):
        tokens_of(turns(1), with_template)


def test_conversations_need_a_template_and_are_not_packed(recipe, tmp_path):
    rows = [{"messages": turns(i), "domain": "en" if i % 2 else "sw"} for i in range(20)]
    with pytest.raises(InputError, match="the rows are conversations, but model made from scratch has no chat template"):
        train(recipe(rows), out=tmp_path / "run")
    with pytest.raises(InputError, match="data: give messages, text, or prompt and completion: one of them"):
        recipe(rows, messages="messages", text="{{ text }}")


# Where rows come from --------------------------------------------------------------------------------------------------------------------


def test_domains_may_be_shards_and_configurations_of_one_dataset(recipe, tmp_path, monkeypatch):
    for domain in ("en", "sw"):
        (tmp_path / domain).mkdir()
        for shard in range(2):
            (tmp_path / domain / f"{shard}.jsonl").write_text(
                "".join(json.dumps({"text": f"{domain} {shard} {i}"}) + "\n" for i in range(5))
            )
    found = load_domains(recipe({"en": str(tmp_path / "en"), "sw": f"{tmp_path}/sw/*.jsonl"}).data)
    assert len(found.train) + len(found.held_out) == 20
    asked = []

    def load_dataset(name, subset, split):
        asked.append((name, subset, split))
        return iter({"text": f"{subset} {split} {i}"} for i in range(5))

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    sources = {"en": {"source": "mc4", "subset": "en"}, "sw": {"source": "mc4", "subset": "sw", "split": "train[:100]"}}
    assert len(load_domains(recipe(sources, split="validation").data).train) == 8
    assert asked == [("mc4", "en", "validation"), ("mc4", "sw", "train[:100]")]
    with pytest.raises(InputError, match="two domains have one source"):
        recipe({"en": {"source": "mc4", "subset": "en"}, "sw": {"source": "mc4", "subset": "en"}})


@pytest.mark.parametrize("doremi", [False, True])
def test_a_domain_of_weight_0_is_measured_and_not_trained_on(recipe, tmp_path, doremi):
    shares = {"en": 0.75, "sw": 0.25, "lo": 0}
    (tmp_path / "shares.json").write_text(json.dumps({"train_domain_weights": shares} if doremi else shares))
    rows = [{"text": f"{domain} {i}", "domain": domain} for domain in shares for i in range(20)]
    made = recipe(rows)
    made = made.model_copy(update={"mixture": made.mixture.model_copy(update={"schedule": f"shares:{tmp_path}/shares.json"})})
    result = train(made, out=tmp_path / "run")
    assert set(result.losses) == {"en", "sw", "lo"}
    domains = json.loads((tmp_path / "run" / "data.json").read_text())["domains"]
    assert (domains["lo"]["examples"], domains["lo"]["held_out"]) == (0, 4)
    assert all("lo" not in step["draws"] for step in RunLog(tmp_path / "run").steps())
    from steelyard.report import write_report
    from steelyard.runs._plan import plan_of_recipe

    assert "lo" in write_report([tmp_path / "run"]).read_text()
    assert {domain.name for domain in plan_of_recipe(made).domains} == {"en", "sw"}


def test_conversations_in_a_tables_cells_are_read(recipe, tmp_path):
    rows = [[{"role": "user", "content": f"{i}+1?"}, {"role": "assistant", "content": str(i + 1)}] for i in range(8)]
    with (tmp_path / "chat.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["messages", "domain"])
        writer.writerows([json.dumps(row), "maths" if i % 2 else "sums"] for i, row in enumerate(rows))
    found = load_domains(recipe(str(tmp_path / "chat.csv")).data)
    assert sorted(row["messages"][1]["content"] for row in (*found.train, *found.held_out)) == [str(i + 1) for i in range(8)]
