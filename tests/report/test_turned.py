"""Why a domain's held-out loss rose again: overfitted where it was seen again and again, forgotten where it was hardly seen any more."""

import pytest

from steelyard.report._domains import DomainRun, domain_rows, resource_groups


@pytest.mark.parametrize(("drawn_late", "why"), [(10, "overfitting"), (0, "forgetting"), (1, "forgetting")])
def test_a_loss_that_rises_is_overfitting_or_forgetting(drawn_late, why):
    steps = [
        {"step": i, "draws": {"en": 20, "sw": 10 if i <= 5 else drawn_late} if drawn_late or i <= 5 else {"en": 20}}
        for i in range(1, 11)
    ]
    validations = [
        {"step": step, "losses": {"en": 3.0 - 0.1 * step, "sw": loss}} for step, loss in ((0, 3.0), (5, 2.0), (10, 2.5))
    ]
    run = DomainRun("run", {"en": {"examples": 1000}, "sw": {"examples": 20}}, steps, validations, {})
    rows = {row["name"]: row for row in domain_rows(run)}
    assert (rows["sw"]["turned"], rows["sw"]["why"], rows["sw"]["lowest_at"]) == (True, why, 5)
    assert (rows["en"]["turned"], rows["en"]["why"]) == (False, None)


def test_groups_are_cut_by_how_many_domains_there_are():
    high, low = resource_groups({f"d{i}": 100 for i in range(113)} | {"en": 5000, "tiny": 5})
    assert high == {"en"}
    assert low == {"tiny"}
