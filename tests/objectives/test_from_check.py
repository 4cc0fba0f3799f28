"""Every check is a reward: in Python, in a recipe, and where it is added by one file."""

import inspect

import pytest

from steelyard import Objective, check
from steelyard.checks import Check, check_kinds
from steelyard.checks.base import CHECKS, on_answer
from steelyard.errors import InputError, RewardError
from steelyard.objectives import (
    BUILT_IN,
    Gate,
    ShorterThanAverage,
    built_in,
    clarity,
    conciseness,
    length_window,
    repetition,
)
from steelyard.recipes import parse_recipe

ROWS = {
    "prompts": ["p"] * 3,
    "completions": ["One two.", [{"role": "assistant", "content": "One, two, three."}], ""],
    "domain": ["en", "sw", "en"],
    "instruction_id_list": [["punctuation:no_comma"], ["punctuation:no_comma"], None],
    "kwargs": [[{}], [{}], None],
    "answer": ["2", "3", "4"],
    "trainer_state": object(),
}


def test_a_check_is_an_objective_with_its_value_as_reward():
    objective = Objective.from_check(check("ifeval"))
    assert (objective.name, objective.goal, objective.bounds, objective.measure) == (
        "ifeval",
        "maximize",
        (0.0, 1.0),
        objective.reward,
    )
    assert objective.scores(**ROWS) == [1.0, 0.0, None]
    some = Objective.from_check(check("words", at_most=2), name="short", applies_to=["en"], gate=Gate("right"))
    assert (some.name, some.gate) == ("short", Gate("right"))
    assert some.scores(**ROWS) == [1.0, None, 1.0]


def test_a_checks_mistake_and_a_checks_crash_are_named():
    with pytest.raises(InputError, match="column 'instruction_id_list' must be a list"):
        Objective.from_check(check("ifeval")).scores(**{**ROWS, "instruction_id_list": ["x"] * 3})
    with pytest.raises(InputError, match=r"check 'odd' must give a number from 0 to 1, or None, but gave 7"):
        Objective.from_check(Check("odd", lambda prompt, answer, columns: 7)).scores(**ROWS)
    broken = Objective.from_check(Check("broken", lambda prompt, answer, columns: 1 / len(answer)))
    with pytest.raises(RewardError, match=r"objective 'broken' raised ZeroDivisionError"):
        broken.scores(**ROWS)


@pytest.mark.parametrize("other", ["ifeval", check, None])
def test_what_is_no_check_is_refused(other):
    with pytest.raises(InputError, match=r"Objective.from_check needs a check, as `check\('ifeval'\)` makes one"):
        Objective.from_check(other)


@pytest.mark.parametrize("option", ["kind", "name", "role"])
def test_options_of_a_check_are_those_of_its_kind(tiny_recipe, option):
    message = rf"check 'words' has no option '{option}'.*: it takes at_least, at_most"
    with pytest.raises(InputError, match=message):
        built_in("check", check="words", options={"at_most": 3, option: "json"})
    tiny_recipe["objectives"].append({"kind": "clarity", "options": {"kind": "format"}})
    with pytest.raises(InputError, match="objective 'clarity' has no option 'kind'"):
        parse_recipe(tiny_recipe).build_objectives()


