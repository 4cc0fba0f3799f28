"""Connections to servers: pools of one event loop, addresses with a query, and proxies, which nothing on this machine is asked through."""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from steelyard.errors import InputError
from steelyard.llm._dialects import Dialect

_POOL = 16
"""Requests in flight that share a connection pool."""
_LONGEST_PROBE = 10.0
"""Seconds that others wait at most for the first request of a form: a refusal comes at once, a reply may take minutes."""


@dataclass
class Asked:
    """A question under way, and how many wait for it."""

    key: str
    task: asyncio.Task[Any]
    waiting: int = 0


@dataclass
class OfLoop:
    """What belongs to one event loop."""

    turns: asyncio.Semaphore
    under_way: dict[str, Asked] = field(default_factory=dict)
    pools: dict[str, list[Any]] = field(default_factory=dict)
    probes: dict[str, asyncio.Lock] = field(default_factory=dict)
    asked: int = 0

    def leave(self, asked: Asked) -> None:
        """Let nobody join a question any more."""
        if self.under_way.get(asked.key) is asked:
            del self.under_way[asked.key]

    def client(self, url: str, api_key: str, timeout: float, concurrency: int) -> Any:
        """A connection pool of a server: one of several, since a pool looks through all its connections for every request."""
        pools = self.pools.setdefault(url, [])
        number = self.asked % -(-concurrency // _POOL)
        self.asked += 1
        while len(pools) <= number:
            pools.append(_connected(url, api_key, timeout))
        return pools[number]

    @asynccontextmanager
    async def probing(self, url: str, dialect: Dialect, form: Callable[[], frozenset[str]]) -> AsyncIterator[None]:
        """Let one request of a form that the server has not taken yet go alone: what it is taught, the others need not be taught.

        Args:
            url, dialect: of the server.
            form: gives the names of what would be sent now; it is called last just before the request may go.
        """
        if form() in dialect.settled:
            yield
            return
        lock = self.probes.setdefault(url, asyncio.Lock())
        try:
            async with asyncio.timeout(_LONGEST_PROBE):
                await lock.acquire()
        except TimeoutError:
            form()
            yield
            return
        if form() in dialect.settled:
            lock.release()
            yield
            return
        try:
            yield
        finally:
            lock.release()


def _connected(url: str, api_key: str, timeout: float) -> Any:
    import openai

    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    # Azure wants the key in a header of its own.
    azure = "api-version" in query or (parts.hostname or "").endswith(".azure.com")
    try:
        return openai.AsyncOpenAI(
            base_url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
            api_key=api_key,
            max_retries=0,
            timeout=timeout,
            default_query=query,
            default_headers={"api-key": api_key} if azure else None,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False) if goes_direct(url) else None,
        )
    except (ImportError, ValueError) as error:
        raise InputError(f"cannot connect to {parts.hostname}: {' '.join(str(error).split())}") from None


def is_address(url: str) -> bool:
    """Whether a text is the address of a server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def goes_direct(url: str) -> bool:
    """Whether a server is asked without the environment's proxies: on this machine always, elsewhere where `no_proxy` names it.

    Example:
        >>> goes_direct("http://127.0.0.1:8000/v1"), goes_direct("http://[::1]/v1"), goes_direct("http://localhost:1/v1")
        (True, True, True)
    """
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
        here = address.is_loopback or address.is_unspecified
    except ValueError:
        here = host == "localhost" or host.endswith(".localhost")
    return here or bool(proxy_bypass(host))


def check_proxies(url: str) -> None:
    """Refuse a proxy that cannot be used.

    Raises:
        InputError: where the environment names a SOCKS proxy, and the package for such is not installed.
    """
    if goes_direct(url):
        return
    for scheme, proxy in getproxies().items():
        if proxy.lower().startswith("socks") and importlib.util.find_spec("socksio") is None:
            raise InputError(
                f"the environment's {scheme}_proxy names a SOCKS proxy, which needs a package: pip install socksio, or unset it, or name "
                f"{urlsplit(url).hostname} in no_proxy"
            )
