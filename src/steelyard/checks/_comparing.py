"""Two expressions compared in a process that can be killed: from any thread, inside a running event loop, and whatever a model wrote."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

from steelyard.errors import RunError

WORKERS = 2
_WALL_SECONDS = 30.0
"""After which a worker is killed. It stops itself long before, where the system can bound its processor time."""


class _Worker:
    """A process of `_compare_worker`; it starts with the first question, which waits for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-P", str(Path(__file__).with_name("_compare_worker.py"))]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONIOENCODING": "utf-8"},
                start_new_session=True,  # Ctrl-C stops the run, which then ends its workers
            )
            if not self._process.stdout or not self._process.stdout.readline():
                self.end()
                raise RunError(f"the process that compares answers did not start; `{' '.join(command)}` says why")
        return self._process

    def ask(self, truth: str, answer: str) -> bool | None:
        process = self._started()
        assert process.stdin
        assert process.stdout
        limit = threading.Timer(_WALL_SECONDS, process.kill)
        limit.daemon = True
        limit.start()
        try:
            process.stdin.write(json.dumps([truth, answer]) + "\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        except OSError:
            reply = ""
        finally:
            limit.cancel()
        if not reply:
            self.end()
            return None
        same = json.loads(reply)
        return None if same is None else bool(same)

    def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


class _Pool:
    """A few workers; who asks takes the next that is free."""

    def __init__(self) -> None:
        self._all = [_Worker() for _ in range(WORKERS)]
        self._free: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._all:
            self._free.put(worker)

    def ask(self, truth: str, answer: str) -> bool | None:
        worker = self._free.get()
        try:
            return worker.ask(truth, answer)
        finally:
            self._free.put(worker)

    def end(self) -> None:
        for worker in self._all:
            worker.end()


_pool = _Pool()


def _anew() -> None:
    """A forked process must not share its parent's workers: two would read one pipe."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)
atexit.register(lambda: _pool.end())


@functools.lru_cache(maxsize=65_536)
def compared(answer: str, truth: str) -> bool | None:
    r"""Whether math-verify reads two expressions alike; None where the comparison used up its time or its memory. The same two are compared once.

    Example:
        >>> compared(r"\sqrt{4}", "2"), compared("x^2+y^2", "y^2+x^2"), compared("9^{9^{9^9}}", "7")
        (True, True, None)
    """
    return _pool.ask(truth, answer)
