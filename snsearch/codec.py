"""Typed records from JSON and TOML values, and back.

The fields and type hints of a dataclass say what is read: an unknown or missing key, a wrong type, NaN, infinity and
an absurd integer are refused with the path, what was given and what was expected. `Field` in an `Annotated` hint adds
what a type cannot say, `Stored` as a record's STORED its schema.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from snsearch.errors import SnsearchError, SpecError
from snsearch.prose import excerpt, shortened

T = TypeVar("T")
Path = tuple[str | int, ...]  # of a value: keys and indices
_MOST_INTEGER = 1 << 63
_MOST_NUMBER = sys.float_info.max


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """What a field's type does not say; of several in a hint, a later one overrides."""

    expected: str = ""  # in a message: "a positive integer"
    check: Callable[[Any], object] | None = None  # of the typed value
    key: str | None = None  # if not the field's name; "unit.groups" is in the table "unit", and "" is not in the file
    read: Callable[[Any], Any] | None = None  # in place of the type's; raises TypeError, ValueError or SnsearchError
    write: Callable[[Any], Any] | None = None  # its inverse
    toml: bool = False  # in TOML files only
    sparse: bool = False  # not written where it has its default, in JSON as in TOML

    @property
    def said(self) -> dict[str, Any]:
        """What is not the default."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What a record's JSON object holds beside its fields."""

    schema: int | None = None
    older: tuple[int, ...] = ()  # schemas that `upgrade` brings to this one
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict  # what earlier versions wrote -> this one's values
    derived: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)  # written for readers, never read


def text(expected: str, *, toml: bool = False) -> Field:
    """A text that is not blank."""
    return Field(expected=expected, check=str.strip, toml=toml)


def number(expected: str, least: float, most: float = _MOST_NUMBER) -> Field:
    """A number in a range."""
    return Field(expected=expected, check=lambda value: least <= value <= most)


def filled(expected: str) -> Field:
    """A list or table that is not empty."""
    return Field(expected=expected, check=len)


def _from_null(value: Any) -> float:
    return math.inf if value is None else _number(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not -_MOST_NUMBER <= value <= _MOST_NUMBER:
        raise TypeError
    return float(value)


Text = Annotated[str, text("a text")]
Count = Annotated[int, number("a positive integer up to 1,000,000", 1, 1_000_000)]
# A number that may be infinite, which JSON has as null.
Unbounded = Annotated[float, Field(read=_from_null, write=lambda value: value if math.isfinite(value) else None)]
Whole = Annotated[int, number("a positive integer", 1)]
Share = Annotated[float, number("a share from 0 to 1", 0, 1)]
Positive = Annotated[float, Field(expected="a positive number", check=lambda value: value > 0)]


class _Refusal(Exception):
    def __init__(self, path: Path, words: str, *, keys: bool = False) -> None:
        self.path, self.words, self.keys = path, words, keys  # keys: those of the table at the path are refused

    def message(self, where: str, toml: bool) -> str:
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{excerpt(part)}" for part in self.path
        ).removeprefix(".")
        if toml and path:
            table, _, key = path.rpartition(".")
            path = f"[{path}]" if self.keys else f"[{table}] {key}" if table else key
        return f"{where}: {path}{self.words}" if path else f"{where}{self.words}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """'; did you mean "mflops"?' if a known word is near, else the list of known words."""
    return near(word, known) or f"; known: {', '.join(known)}"


def near(word: str, known: Iterable[str]) -> str:
    """'; did you mean "mflops"?' if a known word is near, else ""."""
    found = difflib.get_close_matches(word, tuple(known), n=1)
    return f'; did you mean "{found[0]}"?' if found else ""


def parse_json(content: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also for NaN, infinity and what nests too deep."""
    try:
        return json.loads(content, parse_constant=_no_number)
    except (RecursionError, ValueError) as error:
        raise ValueError(why_unreadable(content, error)) from None


def why_unreadable(content: str | bytes, error: Exception) -> str:
    """Why a text of JSON or TOML cannot be read, from its parser's error."""
    # For these two, parsers do not say where they are.
    if isinstance(error, RecursionError):
        words, pattern = "it nests too deep", r"(?:[\[{][^\[\]{}]{0,99}+){99}"
    else:
        words, pattern = "an integer of thousands of digits", r"\d{4300}"
    if isinstance(content, str) and (found := re.search(pattern, content)):
        before = content[: found.start()].rpartition("\n")[2].strip()
        return f"{words}, behind {before[-60:]!r}" if before else words
    return words if isinstance(error, RecursionError) else str(error)


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def decode(
    kind: type[T],
    values: object,
    where: str,
    *,
    error: type[SnsearchError] = SpecError,
    toml: bool = False,
    **given: Any,
) -> T:
    """The record, or tuple of records, of JSON or TOML values.

    Args:
        where: What the values are of, for the error: 'budget "mine.toml"'.
        given: Fields of the record that are not among the values.

    Raises:
        SnsearchError: of the class `error`, with the path, what was given and what was expected.
    """
    try:
        shape = _shape(cast(Any, kind), toml)
        return cast(T, _record(shape, values, (), given) if given else _read(shape, values, ()))
    except _Refusal as refusal:
        raise error(refusal.message(where, toml)) from None


