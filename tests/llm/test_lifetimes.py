"""What outlives what: a question its first asker, the loop and the cache a fork, a run a disk that is full; and nothing on this machine is asked through a proxy."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
import warnings
from pathlib import Path

import pytest

from steelyard.errors import InputError, LLMError
from steelyard.llm import Client, ReplyCache
from steelyard.llm._connections import goes_direct

ASKED = [{"role": "user", "content": "question"}]


async def slowly(number, body):
    await asyncio.sleep(0.2)
    return f"reply {number}"


def test_an_equal_question_under_way_is_not_given_up_with_the_first_who_asked(serve):
    server = serve(slowly)
    asking = Client(server.url, "m")

    async def ask():
        first = asyncio.ensure_future(asking.ask(ASKED))
        await asyncio.sleep(0.05)
        others = [asyncio.ensure_future(asking.ask(ASKED)) for _ in range(3)]
        await asyncio.sleep(0.05)
        first.cancel()
        others[0].cancel()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, second, *rest = asyncio.run(ask())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, asyncio.CancelledError)
    assert [reply.text for reply in rest] == ["reply 1"] * 2
    assert len(server.bodies) == 1


def test_a_question_that_nobody_waits_for_is_given_up_and_can_be_asked_again(serve):
    server = serve(slowly)
    asking = Client(server.url, "m")

    async def ask():
        both = [asyncio.ensure_future(asking.ask(ASKED)) for _ in range(2)]
        await asyncio.sleep(0.1)
        for one in both:
            one.cancel()
        await asyncio.sleep(0)
        # At once: the one that was given up must not be joined.
        return await asking.ask(ASKED)

    assert asyncio.run(ask()).text == "reply 2"
    assert asking.usage.answered == 1


def test_a_question_that_joins_another_holds_the_reply_to_its_own_check(serve):
    server = serve(slowly)
    asking = Client(server.url, "m", retries=0)

    def second(text):
        if text != "reply 2":
            raise ValueError("not the second")

    async def ask():
        return await asyncio.gather(asking.ask(ASKED), asking.ask(ASKED, check=second))

    assert [reply.text for reply in asyncio.run(ask())] == ["reply 1", "reply 2"]


def in_a_fork(work):
    """Run a function in a forked process, and give whether it came to its end in time."""
    import signal
    import time

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_loop_and_the_cache_survive_a_fork(serve, tmp_path):
    server = serve(lambda number, body: "done")
    asking = Client(server.url, "m", cache=tmp_path / "c.sqlite")
    asking.ask_sync(ASKED)

    def child():
        kept = asking.ask_sync(ASKED)
        new = asking.ask_sync([{"role": "user", "content": "from the child"}])
        return (kept.calls, new.calls, new.text) == (0, 1, "done")

    held = asking.cache._lock
    with held:
        # As it is where another thread of the parent is writing at that moment.
        assert in_a_fork(child) == 0
    assert asking.ask_sync([{"role": "user", "content": "from the child"}]).calls == 0
    assert len(server.bodies) == 2


def test_this_machine_is_not_asked_through_a_proxy(serve, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = serve(lambda number, body: "done")
    assert Client(server.url, "m", retries=0).ask_sync(ASKED).text == "done"
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert Client(server.url.replace("127.0.0.1", "localhost"), "m", retries=0).ask_sync(ASKED).text == "done"
    for url in ("http://127.8.8.8/v1", "http://[::1]:80/v1", "http://0.0.0.0:80/v1", "http://me:pw@localhost:80/v1"):
        assert goes_direct(url), url
    for url in ("http://example.com/v1", "http://127.0.0.1.example.com/v1", "http://10.0.0.1/v1", "http://localhost.com/v1"):
        assert not goes_direct(url), url


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy", "HTTP_PROXY"])
def test_a_socks_proxy_without_its_package_is_one_line(monkeypatch, name):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda what, *rest: None if what == "socksio" else find(what, *rest))
    monkeypatch.setenv(name, "socks5h://127.0.0.1:9")
    with pytest.raises(InputError, match=r"names a SOCKS proxy, which needs a package: pip install socksio"):
        Client("https://example.com/v1", "m")
    monkeypatch.setenv("no_proxy", "example.com")
    Client("https://example.com/v1", "m")


def test_a_proxy_that_is_none_is_one_line(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "gopher://127.0.0.1:9")
    with pytest.raises((InputError, LLMError)) as caught:
        Client("https://example.com/v1", "m", retries=0, timeout=1.0).ask_sync(ASKED)
    assert "\n" not in str(caught.value)


def fill(cache, count, size=1):
    for i in range(count):
        cache.put(ReplyCache.key(number=i), "m", "reply " * size, 1, 1)


def test_a_full_disk_under_the_cache_is_a_warning_and_no_end(serve, tmp_path):
    cache = ReplyCache(tmp_path / "c.sqlite")
    fill(cache, 3)
    cache._connection.execute("PRAGMA max_page_count = 3")
    with pytest.warns(UserWarning, match=r"no more replies are kept in .*c\.sqlite \(database or disk is full\)") as told:
        fill(cache, 200, size=500)
    assert sum("no more replies" in str(one.message) for one in told) == 1
    asking = Client(serve(lambda number, body: "long " * 5000).url, "m", cache=cache)
    assert asking.ask_sync(ASKED).calls == asking.ask_sync(ASKED).calls == 1
    assert cache.get(ReplyCache.key(number=0))[0] == "reply "


@pytest.fixture
def unwritable():
    """A folder, and what makes it one that this process cannot write to."""
    folder = Path(tempfile.mkdtemp())
    mine = os.geteuid()

    def close():
        for path in (folder, *folder.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        if mine == 0:
            os.seteuid(65534)

    yield folder, close
    if mine == 0:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are other ones here")
@pytest.mark.parametrize("closed", [True, False])
def test_a_cache_that_cannot_be_written_to_still_serves(unwritable, tmp_path, closed):
    folder, close = unwritable
    cache = ReplyCache(tmp_path / "c.sqlite")
    fill(cache, 3)
    if closed:
        cache.close()
    # Else as a crash leaves it: the replies are in the file that is written ahead.
    for path in tmp_path.glob("c.sqlite*"):
        shutil.copy(path, folder)
    close()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        kept = ReplyCache(folder / "c.sqlite")
        kept.put("key", "m", "new", 1, 1)
    assert ["no more replies are kept" in str(one.message) for one in told if one.category is UserWarning] == [True]
    assert kept.get(ReplyCache.key(number=2)) == ("reply ", 1, 1)
    assert kept.get("key") is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are other ones here")
def test_a_cache_that_cannot_be_made_is_a_warning_where_there_is_a_folder_for_it(unwritable):
    folder, close = unwritable
    close()
    with pytest.warns(UserWarning, match="no more replies are kept"):
        cache = ReplyCache(folder / "new.sqlite")
    assert cache.get("key") is None
    for wrong in (folder, folder / "none" / "c.sqlite"):
        with pytest.raises(InputError, match="give another file"):
            ReplyCache(wrong)


def test_a_damaged_cache_is_refused_all_the_same(tmp_path):
    cache = ReplyCache(tmp_path / "c.sqlite")
    cache._connection.execute("DROP TABLE replies")
    for work in (lambda: cache.put("k", "m", "t", 1, 1), lambda: cache.get("k")):
        with pytest.raises(InputError, match="give another file, or remove it"):
            work()
    assert isinstance(sqlite3.OperationalError("x"), sqlite3.Error)
