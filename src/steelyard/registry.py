"""Things that are chosen by a name: each adds itself where it stands, so that a new one is one file."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from steelyard.errors import InputError, nearest

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Things of one kind by name; the files of a folder are imported when the first name is asked for.

    Args:
        what: one of these things, as messages call it.
        package: the folder whose files add to it, as "steelyard.weighting"; files whose name begins with an underscore are passed over.

    Names are in alphabetical order.

    Example:
        >>> shapes = Registry("shape", "steelyard.tasks")
        >>> @shapes.add("circle")
        ... def circle(radius: float) -> float:
        ...     return 3.14 * radius**2
        >>> list(shapes), shapes.find("circle")(1.0)
        (['circle'], 3.14)
        >>> shapes.find("circel")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown shape 'circel' (did you mean 'circle'?): use one of circle
    """

    def __init__(self, what: str, package: str) -> None:
        self.what, self.package = what, package
        self._things: dict[str, T] = {}
        self._complete = self._loading = False
        self._lock = threading.RLock()

    def add(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a class or a function by a name.

        Raises:
            InputError: where another thing has that name.
        """

        def added(thing: T) -> T:
            kept = self._things.get(name)
            # A module that is imported anew brings its things again.
            if kept is not None and _home(kept) != _home(thing):
                raise InputError(f"two things are the {self.what} {name!r}: {_home(kept)} and {_home(thing)}; rename one")
            self._things[name] = thing
            return thing

        return added

    def find(self, name: str) -> T:
        """The thing of a name.

        Raises:
            InputError: where there is none, with those there are.
        """
        if not isinstance(name, str) or name not in self:
            raise InputError(f"unknown {self.what} {name!r}{nearest(str(name), self)}: use one of {', '.join(self)}")
        return self[name]

    def __getitem__(self, name: str) -> T:
        self._load()
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._things))

    def __len__(self) -> int:
        self._load()
        return len(self._things)

    def _load(self) -> None:
        if self._complete:
            return
        # Another thread waits until all is there; a file that asks while it is imported sees what is there so far.
        with self._lock:
            if self._complete or self._loading:
                return
            self._loading = True
            try:
                for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
                    if not module.name.startswith("_"):
                        importlib.import_module(f"{self.package}.{module.name}")
                self._complete = True
            finally:
                self._loading = False


def _home(thing: object) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', repr(thing))}"
