"""What all tests of the client share."""

import pytest

from steelyard.llm import client


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(client, "_backoff", lambda calls: 0.01)
