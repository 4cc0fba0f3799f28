"""Comparisons in processes that can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from steelyard.checks import _comparing
from steelyard.checks._comparing import compared
from steelyard.errors import RunError


def test_any_thread_may_ask():
    found = {}

    def ask(n):
        found[n] = compared(f"{n}x+1", f"1+{n}x")

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(2, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(2, 14), True)


def test_an_event_loop_goes_on_while_an_endless_comparison_runs():
    async def run():
        ticks = 0
        asked = asyncio.create_task(asyncio.to_thread(compared, "7^{7^{7^{7}}}", "1"))
        while not asked.done():
            await asyncio.sleep(0.02)
            ticks += 1
        return asked.result(), ticks

    result, ticks = asyncio.run(run())
    assert result is None
    assert ticks > 5


def test_inside_a_running_event_loop():
    async def run():
        return compared("x+3", "3+x")

    assert asyncio.run(run()) is True


def test_the_next_comparison_after_a_killed_one_is_answered():
    pairs = [("6^{6^{6^{6}}}", "1"), ("y+3", "3+y"), ("6^{6^{6^{7}}}", "1"), ("y+4", "3+y")]
    assert [compared(*pair) for pair in pairs] == [None, True, None, False]


def test_a_worker_that_somebody_else_killed_is_replaced():
    pool = _comparing._Pool()
    assert pool.ask("a+b", "b+a") is True
    for worker in pool._all:
        if worker._process:
            os.kill(worker._process.pid, signal.SIGTERM)
            worker._process.wait()
    assert pool.ask("a+b", "b+a") is True
    pool.end()


def test_what_takes_too_long_by_the_clock_is_killed(monkeypatch):
    monkeypatch.setattr(_comparing, "_WALL_SECONDS", 0.2)
    pool = _comparing._Pool()
    pool.ask("a", "b")  # starts the process
    began = time.perf_counter()
    assert pool.ask("7", "8^{8^{8^{8}}}") is None
    assert time.perf_counter() - began < 0.9
    pool.end()


def test_a_process_that_cannot_start_is_an_error_and_no_verdict(monkeypatch):
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RunError, match="did not start"):
        _comparing._Pool().ask("a", "b")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_workers_of_its_own():
    script = """
import os
from steelyard.checks._comparing import compared
from steelyard.errors import RunError
assert compared("x+1", "1+x") is True
child = os.fork()
if child == 0:
    os._exit(0 if all(compared(f"{n}x+1", f"1+{n}x") is True for n in range(2, 30)) else 1)
assert all(compared(f"{n}y+1", f"2+{n}y") is False for n in range(2, 30))
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_nothing_is_left_running():
    script = """
from steelyard.checks import _comparing
_comparing.compared("x+1", "1+x")
print(*[worker._process.pid for worker in _comparing._pool._all if worker._process])
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True)
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    time.sleep(0.2)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert done.stderr == ""
