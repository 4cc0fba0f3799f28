"""What a row holds for a check: nothing, or what it cannot be, is neither a score nor a traceback."""

import math
import urllib.request

import pytest

from steelyard import Objective
from steelyard.checks import check, follows
from steelyard.errors import InputError

NO_COMMA = ["punctuation:no_comma"]


def reward_of(kind, said, /, **row):
    """What a check of a row's column gives, by itself and as an objective."""
    made = check(kind)
    columns = {key: [value] for key, value in row.items()}
    found = made("p", said, row)
    assert Objective.from_check(made).scores(prompts=["p"], completions=[said], **columns) == [found]
    return found


@pytest.mark.parametrize("nothing", [None, "", math.nan])
@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("maths", "answer"),
        ("exact", "answer"),
        ("language", "language"),
        ("json-schema", "schema"),
        ("ifeval", "instruction_id_list"),
        ("ifbench", "instruction_id_list"),
    ],
)
def test_a_row_that_holds_nothing_for_a_check_does_not_apply(kind, column, nothing):
    assert reward_of(kind, "[1]", **{column: nothing}) is None
    assert reward_of(kind, "[1]", other="x") is None


@pytest.mark.parametrize("blank", [" ", "\n\t"])
def test_a_truth_or_a_language_of_white_space_is_none(blank):
    assert reward_of("maths", "4", answer=blank) is None
    assert reward_of("language", "The cat sleeps on the table.", language=blank) is None


@pytest.mark.parametrize("arguments", [None, "", math.nan, [], {}, [None], [{}], ({},), "[{}]", "[null]", [{"n": None}]])
def test_an_instruction_without_arguments_needs_none(arguments):
    assert reward_of("ifeval", "One two.", instruction_id_list=NO_COMMA, kwargs=arguments) == 1.0
    assert reward_of("ifeval", "One, two.", instruction_id_list=NO_COMMA, kwargs=arguments) == 0.0


@pytest.mark.parametrize("arguments", ["{", "1", 5, {"a": 1}, [{}, {}], ["{}"], [5], "[" * 100_000])
def test_arguments_that_are_none_name_the_column(arguments):
    with pytest.raises(InputError, match=r"column 'kwargs' must be a list with an object for each of the row's 1 instr"):
        reward_of("ifeval", "One two.", instruction_id_list=NO_COMMA, kwargs=arguments)


@pytest.mark.parametrize("ids", ["punctuation:no_comma", 5, [5], [["x"]], [None], {"a": 1}])
def test_instructions_that_are_none_name_the_column(ids):
    with pytest.raises(InputError, match="column 'instruction_id_list' must be a list of instructions, by their names"):
        reward_of("ifeval", "One two.", instruction_id_list=ids)


@pytest.mark.parametrize("arguments", [{"keyword": 5, "frequency": 1}, {"keyword": "a"}, {"keyword": "a", "frequency": "x"}])
def test_arguments_that_do_not_fit_name_the_instruction(arguments):
    with pytest.raises(InputError, match=r"instruction 'keywords:frequency': its arguments \{.*\} do not fit"):
        follows("keywords:frequency", "a b", arguments)


@pytest.mark.parametrize(
    ("instruction", "arguments"),
    [
        ("count:keywords_multiple", {"keyword1": "a"}),
        ("count:words_japanese", {"N": 0}),
        ("repeat:repeat_span", {"prompt_to_repeat": "a", "n_start": math.nan, "n_end": 1}),
        ("length_constraints:number_words", {"num_words": 1, "relation": "about"}),
    ],
)
def test_arguments_of_no_use_are_refused_by_name_and_left_out_of_a_row(instruction, arguments):
    with pytest.raises(InputError, match=rf"instruction {instruction!r}: (its arguments .* do not fit|unknown relation)"):
        follows(instruction, "a b", arguments)
    with pytest.warns(UserWarning, match="it is left out of the shares"):
        assert reward_of("ifeval", "a b", instruction_id_list=[instruction], kwargs=[arguments]) is None


@pytest.mark.parametrize("schema", [{"type": "array"}, '{"type": "array"}'])
def test_a_schema_is_an_object_or_its_text(schema):
    assert reward_of("json-schema", "[1]", schema=schema) == 1.0
    assert reward_of("json-schema", "1", schema=schema) == 0.0
    assert reward_of("json-schema", "no JSON", schema=schema) == 0.0


@pytest.mark.parametrize(("schema", "expected"), [(True, 1.0), (False, 0.0), ({}, 1.0)])
def test_a_schema_may_allow_all_or_nothing(schema, expected):
    assert reward_of("json-schema", "[1]", schema=schema) == expected


@pytest.mark.parametrize("schema", [5, [], "{", "5", {"type": "arry"}])
@pytest.mark.parametrize("answer", ["[1]", "no JSON"])
def test_a_schema_that_is_none_names_the_column_whatever_the_answer(schema, answer):
    with pytest.raises(InputError, match="column 'schema': not a JSON schema"):
        reward_of("json-schema", answer, schema=schema)


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/x.json", "#/nowhere", "other.json"])
def test_a_schema_fetches_nothing(reference, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: pytest.fail("a check is offline"))
    schema = {"items": {"$ref": reference}}
    with pytest.raises(InputError, match=r"column 'schema': the JSON schema refers to .*nothing is fetched"):
        reward_of("json-schema", "[1]", schema=schema)
    with pytest.raises(InputError, match="the JSON schema refers to"):
        check("json-schema", schema=schema)("p", "[1]")


def test_a_schema_may_refer_to_itself_and_to_the_standard():
    assert check("json-schema", schema={"items": {"$ref": "#"}, "type": "array"})("p", "[[[]]]") == 1.0
    assert check("json-schema", schema={"$ref": "https://json-schema.org/draft/2020-12/schema"})("p", '{"type": 5}') == 0.0


def test_a_deeply_nested_answer_fails_and_stops_no_run():
    schema = {"items": {"$ref": "#"}, "type": "array"}
    assert reward_of("json-schema", "[" * 900 + "]" * 900, schema=schema) == 0.0
