"""What the trainers say of themselves is what they do: the list of TRL's methods that they override is whole."""

import re

import pytest
from trl import GRPOTrainer, SFTTrainer

from steelyard.training import MixtureSFTTrainer, PolicyTrainer, sft, trainer


@pytest.mark.parametrize(
    ("ours", "theirs", "module"), [(PolicyTrainer, GRPOTrainer, trainer), (MixtureSFTTrainer, SFTTrainer, sft)]
)
def test_the_overridden_methods_are_listed(ours, theirs, module):
    overridden = {name for name, value in vars(ours).items() if callable(value) and hasattr(theirs, name)} - {"__init__"}
    table = [line for line in module.__doc__.splitlines() if line.startswith("    ")]
    listed = {word for line in table for word in re.findall(r"\w+", line)} & set(dir(theirs))
    assert overridden - {"state_dict", "load_state_dict"} == listed - {"state", "order"}
