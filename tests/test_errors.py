"""The tree of errors: a user's mistake is a ValueError as well, and is not lost where ValueErrors are caught."""

import pickle

import pytest

from steelyard import errors
from steelyard.errors import DiskFullError, InputError, LLMError, RewardError, RunError, SteelyardError
from steelyard.llm._replies import BadReplyError, parsed
from steelyard.mixture import Shares, parse_schedule
from steelyard.recipes import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs.life import opened


def test_a_users_mistake_can_be_caught_by_its_ordinary_name():
    from steelyard import FixedWeights, check

    with pytest.raises(ValueError, match="must sum to 1"):
        FixedWeights([0.5, 0.6])
    with pytest.raises(ValueError, match="unknown kind of check"):
        check("wrods")
    assert issubclass(DiskFullError, ValueError)
    # What the world or the user's functions do wrong is none.
    for kind in (RunError, RewardError, LLMError):
        assert not issubclass(kind, ValueError)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(errors).values() if getattr(kind, "__module__", "") == errors.__name__ and isinstance(kind, type)],
)
def test_every_error_survives_a_process_boundary(kind):
    assert issubclass(kind, SteelyardError)
    again = pickle.loads(pickle.dumps(kind("what, and what to do")))
    assert (type(again), str(again)) == (kind, "what, and what to do")


def test_a_mistake_keeps_its_words_where_value_errors_are_caught(tmp_path, tiny_recipe):
    path = tmp_path / "shares.json"
    path.write_text('{"en": 1, "en": 2}')
    with pytest.raises(InputError, match=r"shares.json: two shares are given for 'en'$"):
        Shares.load(path)
    with pytest.raises(InputError, match=r"two shares are given for 'en'$"):
        parse_schedule(f"shares:{path}")
    with pytest.raises(InputError, match=r"^a temperature must be positive .* but is 0\.0$"):
        parse_schedule("constant:0")
    with pytest.raises(InputError, match=r"^cannot read schedule 'constant:x': write constant:TAU$"):
        parse_schedule("constant:x")

    def refuse(text):
        raise InputError("a check lacks its column")

    with pytest.raises(InputError, match="lacks its column"):
        parsed("reply", None, refuse)

    def useless(text):
        raise ValueError("no use")

    with pytest.raises(BadReplyError, match="no use"):
        parsed("reply", None, useless)


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({"schedule": "cooldwn"}, r"^recipe: mixture: unknown schedule 'cooldwn' \(did you mean 'cooldown'\?\): use "),
        ({"schedule": "constant:-1"}, r"^recipe: mixture: a temperature must be positive"),
        ({"schedule": "adaptive", "by": "scalarization"}, r"^recipe: mixture: an adaptive cooldown works by sampling"),
        ({"by": "weights"}, r"^recipe: mixture.by: input should be 'sampling' or 'scalarization', but found 'weights'"),
    ],
)
def test_a_mistake_within_a_recipe_says_where(tiny_recipe, mixture, message):
    with pytest.raises(InputError, match=message):
        parse_recipe({**tiny_recipe, "mixture": mixture})


def test_a_value_error_of_a_library_is_told_as_settings_that_do_not_fit_and_a_mistake_as_it_is(tiny_recipe, tmp_path):
    from steelyard.runs.life import carry_through
    from steelyard.runs.policy import PolicyRun
    from steelyard.runs.progress import QuietProgress

    recipe = parse_recipe(tiny_recipe)
    for error, message in ((ValueError("steps"), "do not fit together for TRL: steps"), (InputError("give less"), "^give less$")):
        run = PolicyRun(recipe, tmp_path)

        def fails(start, progress, error=error):
            raise error

        run.trainer = fails
        with pytest.raises(InputError, match=message):
            carry_through(run, RunLog(tmp_path / "run"), resume=False, progress=QuietProgress())
        assert not (tmp_path / "run").exists()
    with opened(recipe, RunLog(tmp_path / "run"), {"rows": 1, "checksum": "a"}, source="x", resume=False):
        pass
