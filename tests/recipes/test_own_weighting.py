"""Settings of weightings come from their classes: shipped ones, a user's own file, and one that is added to the package."""

import json

import jsonschema
import pytest
import yaml

from steelyard.errors import InputError
from steelyard.recipes import load_recipe, parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs import train
from steelyard.settings import help_of, parameters_of
from steelyard.weighting import METHODS, FixedWeights

MINE = """
from typing import Annotated

from pydantic import Field

from steelyard import FixedWeights, Weighting


class Alternating(FixedWeights):
    \"\"\"All weight on one objective, then on the next.

    Args:
        steps: updates for each, positive.
    \"\"\"

    def __init__(self, *, steps: Annotated[int, Field(ge=1)] = 1):
        super().__init__()
        self.steps, self.seen = steps, 0

    def on_batch(self, batch):
        import torch

        size = batch.rewards_BK.shape[1]
        self._weights_K = torch.eye(size, dtype=torch.float64)[self.seen // self.steps % size]
        self.seen += 1

    def state_dict(self):
        return {**super().state_dict(), "seen": self.seen}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.seen = state["seen"]


def not_a_class():
    pass
"""


@pytest.fixture
def own(tiny_recipe, tmp_path):
    """A recipe with a weighting in the file beside it."""
    (tmp_path / "mine.py").write_text(MINE)
    tiny_recipe["weighting"] = {"method": "mine.py:Alternating", "steps": 2}
    path = tmp_path / "mine.yaml"

    def write(**weighting):
        path.write_text(yaml.safe_dump({**tiny_recipe, "weighting": {**tiny_recipe["weighting"], **weighting}}))
        return path

    return write


