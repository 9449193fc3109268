"""TOML files: found by name or path, read to be decoded, and written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snsearch.codec import encode, suggestion, why_unreadable
from snsearch.errors import SpecError
from snsearch.files import Kind, bundled_folder, bundled_names, is_folder, names_a_file, read_given
from snsearch.prose import shortened

_MOST_BYTES = 2**18
# A key of many parts, for which Python's parser takes quadratic time.
_DEEP = re.compile(r"""(?:(?:"[^"\n]{0,99}+"|'[^'\n]{0,99}+'|[\w-]{1,99}+)[ \t]*+\.[ \t]*+){50}""")


def read_toml(path: Path, kind: str) -> tuple[dict[str, Any], str]:
    """The values of a file of schema 1, without the schema, and its name for errors. Raises SpecError."""
    where = f'{kind} "{path.name}"'
    content = ""
    try:
        content = read_given(path, _MOST_BYTES)
        if deep := _DEEP.search(content):
            raise ValueError(f"it nests too deep, at {deep.group()[:60]!r}")
        values = tomllib.loads(content)
    except OSError as error:
        raise SpecError(f"{where}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{where}: not valid TOML: {error}; expected UTF-8") from None
    except (ValueError, RecursionError) as error:  # TOML's own, integers without end, endless nesting
        fault = f"not valid TOML: {why_unreadable(content, error)}" if content else f"cannot be read: {error}"
        raise SpecError(f"{where}: {fault}") from None
    if "schema" not in values:
        raise SpecError(f'{where}: missing key "schema"; expected 1')
    schema = values.pop("schema")
    if schema != 1 or type(schema) is not int:
        raise SpecError(f"{where}: schema is {shortened(schema)}; this version of snsearch reads schema 1")
    return values, where


def find_file(name: str, kind: Kind) -> Path:
    """The file that the user names: a path, or a bundled file's name. Raises SpecError."""
    singular = kind.removesuffix("s")
    path, exists = Path(name), names_a_file(name)
    if path.suffix == ".toml" or "/" in name or exists:
        if not exists:
            fault = "is a folder, not a file" if is_folder(path) else "does not exist"
            raise SpecError(f"{singular} file {shortened(name)} {fault}")
        return path
    known = bundled_names(kind)
    if name not in known:
        raise SpecError(f"no {singular} is named {shortened(name)}{suggestion(name, known)}")
    return bundled_folder(kind) / f"{name}.toml"


def toml_of(record: Any, comments: Mapping[str, str] | None = None) -> str:
    """The record as the text of a file of schema 1, values before tables; `comments` are put behind their keys."""
    values = {"schema": 1} | encode(record, toml=True)
    notes = dict.fromkeys(values, "") | {key: f"  # {words}" for key, words in (comments or {}).items()}
    lines = [f"{key} = {_text(value)}{notes[key]}" for key, value in values.items() if not isinstance(value, dict)]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]{notes[key]}", *(f"{name} = {_text(inner)}" for name, inner in value.items())]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    """A value as TOML has it: numbers to six digits, texts quoted, lists of texts one entry a line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_text(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, list):
        if any(isinstance(entry, str) for entry in value):
            return "[\n" + "".join(f"  {_text(entry)},\n" for entry in value) + "]"
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float):
        digits = f"{value:.6g}"
        return digits if any(mark in digits for mark in ".e") else f"{digits}.0"
    if isinstance(value, int):
        return str(value)
    escaped = "".join(f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 32 or ord(c) == 127 else c for c in str(value))
    return f'"{escaped}"'
