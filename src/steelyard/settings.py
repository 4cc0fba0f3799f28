"""Settings that follow from what they belong to: names, types, defaults, ranges and help from a signature and its docstring.

A class or function that is chosen by name says its settings once, in its signature (`mu: Positive = 1e-5`) and in the `Args:` of its docstring.
Recipes, the command line, the JSON schema and the docs read them from there (`settings_model`); the constructor itself is held to them by
`@checked`.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from steelyard.errors import InputError, nearest

Number = Annotated[float, Field(gt=float("-inf"))]
"""A finite number."""
Positive = Annotated[float, Field(gt=0)]
"""A finite number above 0."""
NotNegative = Annotated[float, Field(ge=0)]
"""A finite number, 0 or more."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""A number of at least 0 and below 1."""
Portion = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1, both included."""
Count = Annotated[int, Field(ge=1)]
"""A whole number, at least 1."""
CountFromZero = Annotated[int, Field(ge=0)]
"""A whole number, 0 or more."""

F = TypeVar("F", bound=Callable[..., Any])


class Part(BaseModel):
    """A part of a recipe: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parameters_of(made_by: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Annotation and default (`inspect.Parameter.empty` for none) of every parameter of a class or function, by name.

    Example:
        >>> def method(*, mu: Positive = 1e-5): ...
        >>> parameters_of(method)["mu"][1]
        1e-05
    """
    function = made_by.__init__ if inspect.isclass(made_by) else made_by
    hints = get_type_hints(function, include_extras=True)
    found = inspect.signature(made_by).parameters.values()
    return {p.name: (hints.get(p.name, Any), p.default) for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def help_of(made_by: Callable[..., Any]) -> dict[str, str]:
    """What a docstring's `Args:` or `Attributes:` say of every parameter; of a class, what its bases say where it says nothing itself.

    "see `Name`" stands for what `Name`, of the same module, says of the same parameter.

    Example:
        >>> def method(low, high):
        ...     '''Say nothing.
        ...
        ...     Args:
        ...         low, high: the bounds,
        ...             both included.
        ...     '''
        >>> help_of(method)
        {'low': 'the bounds, both included', 'high': 'the bounds, both included'}
    """
    out: dict[str, str] = {}
    for owner in made_by.__mro__ if inspect.isclass(made_by) else [made_by]:
        doc = inspect.cleandoc(owner.__doc__ or "") + "\n"
        section = re.search(r"^(?:Args|Attributes):\n((?:[ ]{4}.*\n?|\n)*)", doc, re.MULTILINE)
        for entry in re.split(r"\n(?=\S)", textwrap.dedent(section[1]).strip()) if section else []:
            names, colon, meaning = entry.partition(": ")
            for name in map(str.strip, names.split(",")) if colon else ():
                elsewhere = re.match(r"see `(\w+)`", meaning)
                if elsewhere and hasattr(module := sys.modules[owner.__module__], elsewhere[1]):
                    text = help_of(getattr(module, elsewhere[1])).get(name, meaning)
                else:
                    text = " ".join(meaning.split()).rstrip(".")
                out.setdefault(name, text)
    return out


def settings_model(
    made_by: Callable[..., Any], name: str, *, tag: str | None, leave_out: tuple[str, ...] = (), base: type[BaseModel] = Part
) -> type[BaseModel]:
    """A pydantic model of the settings of a class or function.

    Args:
        made_by: whose signature and docstring are read.
        name: by which it is chosen: the value of the field `tag`.
        tag: the field that tells models apart, as "method"; None for none.
        leave_out: parameters that are no settings.
        base: of the model.

    Returns:
        A model that forbids other keys.

    Example:
        >>> def follow(*, mu: Positive = 1e-5):
        ...     '''Follow the gradients.
        ...
        ...     Args:
        ...         mu: how strongly to hold on.
        ...     '''
        >>> model = settings_model(follow, "follow", tag="method")
        >>> model(method="follow").mu, model.model_fields["mu"].description
        (1e-05, 'how strongly to hold on')
        >>> model.model_json_schema()["properties"]["mu"]["exclusiveMinimum"]
        0
    """
    meanings = help_of(made_by)
    fields: dict[str, tuple[Any, Any]] = {}
    if tag is not None:
        fields[tag] = (Literal[name], Field(description="which one"))
    for parameter, (annotation, default) in parameters_of(made_by).items():
        if parameter not in leave_out:
            given = PydanticUndefined if default is inspect.Parameter.empty else default
            fields[parameter] = (annotation, Field(given, description=meanings.get(parameter)))
    first_line = inspect.cleandoc(made_by.__doc__ or "").partition("\n")[0]
    title = "".join(word.capitalize() for word in re.split(r"\W+", f"{name} {tag or ''}"))
    made: type[BaseModel] = create_model(title, __base__=base, __doc__=first_line, **fields)  # type: ignore[call-overload]
    return made


def options_of(made_by: Callable[..., Any], options: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Options for a class or function, held to its signature: names, types, ranges.

    Args:
        made_by: what will be called with them.
        options: by name.
        what: what they belong to, for messages.

    Returns:
        The options, converted to the types of the annotations.

    Raises:
        InputError: naming an option that is unknown (with the nearest one), missing, or not what it must be.

    Example:
        >>> def words(*, at_least: Count = 1): ...
        >>> options_of(words, {"at_least": 2}, what="check 'words'")
        {'at_least': 2}
        >>> options_of(words, {"atleast": 2}, what="check 'words'")
        Traceback (most recent call last):
        steelyard.errors.InputError: check 'words' has no option 'atleast' (did you mean 'at_least'?): it takes at_least
        >>> options_of(words, {"at_least": 0}, what="check 'words'")
        Traceback (most recent call last):
        steelyard.errors.InputError: check 'words': at_least: input should be greater than or equal to 1, but found 0
    """
    known = parameters_of(made_by)
    for name in options:
        if name not in known:
            raise InputError(f"{what} has no option {name!r}{nearest(str(name), known)}: it takes {', '.join(known) or 'none'}")
    missing = [name for name, (_, default) in known.items() if default is inspect.Parameter.empty and name not in options]
    if missing:
        raise InputError(f"{what} needs options {{{', '.join(f'{name}: ...' for name in missing)}}}")
    out, wrong = {}, []
    for name, value in options.items():
        if isinstance(value, bool):
            # Pydantic takes True for 1, but `at_most: yes` is a slip.
            try:
                check_value(name, value, known[name][0])
            except InputError as error:
                wrong.append(str(error))
                continue
        try:
            out[name] = _adapter(known[name][0]).validate_python(value)
        except ValidationError as error:
            wrong += [explained({**problem, "loc": (name, *problem["loc"])}) for problem in error.errors()]
    if wrong:
        raise InputError(f"{what}: " + "; ".join(wrong))
    return out


def fits(value: Any, annotation: Any) -> bool:
    """Whether an annotation allows a value.

    Example:
        >>> fits(1.5, str), fits("1.5", str), fits(True, Count)
        (False, True, False)
    """
    try:
        if isinstance(value, bool):
            check_value("it", value, annotation)
        _adapter(annotation).validate_python(value)
    except (InputError, ValidationError):
        return False
    return True


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))


