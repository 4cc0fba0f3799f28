"""Rows of every kind of file, of shards, and what is no set of rows."""

import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from steelyard import rows
from steelyard.errors import InputError
from steelyard.mixture import count_domains
from steelyard.rows import read_rows

ROWS = [{"text": "one", "n": 1}, {"text": "zwei, drei", "n": 2}, {"text": "né", "n": 3}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
CSV = "text,n\n" + "".join(f'"{row["text"]}",{row["n"]}\n' for row in ROWS)
TSV = "text\tn\n" + "".join(f"{row['text']}\t{row['n']}\n" for row in ROWS)


def zst(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return sink.getvalue().to_pybytes()


def arrow(stream):
    table, sink = pa.Table.from_pylist(ROWS), pa.BufferOutputStream()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


FILES = {
    "a.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "a.jsonl.zst": zst(LINES),
    "a.ndjson": LINES,
    "a.ndjson.zst": zst(LINES),
    "a.json": json.dumps(ROWS).encode(),
    "a.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "a.csv": CSV.encode(),
    "a.csv.gz": gzip.compress(CSV.encode()),
    "a.tsv": TSV.encode(),
    "a.tsv.gz": gzip.compress(TSV.encode()),
    "a.arrow": arrow(stream=False),
    "b.arrow": arrow(stream=True),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_kind_of_file_gives_the_same_rows(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    rows = read_rows(name, base=tmp_path)
    assert [{"text": row["text"], "n": int(row["n"])} for row in rows] == ROWS
    assert count_domains([str(tmp_path / name)]) == {name[0]: 3}


def test_a_saved_dataset_is_read_from_its_folder(tmp_path):
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    assert read_rows("saved", base=tmp_path) == ROWS


@pytest.mark.parametrize("name", [name for name in sorted(FILES) if not name.endswith((".jsonl", ".ndjson", ".csv", ".tsv"))])
def test_a_file_that_is_cut_short_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name][: len(FILES[name]) // 2])
    with pytest.raises(InputError) as error:
        read_rows(name, base=tmp_path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", ["shards", "shards/*.jsonl.zst", "sh*/part-0?.jsonl.zst", "ABSOLUTE/*.zst", "ABSOLUTE"])
def test_shards_are_one_set_of_rows_in_the_order_of_their_names(tmp_path, source):
    folder = tmp_path / "shards"
    folder.mkdir()
    for i in (2, 0, 1):
        (folder / f"part-0{i}.jsonl.zst").write_bytes(zst(json.dumps({"n": i}).encode() + b"\n"))
    (folder / ".hidden.jsonl.zst").write_bytes(b"no")
    (folder / "_metadata.json").write_bytes(b"no") if source in ("shards", "ABSOLUTE") else None
    assert [row["n"] for row in read_rows(source.replace("ABSOLUTE", str(folder)), base=tmp_path)] == [0, 1, 2]


def test_splits_are_not_taken_together_and_a_pattern_that_fits_nothing_says_so(tmp_path):
    for name in ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet"):
        pq.write_table(pa.table({"n": [1]}), tmp_path / name)
    with pytest.raises(InputError, match="look like a data set's splits"):
        read_rows(str(tmp_path))
    assert len(read_rows(str(tmp_path / "train-*.parquet"))) == 2
    with pytest.raises(InputError, match=r"no file 'none/\*.jsonl'"):
        read_rows("none/*.jsonl", base=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="'empty' is a folder without such files: give a file that ends in"):
        read_rows("empty", base=tmp_path)


BOMB_SUFFIXES = (".jsonl.gz", ".json.gz", ".csv.gz", ".tsv.gz", ".ndjson.gz", ".jsonl.zst", ".ndjson.zst")


@pytest.mark.parametrize("suffix", BOMB_SUFFIXES)
@pytest.mark.parametrize("unit", [b" ", b"\n", b'{"a": 1}\n', b"[", b'"'])
def test_a_file_that_expands_beyond_measure_is_one_line(tmp_path, monkeypatch, suffix, unit):
    monkeypatch.setattr(rows, "_FREE", 200_000)
    path = tmp_path / f"bomb{suffix}"
    with pa.output_stream(str(path), compression="gzip" if suffix.endswith(".gz") else "zstd") as file:
        file.write(b"a,b\n" * ("sv" in suffix) + unit * (20_000_000 // len(unit)))
    with pytest.raises(InputError, match=r"bomb\S+: more than 200 times its size comes out of it|bomb\S+:\d+: "):
        list(rows.iterate_rows(str(path)))


def test_a_compressed_file_that_is_what_it_says_is_read(tmp_path):
    path = tmp_path / "same.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": "the same again"}\n' * 20_000))
    assert path.stat().st_size * 200 < 480_000
    assert len(rows.read_rows(str(path))) == 20_000


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".csv.gz", ".jsonl.gz"])
def test_a_line_that_would_fill_the_memory_is_one_line(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(rows, "_LONGEST_LINE", 1000)
    path = tmp_path / f"long{suffix}"
    content = b'{"a": "' + b"x" * 2000 + b'"}' if "json" in suffix else b"a\n" + b"x" * 2000
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    with pytest.raises(InputError, match=r"long\S+:[12]: a line of 1,000 characters or more"):
        rows.read_rows(str(path))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([-(10**9)], pa.date32()),
        pa.array([10**18], pa.timestamp("us")),
        pa.array([10**15], pa.timestamp("s", tz="UTC")),
        pa.array([2**62], pa.duration("s")),
        pa.array([1], pa.timestamp("us", tz="Nowhere/Land")),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_value_that_python_has_none_for_names_its_column(tmp_path, column, suffix):
    table = pa.table({"text": ["a"], "when": column})
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(InputError, match=r"rows\S+: column 'when' holds what has no value in Python"):
        rows.read_rows(str(path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_one_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("{}\n")
    path.chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        rows.read_rows(str(path))
