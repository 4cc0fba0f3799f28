import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steelyard.errors import InputError
from steelyard.mixture import ConstantTemperature, Cooldown, CosineTemperature, OrderMatters, count_domains, parse_schedule


def test_files_and_folders_are_domains_and_folders_in_them_count_all_below(tmp_path):
    (tmp_path / "en.txt").write_text("one\n\ntwo\n")
    (tmp_path / "sw.jsonl").write_text('{"text": "moja"}\n')
    (tmp_path / "zh").mkdir()
    (tmp_path / "zh" / "a.txt").write_text("一\n二\n三\n")
    (tmp_path / "zh" / "deeper").mkdir()
    (tmp_path / "zh" / "deeper" / "b.txt").write_text("四\n")
    (tmp_path / ".hidden").write_text("x\n")
    assert count_domains([str(tmp_path)]) == {"en": 2, "sw": 1, "zh": 4}
    assert count_domains([str(tmp_path / "en.txt"), str(tmp_path / "zh" / "a.txt")]) == {"en": 2, "a": 3}
    assert count_domains([str(tmp_path / "zh")], unit="bytes") == {"a": 12, "deeper": 4}


def test_what_a_file_is_written_in_is_no_part_of_its_name_and_what_is_hidden_or_left_out_is_not_counted(tmp_path):
    with gzip.open(tmp_path / "en.jsonl.gz", "wt") as file:
        file.write('{"text": "one"}\n')
    (tmp_path / "sw" / ".git").mkdir(parents=True)
    (tmp_path / "sw" / ".git" / "index").write_bytes(b"\xff\xfe")
    (tmp_path / "sw" / "a.txt").write_text("moja\n")
    (tmp_path / "mix.png").write_bytes(b"\x89PNG\xff")
    assert count_domains([str(tmp_path)], leave_out=tmp_path / "mix.png") == {"en": 1, "sw": 1}
    (tmp_path / "en.jsonl").write_text('{"text": "one"}\n')
    with pytest.raises(InputError, match="two domains are named 'en'"):
        count_domains([str(tmp_path)], leave_out=tmp_path / "mix.png")
    (tmp_path / "en.jsonl").unlink()
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match=r"gone\.txt: a link to what is not there"):
        count_domains([str(tmp_path)], leave_out=tmp_path / "mix.png")


def test_a_column_names_the_domains_gzipped_or_not(tmp_path):
    rows = [{"lang": lang} for lang in ("en", "sw", "en")]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(text)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(text)
    assert count_domains([str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl.gz")], column="lang") == {"en": 4, "sw": 2}
    whole = (tmp_path / "b.jsonl.gz").read_bytes()
    (tmp_path / "b.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"b.jsonl.gz: cannot be read to its end"):
        count_domains([str(tmp_path / "b.jsonl.gz")], column="lang")


def test_linked_folders_are_counted_once_and_one_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "more.txt").write_text("mbili\ntatu\n")
    (tmp_path / "data" / "sw").mkdir(parents=True)
    (tmp_path / "data" / "sw" / "a.txt").write_text("moja\n")
    (tmp_path / "data" / "sw" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "sw" / "round").symlink_to(tmp_path / "data" / "sw")
    (tmp_path / "data" / "_SUCCESS").write_text("")
    assert count_domains([str(tmp_path / "data")]) == {"sw": 3}
    listed = os.scandir

    def refused(place):
        if str(place).endswith("linked"):
            raise PermissionError(13, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(InputError, match=r"sw/linked: cannot be read \(Permission denied\)"):
        count_domains([str(tmp_path / "data")])
    monkeypatch.undo()
    (tmp_path / "data" / "sw" / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match=r"gone\.txt: a link to what is not there"):
        count_domains([str(tmp_path / "data")])


def test_a_table_without_rows_is_an_empty_domain_and_a_column_of_nothing_is_none(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "sw.parquet")
    with pytest.raises(InputError, match=r"domain 'sw' .* is empty: leave it out"):
        count_domains([str(tmp_path / "sw.parquet")])
    with pytest.raises(InputError, match=r"sw\.parquet: no rows"):
        count_domains([str(tmp_path / "sw.parquet")], column="lang")
    (tmp_path / "rows.jsonl").write_text('{"lang": "en"}\n{"lang": NaN}\n')
    with pytest.raises(InputError, match=r"row 2: no value in column 'lang'"):
        count_domains([str(tmp_path / "rows.jsonl")], column="lang")


def test_what_cannot_be_counted_is_named(tmp_path):
    (tmp_path / "en.txt").write_text("one\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "en.txt").write_text("one\n")
    with pytest.raises(InputError, match=r"two domains are named 'en' \(the second is .*other/en.txt\): rename one"):
        count_domains([str(tmp_path / "en.txt"), str(tmp_path / "other" / "en.txt")])
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InputError, match=r"domain 'empty' \(.*empty.txt\) is empty: leave it out"):
        count_domains([str(tmp_path / "empty.txt")])
    (tmp_path / "bad.txt").write_bytes(b"fine\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"bad.txt:2: not UTF-8 text"):
        count_domains([str(tmp_path / "bad.txt")])
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{"a":\n')
    with pytest.raises(InputError, match=r"bad.jsonl:2: not a JSON object"):
        count_domains([str(tmp_path / "bad.jsonl")])
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match=r"row 1: no value in column 'lang' \(columns found: a\)"):
        count_domains([str(tmp_path / "rows.jsonl")], column="lang")
    with pytest.raises(InputError, match="no file or folder 'nothing'"):
        count_domains(["nothing"])
    (tmp_path / "hollow").mkdir()
    with pytest.raises(InputError, match="an empty folder"):
        count_domains([str(tmp_path / "hollow")])
    with pytest.raises(InputError, match="one of examples, bytes"):
        count_domains(["nothing"], unit="tokens")


def test_schedules_are_written_in_one_word():
    assert parse_schedule("cooldown") == Cooldown()
    assert parse_schedule("cooldown:100,2,0.25") == Cooldown(100.0, 2.0, 0.25)
    assert parse_schedule("constant:inf") == ConstantTemperature(float("inf"))
    assert parse_schedule("cosine:5,1") == CosineTemperature(5.0, 1.0)
    assert parse_schedule("late:sw,zh@0.3") == OrderMatters(["sw", "zh"], at=0.3)
    for text in ("constant", "constant:a", "linear:1", "piecewise:0", "cooldown:1,2,3,4", "unimax:"):
        with pytest.raises(InputError, match="cannot read schedule"):
            parse_schedule(text)
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        parse_schedule("cosin:1,2")
