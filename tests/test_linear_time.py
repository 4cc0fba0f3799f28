"""No text costs more than linear time: of every function that reads what models wrote, 100,000 characters of its worst input.

The worst input of a pattern is what makes it begin anew everywhere, and look to the end from each beginning.
"""

import re
import time
import warnings
from pathlib import Path

import pytest
from pydantic import BaseModel

import steelyard
from steelyard import folding
from steelyard.checks import _published, answers, check, content, ifeval, text
from steelyard.errors import InputError
from steelyard.llm import _dialects, _replies, _server_words
from steelyard.messages import text_of
from steelyard.objectives import step_markers
from steelyard.rubric import _fence, _quotes, judge, page
from steelyard.rubric.router import by_rules
from steelyard.runs._templates import Template

LONG = 100_000
SECONDS = 3.0
"""Of processor time: several times what a busy machine takes, where two processes share a core; quadratic time is a minute."""


class Schema(BaseModel):
    a: int


def reply(said):
    try:
        return _replies.parsed(said, Schema, None)
    except _replies.BadReplyError:
        return None


def followed(instruction, **arguments):
    return lambda said: ifeval.follows(instruction, said, arguments, prompt=said)


def passed(kind, **options):
    made = check(kind, **options)
    return lambda said: made(said, said)


SCRIPTS = (
    "\u0301\u0316",
    "a\u0301",
    "\u6211",
    "\u0e01",
    "\u0939\u0942\u0901 ",
    "\u1780",
    "\u2026",
    "\uff01",
    "\u00ad",
    "\ufdfa",
    "\u1100",
)
BLANK = ("\n", " ", "\r\n", " \n", "\t\n")
WORDS = ("a", "a ", "a-", "a'", "1 ", "Dr. ", "A. ", "\u3002", "? ", 'a." ', "...", "a b ")
MARKS = ("```", "```\n", "`", "*", "**", "-", "#", "[", "<<", "<i>", "$", '"', "\\", "{", "(", "|", "=", "<")
MATHS = ("\\boxed{", "\\[", "\\(", "$a", "####", "\n#### ", "1,1", "1/", "\\frac{", "=a", "1 1", "<think>", "</think>", "-1")
JSON = ('{"a":', "[1,", "(", '"', "'", "{", "// ", '"a" ')