@pytest.mark.parametrize("value", [True, False])
def test_yes_and_no_are_no_numbers(value):
    with pytest.raises(InputError, match=f"check 'words': at_most must be a whole number, at least 0, but is {value}"):
        check("words", at_most=value)
    with pytest.raises(InputError, match=f"check 'no-repetition': at_most must be a number .*, but is {value}"):
        check("no-repetition", at_most=value)
    with pytest.raises(InputError, match=f"objective 'clarity': min_steps must be a whole number, at least 1, but is {value}"):
        built_in("clarity", min_steps=value)
    assert check("exact", text="Yes", ignore_case=True)("p", "yes") == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: repetition(ngram=0), "ngram must be a whole number, at least 1, but is 0"),
        (lambda: clarity(min_steps=0), "min_steps must be a whole number, at least 1, but is 0"),
        (lambda: clarity(min_steps=1.5), "min_steps must be a whole number, at least 1, but is 1.5"),
        (lambda: conciseness(decay=2), "decay must be a number above 0 and at most 1, but is 2"),
        (lambda: conciseness(max_tokens=0), "max_tokens must be a whole number, at least 1, but is 0"),
        (lambda: length_window(low=-1, high=4), "low must be a whole number, at least 0, but is -1"),
        (lambda: length_window(low=4, high=4), "low must be below high, but they are 4 and 4"),
        (lambda: ShorterThanAverage(decay=0), "decay must be a number above 0 and at most 1, but is 0"),
    ],
)
def test_a_built_in_objective_that_is_called_by_itself_is_held_to_the_same_ranges(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("kind", sorted(check_kinds()))
def test_every_kind_of_check_is_an_objective_by_its_name(kind):
    options = {
        "case": {"case": "lower"},
        "regex": {"pattern": "a"},
        "starts-with": {"text": "One"},
        "ends-with": {"text": "."},
        "one-of": {"texts": ["a"]},
        "contains": {"phrases": ["one"]},
        "avoids": {"phrases": ["one"]},
    }.get(kind, {"at_most": 2} if {"at_least", "at_most"} <= set(_options(kind)) else {})
    found = built_in("check", check=kind, options=options).scores(**ROWS)
    assert found == [check(kind, **options)("p", text, _row(i)) for i, text in enumerate(["One two.", "One, two, three.", ""])]


def _options(kind):
    return inspect.signature(check_kinds()[kind]).parameters


def _row(i):
    return {key: value[i] for key, value in ROWS.items() if isinstance(value, list)}


def test_a_recipe_makes_any_check_a_reward(tiny_recipe):
    tiny_recipe["objectives"] += [
        {"kind": "check", "check": "ifeval"},
        {
            "kind": "check",
            "check": "words",
            "options": {"at_most": 3},
            "name": "short",
            "applies_to": ["en"],
            "gate": {"objective": "accuracy"},
        },
    ]
    *_, ifeval, short = parse_recipe(tiny_recipe).build_objectives()
    assert ifeval.name == "ifeval"
    assert ifeval.scores(**ROWS) == [1.0, 0.0, None]
    assert (short.name, short.applies_to, short.gate.objective) == ("short", ["en"], "accuracy")
    assert short.scores(**ROWS) == [1.0, None, 1.0]


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"kind": "check"}, r"`kind: check` and `check`.* go together, as in \{kind: check, check: ifeval\}"),
        ({"kind": "accuracy", "check": "ifeval"}, "go together"),
        ({"function": "mine.py:f", "check": "ifeval"}, "go together"),
        ({"kind": "check", "check": "ifevl"}, r"unknown kind of check 'ifevl' \(did you mean 'ifeval'\?\)"),
        (
            {"kind": "check", "check": "words", "options": {"atmost": 3}},
            r"check 'words' has no option 'atmost' \(did you mean 'at_most'\?\)",
        ),
        ({"kind": "check", "check": "words", "options": {"at_most": "x"}}, "at_most: input should be a valid integer"),
        (
            {"kind": "clarity", "options": {"min_steps": 0}},
            r"objective 'clarity': min_steps: input should be greater than or equal to 1",
        ),
        (
            {"kind": "clarity", "options": {"min_step": 1}},
            r"objective 'clarity' has no option 'min_step' \(did you mean 'min_steps'\?\)",
        ),
        ({"kind": "conciseness", "options": {"decay": 2}}, "decay: input should be less than or equal to 1"),
        ({"kind": "check", "check": "ifeval", "goal": "minimize"}, "belong to an objective with a `function`"),
    ],
)
def test_a_recipes_check_that_cannot_be_is_named(tiny_recipe, objective, message):
    tiny_recipe["objectives"].append(objective)
    with pytest.raises(InputError, match=message):
        parse_recipe(tiny_recipe).build_objectives()


def test_a_new_check_or_objective_is_known_everywhere_by_one_decorator(tiny_recipe, monkeypatch):
    list(CHECKS), list(BUILT_IN)
    monkeypatch.setattr(CHECKS, "_things", dict(CHECKS._things))
    monkeypatch.setattr(BUILT_IN, "_things", dict(BUILT_IN._things))

    @CHECKS.add("loud")
    def _loud(*, marks: int = 1):
        """The answer shouts.

        Args:
            marks: exclamation marks asked for.
        """
        return on_answer(lambda answer: answer.count("!") >= marks)

    @BUILT_IN.add("quiet")
    def quiet(*, name: str = "quiet") -> Objective:
        """The answer does not shout."""
        return Objective(name, lambda completions: [float("!" not in text) for text in completions])

    assert check("loud", marks=2)("p", "oh!!") == 1.0
    tiny_recipe["objectives"] += [{"kind": "quiet"}, {"kind": "check", "check": "loud", "options": {"marks": 3}}]
    *_, one, two = parse_recipe(tiny_recipe).build_objectives()
    assert one.scores(prompts=["p"], completions=["oh!!"]) == two.scores(prompts=["p"], completions=["oh!!"]) == [0.0]
    with pytest.raises(InputError, match="check 'loud': marks: input should be a valid integer"):
        check("loud", marks="many")
    with pytest.raises(InputError, match=r"two things are the kind of check 'loud'.*rename one"):
        CHECKS.add("loud")(quiet)