def option_schema(annotation: Any) -> dict[str, Any]:
    """The JSON schema of what an annotation allows.

    Example:
        >>> option_schema(Count)
        {'minimum': 1, 'type': 'integer'}
    """
    return _adapter(annotation).json_schema()


def explained(problem: Mapping[str, Any]) -> str:
    """One problem that pydantic found, in our words: where, what must be, what is."""
    path = ".".join(str(part) for part in problem["loc"])
    message = re.sub(r"^(Value error|Assertion failed), ", "", problem["msg"])
    if problem["type"] == "value_error":
        return f"{path}: {message}" if path else message
    return f"{path}: {message[0].lower()}{message[1:]}, but found {problem['input']!r}"


def checked(function: F) -> F:
    """Hold the arguments of a constructor or function to its annotations: ranges of numbers, and choices.

    Numbers are converted to the type of their annotation; what else an annotation says is left to the function.

    Raises:
        InputError: naming the argument, what it must be, and what it is.

    Example:
        >>> @checked
        ... def method(mu: Positive = 1e-5, *, every: Count = 1, shape: Literal["line", "step"] = "line"):
        ...     return mu, every, shape
        >>> method(1)
        (1.0, 1, 'line')
        >>> method("1e-5")
        Traceback (most recent call last):
        steelyard.errors.InputError: mu must be a number above 0, but is '1e-5'
        >>> method(every=2.5)
        Traceback (most recent call last):
        steelyard.errors.InputError: every must be a whole number, at least 1, but is 2.5
        >>> method(shape="circle")
        Traceback (most recent call last):
        steelyard.errors.InputError: shape must be one of line, step, but is 'circle'
    """
    signature = inspect.signature(function)

    @functools.lru_cache(maxsize=1)
    def annotations() -> Mapping[str, Any]:
        # When first called: an annotation may name what is defined further down.
        return get_type_hints(function, include_extras=True)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in annotations():
                bound.arguments[name] = check_value(name, value, annotations()[name])
        return function(*bound.args, **bound.kwargs)

    return call  # type: ignore[return-value]


def check_value(name: str, value: Any, annotation: Any) -> Any:
    """A value that an annotation allows: numbers within their range, one of the choices; anything else is given back as it is.

    Example:
        >>> check_value("momentum", 1.0, Share)
        Traceback (most recent call last):
        steelyard.errors.InputError: momentum must be a number of at least 0 and below 1, but is 1.0
    """
    if get_origin(annotation) in (Union, UnionType) and type(None) in get_args(annotation):
        others = [part for part in get_args(annotation) if part is not type(None)]
        return value if value is None or len(others) > 1 else check_value(name, value, others[0])
    if get_origin(annotation) is Literal:
        if value not in get_args(annotation):
            choices = [str(choice) for choice in get_args(annotation)]
            raise InputError(f"{name} must be one of {', '.join(choices)}, but is {value!r}{nearest(str(value), choices)}")
        return value
    kind, *rest = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    bounds = {key: bound for part in rest if isinstance(part, FieldInfo) for key, bound in _bounds(part).items()}
    if kind is int and bounds:
        if not isinstance(value, Integral) or isinstance(value, bool) or value < bounds.get("ge", -math.inf):
            raise InputError(f"{name} must be a whole number, at least {bounds['ge']}, but is {value!r}")
        return int(value)
    if kind is float and bounds:
        wanted = (
            f" above {bounds['gt']:g}"
            if bounds.get("gt", -math.inf) > -math.inf
            else f" of at least {bounds['ge']:g}"
            if "ge" in bounds
            else ""
        )
        wanted += f" and below {bounds['lt']:g}" if "lt" in bounds else f" and at most {bounds['le']:g}" if "le" in bounds else ""
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
        above, least = bounds.get("gt", -math.inf), bounds.get("ge", -math.inf)
        below, most = bounds.get("lt", math.inf), bounds.get("le", math.inf)
        if not (math.isfinite(number) and above < number < below and least <= number <= most):
            raise InputError(f"{name} must be a number{wanted}, but is {value!r}")
        return number
    return value


def _bounds(info: FieldInfo) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in info.metadata:
        found |= {key: getattr(part, key) for key in ("gt", "ge", "lt", "le") if hasattr(part, key)}
    return found
