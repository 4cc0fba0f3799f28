"""Meta-rubrics that ship are whole, and a file that is not says where."""

import pytest
import yaml

from steelyard.errors import InputError
from steelyard.rubric import MetaRubric, diff_rubrics, rubric_names
from steelyard.rubric.meta_rubric import _RUBRICS_DIR, TIERS

GENERAL = MetaRubric.load("general")
WANTED = {
    "maths",
    "code",
    "facts",
    "creative",
    "rewriting",
    "translation",
    "support",
    "professional",
    "safety",
    "constraints",
    "roleplay",
    "chat",
    "planning",
}


def test_all_domains_are_there():
    assert set(rubric_names()) == WANTED | {"general"}


@pytest.mark.parametrize("name", rubric_names())
def test_every_shipped_rubric_is_whole(name):
    rubric = MetaRubric.load(name)
    assert rubric.name == name
    assert (_RUBRICS_DIR / f"{name}.yaml").read_text().startswith("# ")
    ids = [principle.id for principle in rubric.principles]
    assert len(set(ids)) == len(ids)
    # Hard principles first, as the judge reads them; every domain keeps the general ones.
    tiers = [TIERS.index(principle.tier) for principle in rubric.principles]
    assert tiers == sorted(tiers)
    assert {principle.id for principle in GENERAL.principles} <= set(ids)
    assert set(GENERAL.never) <= set(rubric.never)
    text = rubric.text()
    assert f"({rubric.id})" in text
    assert all(principle.means in text and principle.fails in text for principle in rubric.principles)
    assert len(text) < 6000
    if name != "general":
        assert rubric.route is not None
        own = MetaRubric.read(name).principles
        assert len(own) >= 5


def test_a_domains_principle_takes_the_place_of_the_general_one():
    creative = {principle.id: principle for principle in MetaRubric.load("creative").principles}
    assert creative["grave-falsehood"].tier == "highlight"
    assert {p.id: p for p in GENERAL.principles}["grave-falsehood"].tier == "hard"


def content(**changes):
    base = {
        "name": "mine",
        "version": 1,
        "extends": "general",
        "principles": [{"id": "kind", "tier": "core", "means": "Is kind to the reader.", "fails": "Is unkind to the reader."}],
        "changelog": [{"version": 1, "date": "2026-01-02", "what": "First version."}],
    }
    return {**base, **changes}


@pytest.fixture
def rubric_file(tmp_path):
    def write(made):
        path = tmp_path / "mine.yaml"
        path.write_text(made if isinstance(made, str) else yaml.safe_dump(made))
        return path

    return write


def test_a_file_of_ones_own_extends_and_differs(rubric_file):
    principles = [*content()["principles"], {**GENERAL.principles[3].model_dump(), "tier": "highlight"}]
    mine = MetaRubric.load(rubric_file(content(principles=principles, weights={"core": 9})))
    lines = diff_rubrics(GENERAL, mine)
    assert "+ principle kind (core): Is kind to the reader." in lines
    assert f"~ principle {GENERAL.principles[3].id}, tier: 'core' -> 'highlight'" in lines
    assert "~ weights.core: 5.0 -> 9.0" in lines
    assert len(lines) == 3
    assert diff_rubrics(mine, GENERAL)[0] == "- principle kind (core) is gone"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (content(principels=[]), "unknown key 'principels'"),
        (content(principles=[]), "principles: list should have at least 1 item"),
        (content(principles=content()["principles"] * 2), "two principles are named 'kind'"),
        (
            content(principles=[{**content()["principles"][0], "tier": "cor"}]),
            "principles.0.tier: input should be 'hard', 'core'",
        ),
        (content(version=2), "the changelog must end with version 2, ascending, but has [1]"),
        (content(extends=None), "a rubric that extends none needs weights, policies and never"),
        (content(extends="generall"), "no meta-rubric 'generall' (did you mean 'general'?)"),
        (content(extends="mine"), "'mine' extends itself"),
        (content(route={"about": "about it", "patterns": ["("]}), "pattern '(' is not a regular expression"),
        ("name: [", "not valid YAML at line"),
        ("- 1", "a meta-rubric is a mapping of keys, but found list"),
    ],
)
def test_a_file_that_does_not_check_says_where(rubric_file, made, message):
    with pytest.raises(InputError) as caught:
        MetaRubric.load(rubric_file(made))
    assert message in str(caught.value)
