"""What every command shares: the terminal, quiet libraries, and whether the hub can be reached."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from typer.core import TyperCommand


class LateHelp(TyperCommand):
    """A command some of whose help is looked up when it is asked for: names and forms from registries, which take time to import.

    `texts` has, by command and option, what makes the text that stands for `...` in the option's help.
    """

    texts: ClassVar[dict[tuple[str, str], Callable[[], str]]] = {}

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As typer, with the texts filled in."""
        for option in self.params:
            made = self.texts.get((str(self.name), str(option.name)))
            if made is not None and "..." in (option.help or ""):  # type: ignore[attr-defined]
                option.help = option.help.replace("...", made())  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CONTROL |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""What a terminal obeys and does not show, and what turns the direction of writing, written out."""


def shown(text: str) -> str:
    """A text as the terminal shows it and does not obey it: a server, a row or a file may hold escape codes.

    Example:
        >>> print(shown("\x1b[31mred\x07"))
        \\x1b[31mred\\x07
    """
    return text.translate(_CONTROL)


def terminal() -> Any:
    """The terminal, which obeys no escape codes of texts; where output goes to a file or a pipe, wide enough that lines stay whole."""
    from rich.console import Console as RichConsole
    from rich.segment import Segment

    class Console(RichConsole):
        def render(self, renderable: Any, options: Any = None) -> Any:
            for segment in super().render(renderable, options):
                plain = segment.control or segment.text.isprintable()
                yield segment if plain else Segment(shown(segment.text), segment.style)

    # What the terminal cannot show is replaced: a sign that it lacks must not end a run.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    width = None if sys.stdout.isatty() else 130
    return Console(markup=False, emoji=False, width=width)


def quiet_environment() -> None:
    """Keep libraries' progress bars and hints out of our output, unless the user asked for them, and show warnings in one line each."""
    import warnings

    # Ours are for the user: without the place in the source.
    warnings.formatwarning = lambda message, *args, **kwargs: f"steelyard: warning: {' '.join(shown(str(message)).split())}\n"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def settle_hub(*, needed: bool = True) -> None:
    """Where the hub is out of reach, tell its libraries so: they look into their caches at once instead of trying again for a minute."""
    import socket

    if any(key.lower() == "https_proxy" for key in os.environ):
        return
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").partition("//")[2].partition("/")[0].partition(":")[0]
    try:
        if needed:
            socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        needed = False
    if not needed:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def short_warnings() -> None:
    """Show warnings as the user's: in one line, without the place in the source."""
    import warnings

    warnings.formatwarning = lambda message, *args, **kwargs: f"steelyard: warning: {shown(str(message))}\n"


def quiet_libraries() -> None:
    """Show none of the libraries' warnings."""
    import logging
    import warnings

    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="(trl|transformers|torch|peft|accelerate)")
    logging.getLogger("trl").setLevel(logging.ERROR)
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    import transformers

    transformers.utils.logging.disable_progress_bar()
