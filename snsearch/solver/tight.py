"""Stage widths a little out of proportion, to come closer to the MFLOPs than proportional ones can.

The search is exhaustive: it goes through the whole lattice of such widths, stage by stage in arrays, and skips only
what a bound proves no better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from snsearch.network import count_costs
from snsearch.solver.budget import Budget
from snsearch.solver.lattice import WidthLine, caps_of, exceeded

TIGHT_TOLERANCE = 0.001  # relative distance from the budget that a tight solution meets where the lattice permits
# How far a stage may leave its proportion, as a logarithm: a third of the space's proportion. A design with ratios of
# its own may have large steps (the least common multiple of two group counts), and nothing published to keep to.
TIGHT_DISTORTION, OWN_DISTORTION = math.log(4 / 3), math.log(5 / 3)

_EXPECTED = 2000
_MOST_AT_ONCE = 1 << 20

Widths = tuple[int, ...]

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]
    Channels = npt.NDArray[np.int64]


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


class _Prefixes(NamedTuple):
    """Widths of the first stages, for many networks at once."""

    widths: tuple[Channels, ...]  # one array a stage
    macs: Numbers  # of the stem and these stages
    least: Numbers  # log(width / ratio)
    most: Numbers

    def take(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> _Prefixes:
        """Those that are chosen."""
        widths = tuple(column[chosen] for column in self.widths)
        return _Prefixes(widths, self.macs[chosen], self.least[chosen], self.most[chosen])


class _TightSearch:
    """Goes through all widths whose distortion is at most a limit."""

    def __init__(self, line: WidthLine, budget: Budget, start: Sequence[int]) -> None:
        from snsearch.network import StageArrays

        assert budget.macs is not None, "tight solving needs a budget of MACs"
        self._line = line
        self._target = budget.macs
        self._under = budget.match == "under"
        self._caps = tuple(cap for cap in caps_of(budget) if cap.key != "mflops")
        self._start = start
        self._ratios, self._steps = line.ratios, line.steps
        self._macs = StageArrays(line.architecture(start))
        self._limit = most_distortion(line)

    def least_distorted(self) -> Widths | None:
        """The widths nearest to proportion within the tolerance, or None.

        It searches regions of growing distortion: the best of the first that has one is the best of all.
        """
        low = self._target * (1 - TIGHT_TOLERANCE)
        high = self._target if self._under else self._target * (1 + TIGHT_TOLERANCE)
        lattice = math.prod(step / width for step, width in zip(self._steps, self._start, strict=True))
        distortion = (_EXPECTED * lattice) ** (1 / len(self._steps)) / 4
        while True:
            distortion = min(distortion, self._limit)
            ranked: list[tuple[float, float, Widths]] = []
            for found in self._networks(distortion, high):
                near = found.take(found.macs >= low)
                ranked += zip(self._distortions(near), abs(near.macs - self._target), self._widths(near), strict=True)
            if best := self._first_within_caps(ranked):
                return best
            if distortion == self._limit:
                return None
            distortion *= 2

    def nearest(self) -> Widths | None:
        """The widths nearest to the budget, or None."""
        ranked: list[tuple[float, float, Widths]] = []
        for found in self._networks(self._limit, self._target if self._under else math.inf):
            distance = abs(found.macs - self._target)
            if not self._caps and len(distance):
                found = found.take(distance == distance.min())
                distance = abs(found.macs - self._target)
            ranked += zip(distance, self._distortions(found), self._widths(found), strict=True)
        return self._first_within_caps(ranked)

    def _first_within_caps(self, ranked: list[tuple[float, float, Widths]]) -> Widths | None:
        line = self._line
        if not self._caps:  # counting all costs takes longer than the rest of the search
            return min(ranked, default=(0.0, 0.0, None))[2]
        for *_, widths in sorted(ranked):
            if not exceeded(count_costs(line.architecture(widths), line.input.precision), self._caps):
                return widths
        return None

    def _distortions(self, found: _Prefixes) -> Numbers:
        return (found.most - found.least) / 2

    def _widths(self, found: _Prefixes) -> Iterator[Widths]:
        return (tuple(map(int, widths)) for widths in zip(*found.widths, strict=True))

    def _networks(self, distortion: float, most_macs: float) -> Iterator[_Prefixes]:
        """All networks of at most that distortion and those MACs, some at a time."""
        import numpy as np

        options, line = self._first_widths(distortion), self._line
        first, logs = np.array(options, dtype=np.int64), self._logs(options, 0)
        stem: Any = line.stem_of_scale or np.array([line.stem(width) for width in options])
        macs = self._macs.stem(stem) + self._macs.stage(0, stem, first)
        start = _Prefixes((first,), macs, logs, logs)
        yield from self._wider(start.take(macs <= most_macs), 1, distortion, most_macs)

    def _wider(self, prefixes: _Prefixes, index: int, distortion: float, most_macs: float) -> Iterator[_Prefixes]:
        """The networks that begin with those widths, whose next stage is `index`."""
        import numpy as np

        if not len(prefixes.macs):
            return
        if index == len(self._ratios):
            total = prefixes.macs + self._macs.head(prefixes.widths[-1])
            yield prefixes.take(total <= most_macs)._replace(macs=total[total <= most_macs])
            return
        step, ratio = self._steps[index], self._ratios[index]
        least = math.exp(prefixes.most.min() - 2 * distortion) * ratio / step
        most = math.exp(prefixes.least.max() + 2 * distortion) * ratio / step
        options = range(max(1, math.ceil(least - 1e-9)) * step, math.floor(most + 1e-9) * step + 1, step)
        at_once = max(1, _MOST_AT_ONCE // max(1, len(options)))
        if len(prefixes.macs) > at_once:
            for begin in range(0, len(prefixes.macs), at_once):
                part = prefixes.take(slice(begin, begin + at_once))
                yield from self._wider(part, index, distortion, most_macs)
            return
        logs, widths = self._logs(options, index), np.array(options, dtype=np.int64)
        narrowest, widest = prefixes.widths[-1].min(), prefixes.widths[-1].max()
        before = np.arange(narrowest, widest + 1, self._steps[index - 1])
        places = (prefixes.widths[-1] - narrowest) // self._steps[index - 1]
        added = self._macs.stage(index, before[:, None], widths[None, :])[places]
        macs = prefixes.macs[:, None] + added
        lowest = np.minimum(prefixes.least[:, None], logs)
        highest = np.maximum(prefixes.most[:, None], logs)
        least_width = prefixes.widths[-1] + (ratio > self._ratios[index - 1])
        holds = (highest - lowest <= 2 * distortion + 1e-12) & (macs <= most_macs) & (widths >= least_width[:, None])
        rows, columns = np.nonzero(holds)
        longer = _Prefixes(
            (*(column[rows] for column in prefixes.widths), widths[columns]),
            macs[rows, columns],
            lowest[rows, columns],
            highest[rows, columns],
        )
        yield from self._wider(longer, index + 1, distortion, most_macs)

    def _logs(self, options: Sequence[int], index: int) -> Numbers:
        import numpy as np

        return np.array([math.log(width / self._ratios[index]) for width in options])

    def _first_widths(self, distortion: float) -> range:
        """First-stage widths worth trying for that distortion.

        Below them, every stage would be narrower than in proportion to the point before the start. As a multiple of
        its step it would be no wider than the multiple that is nearest to that proportion; so no stage would be wider
        than at that point, whose MACs are not above the budget, and the MACs would be further from it. Above them, no
        stage would be narrower than at the point after the start, since both keep the order of the ratios.
        """
        step, start = self._steps[0], self._start[0]
        least = math.floor((start - step) * math.exp(-2 * distortion) / step)
        most = math.ceil((start + step) * math.exp(2 * distortion))
        return range(max(1, least) * step, most + 1, step)
