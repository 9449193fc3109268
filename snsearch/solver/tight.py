"""Stage widths a little out of proportion, to come closer to the MFLOPs budget than proportional widths can.

The search is exhaustive: it walks the whole lattice of such widths, and skips only what a bound proves no better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from snsearch.errors import SpecError
from snsearch.network import StageMacs, count_costs
from snsearch.solver.budget import Budget
from snsearch.solver.lattice import WidthLine, caps_of, exceeded

TIGHT_TOLERANCE = 0.001  # relative distance from the budget that a tight solution meets where the lattice permits
# How far a stage may leave its proportion, as a logarithm: a third of the space's proportion. A design with ratios of
# its own may have large steps (the least common multiple of two group counts), and nothing published to keep to.
TIGHT_DISTORTION, OWN_DISTORTION = math.log(4 / 3), math.log(5 / 3)

Widths = tuple[int, ...]


def distortion_of(widths: Sequence[int], ratios: Sequence[float]) -> float:
    """How far widths leave their proportion: half the spread of log(width / ratio)."""
    logs = [math.log(width / ratio) for width, ratio in zip(widths, ratios, strict=True)]
    return (max(logs) - min(logs)) / 2


def most_distortion(line: WidthLine) -> float:
    """How far a stage of the line's networks may leave its proportion, as a logarithm."""
    return TIGHT_DISTORTION if line.design.ratios is None else OWN_DISTORTION


def tight_widths(line: WidthLine, budget: Budget, start: Sequence[int]) -> Widths | None:
    """The widths nearest to proportion within TIGHT_TOLERANCE of the budget; else those nearest to the budget.

    Every width is a multiple of its stage's step, and every stage leaves its proportion by at most the limit of
    `most_distortion` and keeps the order of the ratios: one of greater ratio is wider than the stage before.

    Args:
        line: the space, design and input.
        budget: it must bound the MACs; its other bounds are never exceeded.
        start: the proportional widths, in channels per stage, that are nearest to the budget.

    Returns:
        Channels per stage, or None where no widths satisfy the budget's other bounds.
    """
    if len(line.ratios) == 1:
        return tuple(start)  # a single stage has no proportion to leave
    search = _TightSearch(line, budget, start)
    return search.least_distorted() or search.nearest()


class _Prefix(NamedTuple):
    """Widths of the first stages. The default is none of them."""

    widths: Widths = ()
    macs: int = 0  # of the stem and these stages
    logs: tuple[float, float] = (math.inf, -math.inf)  # least and greatest log(width / ratio)


