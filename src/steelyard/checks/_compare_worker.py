"""The program that compares expressions for `_comparing`: a line of JSON in, a line of JSON out. It imports math-verify and nothing of Steelyard."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import IO, Any

_CPU_SECONDS = 1.0
"""Of processor time for one comparison, and not of time on the wall: a busy machine must not change what is equal."""
_BYTES = 4 * 2**30
"""Of memory: the digits of an endless power would fill the machine before the time is up."""


def _same(truth: str, answer: str) -> bool:
    """Whether math-verify reads both alike. It reads LaTeX only: its other reader hands text to Python's own parser."""
    from math_verify import LatexExtractionConfig, parse, verify

    reader = [LatexExtractionConfig()]
    read = [parse(f"\\boxed{{{text}}}", extraction_config=reader, parsing_timeout=None) for text in (truth, answer)]
    return bool(verify(*read, timeout_seconds=None))


def _serve(requests: IO[str], replies: IO[str], *, limited: bool) -> None:
    """Compare until there are no more requests. Where a comparison uses up its processor time the kernel ends the process, whatever it computes."""
    for line in requests:
        if limited:
            signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
        same: bool | None = None
        try:
            same = _same(*json.loads(line))
        except (MemoryError, RecursionError):
            pass
        except Exception:  # what math-verify cannot read is no equal of anything
            same = False
        if limited:
            signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(json.dumps(same) + "\n")
        replies.flush()


class _Child:
    """A fork of this process, which has math-verify in memory: the next one costs a millisecond and not a second."""

    def __init__(self, replies: IO[str]) -> None:
        self._replies = replies
        self._pid = 0
        self._pipes: tuple[Any, Any] = (None, None)

    def _start(self) -> None:
        import resource

        down, up = os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(down[1])
            os.close(up[0])
            os.close(self._replies.fileno())  # so that it ends with this process, should that be killed
            resource.setrlimit(resource.RLIMIT_AS, (_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
            _serve(os.fdopen(down[0]), os.fdopen(up[1], "w"), limited=True)
            os._exit(0)
        os.close(down[0])
        os.close(up[1])
        self._pipes = os.fdopen(down[1], "w"), os.fdopen(up[0])

    def ask(self, line: str) -> str:
        """The child's reply; empty where it died over this question."""
        if not self._pid or os.waitpid(self._pid, os.WNOHANG)[0]:
            self._start()
        down, up = self._pipes
        try:
            down.write(line)
            down.flush()
            reply = up.readline()
        except OSError:
            reply = ""
        if not reply:
            os.waitpid(self._pid, 0)
            self._pid = 0
        return str(reply)


def _main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing that a library prints may be taken for a reply
    _same("\\frac{x}{2}", "x/2")  # what is built at the first expression is built before the forks
    print("ready", file=replies, flush=True)
    if not hasattr(os, "fork"):
        return _serve(sys.stdin, replies, limited=False)
    child = _Child(replies)
    for line in sys.stdin:
        replies.write(child.ask(line) or "null\n")
        replies.flush()
    return None


if __name__ == "__main__":
    _main()
