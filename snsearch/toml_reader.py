"""The strict reader of TOML files: an unknown key is an error with a suggestion. And how values are written."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from snsearch.errors import SpecError
from snsearch.files import Kind, bundled_folder, bundled_names

T = TypeVar("T")


def suggestion(word: str, known: tuple[str, ...]) -> str:
    """'; did you mean "mflops"?' where a known word is near, else the list of known words."""
    near = difflib.get_close_matches(word, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else f"; known: {', '.join(known)}"


class Table:
    """A TOML table read key by key; `done` complains about what was not asked for."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self.where = where
        self._asked: list[str] = []

    def fail(self, key: str, value: object, expected: str) -> SpecError:
        return SpecError(f"{self.where}: {key} is {value!r}; expected {expected}")

    def get(self, key: str, parse: Callable[[Any], T], expected: str, default: T | None = None) -> T:
        """The parsed value; the default where the key is missing and a default is given."""
        self._asked.append(key)
        if key not in self._values:
            if default is None:
                raise SpecError(f'{self.where}: missing key "{key}"; expected {expected}')
            return default
        return self._parsed(key, parse, expected)

    def optional(self, key: str, parse: Callable[[Any], T], expected: str) -> T | None:
        """The parsed value, or None where the key is missing."""
        self._asked.append(key)
        return self._parsed(key, parse, expected) if key in self._values else None

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._values

    def _parsed(self, key: str, parse: Callable[[Any], T], expected: str) -> T:
        value = self._values[key]
        try:
            return parse(value)
        except SpecError as error:
            raise SpecError(f"{self.where}: {key}: {error}") from None
        except (TypeError, ValueError):
            raise self.fail(key, value, expected) from None

    def table(self, key: str) -> Table:
        return Table(self.get(key, _mapping, "a table"), f"{self.where}, [{key}]")

    def get_all(self, parse: Callable[[Any], T], expected: str) -> tuple[tuple[str, T], ...]:
        """Every key with its parsed value, for tables whose keys are names."""
        if not self._values:
            raise SpecError(f"{self.where}: is empty; expected names with {expected}")
        return tuple((key, self.get(key, parse, expected)) for key in self._values)

    def done(self) -> None:
        for key in self._values:
            if key not in self._asked:
                raise SpecError(f'{self.where}: unknown key "{key}"{suggestion(key, tuple(self._asked))}')


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def as_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError
    return value


def as_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def as_integer(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 1_000_000:
        raise TypeError
    return value


def as_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise TypeError
    return float(value)


def as_amount(value: Any) -> float:
    """A finite number of at least 0."""
    return 0.0 if value == 0 and not isinstance(value, bool) else as_number(value)


def as_factor(value: Any) -> float:
    """A finite number of at least 1."""
    if as_number(value) < 1:
        raise TypeError
    return float(value)


def toml_value(value: Any) -> str:
    """A value as TOML has it: numbers to six digits, texts quoted, lists one entry a line."""
    if isinstance(value, list):
        return "[\n" + "".join(f"  {toml_value(entry)},\n" for entry in value) + "]"
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text if any(mark in text for mark in ".e") else f"{text}.0"
    if isinstance(value, int):
        return str(value)
    escaped = "".join(f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 32 or ord(c) == 127 else c for c in str(value))
    return f'"{escaped}"'


def list_of(item: Callable[[Any], T], *, empty: bool = False) -> Callable[[Any], tuple[T, ...]]:
    def parse(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list) or not (value or empty):
            raise TypeError
        return tuple(item(entry) for entry in value)

    return parse


def word_of(choices: tuple[str, ...]) -> Callable[[Any], Any]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise SpecError(f"{value!r} is not one of {', '.join(choices)}")
        return str(value)

    return parse


def _schema_one(value: Any) -> int:
    if value != 1 or isinstance(value, bool):
        raise SpecError(f"this file has schema {value!r}; this version of snsearch reads schema 1")
    return 1


def read_table(path: Path, kind: str) -> Table:
    where = f'{kind} "{path.name}"'
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise SpecError(f"{where}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{where}: not valid TOML: {error}") from None
    table = Table(values, where)
    table.get("schema", _schema_one, "1")
    return table


def find_file(name: str, kind: Kind) -> Path:
    """The file that the user names: a path, or a bundled file's name. Raises SpecError."""
    singular = kind.removesuffix("s")
    path = Path(name)
    try:
        exists = path.is_file()
    except OSError:
        exists = False
    if path.suffix == ".toml" or "/" in name or exists:
        if not exists:
            raise SpecError(f"{singular} file {name!r} does not exist")
        return path
    known = bundled_names(kind)
    if name not in known:
        raise SpecError(f"no {singular} is named {name!r}{suggestion(name, known)}")
    return bundled_folder(kind) / f"{name}.toml"