def encode(record: Any, *, toml: bool = False) -> Any:
    """The record as values that `decode` reads back.

    For JSON: the schema, the fields, and what is derived. For TOML: the fields without what has its default value.
    """
    return _write(_shape(cast(Any, type(record)), toml), record)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], but: Iterable[str] = ()) -> list[str]:
    """What differs between two encoded records, but for some keys: "recipe epochs: 1, now 9"."""
    lines = []
    for key in dict.fromkeys((*now, *before)):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += [f"{key} {line}" for line in differences(old, new)]
        elif old != new and key not in but:
            lines.append(f"{key}: {shortened(old)}, now {shortened(new)}")
    return lines


# Shapes: what type hints say, worked out once.


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A type hint: a plain type, Literal, tuple, dict or record, with what Field adds."""

    kind: Any
    parts: tuple[Any, ...]  # the shapes of what is inside; the choices of a Literal
    many: bool  # a tuple of any length, of parts[0]
    optional: bool = False
    about: Field
    expected: str
    toml: bool
    named: Shape | None  # of the values of a dict, or of a tuple of (name, value), which is written like one
    tree: dict[str, Any]  # of a record, by key: Entry, or such a dict of a table


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A field of a record."""

    name: str
    shape: Shape
    default: Any  # MISSING where the key is needed


_WORDS: dict[Any, str] = {int: "an integer", float: "a number", str: "a text", bool: "true or false", tuple: "a list"}


@cache
def _shape(hint: Any, toml: bool) -> Shape:
    about = Field()
    if get_origin(hint) is Annotated:
        for one in hint.__metadata__:
            about = about if one.toml and not toml else replace(about, **one.said)
        hint = hint.__origin__
    kind, inside = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        inner = _shape(next(one for one in inside if one is not type(None)), toml)
        about = inner.about if about == Field() else about
        optional = NoneType in inside
        return replace(inner, optional=optional, about=about, expected=about.expected or inner.expected)
    many = ... in inside
    parts = inside if kind is Literal else tuple(_shape(one, toml) for one in inside if one is not ...)
    pairs = many and parts[0].kind is tuple and parts[0].parts[0].kind is str
    words = _WORDS.get(kind, _table(toml))
    if kind is Literal:
        words = f"one of {', '.join(inside)}"
    elif kind is tuple and not many:
        words = f"a list of {len(inside)}"
    return Shape(
        kind=kind,
        parts=parts,
        many=many,
        about=about,
        expected=about.expected or (_table(toml) if pairs else words),
        toml=toml,
        named=parts[1] if kind is dict else parts[0].parts[1] if pairs else None,
        tree=_tree(kind, toml) if is_dataclass(kind) else {},
    )


def _table(toml: bool) -> str:
    return "a table" if toml else "an object"


def _tree(kind: Any, toml: bool) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    hints = get_type_hints(kind, include_extras=True)
    for one in fields(kind):
        shape = _shape(hints[one.name], toml)
        default = one.default if one.default_factory is MISSING else one.default_factory()
        default = None if toml and shape.optional and default is MISSING else default  # TOML has no null
        *tables, key = (one.name if shape.about.key is None else shape.about.key).split(".")
        node = tree
        for table in tables:
            node = node.setdefault(table, {})
        if key:
            node[key] = Entry(name=one.name, shape=shape, default=default)
    return tree


# Reading.


def _read(shape: Shape, value: Any, path: Path) -> Any:
    if value is None and shape.optional:
        return None
    about = shape.about
    try:
        found = _typed(shape, value, path) if about.read is None else about.read(value)
        if about.check is None or about.check(found):
            return found
    except SnsearchError as error:
        raise _Refusal(path, f": {error}") from None
    except (TypeError, ValueError):
        pass
    meant = near(value, shape.parts) if shape.kind is Literal and isinstance(value, str) else ""
    raise _Refusal(path, f" is {shortened(value)}; expected {shape.expected}{meant}")