class _TightSearch:
    """A depth-first walk over widths, pruned by two bounds that tighten with every better find."""

    def __init__(self, line: WidthLine, budget: Budget, start: Sequence[int]) -> None:
        assert budget.macs is not None, "tight solving needs a budget of MACs"
        self._line = line
        self._target = budget.macs
        self._under = budget.match == "under"
        self._caps = tuple(cap for cap in caps_of(budget) if cap.key != "mflops")
        self._start = start[0]
        self._ratios, self._steps = line.ratios, line.steps
        self._last = len(self._ratios) - 1
        self._macs = StageMacs(line.architecture(start))
        self._limit = most_distortion(line)
        self._distortion = self._limit  # the most that is still of interest
        self._most_macs = math.inf

    def least_distorted(self) -> Widths | None:
        """The widths nearest to proportion within the tolerance, or None."""
        low = self._target * (1 - TIGHT_TOLERANCE)
        high = self._target if self._under else self._target * (1 + TIGHT_TOLERANCE)
        self._distortion, self._most_macs = self._limit, high
        best: tuple[float, float, Widths] | None = None
        for prefix in self._prefixes(_Prefix()):
            options = self._options(prefix)
            for width in options[self._first_option(options, prefix, lambda macs: macs >= low) :]:
                widths, macs = (*prefix.widths, width), self._total(prefix, width)
                if macs > high:
                    break
                rank = (distortion_of(widths, self._ratios), abs(macs - self._target), widths)
                if (best is None or rank < best) and self._within_caps(widths):
                    best = rank
                    self._distortion = rank[0]
        return None if best is None else best[2]

    def nearest(self) -> Widths | None:
        """The widths nearest to the budget, or None."""
        target = self._target
        self._distortion, self._most_macs = self._limit, target if self._under else math.inf
        best: tuple[float, float, Widths] | None = None
        for prefix in self._prefixes(_Prefix()):
            options = self._options(prefix)
            over = self._first_option(options, prefix, lambda macs: macs > target)
            for width in options[max(0, over - 1) : over if self._under else over + 1]:
                widths = (*prefix.widths, width)
                rank = (abs(self._total(prefix, width) - target), distortion_of(widths, self._ratios), widths)
                if (best is None or rank < best) and math.isfinite(rank[0]) and self._within_caps(widths):
                    best = rank
                    if not self._under:
                        self._most_macs = target + rank[0]
        return None if best is None else best[2]

    def _prefixes(self, prefix: _Prefix) -> Iterator[_Prefix]:
        """All widths of the stages but the last, nearest to proportion first."""
        index = len(prefix.widths)
        if index == self._last:
            yield prefix
            return
        ratio = self._ratios[index]
        middle = prefix.widths[0] * ratio if index else self._start
        options = self._options(prefix) if index else self._first_widths()
        for width in sorted(options, key=lambda width: abs(math.log(width / middle))):
            log = math.log(width / ratio)
            logs = (min(prefix.logs[0], log), max(prefix.logs[1], log))
            if logs[1] - logs[0] > 2 * self._distortion + 1e-12:
                continue
            try:
                macs = prefix.macs + self._added_macs(prefix.widths, width)
            except SpecError:
                continue
            if macs <= self._most_macs:
                yield from self._prefixes(_Prefix((*prefix.widths, width), macs, logs))

    def _first_widths(self) -> range:
        """First-stage widths worth trying.

        Below them, every stage would be narrower than in proportion to the point before the start. As a multiple of
        its step it would be no wider than the multiple that is nearest to that proportion; so no stage would be wider
        than at that point, whose MACs are not above the budget, and the MACs would be further from it. Above them, no
        stage would be narrower than at the point after the start, since both keep the order of the ratios.
        """
        step = self._steps[0]
        least = math.floor((self._start - step) * math.exp(-2 * self._limit) / step)
        most = math.ceil((self._start + step) * math.exp(2 * self._limit))
        return range(max(1, least) * step, most + 1, step)

    def _options(self, prefix: _Prefix) -> range:
        """Widths of the next stage that keep the distortion of interest and the order of the ratios, in its steps."""
        index = len(prefix.widths)
        step, ratio = self._steps[index], self._ratios[index]
        narrowest = prefix.widths[-1] + (ratio > self._ratios[index - 1])
        least = max(narrowest, math.exp(prefix.logs[1] - 2 * self._distortion) * ratio)
        most = math.exp(prefix.logs[0] + 2 * self._distortion) * ratio
        return range(max(1, math.ceil(least / step - 1e-9)) * step, math.floor(most / step + 1e-9) * step + 1, step)

    def _added_macs(self, widths: Widths, width: int) -> int:
        """MACs of the next stage, and of the stem before the first. Raises SpecError where channels do not divide."""
        if widths:
            return self._macs.stage(len(widths), widths[-1], width)
        stem = self._line.stem(width)
        return self._macs.stem(stem) + self._macs.stage(0, stem, width)

    def _total(self, prefix: _Prefix, width: int) -> float:
        """The network's MACs with that last stage; -inf where the stage is too narrow to be built."""
        try:
            return prefix.macs + self._added_macs(prefix.widths, width) + self._macs.head(width)
        except SpecError:
            return -math.inf

    def _first_option(self, options: range, prefix: _Prefix, reached: Callable[[float], bool]) -> int:
        """Index of the first last-stage width whose MACs reach the aim; the number of options if none does.

        MACs rise with the width, so bisection finds it.
        """
        low, high = 0, len(options)
        while low < high:
            middle = (low + high) // 2
            if reached(self._total(prefix, options[middle])):
                high = middle
            else:
                low = middle + 1
        return low

    def _within_caps(self, widths: Widths) -> bool:
        line = self._line
        if not self._caps:
            return True  # counting all costs takes longer than the rest of the search
        return not exceeded(count_costs(line.architecture(widths), line.input.precision), self._caps)
