"""Reads back the tables that a command prints."""

from __future__ import annotations

import re


def printed_rows(out: str) -> list[list[str]]:
    """The cells of every row of every table; a wrapped cell makes further rows.

    A table begins at the rule under its head, and ends before its notes, which are indented by two.
    """
    rows: list[list[str]] = []
    spans: list[tuple[int, int]] = []
    for line in out.splitlines():
        if line.startswith("─"):
            spans = [found.span() for found in re.finditer("─+", line)]
        elif not line or re.match("  [^ ]", line):
            spans = []
        elif spans:
            rows.append([line[start:end].strip() for start, end in spans])
    return rows


def unwrapped(out: str) -> str:
    """The text with every line break and indent as one space."""
    return " ".join(out.split())
