"""Widths that leave the stages' proportion a little, to come closer to the budget than proportion allows.

The lattice of such widths is walked whole, cut only where a bound proves that nothing better is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from snsearch.errors import SpecError
from snsearch.network import StageMacs, count_costs
from snsearch.solver.lattice import Line, caps_of, within
from snsearch.solver.spec import Budget

TIGHT_TOLERANCE = 0.001  # how near to the budget a tight solution comes where the lattice permits
TIGHT_DISTORTION = math.log(4 / 3)  # how far a stage may leave its proportion, as a logarithm


def distortion_of(widths: Sequence[int], ratios: Sequence[float]) -> float:
    """How far widths leave their proportion: half the spread of log(width / ratio)."""
    logs = [math.log(width / ratio) for width, ratio in zip(widths, ratios, strict=True)]
    return (max(logs) - min(logs)) / 2


def tight_widths(line: Line, budget: Budget, start: Sequence[int]) -> tuple[int, ...] | None:
    """The widths nearest to proportion within TIGHT_TOLERANCE of the budget; else those nearest to the budget.

    Every stage is a multiple of the step and leaves its proportion by at most TIGHT_DISTORTION; the lattice of
    such widths is walked whole. None where no point of it satisfies the caps.
    """
    assert budget.macs is not None
    if len(line.space.ratios) == 1:
        return tuple(start)  # one stage has no proportion to leave
    target, under = budget.macs, budget.match == "under"
    caps = tuple(cap for cap in caps_of(budget) if cap.key != "mflops")
    high = target if under else target * (1 + TIGHT_TOLERANCE)
    low = target * (1 - TIGHT_TOLERANCE)
    step, ratios, last = line.step, line.space.ratios, len(line.space.ratios) - 1
    counter = StageMacs(line.architecture(start))

    def allowed(widths: tuple[int, ...]) -> bool:
        return not caps or within(count_costs(line.architecture(widths), line.input.precision), caps)

    def widths_within(index: int, logs: tuple[float, float], distortion: float) -> range:
        """Widths of a stage that keep the distortion, as a range of multiples of the step."""
        least = math.exp(logs[1] - 2 * distortion) * ratios[index]
        most = math.exp(logs[0] + 2 * distortion) * ratios[index]
        return range(max(1, math.ceil(least / step - 1e-9)) * step, math.floor(most / step + 1e-9) * step + 1, step)

    def total(prefix_macs: int, widths: tuple[int, ...]) -> float:
        try:
            return prefix_macs + counter.stage(last, widths[-2], widths[-1]) + counter.head(widths[-1])
        except SpecError:
            return -math.inf  # too narrow to be built: below everything

    # Were the first stage narrower (wider) than this, every stage would lie below (above) the line's neighbours of
    # the budget, and so would the MACs.
    reach = range(
        max(1, math.floor((start[0] - step) * math.exp(-2 * TIGHT_DISTORTION) / step)) * step,
        math.ceil((start[0] + step) * math.exp(2 * TIGHT_DISTORTION)) + 1,
        step,
    )

    def prefixes(
        widths: tuple[int, ...],
        macs: int,
        logs: tuple[float, float],
        limit: Callable[[], float],
        most: Callable[[], float],
    ) -> Iterator[tuple[tuple[int, ...], int, tuple[float, float]]]:
        """All widths of the stages but the last, nearest to proportion first."""
        index = len(widths)
        if index == last:
            yield widths, macs, logs
            return
        middle = widths[0] * ratios[index] if widths else start[0]
        options = widths_within(index, logs, limit()) if widths else reach
        for width in sorted(options, key=lambda w: abs(math.log(w / middle))):
            log = math.log(width / ratios[index])
            spread = (min(logs[0], log), max(logs[1], log)) if widths else (log, log)
            if spread[1] - spread[0] > 2 * limit() + 1e-12:
                continue
            try:
                if not widths:
                    # The stem may follow the first stage's width.
                    added = counter.stem(line.stem(width)) + counter.stage(0, line.stem(width), width)
                else:
                    added = counter.stage(index, widths[-1], width)
            except SpecError:
                continue
            if macs + added <= most():
                yield from prefixes((*widths, width), macs + added, spread, limit, most)

    best: tuple[float, float, tuple[int, ...]] | None = None

    def best_distortion() -> float:
        return TIGHT_DISTORTION if best is None else best[0]

    for prefix, macs, logs in prefixes((), 0, (0.0, 0.0), best_distortion, lambda: high):
        options = widths_within(last, logs, best_distortion())
        begin = _bisect(options, lambda width, p=prefix, m=macs: total(m, (*p, width)) >= low)  # type: ignore[misc]
        for width in options[begin:]:
            widths = (*prefix, width)
            value = total(macs, widths)
            if value > high:
                break
            rank = (distortion_of(widths, ratios), abs(value - target), widths)
            if (best is None or rank < best) and allowed(widths):
                best = rank
    if best is not None:
        return best[2]

    nearest: tuple[float, float, tuple[int, ...]] | None = None

    def most_near() -> float:
        return target if under else math.inf if nearest is None else target + nearest[0]

    for prefix, macs, logs in prefixes((), 0, (0.0, 0.0), lambda: TIGHT_DISTORTION, most_near):
        options = widths_within(last, logs, TIGHT_DISTORTION)
        over = _bisect(options, lambda width, p=prefix, m=macs: total(m, (*p, width)) > target)  # type: ignore[misc]
        for width in options[max(0, over - 1) : over if under else over + 1]:
            widths = (*prefix, width)
            rank = (abs(total(macs, widths) - target), distortion_of(widths, ratios), widths)
            if (nearest is None or rank < nearest) and math.isfinite(rank[0]) and allowed(widths):
                nearest = rank
    return None if nearest is None else nearest[2]


def _bisect(options: range, holds: Callable[[int], bool]) -> int:
    """Index of the first option that holds, for a condition that once true stays true; the length if none."""
    low, high = 0, len(options)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(options[middle]) else (middle + 1, high)
    return low
