"""Where a command prints: results to stdout, progress to stderr, both no wider than the terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from snsearch.prose import printable as printable
from snsearch.prose import wrap
from snsearch.tables import Table

if TYPE_CHECKING:
    from rich.console import Console

R = TypeVar("R")
_LEAST = 20  # cells: below it nothing can be laid out


def terminal_width() -> int:
    """The cells of a line: $COLUMNS, else the terminal's, else 80 where stdout is no terminal."""
    return max(_LEAST, shutil.get_terminal_size().columns)


def print_lines(lines: Iterable[str]) -> None:
    """Prints lines to stdout; where its encoding lacks a character, a plain one takes its place."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        try:
            line.encode(encoding)
        except UnicodeEncodeError:
            line = line.replace("─", "-").encode(encoding, "replace").decode(encoding)
        click.echo(line)


def print_text(text: str, *, indent: int = 0) -> None:
    """Prints sentences to stdout, wrapped."""
    print_lines(_wrapped(text, terminal_width(), indent=indent))


def message_lines(text: str) -> list[str]:
    """A message for stderr, wrapped at $COLUMNS, the terminal's width or 80; a long path or URL stays whole."""
    try:
        size = os.get_terminal_size(2)
    except OSError:
        size = os.terminal_size((80, 24))
    return _wrapped(text, max(_LEAST, shutil.get_terminal_size(size).columns), whole=True)


def _wrapped(text: str, width: int, *, indent: int = 0, whole: bool = False) -> list[str]:
    """The text as `wrap` does it; what is indented stays so, with its further lines."""
    own = [(line, indent + len(line) - len(line.lstrip(" "))) for line in text.split("\n")]
    return [part for line, spaces in own for part in wrap(line, width, indent=spaces, whole=whole)]


def say(text: str) -> None:
    """Prints a message to stderr."""
    for line in message_lines(text):
        click.echo(line, err=True)


def print_table(
    table: Table[R],
    form: str = "table",
    *,
    wide: bool = False,
    blocks: bool = False,
    under: str | None = None,
    head: Mapping[str, Any] | None = None,
) -> None:
    """Prints a table to stdout in a form: table, json, csv or markdown.

    Args:
        table: the records and their columns.
        form: one of the forms; only "table" keeps to the terminal's width.
        wide: with the columns that are shown on request.
        blocks: each record as a block of lines with everything that is known of it, instead of a row.
        under: the key of the records in a JSON object; None prints a bare list.
        head: further keys of that object, in front.
    """
    if form == "json":
        records = table.records()
        print_json(records if under is None else {"schema": 1, **(head or {}), under: records})
    elif form == "csv":
        sys.stdout.write(table.csv())
    elif form == "markdown":
        sys.stdout.write(table.markdown(wide=wide))
    else:
        width = terminal_width()
        print_lines(table.blocks(width) if blocks else table.lines(width, wide=wide))


def print_json(value: Any) -> None:
    """Prints a value as indented JSON, without NaN."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, allow_nan=False)
    sys.stdout.write(text + "\n")


def progress_console() -> Console:
    """The console of progress, on stderr; where that is not a terminal, a long path is one line there too."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
