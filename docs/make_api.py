"""Write docs/api.md: every public name by its room, with the first line of what it says of itself.

python docs/make_api.py > docs/api.md
"""

import importlib
import inspect
from types import ModuleType

import steelyard

ROOMS = (
    "objectives",
    "checks",
    "weighting",
    "mixture",
    "rubric",
    "rubric_reward",
    "llm",
    "bench",
    "training",
    "recipes",
    "runs",
    "report",
    "models",
)
ON_THEIR_OWN = (
    "advantages",
    "pareto",
    "runlog",
    "rows",
    "registry",
    "settings",
    "errors",
    "files",
    "intervals",
    "messages",
    "seeds",
)


def first_line(thing: object) -> str:
    """What a name is, in one line."""
    if isinstance(thing, (ModuleType, type)) or callable(thing):
        text = inspect.getdoc(thing) or ""
        return " ".join(text.split("\n\n")[0].split())
    return f"a {type(thing).__name__}"


def own_names(module: ModuleType) -> list[str]:
    """The public classes and functions that stand in a module."""
    return sorted(
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and callable(thing) and getattr(thing, "__module__", "") == module.__name__
    )


def lines() -> list[str]:
    """The page."""
    out = [
        "# Public names",
        "",
        "Made by `make docs` from the package itself. What is listed here is stable: it changes with a line in the changelog, and goes on working under a",
        "former name until 1.0. Modules and names that begin with an underscore, and what is not listed, are private.",
        "",
        f"From `steelyard` itself: {', '.join(f'`{name}`' for name in steelyard.__all__ if not name.startswith('_'))}.",
    ]
    for room in (*ROOMS, *ON_THEIR_OWN):
        module = importlib.import_module(f"steelyard.{room}")
        names = sorted(module.__all__) if room in ROOMS else own_names(module)
        out += ["", f"## steelyard.{room}", "", first_line(module), "", "| | |", "|---|---|"]
        out += [f"| `{name}` | {first_line(getattr(module, name)).replace('|', chr(92) + '|')} |" for name in names]
    return out


if __name__ == "__main__":
    print("\n".join(lines()))
