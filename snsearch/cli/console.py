"""Where a command prints: results to stdout, progress to stderr; NO_COLOR and pipes are respected by rich."""

from __future__ import annotations

import json
import sys
from shutil import get_terminal_size
from textwrap import fill
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def printable(text: str) -> str:
    """A text from outside, such as a file's name, that cannot steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def say(text: str) -> None:
    """Prints a line of progress to stderr."""
    click.echo(printable(text), err=True)


def wrapped(text: str) -> str:
    """A line that may be shown, broken at the terminal's width; what follows its first line is indented."""
    width = get_terminal_size().columns
    return fill(printable(text), width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def say_wrapped(text: str) -> None:
    """Prints a line of progress to stderr, broken at the terminal's width."""
    click.echo(wrapped(text), err=True)


def progress_console() -> Console:
    """The console of progress, on stderr; where that is not a terminal, what is one line there stays one."""
    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def print_table(table: Table) -> None:
    """Prints a table to stdout, as wide as it needs where stdout is not a terminal."""
    console = Console(width=None if sys.stdout.isatty() else 400, highlight=False)
    console.print(table)


def print_json(value: Any) -> None:
    """Prints a value as indented JSON, without NaN."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
