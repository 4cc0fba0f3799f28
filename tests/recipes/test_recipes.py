import pytest
import yaml

from steelyard.errors import InputError
from steelyard.recipes.loading import load_recipe, parse_recipe
from steelyard.recipes.shipped import _RECIPES_DIR, find_recipe

RECIPES = sorted(path.stem for path in _RECIPES_DIR.glob("*.yaml"))


@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_checks_builds_and_begins_with_what_it_is_and_how_to_run_it(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    if recipe.kind == "reinforcement":
        objectives = recipe.build_objectives()
        weighting = recipe.build_weighting(objectives)
        weighting.setup(objectives)
    head = find_recipe(name).read_text().splitlines()[:2]
    assert head[0].startswith("# ")
    assert f"steelyard train {name}" in head[1]


def changed(content, path, value):
    *parents, last = path.split(".")
    place = content
    for parent in parents:
        place = place[int(parent)] if parent.isdigit() else place[parent]
    place[int(last) if last.isdigit() else last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("wieghting", {}, "unknown key 'wieghting' (did you mean 'weighting'?)"),
        ("algorithm.step", 3, "unknown key 'step' in algorithm (did you mean 'steps'?)"),
        ("prompts.validation.siz", 3, "unknown key 'siz' in prompts.validation (did you mean 'size'?)"),
        ("model.lora", {"rnk": 3}, "unknown key 'rnk' in model.lora (did you mean 'rank'?)"),
        ("objectives.0.optoins", {}, "unknown key 'optoins' in objectives.0 (did you mean 'options'?)"),
        ("weighting.muu", 1, "unknown key 'muu' in weighting.gradient-influence (did you mean 'mu'?)"),
        (
            "weighting",
            {"method": "gradient"},
            "unknown method 'gradient': use one of cagrad, conditioned, constrained-grpo",
        ),
        ("weighting", {"mu": 1}, "missing key 'method'"),
        ("algorithm.steps", 0, "algorithm.steps: input should be greater than or equal to 1, but found 0"),
        ("algorithm.learning_rate", float("inf"), "algorithm.learning_rate: input should be a finite number, but found inf"),
        ("algorithm.steps", "many", "algorithm.steps: input should be a valid integer"),
        ("weighting.mu", -1, "greater than 0, but found -1"),
        ("algorithm.micro_batch", 5, "micro_batch must divide prompts_per_step x answers_per_prompt = 16, but is 5"),
        ("algorithm", {"steps": 1, "answers_per_prompt": 1}, "grpo compares answers to one prompt"),
        (
            "algorithm.estimator",
            "ppo",
            "algorithm.estimator: input should be 'grpo', 'rloo', 'reinforce' or 'brpo', but found 'ppo'",
        ),
        ("objectives", [{"kind": "accuracy"}], "1 given, but weighing needs at least two"),
        ("objectives.0", {}, "either `kind` or `function`"),
        ("objectives.0", {"kind": "clarity", "goal": "minimize"}, "belong to an objective with a `function`"),
        (
            "weighting",
            {"method": "fixed", "normalize": "some"},
            "weighting.fixed.normalize: input should be 'sum', 'each' or 'each-whitened'",
        ),
        ("weighting", {"method": "normalized-influence", "floor": 1}, "less than 1, but found 1"),
        ("weighting", {"method": "scheduled", "points": []}, "weighting.scheduled.points: value should have at least 1 item"),
        (
            "weighting",
            {"method": "lagrangian", "maximize": "clarity", "at_least": {}},
            "at_least: dictionary should have at least 1 item",
        ),
        ("weighting", {"method": "cagrad", "radius": -1}, "greater than or equal to 0, but found -1"),
        ("name", "../up", "name: string should match pattern"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_known_key(tiny_recipe, path, value, message):
    with pytest.raises(InputError) as error:
        parse_recipe(changed(tiny_recipe, path, value), where="mine.yaml")
    assert str(error.value).startswith("mine.yaml: ")
    assert message in str(error.value)


def test_a_missing_key_is_named(tiny_recipe):
    del tiny_recipe["algorithm"]["steps"]
    with pytest.raises(InputError, match=r"missing key 'algorithm.steps'"):
        parse_recipe(tiny_recipe)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.5], "need one value an objective"),
        ([0.5, 0.5, 0.5], "sum to 1.5"),
        ({"accuracy": 0.5, "concisenes": 0.25, "repetition": 0.25}, "did you mean 'conciseness'"),
    ],
)
def test_weights_are_checked_against_the_objectives(tiny_recipe, weights, message):
    tiny_recipe["weighting"] = {"method": "fixed", "weights": weights}
    recipe = parse_recipe(tiny_recipe)
    with pytest.raises(InputError, match=message):
        recipe.build_weighting(recipe.build_objectives())


def test_two_objectives_of_one_name_are_refused_and_names_can_be_given(tiny_recipe):
    tiny_recipe["objectives"] = [{"kind": "repetition"}, {"kind": "repetition"}]
    with pytest.raises(InputError, match="two objectives are named 'repetition'"):
        parse_recipe(tiny_recipe).build_objectives()
    tiny_recipe["objectives"][1]["name"] = "variety"
    assert [o.name for o in parse_recipe(tiny_recipe).build_objectives()] == ["repetition", "variety"]


def test_changes_are_applied_before_checking(tmp_path, tiny_recipe):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe))
    recipe = load_recipe(path, changes=["algorithm.learning_rate=1e-5", "model.lora.rank=4", "name=other"])
    assert (recipe.algorithm.learning_rate, recipe.model.lora.rank, recipe.name) == (1e-5, 4, "other")
    recipe = load_recipe(path, changes=["objectives.1.options.ngram=2"])
    assert [o.options for o in recipe.objectives] == [{}, {"ngram": 2}, {}]
    with pytest.raises(InputError, match="item '3' of a list of 3: give a number from 0 to 2"):
        load_recipe(path, changes=["objectives.3.kind=clarity"])
    with pytest.raises(InputError, match="key=value"):
        load_recipe(path, changes=["algorithm.steps"])


def test_a_file_that_is_no_recipe_is_refused_in_one_line(tmp_path):
    path = tmp_path / "r.yaml"
    for text, message in [("a: [1\nb: 2", "not valid YAML at line 2"), ("", "found nothing"), ("- 1", "found list")]:
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            load_recipe(path)
    with pytest.raises(InputError, match="did you mean 'sums-gradient'"):
        load_recipe("sums-gradent")