WORST = {
    "words": (text.words, (*WORDS, *SCRIPTS)),
    "characters": (text.characters, (*SCRIPTS, "\r\n", "\U0001f44d\U0001f3fd")),
    "canonical": (folding.canonical, SCRIPTS),
    "folded": (folding.folded, SCRIPTS),
    "without_accents": (folding.without_accents, SCRIPTS),
    "exact": (passed("exact", text="a"), SCRIPTS),
    "title case": (passed("case", case="title"), (*WORDS, *SCRIPTS)),
    "sentences": (text.sentences, (*BLANK, *WORDS, *SCRIPTS, "1.\n", ". \u00bb")),
    "paragraphs": (text.paragraphs, BLANK),
    "occurrences": (lambda said: text.occurrences("aa", said), ("a", "a ", "aa", *SCRIPTS)),
    "distinct_share": (lambda said: text.distinct_share(said, 6), ("a ", "a b ")),
    "distinct_share of long runs": (lambda said: text.distinct_share(said, 20_000), ("a ", "a b ")),
    "without_fence": (text.without_fence, (*MARKS, *BLANK)),
    "said": (answers.said, MATHS),
    "final_answer": (answers.final_answer, (*MATHS, *BLANK, *MARKS)),
    "boxed_content": (answers.boxed_content, ("\\boxed{", "{", "}", "\\")),
    "equivalent": (lambda said: answers.equivalent(said, said + "1"), ("1 ", "a ", "1,1")),
    "truth_of": (answers.truth_of, MATHS),
    "refuses": (content.refuses, ("I'm sorry ", "as an AI ", "I can't ")),
    "language_of": (content.language_of, ("a ", "the cat ", "\u4f60", "A ", *SCRIPTS)),
    "one-script": (passed("one-script"), (*MARKS, "http://", "\u03b1")),
    "json": (passed("json"), (*JSON, "1", *BLANK)),
    "json-schema": (passed("json-schema", schema={"type": "array"}), JSON),
    "python": (passed("code"), ("```python\n", "(", "-", "1+", "not ", "a.", "lambda:", "'''", "\\\n")),
    "list-items": (passed("list-items", at_least=1), (*BLANK, "- ", "1", "1. ", "\uff08", "\u4e00")),
    "sections": (passed("sections", at_least=1), (*BLANK, "#", "*", "_ ")),
    "sections of a name": (passed("sections", marker="PART", at_least=1), (*BLANK, "PART ", "PART 1")),
    "no-repetition": (passed("no-repetition"), WORDS),
    "regex": (passed("regex", pattern=r"\s+x$"), ("\n", " ")),
    "starts-with": (passed("starts-with", text="a" * 1000 + "b"), ("a", " ")),
    "step_markers": (step_markers, (*BLANK, "step ", "1. ", "1", "- ")),
    "visible": (_fence.visible, ("<|", "[/", "</", "<", "=", "<|a", "\x1b", "\u200d", "<\uff5c")),
    "fenced": (lambda said: _fence.fenced({"a": said}), ("=", "= ", "\n", "<|a")),
    "marked": (lambda said: page.marked(said, [said[:50_000] + "b", said]), ("a ", "a", " a", "\u0130 ", "...", '"')),
    "alike to the judge": (judge._folded, SCRIPTS),
    "quote_found": (lambda said: _quotes.quote_found(said[:50_000] + "b", said), ("a ", "a...", "\u2026", '"')),
    "reply": (reply, (*BLANK, *MARKS, "<think>", "</think>", "```json")),
    "reply with an object": (lambda said: reply("{" + said + "}"), (*JSON, *BLANK, "a", '"a":1,', "\\")),
    "reply with keys": (lambda said: reply("{" + said + '"a": 1, "a": 2}'), ('"b": 1,', "'b': 1,")),
    "words_of": (_server_words.words_of, ("<", "<script", "<style ", '{"error":', "a ")),
    "refusal": (
        lambda said: _dialects.Dialect().refuses(400, said, set(), {"temperature": 1, "messages": [{"role": "system"}]}),
        ("system role ", "supported ", "response", "must be ", "too ", "expected one "),
    ),
    "by_rules": (by_rules, ("a ", "translate ", "\n")),
    "text_of": (text_of, ("a ", "\n")),
    "regex_replace": (
        lambda said: Template("{{ a | regex_replace('a+b', '') }}", "prompt").render({"a": said[:10_000]}, ""),
        ("a",),
    ),
    "published sentences": (
        _published.sentences,
        (*BLANK, *WORDS, *MARKS, "?! ", "1.\n", "etc. ", ". . ", ".)", ".\u00a0", "a.b"),
    ),
    "published tokens": (
        _published.tokens,
        (*BLANK, *WORDS, *MARKS, "a'", "'a ", "'' ", "a:", ",", "can't ", "..a", "gonna ", "`"),
    ),
    "IFEval: placeholders": (followed("detectable_content:number_placeholders", num_placeholders=2), ("[", "[]", "[\n")),
    "IFEval: postscript": (followed("detectable_content:postscript", postscript_marker="P.P.S"), (*BLANK, "P.", "P. ")),
    "IFEval: bullets": (followed("detectable_format:number_bullet_lists", num_bullets=2), (*BLANK, "*", "- ", "\n*")),
    "IFEval: highlights": (followed("detectable_format:number_highlighted_sections", num_highlights=2), ("*", "**", "*a", "a")),
    "IFEval: sections": (followed("detectable_format:multiple_sections", section_spliter="S", num_sections=2), ("S", "S 1", " ")),
    "IFEval: title": (followed("detectable_format:title"), ("<", "<<", "<<a", "<<>>")),
    "IFEval: paragraphs": (followed("length_constraints:number_paragraphs", num_paragraphs=2), ("*", "***", " ")),
    "IFEval: first word": (
        followed("length_constraints:nth_paragraph_first_word", num_paragraphs=1, nth_paragraph=1, first_word="a"),
        ("*", '"', "a", "\n"),
    ),
    "IFEval: JSON": (followed("detectable_format:json_format"), (*BLANK, *JSON, "```", "```json")),
    "IFEval: words in capitals": (followed("change_case:capital_word_frequency", capital_frequency=2), (*WORDS, "A'")),
    "IFBench: indents": (followed("format:line_indent"), (*BLANK, " ", "a\n")),
    "IFBench: bullets": (followed("format:no_bullets_bullets"), (*BLANK, "a. ", "*\n", "* a\n")),
    "IFBench: positions": (followed("words:keywords_specific_position", keyword="a", n=1, m=2), (*WORDS, "a'")),
    "IFBench: dates": (followed("custom:date_format_list"), (",", "1800-01-01,", " ")),
    "IFBench: thesis": (followed("format:thesis"), ("<i>", "<em>", "<i></em>", "<i>a")),
    "IFBench: emoji": (followed("format:emoji"), (*BLANK, ". ", "\U0001f600")),
    "IFBench: questions": (
        lambda said: ifeval.follows("custom:mcq_count_length", "Question 1" + said),
        (*BLANK, "Question 1", "\nQuestion", "1"),
    ),
    "IFBench: names": (
        lambda said: ifeval.follows("count:person_names", said, {"N": 2}, prompt=f"list of person names: {said[:2000]}"),
        ("a, ", "a"),
    ),
    "IFBench: quoted fields": (followed("custom:csv_special_character"), ('"', '"a', '",', "\n")),
    "IFBench: title case": (followed("format:title_case"), ("A'", "A-", "A")),
    "IFBench: options": (followed("format:options", options="a/b"), ("a/", " ")),
    "IFBench: prime lengths": (followed("words:prime_lengths"), ("a", "a ")),
    "IFBench: alliteration": (followed("sentence:alliteration_increment"), ("a a. ", "a ", ". ")),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_input_is_read_in_linear_time(name):
    function, units = WORST[name]
    for unit in units:
        for before, after in (("", ""), ("x", "x"), ("```", "")):
            said = (before + unit * (LONG // len(unit)))[:LONG] + after
            begun = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                function(said)
            taken = time.process_time() - begun
            assert taken < SECONDS, (unit, before, after)


READ_BY_OTHERS = {
    "settings.py": "docstrings of this package",
    "rubric/_templates.py": "prompts of this package",
    "patterns.py": "users' patterns, with a limit on their time",
    "checks/_ifbench.py": "see IFBench above",
    "checks/_ifbench_form.py": "see IFBench above",
    "checks/_equivalence.py": "final answers of at most 200 characters",
    "llm/_repeated_keys.py": "see the replies above",
    "rubric/meta_rubric.py": "messages of pydantic",
    "rubric/programmatic.py": "questions of this package, to a judge for tests",
    "mixture/count.py": "names of files",
    "rows.py": "names of files",
    "cli/judge.py": "options on the command line",
}
TRIED = {
    "checks/form.py", "checks/text.py", "checks/answers.py", "checks/content.py", "checks/ifeval.py", "checks/_published.py",
    "objectives/writing.py", "rubric/_fence.py", "rubric/_quotes.py", "llm/_dialects.py", "llm/_server_words.py",
}  # fmt: skip


def test_every_file_with_a_pattern_is_tried():
    source = Path(steelyard.__file__).parent
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"\bre\.(?:compile|search|match|fullmatch|findall|finditer|split|sub)\(", path.read_text(encoding="utf-8"))
    }
    assert found == TRIED | set(READ_BY_OTHERS)


def test_a_pattern_of_a_user_that_never_ends_is_undecided_in_a_second():
    made = check("regex", pattern="(a|aa)+$")
    begun = time.monotonic()
    with pytest.warns(
        UserWarning, match=r"pattern '\(a\|aa\)\+\$' takes more than 1 s on a text of 81 characters, and is undecided"
    ):
        assert made("p", "a" * 80 + "b") is None
    assert time.monotonic() - begun < 30
    assert made("p", "aaa") == 1.0


def test_a_pattern_of_a_template_that_never_ends_is_one_line():
    template = Template("{{ a | regex_replace('(a|aa)+$', '') }}", "prompt")
    with pytest.raises(InputError, match=r"row 1: template prompt: pattern .* takes more than 1 s on a text of 81 characters"):
        template.render({"a": "a" * 80 + "b"}, "row 1")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(a|aa)+$"},
        {"patternProperties": {"^(a|aa)+$": {}}, "properties": {"": {}}},
        {
            "$defs": {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 9} for i in range(12)} | {"d12": False},
            "$ref": "#/$defs/d0",
        },
    ],
)
def test_a_schema_that_never_ends_is_undecided_in_a_second(schema):
    said = '{"' + "a" * 80 + 'b": 1}' if "patternProperties" in schema else '"' + "a" * 80 + 'b"'
    begun = time.monotonic()
    with pytest.warns(UserWarning, match="takes more than 1 s"):
        assert check("json-schema", schema=schema)("p", said) is None
    assert time.monotonic() - begun < 30


