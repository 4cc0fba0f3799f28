"""No answer costs more than linear time: every function that reads one, on texts that are the worst for patterns and parsers."""

import inspect
import time

import pytest

from steelyard import folding
from steelyard.checks import Check, _ifbench, _ifbench_form, _ifbench_words, _published, answers, check, content, equivalent, form
from steelyard.checks import text as texts
from steelyard.checks.ifeval import IFEVAL
from steelyard.objectives import step_markers
from steelyard.rubric import _fence, _quotes
from steelyard.rubric.page import marked

LENGTH, LIMIT = 40_000, 1.5
"""Characters, and seconds of processor time, of which linear functions take a few hundredths; quadratic ones take seconds, cubic ones never end."""

UNITS = [
    " ", "\n", "\t", "\r\n", "a", "a ", "1", "1,", "1.", "1 ", "```", "Dr. ", "e.g. ", "A. ", "a.", '"', "\u201c", "*", "**", "* ", "-\n", "- a\n", "<",
    "<<", "<i>", "=", "[", "[a", "$", "$1", "{", "}", "\\", "\\boxed{", "\\frac{1}", "#\n", "# a\n", "####", "#### 1\n", ".", "!", "?! ", "a-", "a'",
    "\u00bd", "\u3002", "<think>", "</think>", "x^", "(", "()", "|", "<|", "\u200b", "\u00e9", "Question 1.", "http://", "`", "`a", "\u03b1 ", "no ",
    "P.S.", "***", "a\n\n", ";", "&lt;", "+1", "1/2 ", "__", "~", "^", ") ", '."',
    "\u0301", "\u0301\u0316", "\u0939\u0942\u0901 ", "\u6211", "\u0e01", "\u1780", "\u2026", "\uff01", "\u2019", "\u00ad", "\u1100", "\u30fb", "1.\n", "\ufdfa",
]  # fmt: skip
AROUND = [
    ("```json", "\n"),
    ("```", " "),
    ("<think>", "a "),
    ("\\boxed{", "{"),
    ("[", "a"),
    ("$", " 1"),
    ('"', "a"),
    ("a", " "),
    ("1", " "),
    ("<i>", "a"),
    ("- ", " "),
]


