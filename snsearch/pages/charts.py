"""The geometry of the page's charts: values -> pixels, and ticks. Templates draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A tick's position in pixels and its label."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """A linear axis from the values low…high to the pixels start…end."""

    low: float
    high: float
    start: float
    end: float
    step: float
    percent: bool

    @classmethod
    def over(
        cls, values: Sequence[float], start: float, end: float, *, percent: bool = False, ticks: int = 6
    ) -> Axis:
        """An axis that spans the values, with its ends on round numbers."""
        low, high = min(values), max(values)
        if high - low < 1e-9:
            pad = max(abs(high) * 0.05, 0.005)
            low, high = low - pad, high + pad
        rough = (high - low) / ticks
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
        first, last = math.floor(low / step), math.ceil(high / step)
        if min(values) >= 0:
            first = max(0, first)
        return cls(low=first * step, high=last * step, start=start, end=end, step=step, percent=percent)

    def at(self, value: float) -> float:
        """The pixel of a value, with one digit after the point."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """One tick per step."""
        count = round((self.high - self.low) / self.step)
        scale = 100 if self.percent else 1
        # Only the step 2.5 has one digit more than its power of ten.
        digits = max(0, -math.floor(math.log10(self.step * scale) + 1e-9))
        if abs(self.step * scale * 10**digits - round(self.step * scale * 10**digits)) > 1e-6:
            digits += 1
        return tuple(
            Tick(
                at=self.at(self.low + index * self.step),
                label=f"{(self.low + index * self.step) * scale:,.{digits}f}" + (" %" if self.percent else ""),
            )
            for index in range(count + 1)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """A chart's outer size, in pixels; the margins around the plotting area are those of every chart."""

    left, right, top, bottom = 64, 30, 14, 46

    width: int
    height: int

    @property
    def x_range(self) -> tuple[float, float]:
        """Pixels of the left and right edge of the plotting area."""
        return self.left, self.width - self.right

    @property
    def y_range(self) -> tuple[float, float]:
        """Pixels of the lower and upper edge of the plotting area."""
        return self.height - self.bottom, self.top


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One candidate in the scatter chart."""

    number: int
    x: float
    y: float
    y_low: float  # pixel of the interval's upper error end
    y_high: float
    color: int  # index into the page's palette
    square: bool
    on_front: bool
    label: str
    title: str
    x_low: float | None = None  # pixels of the cost's interval; None without one
    x_high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scatter:
    """The chart of error against cost: marks, and the front as a step line."""

    frame: Frame
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    front: str  # points of an SVG polyline


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One learning curve."""

    number: int
    points: str
    color: int
    on_front: bool
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """The chart of learning curves."""

    frame: Frame
    x: Axis
    y: Axis
    lines: tuple[Line, ...]


def steps(points: Sequence[tuple[float, float]], right: float) -> str:
    """SVG points of a front as a step line: level to the next point's x, then down; at the end to the right edge."""
    path: list[tuple[float, float]] = []
    for x, y in points:
        if path:
            path.append((x, path[-1][1]))
        path.append((x, y))
    if path:
        path.append((right, path[-1][1]))
    return " ".join(f"{x:g},{y:g}" for x, y in path)
