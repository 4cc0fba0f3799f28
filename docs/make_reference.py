"""Write docs/reference.md: every weighting, schedule, objective and check with its settings, from the code itself.

python docs/make_reference.py > docs/reference.md
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from steelyard.checks import check_kinds
from steelyard.mixture import SCHEDULES, schedule_forms
from steelyard.objectives import BUILT_IN
from steelyard.recipes._points import PointsConfig
from steelyard.recipes._rubric import RubricConfig
from steelyard.settings import help_of, option_schema, parameters_of
from steelyard.weighting import METHODS


def first_line(thing: object) -> str:
    """The first sentence of a docstring."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def allowed(schema: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in a few words."""
    if "$ref" in schema:
        return "mapping"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(allowed(part) for part in schema["anyOf"] if part.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "prefixItems" in schema:
        return "pair"
    if schema.get("type") == "array":
        return f"list of {allowed(schema.get('items', {}))}s"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"mapping to {allowed(values)}s" if isinstance(values, dict) and values else "mapping"
    words = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false"}
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if abs(schema.get(key, float("inf"))) < float("inf")]
    return " ".join([words.get(schema.get("type", ""), "anything"), ", ".join(bounds)]).strip()


def table(made_by: Callable[..., Any], leave_out: tuple[str, ...] = ()) -> list[str]:
    """A row a setting."""
    told = help_of(made_by)
    rows = []
    for name, (annotation, default) in parameters_of(made_by).items():
        if name not in leave_out:
            shown = "needed" if default is inspect.Parameter.empty else "" if default is None else f"`{default}`"
            rows.append(f"| `{name}` | {allowed(option_schema(annotation))} | {shown} | {told.get(name, '')} |")
    return ["| setting | | default | |", "|---|---|---|---|", *rows] if rows else ["No settings."]


def config_table(config: type[BaseModel]) -> list[str]:
    """A row a field of a recipe's part."""
    schema = config.model_json_schema()
    rows = []
    for name, field in config.model_fields.items():
        if name != "kind":
            default = field.get_default(call_default_factory=True)
            shown = (
                "needed"
                if field.is_required()
                else ""
                if default in (None, [], {}) or isinstance(default, BaseModel)
                else f"`{default}`"
            )
            rows.append(f"| `{name}` | {allowed(schema['properties'][name])} | {shown} | {field.description or ''} |")
    return ["| setting | | default | |", "|---|---|---|---|", *rows]


def fields(schedule: type) -> list[str]:
    """A row a field of a schedule."""
    told = help_of(schedule)
    rows = [
        f"| `{field.name}` | {'needed' if field.default is dataclasses.MISSING else f'`{field.default}`'} | {told.get(field.name, '')} |"
        for field in dataclasses.fields(schedule)
    ]
    return ["| field | default | |", "|---|---|---|", *rows]


def lines() -> list[str]:
    """The page."""
    out = [
        "# Reference",
        "",
        "Made by `make docs` from the code itself: what a recipe's `weighting`, `mixture` and `objectives` take.",
    ]
    out += [
        "",
        "## Weightings",
        "",
        "`weighting: {method: NAME, ...}`; a class of your own is `method: file.py:Class`, see [extending](extending.md).",
    ]
    for name, made_by in METHODS.items():
        out += ["", f"### {name}", "", first_line(made_by), "", *table(made_by)]
    out += ["", "## Schedules", "", "`mixture: {schedule: WORD}`, and `steelyard mix --schedule WORD`."]
    for word, schedule in SCHEDULES.items():
        out += ["", f"### {word}", "", first_line(schedule), "", f"Written: {schedule_forms()[word]}", "", *fields(schedule)]
    out += ["", "## Objectives", "", "`- {kind: NAME, options: {...}}`; the name is given beside them."]
    for name, factory in BUILT_IN.items():
        out += ["", f"### {name}", "", first_line(factory), "", *table(factory, leave_out=("name",))]
    for kind, config in (("rubric", RubricConfig), ("points", PointsConfig)):
        out += ["", f"### {kind}", "", first_line(config), "", "`- {kind: " + kind + ", ...}`", "", *config_table(config)]
    out += [
        "",
        "## Checks",
        "",
        "`- {kind: check, check: NAME, options: {...}}` as a reward, `--guard NAME:option=value` for a judge.",
    ]
    for name, check in check_kinds().items():
        out += ["", f"### check {name}", "", first_line(check), "", *table(check)]
    return out


if __name__ == "__main__":
    print("\n".join(lines()))
