"""Every kind of check says yes and no where it should, and IFEval's instructions are all covered."""

import json

import pytest

from steelyard.checks.base import left_out
from steelyard.checks.ifeval import IFEVAL, follows
from steelyard.checks.text import sentences
from steelyard.errors import InputError
from steelyard.rubric import check, check_kinds

KINDS = [
    ("words", {"at_least": 2, "at_most": 3}, "It's well-known.", "One two three four."),
    ("sentences", {"at_most": 2}, "Dr. Smith paid 3.50. Why?", "One. Two. Three."),
    ("paragraphs", {"at_least": 2}, "one\n\ntwo", "one\ntwo"),
    ("characters", {"at_most": 5}, " four ", "sixsix"),
    ("list-items", {"at_least": 2}, "- a\n2) b", "- a\ntext"),
    ("sections", {"at_least": 2}, "# A\nx\n## B\ny", "# A\nx"),
    ("sections", {"marker": "PART", "at_least": 2}, "PART 1\nx\nPART 2", "PARTY\nPARTS"),
    ("exact", {"text": "yes"}, " yes\n", "Yes"),
    ("exact", {"text": "yes", "ignore_case": True}, "YES", "yes!"),
    ("one-of", {"texts": ["yes", "no"]}, "No.", "maybe"),
    ("regex", {"pattern": r"^\d{3}$"}, "a\n123", "1234"),
    ("regex", {"pattern": r"\d+", "whole": True}, "12", "12 a"),
    ("json", {}, '```json\n{"a": 1}\n```', "{'a': 1}"),
    ("json-schema", {"schema": {"type": "object", "required": ["a"]}}, '{"a": 1}', '{"b": 1}'),
    ("starts-with", {"text": "Dear"}, "  Dear Sir", "My dear"),
    ("ends-with", {"text": "Yours."}, "I am Yours. ", "Yours"),
    ("case", {"case": "lower"}, "all lower 1", "Not"),
    ("case", {"case": "upper"}, "ALL UPPER 1", "NOt"),
    ("boxed", {}, r"so \boxed{4}", r"so \boxed{ }"),
    ("code", {}, "```python\nx = 1\n```", "```python\nx = = 1\n```"),
    ("code", {"language": "json"}, "[1]", "[1"),
    ("contains", {"phrases": ["rock", "C++"]}, "Rock in c++!", "rocks in C++"),
    ("contains", {"phrases": ["a"], "at_least": 2}, "a b A", "a b"),
    ("avoids", {"phrases": ["rock"]}, "rocket", "A rock."),
    ("language", {"language": "de"}, "Der schnelle braune Fuchs springt.", "The quick brown fox jumps over it."),
    (
        "one-script",
        {},
        "This is English with caf\u00e9 and \u03c0 in $\\alpha\u03b1$.",
        "This is English \u4f60\u597d\u4e16\u754c\u4eca\u5929 mixed.",
    ),
    ("no-repetition", {"ngram": 2}, "one two three four", "go on go on go on go on"),
    ("no-refusal", {}, "Sorry for the delay! Here it is.", "I'm sorry, but I can't help with that."),
]


@pytest.mark.parametrize(("kind", "options", "good", "bad"), KINDS)
def test_a_kind_tells_good_from_bad(kind, options, good, bad):
    made = check(kind, **options)
    assert made("Say it in English.", good) == 1.0
    assert made("Say it in English.", bad) == 0.0


def test_every_kind_is_tested():
    assert {kind for kind, *_ in KINDS} | {"maths", "ifeval", "ifbench"} == set(check_kinds())


def test_the_ground_truth_comes_from_the_row_and_without_one_a_check_does_not_apply():
    maths = check("maths")
    assert maths("p", r"\boxed{\frac{1}{2}}", {"answer": "0.5"}) == 1.0
    assert maths("p", "about 3", {"answer": "He has 4.\n#### 4"}) == 0.0
    assert maths("p", "no number", {"answer": "4"}) == 0.0
    assert maths("p", "4", {}) is None
    assert check("exact")("p", "x", {}) is None
    assert check("language")("p", "x", {"language": "en"}) is None
    assert check("json-schema")("p", "[]", {"schema": {"type": "array"}}) == 1.0
    assert check("one-script")("Write \u4f60\u597d", "This is it and then \u4f60\u597d\u4e16\u754c\u4eca\u5929 of course.") == 1.0


