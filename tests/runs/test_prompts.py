import json

import pytest

from steelyard.errors import InputError
from steelyard.recipes.recipe import PromptsConfig
from steelyard.runs._prompts import load_prompts, read_rows


def config(source, **changes):
    return PromptsConfig.model_validate({"source": str(source), "validation": {"size": 1}, **changes})


ROWS = [{"prompt": f"{i}+1=", "answer": i + 1} for i in range(4)]


def test_jsonl_json_csv_and_parquet_give_the_same_prompts(tmp_path, jsonl):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "p.json").write_text(json.dumps(ROWS))
    (tmp_path / "p.csv").write_text("prompt,answer\n" + "".join(f"{r['prompt']},{r['answer']}\n" for r in ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "p.parquet")
    expected = load_prompts(config(jsonl(ROWS)))[:2]
    written = [{"prompt": row["prompt"], "answer": str(row["answer"])} for row in ROWS]
    assert sorted(expected[0] + expected[1], key=str) == written
    assert (len(expected[0]), len(expected[1])) == (3, 1)
    for name in ("p.json", "p.csv", "p.parquet"):
        assert load_prompts(config(tmp_path / name))[:2] == expected


@pytest.mark.parametrize("change", ["grown", "reordered", "repeated"])
def test_a_prompt_keeps_its_side_when_the_file_changes(jsonl, change):
    rows = [{"prompt": f"{i}+1=", "answer": i + 1} for i in range(200)]
    others = {
        "grown": [{"prompt": f"{i}+2=", "answer": i + 2} for i in range(20)] + rows,
        "reordered": rows[::-1],
        "repeated": rows + rows[:50],
    }[change]
    sizes = {"validation": {"size": 40}, "test": {"size": 30}}
    before, after = (load_prompts(config(jsonl(some), **sizes)) for some in (rows, others))
    sides = [
        [{row["prompt"] for row in side} for side in (found.train, found.validation, found.test)] for found in (before, after)
    ]
    for train, validation, test in sides:
        assert (len(validation), len(test)) == (40, 30)
        assert not train & validation
        assert not train & test
        assert not validation & test
    moved = [len(one - other) for one, other in zip(*sides, strict=True)]
    # A new prompt may take the place of the held-out one with the largest checksum; nothing else moves.
    assert max(moved) <= (12 if change == "grown" else 0), moved


def test_copies_of_a_held_out_prompt_are_not_trained_on(jsonl):
    rows = [{"prompt": f"{i // 4}+1=", "answer": i} for i in range(80)]
    found = load_prompts(config(jsonl(rows), validation={"size": 5}))
    held_out = [row["prompt"] for row in found.validation]
    assert len(held_out) == len(set(held_out)) == 5
    assert len(found.train) == len(found.raw) == 60
    assert not {row["prompt"] for row in found.train} & set(held_out)


def test_verls_parquet_schema_is_read_as_it_is(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "data_source": "gsm8k",
            "prompt": [{"role": "user", "content": f"What is {i}+1?"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
            "extra_info": {"split": "train", "index": i},
        }
        for i in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    train, validation, *_ = load_prompts(config(tmp_path / "train.parquet"))
    assert train[0] == {"prompt": [{"role": "user", "content": "What is 0+1?"}], "answer": "1"}
    assert len(validation) == 1


def test_templates_write_prompt_answer_and_domain(jsonl):
    path = jsonl(
        [
            {"Body": "Two cats", "Question": "How many?", "Answer": 2.0, "Type": "Count"},
            {"Body": "b", "Question": "q", "Answer": 1.5, "Type": "t"},
        ]
    )
    train, _, *_ = load_prompts(
        config(
            path,
            prompt="{{ Body }}. {{ Question }}",
            answer="{{ Answer | number }}",
            domain="{{ Type }}",
            chat=True,
            system="Be brief.",
        )
    )
    assert train[0]["prompt"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two cats. How many?"}]
    assert (train[0]["answer"], train[0]["domain"]) == ("2", "Count")


def test_templates_cannot_reach_out_of_their_sandbox(jsonl):
    path = jsonl(ROWS)
    with pytest.raises(InputError, match=r"SecurityError|undefined|unsafe"):
        load_prompts(config(path, prompt="{{ ''.__class__.__mro__[1].__subclasses__() }}"))


def test_a_datasets_name_is_loaded_through_datasets(monkeypatch):
    import datasets

    asked = []

    def load_dataset(name, subset, split):
        asked.append((name, subset, split))
        return datasets.Dataset.from_list([{"prompt": f"{split} {i}", "answer": "1"} for i in range(3)])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    train, validation, *_ = load_prompts(
        config("openai/gsm8k", subset="main", validation={"source": "openai/gsm8k", "subset": "main", "size": 2})
    )
    assert asked == [("openai/gsm8k", "main", "train"), ("openai/gsm8k", "main", "test")]
    assert (len(train), len(validation)) == (3, 2)


def test_a_malformed_line_is_named_by_file_and_number(jsonl):
    lines = [json.dumps({"prompt": f"p{i}"}) for i in range(1202)] + ['{"prompt": "cut of'] + [json.dumps({"prompt": "last"})]
    with pytest.raises(InputError, match=r"prompts.jsonl:1203: not a JSON object"):
        load_prompts(config(jsonl(lines)))
    with pytest.raises(InputError, match=r"prompts.jsonl:1: every line must be a JSON object, but found list"):
        load_prompts(config(jsonl(["[1]"])))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "no rows"),
        ("a.jsonl", b"\n\n", "no rows"),
        ("a.jsonl", b'{"prompt": "\xff"}\n', "a.jsonl:1: not a JSON object"),
        ("a.json", b"{}", "must hold a list of objects"),
        ("a.csv", b"prompt,answer\n", "no rows"),
        ("a.csv", b"prompt,prompt\np,q\n", "a.csv:1: two columns are named 'prompt'"),
        ("a.csv", b"prompt,answer\np,1\nq\n", "a.csv:3: expected 2 fields"),
        ("a.csv", b"prompt,answer\n" + b"p,1\n" * 5000 + b"q\xe9,2\np,1\n", "a.csv:5002: not UTF-8 text"),
        ("a.parquet", b"nonsense", "cannot be read as a Parquet file"),
        ("a.txt", b"p", "cannot read .txt"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_prompts(config(tmp_path / name))


def test_tables_that_are_no_text_or_name_a_column_twice_are_named(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    pq.write_table(pa.table({"prompt": broken}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read as a Parquet file of UTF-8 text"):
        load_prompts(config(tmp_path / "a.parquet"))
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["prompt", "prompt"]), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: two columns are named 'prompt'"):
        load_prompts(config(tmp_path / "b.parquet"))


def test_a_field_of_a_table_may_hold_a_document(tmp_path):
    (tmp_path / "a.csv").write_text("prompt,answer\n" + "x" * 200_000 + ",1\nq,2\n")
    assert len(load_prompts(config(tmp_path / "a.csv"))[0][0]["prompt"]) == 200_000


def test_null_and_nan_are_nothing_and_not_words(jsonl):
    rows = [{"q": "a", "answer": None, "domain": float("nan")}, {"q": "b", "answer": float("nan"), "domain": None}]
    rows.append({"q": "c", "answer": 1, "domain": "x"})
    for plain in (False, True):
        templates = {} if plain else {"answer": "{{ answer }}", "domain": "{{ domain }}"}
        found = load_prompts(config(jsonl(rows), prompt="{{ q }}", **templates))
        read = {row["prompt"]: (row["answer"], row["domain"]) for row in (*found.train, *found.validation)}
        assert read == {"a": (None, None), "b": (None, None), "c": ("1", "x")}
    with pytest.raises(InputError, match="row 1: the prompt is empty"):
        load_prompts(config(jsonl(rows), prompt="{{ answer }}"))


def test_a_missing_column_names_the_columns_found(jsonl):
    path = jsonl([{"question": "q", "solution": "s"}] * 2)
    with pytest.raises(InputError, match=r"row 1: no column 'prompt' \(found: question, solution\)"):
        load_prompts(config(path))
    with pytest.raises(InputError, match=r"'questoin' is undefined \(columns found: question, solution\)"):
        load_prompts(config(path, prompt="{{ questoin }}"))


def test_overlap_of_training_and_validation_is_refused(jsonl):
    train, held = jsonl(ROWS, "t.jsonl"), jsonl([ROWS[2], {"prompt": "new", "answer": 1}], "v.jsonl")
    with pytest.raises(InputError, match=r"1 of 2 validation prompts are also training prompts, the first: '2\+1='"):
        load_prompts(config(train, validation={"source": str(held), "size": 2}))


def test_a_missing_file_is_named_and_a_name_that_is_no_dataset_either(tmp_path):
    with pytest.raises(InputError, match=r"no file 'nowhere.jsonl'"):
        read_rows("nowhere.jsonl", base=tmp_path)
    with pytest.raises(InputError, match="neither a file nor a dataset"):
        read_rows("no-such-owner/no-such-dataset", base=tmp_path)


def test_more_held_out_than_there_are_is_refused(jsonl):
    with pytest.raises(
        InputError, match=r"validation.size: 4 prompts are to be held out, but .* has only 4 that differ: hold out fewer"
    ):
        load_prompts(config(jsonl(ROWS), validation={"size": 4}))
    with pytest.raises(
        InputError, match=r"test.size: 9 prompts are to be held out, but .* only 3 that differ beside those for validation"
    ):
        load_prompts(config(jsonl(ROWS), test={"size": 9}))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompt": [{"role": "user", "content": "a", "tool_calls": [{"id": "\ud83d"}]}]}, "the prompt"),
        ({"answer": "\ud83d"}, "the answer"),
        ({"domain": "\ud83d"}, "the domain"),
        ({"rubrics": [{"criterion": "a", "tags": ["\ud83d"]}]}, "column 'rubrics'"),
        ({"rubrics": ["\ud83d"]}, "column 'rubrics'"),
        ({"rubrics": "\ud83d"}, "column 'rubrics'"),
    ],
)
def test_half_a_character_is_named_in_whatever_column_the_run_reads(jsonl, change, named):
    path = jsonl([*ROWS, {**ROWS[0], "prompt": "5+1=", **change}])
    with pytest.raises(InputError, match=rf"row 5: {named} holds half a character"):
        load_prompts(config(path), columns=["rubrics"])
    load_prompts(config(jsonl([*ROWS, {**ROWS[0], "prompt": "5+1=", "unread": "\ud83d"}])))