def _typed(shape: Shape, value: Any, path: Path) -> Any:
    """The value as its type. Raises TypeError if it is of another."""
    kind, parts, given = shape.kind, shape.parts, type(value)
    if kind is float:
        return _number(value)
    if kind is Any or (given is kind and (kind in (str, bool) or (kind is int and abs(value) < _MOST_INTEGER))):
        return value
    if kind is Literal and value in parts:
        return value
    if shape.named is not None and given is dict:
        found = {key: _read(shape.named, item, (*path, key)) for key, item in value.items()}
        return found if kind is dict else tuple(found.items())
    if kind is tuple and given in (list, tuple) and shape.named is None and (shape.many or len(value) == len(parts)):
        shapes = parts * len(value) if shape.many else parts
        pairs = enumerate(zip(shapes, value, strict=True))
        return tuple(_read(one, item, (*path, index)) for index, (one, item) in pairs)
    if given is dict and shape.tree:
        return _record(shape, value, path, {})
    raise TypeError


def _record(shape: Shape, values: Any, path: Path, found: dict[str, Any]) -> Any:
    stored: Stored | None = getattr(shape.kind, "STORED", None)
    try:
        if stored is not None and not shape.toml and type(values) is dict:
            values = _own(stored, values, path)
        _fill(shape.tree, values, path, found, shape.toml)
        return shape.kind(**found)
    except SnsearchError as error:
        raise _Refusal(path, f": {error}") from None


def _own(stored: Stored, values: dict[str, Any], path: Path) -> dict[str, Any]:
    """The values of a record's fields, brought to its schema."""
    if stored.schema is not None:
        schema, known = values.get("schema"), (*stored.older, stored.schema)
        if schema not in known or type(schema) is bool:
            given = f" is {shortened(schema)}" if "schema" in values else " is missing"
            reads = " and ".join(map(str, known))
            raise _Refusal((*path, "schema"), f"{given}; this version of snsearch reads schema {reads}")
    skipped = {"schema", *stored.derived} if stored.schema is not None else {*stored.derived}
    return {key: value for key, value in stored.upgrade(values).items() if key not in skipped}


def _fill(tree: dict[str, Any], values: Any, path: Path, found: dict[str, Any], toml: bool) -> None:
    """Reads the entries of a table, and of the tables in it, into what is found by field."""
    if type(values) is not dict:
        raise _Refusal(path, f" is {shortened(values)}; expected {_table(toml)}")
    for key in values:
        if key not in tree:
            raise _Refusal(path, f': unknown key "{excerpt(key)}"{suggestion(key, tree)}', keys=True)
    for key, entry in tree.items():
        inside = isinstance(entry, dict)
        if key in values and inside:
            _fill(entry, values[key], (*path, key), found, toml)
        elif key in values:
            found[entry.name] = _read(entry.shape, values[key], (*path, key))
        elif inside and _may_be_left_out(entry):
            _fill(entry, {}, (*path, key), found, toml)
        elif inside or entry.default is MISSING:
            expected = _table(toml) if inside else entry.shape.expected
            raise _Refusal(path, f': missing key "{key}"; expected {expected}', keys=True)
        else:
            found[entry.name] = entry.default


def _may_be_left_out(tree: dict[str, Any]) -> bool:
    return all(
        _may_be_left_out(entry) if isinstance(entry, dict) else entry.default is not MISSING
        for entry in tree.values()
    )


# Writing.


def _write(shape: Shape, value: Any) -> Any:
    if value is None:
        return None
    if shape.about.write is not None:
        return shape.about.write(value)
    if shape.named is not None:
        return {key: _write(shape.named, item) for key, item in dict(value).items()}
    if shape.kind is tuple:
        shapes = shape.parts * len(value) if shape.many else shape.parts
        return [_write(one, item) for one, item in zip(shapes, value, strict=True)]
    if not shape.tree:
        return value
    stored: Stored | None = getattr(shape.kind, "STORED", None)
    if shape.toml or stored is None:
        return _entries(shape.tree, value, shape.toml)
    derived = {key: of(value) for key, of in stored.derived.items()}
    schema = {} if stored.schema is None else {"schema": stored.schema}
    return schema | _entries(shape.tree, value, False) | derived


def _entries(tree: dict[str, Any], record: Any, toml: bool) -> dict[str, Any]:
    written = {}
    for key, entry in tree.items():
        if isinstance(entry, dict):
            written[key] = _entries(entry, record, toml)
            continue
        value = getattr(record, entry.name)
        if not (toml or entry.shape.about.sparse) or value not in (None, entry.default):
            written[key] = _write(entry.shape, value)
    return written
