"""Text for a terminal: its width in cells, wrapping, and what must not reach a terminal as it is."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_BREAK_BEHIND = "_-/,;:."  # the preferred breaks of a word that is longer than a line


def printable(text: str) -> str:
    """A text from outside, such as a file's name, that cannot steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def excerpt(text: str, most: int = 120) -> str:
    """The text, the middle of one that is longer than `most` characters left out."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-(most // 2 - 10) :]}"


def shortened(value: object) -> str:
    """The value's repr, the middle of a long one left out."""
    try:
        return excerpt(repr(value))
    except ValueError:  # Python prints no integer of thousands of digits
        return "an integer of thousands of digits"


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 image", "2,000 images"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def width_of(text: str) -> int:
    """The cells that a terminal needs for the text: two for each East Asian wide character."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def padded(text: str, width: int, align: str = "left") -> str:
    """The text with spaces up to the width."""
    space = " " * (width - width_of(text))
    return space + text if align == "right" else text + space


def _head_of(word: str, width: int) -> str:
    """As much of a long word as fits, up to a break if one lies in the second half; at least a character."""
    head = word[0]
    while len(head) < len(word) and width_of(word[: len(head) + 1]) <= width:
        head = word[: len(head) + 1]
    end = max(head.rfind(mark) for mark in _BREAK_BEHIND) + 1
    return head[:end] if 2 * end > len(head) else head


def wrap(text: str, width: int, *, indent: int = 0, whole: bool = False) -> list[str]:
    """The text in lines of at most `width` cells, at least one line; a newline in it starts a new line.

    Args:
        text: sentences, or one long word such as an architecture key, which is broken if it has to be.
        width: cells of a line.
        indent: spaces in front of every line, within the width.
        whole: keep a word that is longer than a line, such as a path to copy, whole on a line of its own.
    """
    room = max(2, width - indent)  # two: a wide character has to fit
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for given in printable(paragraph).split():
            word = given
            if line and width_of(line) + 1 + width_of(word) <= room:
                line += " " + word
                continue
            if line:
                lines.append(line)
            while not whole and width_of(word) > room:
                head = _head_of(word, room)
                lines.append(head)
                word = word[len(head) :]
            line = word
        lines.append(line)
    return [" " * indent + line if line else "" for line in lines]


def ranges_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last of each run of consecutive numbers, in order."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ranges


def runs_of(numbers: Iterable[int]) -> str:
    """Numbers of trials in words, in order: "#0 to #4, #7"."""
    return ", ".join(f"#{first} to #{last}" if last > first else f"#{first}" for first, last in ranges_of(numbers))
