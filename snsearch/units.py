"""Parsing and printing of quantities.

A MAC is one multiply-add. "MFLOPs" are millions of MACs, as in the mobile-vision papers. Sizes are printed in binary
units (1 KiB = 1024 bytes); decimal units (kB, MB) are read too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from snsearch.errors import SpecError
from snsearch.prose import shortened

N = TypeVar("N", int, float)
T = TypeVar("T")


class Range(NamedTuple):
    """The values that a quantity may have, on the command line and in files alike."""

    expected: str  # in a message
    least: float
    most: float

    def holds(self, value: float) -> bool:
        """Whether the quantity can have the value."""
        return self.least <= value <= self.most

    def check(self, value: N, given: object) -> N:
        """The value. Raises SpecError, which shows what was given for it, if the quantity cannot have it."""
        if not self.holds(value):
            raise SpecError(f"{shortened(given)} is out of range; expected {self.expected}")
        return value


MFLOPS = Range("MFLOPs between 0.001 and 10,000,000, such as 140", 0.001, 10**7)
PARAMS = Range('a number such as 1900000, "1.9M" or "340k" (up to 1e12)', 1e-3, 10**12)
BYTES = Range('a size such as 262144, "256KiB", "2.4MiB" or "250kB" (up to 1024GiB)', 1e-3, 2**40)
SECONDS = Range('a duration such as 90, "90s", "20min" or "1.5h" (up to 1e9)', 1e-6, 10**9)
MILLISECONDS = Range('a latency such as "25ms", 25 or "0.2s" (from 1e-6 to 1e7 ms)', 1e-6, 10**7)
PIXELS = Range('pixels such as 224, or height x width such as "480x640" (1 to 4096)', 1, 4096)
CLASSES = Range("a positive integer up to 1,000,000", 1, 10**6)
GROUPS = Range("a positive integer up to 100,000", 1, 10**5)
CHANNELS = Range("a positive integer up to 10,000", 1, 10**4)
UNITS = Range("a positive integer up to 100", 1, 100)  # per stage
STRIDES = Range("a positive integer up to 16", 1, 16)
SCALES = Range("a number from 0.01 to 100", 0.01, 100)
RATIOS = Range("width ratios from 1 to 1000, such as 1,2.2,3.7", 1, 1000)  # of a stage to the first one
FULL_IMAGES = Range("at least 64 images, which are a batch", 64, 10**12)
SAMPLES = Range("a number of networks from 1 to 10,000,000", 1, 10**7)
GROWTHS = Range("a width ratio from 1 to 16", 1, 16)  # of a stage to the one before

CONFIDENCE = 0.95  # of the interval that latency profiles have

_COUNT_SUFFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_BYTES_SUFFIX = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_DURATION_SUFFIX = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_LATENCY_SUFFIX = {"": 1.0, "ms": 1.0, "s": 1e3, "us": 1e-3}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+|nan|inf)\s*([A-Za-z]*)\s*")
_RESOLUTION = re.compile(r"\s*(\d+)(?:\s*[xX×]\s*(\d+))?\s*")


def _parse(text: str | int | float, suffixes: dict[str, float] | dict[str, int], within: Range) -> float:
    match = None if isinstance(text, bool) else _QUANTITY.fullmatch(str(text))
    if match is None or match.group(2).lower() not in suffixes:
        raise SpecError(f"{shortened(text)} is not a quantity; expected {within.expected}")
    return within.check(float(match.group(1)) * suffixes[match.group(2).lower()], text)


def parse_count(text: str | int | float) -> int:
    """The integer that "140M", "1.9M", "524000" or 2e6 names, rounded. Raises SpecError unless in PARAMS."""
    return max(1, round(_parse(text, _COUNT_SUFFIX, PARAMS)))


def parse_samples(text: str) -> int:
    """The number of networks that "100k" or "1000" names. Raises SpecError unless in SAMPLES."""
    return round(_parse(text, _COUNT_SUFFIX, SAMPLES))


def parse_bytes(text: str | int | float) -> int:
    """The number of bytes that "320KiB", "1MiB", "250kB" or 262144 names. Raises SpecError unless in BYTES."""
    return max(1, round(_parse(text, _BYTES_SUFFIX, BYTES)))


def parse_duration(text: str | int | float) -> float:
    """The number of seconds that "90", "90s", "20min" or "1.5h" names. Raises SpecError unless in SECONDS."""
    return _parse(text, _DURATION_SUFFIX, SECONDS)


def parse_latency(text: str | int | float) -> float:
    """The milliseconds that "25ms", 25 or "0.2s" names. Raises SpecError unless in MILLISECONDS."""
    return _parse(text, _LATENCY_SUFFIX, MILLISECONDS)


def parse_confidence(text: str | float) -> float:
    """The share that "95%" or 0.95 names. Raises SpecError for another: profiles have that interval."""
    if str(text).strip() not in ("95%", "95 %", "0.95"):
        raise SpecError(f'confidence {shortened(text)}: expected "95%", since profiles have the 95 % interval')
    return CONFIDENCE


def parse_resolution(text: str | int) -> tuple[int, int]:
    """Height and width in pixels of "224", 224 or "480x640". Raises SpecError outside 1 to 4096."""
    match = None if isinstance(text, bool) else _RESOLUTION.fullmatch(str(text))
    sides = () if match is None else tuple(int(side[:9]) for side in match.groups() if side is not None)
    if not sides or not all(map(PIXELS.holds, sides)):
        raise SpecError(f"resolution {shortened(text)}: expected {PIXELS.expected}")
    return sides[0], sides[-1]


def parse_whole(text: str, within: Range) -> int:
    """The integer of a text. Raises SpecError unless in the range."""
    if re.fullmatch(r"\s*[+-]?\d+\s*", text) is None:
        raise SpecError(f"{shortened(text)} is not an integer; expected {within.expected}")
    return within.check(int(text.strip()[:20]), text)


def parse_number(text: str, within: Range) -> float:
    """The number of a text. Raises SpecError unless in the range."""
    try:
        value = float(text)
    except ValueError:
        raise SpecError(f"{shortened(text)} is not a number; expected {within.expected}") from None
    return within.check(value, text)


def format_resolution(resolution: tuple[int, int]) -> str:
    """Height and width as text: "480x640"."""
    return f"{resolution[0]}x{resolution[1]}"


def plain_resolution(resolution: tuple[int, int]) -> int | str:
    """The resolution in JSON: 224 if square, else "480x640"."""
    return resolution[0] if resolution[0] == resolution[1] else format_resolution(resolution)


def read_stages(value: Any, kind: type = int) -> Any:
    """A figure for all stages, or a tuple with one per stage, from JSON. Raises TypeError for anything else."""
    listed = isinstance(value, list | tuple)
    if (listed and not value) or not all(type(one) is kind for one in (value if listed else [value])):
        raise TypeError
    return tuple(value) if listed else value


def plain_stages(values: Sequence[T]) -> T | list[T]:
    """The figures per stage in JSON: one where all stages have the same, else a list."""
    return values[0] if len(set(values)) == 1 else list(values)


def format_stages(values: int | Sequence[int]) -> str:
    """The figures per stage as text: "3" where all stages have the same, else "1-3-8"."""
    each = values if isinstance(values, Sequence) else (values,)
    return "-".join(str(int(value)) for value in (each[:1] if len(set(each)) == 1 else each))


def plain_number(value: float) -> float | int:
    """The number as JSON should carry it: 2 for 2.0."""
    return int(value) if value == int(value) else value


def three_digits(value: float) -> str:
    """The value with one decimal, or with three significant digits below ten: "38.4", "6.97", "0.0946"."""
    return f"{value:.1f}" if value >= 9.995 else f"{value:.3g}"  # 9.995 rounds to ten


def format_interval(value: float, interval: tuple[float, float], form: str) -> str:
    """The 95 % interval to print behind its value: "± 1.2%", or "[0.0%, 29.4%]" where it is clipped on one side."""
    low, high = interval
    if math.isclose(low + high, 2 * value, abs_tol=1e-9):
        return f"± {high - value:{form}}"
    return f"[{low:{form}}, {high:{form}}]"


def format_latency(ms: float) -> str:
    """The latency that somebody gave, in milliseconds: "25 ms"."""
    return f"{ms:g} ms"


def format_count(value: float) -> str:
    """The count with three or four significant digits: "1.87 M", "340 k", "950"."""
    # A value that rounds up to the next unit is printed in that unit: 999,960 is "1.00 M", not "1000.0 k".
    for threshold, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= (0.99995 if threshold > 1e3 else 1) * threshold:
            return f"{value / threshold:.{2 if value < 99.995 * threshold else 1}f}{suffix}"
    return f"{value:.0f}"


def format_mflops(macs: int) -> str:
    """MACs in millions with two decimals: "137.46"."""
    return f"{macs / 1e6:,.2f}"


def format_budget(macs: int) -> str:
    """A budget of MACs as `format_mflops` prints it, a small one with three digits: "0.00125"."""
    return format_mflops(macs) if macs >= 99_950 else three_digits(macs / 1e6)


def format_bytes(size: float) -> str:
    """The size in binary units: "2.39 MiB", "320.0 KiB", "96 B"."""
    if size >= 1024**2 - 51:  # would round to "1024.0 KiB"
        return f"{size / 1024**2:.2f} MiB"
    if size >= 1024:
        return f"{size / 1024:.1f} KiB"
    return f"{size:.0f} B"


def format_duration(seconds: float) -> str:
    """The duration in its two largest units: "48 s", "12 min 05 s", "3 h 07 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
