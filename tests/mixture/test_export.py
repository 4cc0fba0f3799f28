"""Plans in the words of other tools: the shares of every phase, which the tools read as they are meant."""

import re

import numpy as np
import pytest
import yaml
from datasets import Dataset, interleave_datasets

from steelyard.errors import InputError
from steelyard.mixture import Cooldown, CosineTemperature, plan_mixture
from steelyard.mixture.export import _EXPORTS, export_plan

NAMES = ["en", "sw", "a name, with é"]


@pytest.fixture
def plan():
    return plan_mixture([900, 90, 10], Cooldown(at=0.25), num_samples=1000, batch_size=10, names=NAMES)


def phases_of(text):
    return re.findall(r"# steps (\d+) to (\d+)\n(.*?)(?=\n# steps|\Z)", text, re.S)


@pytest.mark.parametrize("form", sorted(_EXPORTS))
def test_every_form_has_every_phase_and_all_of_its_domains(plan, form):
    if form == "llama-factory":
        with pytest.raises(InputError, match="hold no comma, but 'a name, with é' does"):
            export_plan(plan, form)
        plan = plan_mixture([900, 90, 10], Cooldown(at=0.25), num_samples=1000, batch_size=10, names=["en", "sw", "lo"])
    phases = phases_of(export_plan(plan, form))
    assert [(int(begin), int(end)) for begin, end, _ in phases] == [(1, 25), (26, 100)]
    for number, (_, _, text) in enumerate(phases):
        shares = [domain.shares[number] for domain in plan.domains]
        found = [float(word) for word in re.findall(r"(?<![\w.])0\.\d+(?:e-\d+)?", text)]
        assert found == pytest.approx(shares, rel=1e-5)


def test_what_is_yaml_is_read_as_yaml(plan):
    for form, read in (("nemo", lambda c: c["data"]["data_prefix"][1::2]), ("mosaic", lambda c: list(c["streams"]))):
        for _, _, text in phases_of(export_plan(plan, form)):
            assert read(yaml.safe_load(text)) == NAMES


def test_what_is_python_draws_these_shares(plan):
    sources = {name: Dataset.from_dict({"name": [name] * 20_000}) for name in NAMES}
    for number, (_, _, text) in enumerate(phases_of(export_plan(plan, "datasets"))):
        call = text.partition("  #")[0].replace("'all_exhausted'", "'first_exhausted', seed=0")
        mixed = eval(call, {"interleave_datasets": interleave_datasets, "sources": sources})["name"][:5000]
        found = [np.mean([drawn == name for drawn in mixed]) for name in NAMES]
        assert found == pytest.approx([domain.shares[number] for domain in plan.domains], abs=0.03)


def test_a_schedule_without_phases_and_an_unknown_form_are_refused(plan):
    with pytest.raises(InputError, match=r"unknown form 'megatrn': use one of .*\(did you mean 'megatron'\?\)"):
        export_plan(plan, "megatrn")
    smooth = plan_mixture([900, 100], CosineTemperature(5.0, 1.0), num_samples=1000, batch_size=10)
    with pytest.raises(InputError, match="moves with every step and has no phases to export"):
        export_plan(smooth, "megatron")