def test_a_weighting_in_a_users_own_file_trains_and_is_resumed(own, tmp_path, monkeypatch):
    train(own(), out=tmp_path / "whole")
    whole = RunLog(tmp_path / "whole").steps()
    assert [list(step["weights"].values()) for step in whole] == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]]
    plain = RunLog.append_step

    def stop_at_the_fourth(self, record):
        if record["step"] == 4:
            raise KeyboardInterrupt
        plain(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "append_step", stop_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            train(own(), out=tmp_path / "part")
    train(own(), out=tmp_path / "part", resume=True)
    assert [step["weights"] for step in RunLog(tmp_path / "part").steps()] == [step["weights"] for step in whole]
    with pytest.raises(InputError, match=r"was started with another recipe \(weighting"):
        train(own(steps=3), out=tmp_path / "part", resume=True)


@pytest.mark.parametrize(
    ("weighting", "message"),
    [
        ({"steps": 0}, r"weighting.mine.py:Alternating.steps: input should be greater than or equal to 1, but found 0"),
        ({"stps": 1}, r"unknown key 'stps' in weighting.mine.py:Alternating \(did you mean 'steps'\?\)"),
        (
            {"method": "mine.py:Alternatin"},
            r"weighting: 'mine.py' has no weighting 'Alternatin' \(did you mean 'Alternating'\?\)",
        ),
        ({"method": "mine.py:not_a_class"}, "is no weighting: give a class that derives from steelyard.Weighting"),
        ({"method": "other.py:Mine"}, "no file 'other.py' for weighting 'other.py:Mine'"),
        ({"method": "math:sqrt"}, "is no weighting"),
        ({"method": "mine.py:"}, "a weighting is given as 'package.module:name' or 'file.py:name'"),
    ],
)
def test_what_is_wrong_with_it_is_named(own, weighting, message):
    with pytest.raises(InputError, match=message):
        load_recipe(own(**weighting))


def test_a_method_that_adds_itself_is_known_to_recipes_and_trainers_alike(tiny_recipe, monkeypatch):
    list(METHODS)
    monkeypatch.setattr(METHODS, "_things", dict(METHODS._things))
    with pytest.raises(InputError, match="unknown method 'last-takes-all'"):
        parse_recipe({**tiny_recipe, "weighting": {"method": "last-takes-all"}})

    @METHODS.add("last-takes-all")
    class LastTakesAll(FixedWeights):
        """The last objective has all weight.

        Args:
            after: updates before that.
        """

        def __init__(self, *, after: int = 0) -> None:
            super().__init__()
            self.after = after

    recipe = parse_recipe({**tiny_recipe, "weighting": {"method": "last-takes-all", "after": 3}})
    made = recipe.build_weighting(recipe.build_objectives())
    assert (type(made), made.after) == (LastTakesAll, 3)
    with pytest.raises(InputError, match=r"unknown key 'aftr' in weighting.last-takes-all \(did you mean 'after'\?\)"):
        parse_recipe({**tiny_recipe, "weighting": {"method": "last-takes-all", "aftr": 3}})
    from steelyard.training._arguments import as_weighting

    assert type(as_weighting("last-takes-all", None)) is LastTakesAll


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_setting_of_every_method_has_help_and_a_default_or_is_asked_for(method):
    told = help_of(METHODS[method])
    for name in parameters_of(METHODS[method]):
        assert told.get(name), (method, name)
        assert not told[name].startswith("see "), (method, name)


OLD = {
    "fixed": {"weights": None, "normalize": "sum"},
    "scheduled": {
        "points": [[0.0, [0.6, 0.2, 0.2]], [1.0, {"conciseness": 0.2, "repetition": 0.4, "accuracy": 0.4}]],
        "shape": "linear",
        "normalize": "sum",
    },
    "gdpo": {"weights": [0.5, 0.25, 0.25]},
    "hypervolume": {"weights": None, "normalize": "sum", "gain": 20.0, "reference": "start"},
    "gradient-influence": {
        "influence": "jvp",
        "layers": ["*"],
        "every": 2,
        "gram_every": 0,
        "weights": None,
        "normalize": "sum",
        "mu": 1e-5,
        "accumulate": 1,
    },
    "normalized-influence": {
        "influence": "finite-difference",
        "layers": None,
        "every": 1,
        "gram_every": 10,
        "weights": None,
        "normalize": "each-whitened",
        "strength": 4.0,
        "momentum": 0.8,
        "floor": 0.05,
    },
    "stage-aware": {"weights": None, "normalize": "sum", "floors": {"accuracy": 0.0}, "momentum": 0.0},
    "lagrangian": {
        "maximize": "accuracy",
        "at_least": {"repetition": 0.5},
        "rate": 10.0,
        "start": 1.0,
        "limit": 20.0,
        "momentum": 0.8,
        "normalize": "sum",
    },
    "tchebycheff": {"weights": None, "normalize": "sum", "ideal": None, "smoothing": 0.1, "momentum": 0.8},
    "mgda": {"influence": "exact", "layers": None},
    "upgrad": {"influence": "finite-difference", "layers": None},
    "cagrad": {"influence": "finite-difference", "layers": None, "radius": 0.5},
}
"""What a run folder of the first version holds of each method."""
SINCE = {method: {"estimate": "published"} for method, options in OLD.items() if "influence" in options}
SINCE["normalized-influence"] |= {"significance": 0.0}
"""Settings that came later, at the values that keep an earlier run what it was."""


@pytest.mark.parametrize("method", sorted(OLD))
def test_a_resolved_recipe_of_an_earlier_version_is_read_as_it_was(tiny_recipe, method):
    recipe = parse_recipe({**tiny_recipe, "weighting": {"method": method, **OLD[method]}})
    assert recipe.model_dump(mode="json")["weighting"] == {"method": method, **OLD[method], **SINCE.get(method, {})}
    recipe.build_weighting(recipe.build_objectives())


@pytest.mark.parametrize("method", sorted(SINCE))
def test_a_recipe_chooses_unbiased_influences(tiny_recipe, method):
    recipe = parse_recipe({**tiny_recipe, "weighting": {"method": method, "estimate": "unbiased"}})
    assert recipe.build_weighting(recipe.build_objectives()).settings.estimate == "unbiased"
    with pytest.raises(InputError, match=rf"weighting.{method}.estimate: input should be 'published' or 'unbiased'"):
        parse_recipe({**tiny_recipe, "weighting": {"method": method, "estimate": "fair"}})


def test_numbers_that_yaml_reads_as_text_are_numbers_in_a_recipe(tmp_path, tiny_recipe):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe).replace("mu: 0.001", "mu: 1e-5"))
    assert "mu: 1e-5" in path.read_text()
    assert load_recipe(path).weighting.mu == 1e-5


def test_a_methods_schema_has_its_ranges():
    schema = parse_recipe.__globals__["Recipe"].model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    found = json.dumps(schema["$defs"]["NormalizedInfluenceMethod"]["properties"]["momentum"])
    assert json.loads(found)["minimum"] == 0
    assert json.loads(found)["exclusiveMaximum"] == 1
