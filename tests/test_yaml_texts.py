"""YAML that others wrote: nothing explodes, nothing runs, and what does not parse is one line."""

import time

import pytest

from steelyard.cli.judge import parse_check
from steelyard.errors import InputError
from steelyard.recipes import load_recipe
from steelyard.rubric import MetaRubric
from steelyard.yaml_texts import parse_yaml, read_yaml

LAUGHS = "\n".join(["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)])
WRONG = {
    LAUGHS: "its aliases make",
    "a: &a {b: *a}": "line 1: an alias refers to what it stands in",
    "a: 1\nb: &b\n  - *b": "line 2: an alias refers to what it stands in",
    "[" * 3000: "more than 50 levels",
    "[" * 60 + "]" * 60: "more than 50 levels",
    "a: " + "{b: " * 60 + "1" + "}" * 60: "more than 50 levels",
    "name: a\nname: b": "line 2: the key 'name' is there twice",
    "a: {b: 1, c: 2, b: 3}": "line 1: the key 'b' is there twice",
    "day: 2026-02-30": "line 1: day is out of range for month",
    "time: 2026-01-01 99:00:00": "line 1: hour must be in",
    "zone: 2026-01-01 00:00:00 +99:99": "line 1: offset",
    "n: 0b_": "line 1: invalid literal",
    "n: !!int ''": "line 1: '' is no int",
    "n: !!float 'x'": "line 1: could not convert",
    "n: !!bool perhaps": "line 1: 'perhaps' is no bool",
    "n: !!timestamp soon": "line 1: 'soon' is no timestamp",
    "n: !!python/object/apply:os.system [ls]": "line 1: could not determine a constructor",
    "n: !mine x": "line 1: could not determine a constructor",
    "? [a]\n: 1": "line 1: found unhashable key",
    "a: [1": "line 1: expected ',' or ']'",
    "a: \t- b\n\t- c": "not valid YAML at line",
    "a: *b": "line 1: found undefined alias",
    "a\x00b": "special characters are not allowed",
    "--- a\n--- b": "but found another document",
    "%YAML 9.9\n---\na": "found incompatible YAML document",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: repr(text[:24]))
def test_what_is_no_yaml_is_one_line_with_its_place(text, tmp_path):
    begun = time.process_time()
    with pytest.raises(InputError, match=r"^the recipe: not valid YAML") as caught:
        parse_yaml(text, "the recipe")
    assert WRONG[text] in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "file.yaml").write_text(text, encoding="utf-8")
    for read in (load_recipe, MetaRubric.load, read_yaml):
        with pytest.raises(InputError, match=r"file\.yaml: not valid YAML") as caught:
            read(tmp_path / "file.yaml")
        assert WRONG[text] in str(caught.value)
    for change in (f"name={text}", f"algorithm.steps={text}"):
        with pytest.raises(InputError):
            load_recipe("sums-gradient", changes=[change])
    with pytest.raises(InputError):
        parse_check(f"words:at_most={text}", "guard")
    assert time.process_time() - begun < 5


def test_a_file_too_large_or_of_another_encoding_is_one_line(tmp_path):
    with pytest.raises(InputError, match="10,000,001 characters of YAML, where at most 10,000,000 are read"):
        parse_yaml("#" * 10_000_001, "it")
    (tmp_path / "a.yaml").write_bytes(b"name: \xff")
    with pytest.raises(InputError, match=r"a\.yaml: not valid YAML: 'utf-8' codec"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)


def test_aliases_that_stay_small_are_read():
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: &d {x: 1}, y: 2}", "it") == {"a": [1, 2], "b": [1, 2], "c": {"x": 1, "y": 2}}
    assert parse_yaml("", "it") is None
    assert parse_yaml("[1.5, yes, 2026-02-30]", "it", as_text=True) == ["1.5", "yes", "2026-02-30"]


@pytest.mark.parametrize(
    ("written", "answer", "value"),
    [
        ("starts-with:text=1.5", "1.5 kg", 1.0),
        ("starts-with:text=2026-02-30", "2026-02-30", 1.0),
        ("starts-with:text=2026-02-28", "2026-02-28", 1.0),
        ("starts-with:text=no", "no way", 1.0),
        ("ends-with:text=[a", "[a", 1.0),
        ("ends-with:text=a, b", "so a, b", 1.0),
        ("starts-with:text='a,b=c'", "a,b=c!", 1.0),
        ("contains:phrases=[1.5, yes, 'a,b=c']", "yes a,b=c 1.5", 1.0),
        ("contains:phrases=[a, b],at_least=2", "a b a b", 1.0),
        ("regex:pattern=a{1,3}b,whole=true", "aab", 1.0),
        ("exact:text=yes,ignore_case=yes", "YES", 1.0),
        ("json-schema:schema={type: array, minItems: 1}", "[1]", 1.0),
        ("one-of:texts=[1, 2]", "2.", 1.0),
        ("words:at_most='3'", "a b", 1.0),
    ],
)
def test_a_text_is_a_text_however_yaml_would_read_it(written, answer, value):
    assert parse_check(written, "guard")("p", answer) == value


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("words:at_most=yes", "at_most must be a whole number"),
        ("words:at_most=1.5", "at_most"),
        ("words:at_most", "KIND:option=value"),
        ("words:=3", "KIND:option=value"),
        ("words:at_most=3,at_most=4", "is there twice"),
        ("starts-with:text=", "text"),
        ("one-of:texts=a", "texts: input should be a valid list"),
        ("case:case=1", "case"),
        ("words:at_most=2026-02-30", "day is out of range"),
    ],
)
def test_an_option_that_does_not_fit_is_one_line(written, said):
    with pytest.raises(InputError, match=said):
        parse_check(written, "guard")