def test_code_is_read_and_never_run(tmp_path):
    place = tmp_path / "ran"
    assert check("code")("p", f"```python\nopen({str(place)!r}, 'w')\n```") == 1.0
    assert not place.exists()


INSTRUCTIONS = [
    ("keywords:existence", {"keywords": ["sun", "moon"]}, "Sun and moonlight", "sun only"),
    ("keywords:frequency", {"keyword": "a", "frequency": 2, "relation": "less than"}, "b a", "a a"),
    ("keywords:forbidden_words", {"forbidden_words": ["rock"]}, "rocks", "A Rock!"),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"}, "# #", "#"),
    (
        "language:response_language",
        {"language": "kn"},
        "\u0c95\u0ca8\u0ccd\u0ca8\u0ca1 \u0cad\u0cbe\u0cb7\u0cc6\u0caf\u0cb2\u0ccd\u0cb2\u0cbf \u0cac\u0cb0\u0cc6\u0caf\u0cbf\u0cb0\u0cbf",
        "This is written in English.",
    ),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"}, "One. Two.", "One. Two. Three."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "one\n***\ntwo", "one\n\ntwo"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two three", "one two"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        "a\n\n'then, b",
        "a\n\nb then",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] [city]", "[name] (city)"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "a\nP. S. more", "a. ps\n"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "a\nP.P.S more", "a\nP.S. more"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n**b**"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "maybe"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* and ** **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1 a SECTION 2 b",
        "SECTION 1 SECTION",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<Joy>> text", "<< >> text"),
    ("combination:two_responses", {}, "one\n******\ntwo", "one\n******\none"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi."}, "say hi. Hi!", "Hi! Say hi."),
    ("startend:end_checker", {"end_phrase": "That is all."}, 'Well. "that is all."', "That is all. Bye"),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "less than"}, "ONE two", "ONE TWO"),
    ("change_case:english_capital", {}, "THIS IS ALL IN CAPITALS", "This is not"),
    ("change_case:english_lowercase", {}, "this is all in lower case", "This is not"),
    ("punctuation:no_comma", {}, "one two", "one, two"),
    ("startend:quotation", {}, '"all of it"', '"part" of it'),
]


@pytest.mark.parametrize(("instruction", "arguments", "good", "bad"), INSTRUCTIONS)
def test_an_instruction_tells_good_from_bad(instruction, arguments, good, bad):
    assert follows(instruction, good, arguments)
    assert not follows(instruction, bad, arguments)
    assert not follows(instruction, " ", arguments)


def test_every_instruction_is_tested():
    assert {instruction for instruction, *_ in INSTRUCTIONS} == set(IFEVAL)
    assert len(IFEVAL) == 25


def test_all_834_instructions_of_ifeval_can_be_checked(shared_data):
    checked = check("ifeval")
    count = 0
    for line in (shared_data / "ifeval" / "input_data.jsonl").read_text().splitlines():
        row = json.loads(line)
        value = checked(row["prompt"], "A plain answer, which follows few of them.", row)
        assert 0 <= value <= 1
        count += len(row["instruction_id_list"])
    assert count == 834


def test_a_row_is_passed_by_the_share_that_is_followed_and_loosely_without_its_frame():
    row = {"instruction_id_list": ["punctuation:no_comma", "startend:quotation"], "kwargs": [{}, {"unused": None}]}
    assert check("ifeval")("p", "no comma", row) == 0.5
    framed = 'Sure, here it is:\n"all of it"'
    assert check("ifeval")("p", framed, row) == 0.0
    assert check("ifeval", loose=True)("p", framed, row) == 1.0
    assert check("ifeval")("p", "x", {}) is None