def test_equal_items_are_found_in_linear_time_and_by_the_standard():
    unique = check("json-schema", schema={"uniqueItems": True})
    begun = time.process_time()
    assert unique("p", "[" + ",".join(f'{{"a": [{i}]}}' for i in range(30_000)) + "]") == 1.0
    assert time.process_time() - begun < 5
    for said, value in (
        ("[1, 1.0]", 0.0),
        ("[1, true]", 1.0),
        ('[{"a": 1, "b": 2}, {"b": 2, "a": 1}]', 0.0),
        ("[[0], [false]]", 1.0),
    ):
        assert unique("p", said) == value
    for said, value in (("[null, null]", 0.0), ('["1", 1]', 1.0), ('["a", "a"]', 0.0), ("[[], {}]", 1.0)):
        assert unique("p", said) == value


@pytest.mark.parametrize(
    ("pattern", "said", "value"),
    [
        ("x_{i}", "x_{i}", 1.0),
        ("x_{i}", "x_", 0.0),
        (r"\bno\b", "nothing", 0.0),
        ("a{2,3}", "aa", 1.0),
        ("[[]x]?", "[x]", 1.0),
        ("^b$", "a\nb", 1.0),
    ],
)
def test_patterns_mean_what_they_mean_to_python(pattern, said, value):
    assert check("regex", pattern=pattern)("p", said) == value
    assert (re.search(pattern, said, re.MULTILINE) is not None) == bool(value)