def repeated(unit):
    return (unit * (LENGTH // len(unit) + 1))[:LENGTH]


WORST = [repeated(unit) for unit in UNITS]
WORST += [text for head, unit in AROUND for text in (head + repeated(unit), repeated(unit) + head, head + repeated(unit) + "x")]

READ = {
    "words": texts.words,
    "sentences": texts.sentences,
    "published sentences": _published.sentences,
    "published tokens": _published.tokens,
    "paragraphs": texts.paragraphs,
    "occurrences": lambda text: texts.occurrences("a b", text),
    "distinct share": lambda text: texts.distinct_share(text, 3),
    "fence": texts.without_fence,
    "said": answers.said,
    "boxed": answers.boxed_content,
    "final answer": answers.final_answer,
    "truth": answers.truth_of,
    "list items": texts.list_items,
    "characters": texts.characters,
    "canonical": folding.canonical,
    "plain": folding.plain,
    "folded": folding.folded,
    "sections": form.sections,
    "json": form.is_json,
    "python": check("code"),
    "language": content.language_of,
    "scripts": content.scripts,
    "refuses": content.refuses,
    "one script": check("one-script"),
    "no repetition": check("no-repetition"),
    "title case": check("case", case="title"),
    "schema": check("json-schema", schema={"type": "object"}),
    "steps": step_markers,
    "visible": _fence.visible,
    "fenced": lambda text: _fence.fenced({"a": text, "b": text[:100]}),
    "a quote": lambda text: _quotes.quote_found("a quote", text),
    "a long quote": lambda text: _quotes.quote_found(text[:5000], text),
    "marked": lambda text: marked(text, ["a quote", text[:200], text[:5000]]),
}
GIVEN = {
    "num_placeholders": 2, "postscript_marker": "P.S.", "num_bullets": 2, "num_highlights": 2, "section_spliter": "Section", "num_sections": 2,
    "relation": "at least", "num_words": 5, "num_sentences": 5, "num_paragraphs": 3, "nth_paragraph": 1, "first_word": "a", "keywords": ["a"],
    "keyword": "a", "frequency": 2, "forbidden_words": ["b"], "letter": "a", "let_frequency": 2, "let_relation": "at least", "end_phrase": "end",
    "language": "en", "capital_frequency": 2, "capital_relation": "at least", "prompt_to_repeat": "p", "N": 2, "min_words": 1, "max_words": 9, "word": "a",
    "sep": "|", "options": "a/b/c", "prompt": "list of person names: A, B.", "percentage": 10, "n": 2, "m": 2, "small_n": 2, "reference_text": "p",
}  # fmt: skip


def instructions():
    tables = [
        IFEVAL,
        *(
            table
            for room in (_ifbench_form, _ifbench, _ifbench_words)
            for table in vars(room).values()
            if isinstance(table, dict)
        ),
    ]
    for table in tables:
        for name, follows in table.items():
            if isinstance(name, str) and inspect.isfunction(follows):
                needed = list(inspect.signature(follows).parameters.values())[1:]
                named = [parameter for parameter in needed if parameter.kind is not parameter.VAR_KEYWORD]
                if all(parameter.name in GIVEN or parameter.default is not parameter.empty for parameter in named):
                    given = {parameter.name: GIVEN[parameter.name] for parameter in named if parameter.name in GIVEN}
                    yield name, follows, given | ({} if named == needed else {f"keyword{i}": "a" for i in range(1, 6)})


def read(function, text):
    if isinstance(function, Check):
        return function("a prompt", text)
    return function(text)


def slowest(function):
    found = (0.0, "")
    for text in WORST:
        begun = time.process_time()
        function(text)
        found = max(found, (time.process_time() - begun, text[:12] + "..." + text[-6:]))
        if found[0] > LIMIT:
            break
    return found


@pytest.mark.parametrize("name", sorted(READ))
def test_what_reads_an_answer_takes_linear_time(name):
    read(READ[name], "a first text, which may load a model")
    seconds, text = slowest(lambda text: read(READ[name], text))
    assert seconds < LIMIT, f"{name}: {seconds:.2f} s for {text!r}"


def test_instructions_take_linear_time():
    """IFEval's and IFBench's, with arguments that they take."""
    known = list(instructions())
    assert len(known) > 60
    for name, follows, given in known:
        seconds, text = slowest(lambda text, follows=follows, given=given: follows(text, **given))
        assert seconds < LIMIT, f"{name}: {seconds:.2f} s for {text!r}"


def test_comparisons_take_linear_time_or_are_given_up():
    for text in WORST[::3]:
        begun = time.process_time()
        equivalent(text, "7")
        answers.is_right("7", text)
        assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("function", "text", "expected"),
    [
        ("detectable_content:number_placeholders", "[a] [b\n] [", 1),
        ("detectable_content:number_placeholders", "[[a] b]", 1),
        ("detectable_format:number_bullet_lists", "\n\n * one\n* two\n- three\n** no", 3),
    ],
)
def test_what_is_counted_is_what_the_pattern_counted(function, text, expected):
    argument = {
        "detectable_content:number_placeholders": "num_placeholders",
        "detectable_format:number_bullet_lists": "num_bullets",
    }[function]
    assert IFEVAL[function](text, **{argument: expected})
    assert not IFEVAL[function](text, **{argument: expected + 1})


@pytest.mark.parametrize(
    ("text", "titled"),
    [
        ("<<a>>", True),
        ("<< >>", False),
        ("<<>>>", False),
        ("<<a>>>", True),
        ("<<a\n>>", False),
        ("<< >> <<b>>", True),
        ("<<a", False),
    ],
)
def test_titles_are_found(text, titled):
    assert IFEVAL["detectable_format:title"](text) is titled


def test_a_language_is_recognised_by_a_texts_beginning():
    begun = time.process_time()
    assert content.language_of("The quick brown fox jumps over the lazy dog. " * 200_000) == "en"
    assert time.process_time() - begun < 2
