"""The public functions' door: arguments of a wrong kind are refused there, by the type hints."""

from __future__ import annotations

import builtins
import inspect
import math
import os
import re
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from snsearch.codec import near
from snsearch.errors import SpecError
from snsearch.prose import shortened

P = ParamSpec("P")
R = TypeVar("R")
_WORDS = {
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "a text",
    Path: "a path",
    types.NoneType: "None",
    Callable: "a function",
}
_KINDS: dict[Any, Any] = {None: types.NoneType, int: Integral, float: Real, Path: os.PathLike}


class _Names(dict[str, Any]):
    """The names that a module's hints use; what is imported for type checks only comes from `__init__.pyi`."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            return getattr(builtins, name)
        import snsearch

        return getattr(snsearch, name, Any)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which raises SpecError for an argument that its type hints do not allow."""
    signature = inspect.signature(function)

    @cache
    def hint_of(name: str) -> Any:
        # One at a time: what the hints of the others name need not be imported.
        one = types.SimpleNamespace(__annotations__={name: signature.parameters[name].annotation})
        return get_type_hints(one, {}, _Names(function.__globals__))[name]

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # it says better what is missing, or is no argument
        for name, value in given.arguments.items():
            parameter = signature.parameters[name]
            for one in value if parameter.kind is parameter.VAR_POSITIONAL else (value,):
                if one is not parameter.default and not _fits(one, hint := hint_of(name)):
                    expected = " or ".join(_words(hint))
                    options = [
                        word for part in _parts(hint) if get_origin(part) is Literal for word in get_args(part)
                    ]
                    meant = near(one, options) if isinstance(one, str) else ""
                    raise SpecError(f"{function.__name__}: {name} is {shortened(one)}; expected {expected}{meant}")
            given.arguments[name] = _plain(value)
        return function(*given.args, **given.kwargs)

    return call


@contextmanager
def naming(argument: str) -> Iterator[None]:
    """Puts the argument's name in front of a SpecError from within."""
    try:
        yield
    except SpecError as error:
        raise type(error)(f"{argument}: {error}") from None


def check_range(name: str, value: float | None, low: float, high: float = math.inf, *, above: bool = False) -> None:
    """Raises SpecError for a number below `low` or above `high`, with `above` also for `low`; None is none."""
    if value is None or (low <= value <= high and not (above and value == low)):
        return
    if math.isinf(high):
        expected = f"at least {low:,}"
    else:
        expected = f"{'above ' if above else ''}{low:,}{', up to' if above else ' to'} {high:,}"
    raise SpecError(f"{name}: {shortened(value)} is out of range; expected {expected}")


def _plain(value: Any) -> Any:
    """The value; a number of numpy, also within a list or tuple, as Python's."""
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if not isinstance(value, Real) or isinstance(value, bool | int):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _parts(hint: Any) -> tuple[Any, ...]:
    """The kinds of a union, or the one kind."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of a hint's kind; an integer is a number, and True is none."""
    return any(_is(value, part) for part in _parts(hint))


def _is(value: object, kind: Any) -> bool:
    origin, args = get_origin(kind) or kind, get_args(kind)
    if origin is Any or origin is object:
        return True
    if origin is Literal:
        return value in args
    if isinstance(value, bool | str) and origin not in (bool, str):
        return False
    if not isinstance(value, _KINDS.get(origin, origin)):
        return False
    if origin is tuple and args[-1:] != (...,):
        return not args or (len(value) == len(args) and all(map(_fits, value, args)))
    if issubclass(origin, Sequence) and args:
        return all(_fits(one, args[0]) for one in value)
    return True


def _words(hint: Any) -> list[str]:
    """What a hint allows, in words."""
    found = []
    for part in _parts(hint):
        origin, args = get_origin(part) or part, get_args(part)
        if origin is Literal:
            found += [f'"{word}"' for word in args]
        elif origin in (tuple, Sequence):
            if origin is tuple and ... not in args:
                found.append(f"({', '.join(' or '.join(_words(one)) for one in args)})")
            else:
                found.append(f"a list of {' or '.join(map(_plural, _words(args[0])))}")
        else:
            found.append(_WORDS.get(origin) or str(getattr(origin, "__name__", origin)))
    return list(dict.fromkeys(found))


def _plural(words: str) -> str:
    """Several of what the words name: "integers" of "an integer", "lists of texts" of "a list of texts"."""
    return re.sub(r"^an? (\w+)", r"\1s", words)
