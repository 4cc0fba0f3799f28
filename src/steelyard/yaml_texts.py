"""YAML as people write it, through one door: no tag runs code, nothing explodes, and what does not parse is one line with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from steelyard.errors import InputError

_LONGEST = 10_000_000
"""Characters of a file: a mixture of 100,000 domains has three millions."""
_DEEPEST = 50
"""Levels inside each other."""
_MOST = 10
"""How often as large as it is written a text may become by its aliases."""
_FREE = 10_000
"""Parts that aliases may make in any case."""


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        InputError: where it cannot be read, is no YAML, or is too large, with the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, what: str, *, as_text: bool = False) -> Any:
    """What a text of YAML holds.

    Args:
        text: the YAML.
        what: whose text it is, for messages.
        as_text: whether every value is the text that it is written as, and 1.5 no number.

    Raises:
        InputError: where it is no YAML, has a key twice, is nested deeply, or has aliases that refer to themselves or explode.

    Example:
        >>> parse_yaml("{a: 1, b: [yes, no]}", "the recipe")
        {'a': 1, 'b': [True, False]}
        >>> parse_yaml("day: 2026-02-30", "the recipe")
        Traceback (most recent call last):
        steelyard.errors.InputError: the recipe: not valid YAML at line 1: day is out of range for month
        >>> parse_yaml("a: &a [*a]", "the recipe")
        Traceback (most recent call last):
        steelyard.errors.InputError: the recipe: not valid YAML at line 1: an alias refers to what it stands in
    """
    if len(text) > _LONGEST:
        raise InputError(f"{what}: {len(text):,} characters of YAML, where at most {_LONGEST:,} are read")
    try:
        loader: Any = _TextLoader(text) if as_text else _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, what)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        at = f" at line {mark.line + 1}" if mark is not None else ""
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise InputError(f"{what}: not valid YAML{at}: {' '.join(str(said).split())}") from None
    except RecursionError:
        raise InputError(f"{what}: not valid YAML: more than {_DEEPEST} levels inside each other") from None


class _Shallow(yaml.composer.Composer):
    """Stops at the first level too many: to read on costs seconds, since PyYAML looks at every open level again for each sign."""

    _level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        # The outermost part is on no level.
        if self._level > _DEEPEST:
            said = f"more than {_DEEPEST} levels inside each other"
            raise yaml.composer.ComposerError(None, None, said, self.peek_event().start_mark)  # type: ignore[attr-defined]
        self._level += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._level -= 1


class _TextLoader(_Shallow, yaml.BaseLoader):
    """Every value is the text that it is written as."""


class _Loader(_Shallow, yaml.SafeLoader):
    """The safe loader, which says where a value is none: a date that no calendar has, or what a tag says and the value is not."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, AttributeError, LookupError, TypeError, ArithmeticError) as error:
            kind = str(node.tag).rpartition(":")[2]
            said = str(error) if isinstance(error, ValueError) else f"{str(node.value)[:60]!r} is no {kind}"
            raise yaml.constructor.ConstructorError(None, None, said[:200], node.start_mark) from None


def _check(root: yaml.Node, what: str) -> None:
    """Refuse nodes that would become far more than was written, and keys that are there twice."""
    sizes: dict[int, int] = {}
    open_ones: set[int] = set()

    def refuse(node: yaml.Node, said: str) -> InputError:
        return InputError(f"{what}: not valid YAML at line {node.start_mark.line + 1}: {said}")

    def size(node: yaml.Node, depth: int) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_ones:
            raise refuse(node, "an alias refers to what it stands in")
        if depth > _DEEPEST:
            raise refuse(node, f"more than {_DEEPEST} levels inside each other")
        open_ones.add(id(node))
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                    raise refuse(key, f"the key {key.value!r} is there twice")
                seen.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key))
        sizes[id(node)] = 1 + sum([size(part, depth + 1) for part in parts])
        open_ones.discard(id(node))
        return sizes[id(node)]

    total = size(root, 0)
    if total > _FREE + _MOST * len(sizes):
        raise InputError(f"{what}: not valid YAML: its aliases make {total:,} parts of the {len(sizes):,} that are written")