def test_an_instruction_that_cannot_be_checked_is_left_out_of_the_share_and_counted():
    row = {
        "instruction_id_list": ["nope:nope", "punctuation:no_comma", "keywords:frequency"],
        "kwargs": [{}, {}, {"keyword": "a"}],
    }
    checked = check("ifeval")
    with pytest.warns(UserWarning, match="it is left out of the shares") as told:
        assert [checked("p", said, row) for said in ("no comma", "a, b", "no comma")] == [1.0, 0.0, 1.0]
    assert [str(one.message)[:60] for one in told] == [
        "no check for instruction 'nope:nope': there are the 25 of IF",
        "instruction 'keywords:frequency': its arguments {'keyword': ",
    ]
    assert left_out(checked) == {"nope:nope": 3, "keywords:frequency": 3}
    with pytest.warns(UserWarning, match=r"did you mean 'words:vowel'.* it is left out of the shares"):
        assert check("ifbench")("p", "x", {"instruction_id_list": ["words:vowels"]}) is None
    assert left_out(check("words", at_most=3)) == {}
    with pytest.raises(InputError, match="no check for instruction"):
        follows("nope:nope", "x")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Hello there. General Kenobi!", 2),
        ('He said "Stop." Then he left.', 2),
        ("It costs $3.50 at 5 p.m. on Friday. Fine.", 2),
        ("No end mark", 1),
        ("Title\n\nBody. More.", 3),
        ("\u4f60\u597d\u3002\u518d\u89c1\uff01", 2),
        ("Wait... what? Yes.", 3),
    ],
)
def test_sentences_are_told(text, count):
    assert len(sentences(text)) == count, sentences(text)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("words", {}, "give at_least, at_most or both"),
        ("words", {"at_least": 3, "at_most": 2}, "at_least = 3 is more than at_most = 2"),
        ("words", {"atleast": 3}, "check 'words' has no option 'atleast' (did you mean 'at_least'?): it takes at_least, at_most"),
        ("words", {"at_least": "many"}, "at_least: input should be a valid integer"),
        ("words", {"at_least": -1}, "at_least: input should be greater than or equal to 0, but found -1"),
        ("starts-with", {"text": 5}, "text: input should be a valid string, but found 5"),
        ("starts-with", {}, "check 'starts-with' needs options {text: ...}"),
        ("one-of", {"texts": "yes"}, "texts: input should be a valid list, but found 'yes'"),
        ("contains", {"phrases": []}, "phrases: list should have at least 1 item"),
        ("contains", {"phrases": ["a", 5]}, "phrases.1: input should be a valid string, but found 5"),
        ("no-repetition", {"at_most": 2}, "at_most: input should be less than or equal to 1, but found 2"),
        ("no-repetition", {"ngram": 0}, "ngram: input should be greater than or equal to 1, but found 0"),
        ("regex", {"pattern": "("}, "check 'regex': pattern '(' is not a regular expression"),
        ("json-schema", {"schema": {"type": "thing"}}, "not a JSON schema"),
        ("case", {"case": "camel"}, "case: input should be 'lower', 'upper' or 'title', but found 'camel'"),
        ("contains", {"phrases": "rock"}, "phrases: input should be a valid list, but found 'rock'"),
        ("code", {"language": "cobol"}, "language: input should be 'python' or 'json', but found 'cobol'"),
        ("exact", {"role": "judge"}, "role must be 'guard' or 'reward', but is 'judge'"),
    ],
)
def test_a_check_that_cannot_be_is_refused(kind, options, message):
    with pytest.raises(InputError) as caught:
        check(kind, **options)
    assert message in str(caught.value)


def test_an_unknown_instruction_or_argument_is_named():
    with pytest.raises(InputError, match="no check for instruction 'keywords:nonsense'"):
        follows("keywords:nonsense", "x")
    with pytest.raises(InputError, match="unexpected keyword argument 'word'"):
        follows("keywords:existence", "x", {"word": "x"})
