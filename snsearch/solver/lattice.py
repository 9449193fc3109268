"""The networks of one design with all stages in proportion, and the best of them for a budget.

As the widths grow, MACs, parameters and memory never fall, whatever the group count of each stage: both grouped
convolutions of a unit have its stage's count, so that what a wider stage before takes from the concatenated branch it
adds to the first convolution. So the best network is one of the two neighbours of the budget, and bisection finds it.
This module holds no cost formula: `network.costs` counts everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial

from snsearch.network import SIMD_CHANNELS, Architecture, Costs, StageMacs, count_costs, count_macs
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.spec import SpaceSpec
from snsearch.solver.unmet import UnmetBoundError
from snsearch.units import format_budget, format_bytes, format_count, format_resolution, format_stages

NEAREST_EXCESS = 0.1  # how far above the budget the nearest solution may lie where none lies below
_MOST_POINTS = 2**32
SE_REDUCTION = 16  # ShuffleNet, Table 5, and arXiv:1709.01507


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper bound of a budget: its key in TOML, its limit, the cost that it bounds, and how to print that."""

    key: str
    limit: int
    cost: Callable[[Costs], int]
    show: Callable[[float], str]


def caps_of(budget: Budget) -> tuple[Bound, ...]:
    """The bounds that a network must never exceed; the MACs are one of them where the match is "under"."""
    under = budget.macs if budget.match == "under" else None
    bounds = (
        ("mflops", under, lambda c: c.macs, lambda v: f"{format_budget(round(v))} MFLOPs"),
        ("params", budget.params, lambda c: c.params, lambda v: f"{format_count(v)} parameters"),
        (
            "peak_activation",
            budget.peak_activation_bytes,
            lambda c: c.peak_activation_bytes,
            lambda v: f"{format_bytes(v)} of peak activation memory",
        ),
        (
            "model_size",
            budget.weight_bytes,
            lambda c: c.weight_bytes,
            lambda v: f"{format_bytes(v)} of model",
        ),
    )
    return tuple(Bound(key, limit, cost, show) for key, limit, cost, show in bounds if limit is not None)


def nearest_multiple(value: float, step: int) -> int:
    """The multiple of step nearest to the value, at least one step; a tie moves up."""
    return max(1, math.floor(value / step + 0.5)) * step


def stem_of_scale(space: SpaceSpec, scale: float) -> float:
    """First-convolution channels for a scale by the space's table, before rounding to groups.

    Outside the table they double or halve with the scale.
    """
    table = space.stem_at_scale
    if scale < table[0][0]:
        return table[0][1] * 2.0 ** math.floor(math.log2(scale / table[0][0]))
    if scale >= table[-1][0]:
        return table[-1][1] * 2.0 ** math.floor(math.log2(scale / table[-1][0]))
    return [channels for at, channels in table if at <= scale][-1]


@dataclass(frozen=True)
class WidthLine:
    """The networks of one space and design with all stages in proportion.

    A point of the line is the first stage's width in steps. The other stages have the multiple of their own step
    that is nearest to proportion, and keep the order of the ratios: a stage of greater ratio is wider than the one
    before. So no width ever falls from one point to the next, and the first one rises.
    """

    space: SpaceSpec
    design: Design
    input: Budget  # gives resolution, classes, input channels and precision; its bounds are not read
    scale: float | None  # None where the stem follows the first stage's width
    pack: int  # further factor of the step; 1 where widths need not be packed

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """The group count of each stage."""
        return self.space.per_stage(self.design.groups, "group counts")

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """Widths per stage over the first one's."""
        return self.space.ratios if self.design.ratios is None else self.design.ratios

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """The width of each stage is a multiple of this many channels."""
        return tuple(step * self.pack for step in self.space.width_steps(self.groups))

    @property
    def stem_step(self) -> int:
        """The first convolution's channels are a multiple of this, where they follow the scale."""
        groups = self.groups[0] if self.space.stem_multiple_of_groups else 1
        return groups * (SIMD_CHANNELS if self.pack > 1 else 1)

    def stem(self, first_width: int) -> int:
        """Channels of the first convolution."""
        if self.stem_of_scale is None:
            return max(1, round(first_width * self.space.stem_width_ratio))
        return self.stem_of_scale

    @cached_property
    def stem_of_scale(self) -> int | None:
        """Channels of the first convolution where they follow the scale, whatever the widths."""
        return None if self.scale is None else nearest_multiple(stem_of_scale(self.space, self.scale), self.stem_step)

    def widths(self, point: int) -> tuple[int, ...]:
        """Channels per stage at a point."""
        ratios, steps = self.ratios, self.steps
        widths = [point * steps[0]]
        for index in range(1, len(ratios)):
            least = widths[-1] + (ratios[index] > ratios[index - 1])
            nearest = nearest_multiple(ratios[index] * widths[0], steps[index])
            widths.append(max(nearest, -(-least // steps[index]) * steps[index]))
        return tuple(widths)

    def nearest(self, width: float) -> int:
        """The point whose first stage is nearest to a width, and that can be built. Raises SpecError if none can."""
        step = self.steps[0]
        return max(self.first(), nearest_multiple(width, step) // step)

    def architecture(self, widths: Sequence[int]) -> Architecture:
        """The network with those channels per stage."""
        space, design = self.space, self.design
        shuffle = space.shuffle if design.shuffle is None else design.shuffle
        return Architecture(
            unit=space.unit,
            groups=self.groups,
            bottleneck=space.bottleneck,
            shuffle=shuffle,
            se_reduction=tuple(SE_REDUCTION * gated for gated in space.per_stage(design.se, "SE switches")),
            stem_channels=self.stem(widths[0]),
            stem_stride=space.stem_stride,
            stem_pool=space.stem_pool,
            stage_channels=tuple(widths),
            stage_repeats=space.repeats(design.depth),
            stage_strides=space.strides,
            input_channels=self.input.input_channels,
            resolution=self.input.resolution,
            classes=self.input.classes,
        )

    def macs(self, point: int) -> int:
        """MACs at a point. Raises SpecError where channels do not divide."""
        return count_macs(self.architecture(self.widths(point)))

    def costs(self, point: int) -> Costs:
        """All costs at a point. Raises SpecError where channels do not divide."""
        return count_costs(self.architecture(self.widths(point)), self.input.precision)

    def counter(self) -> Callable[[int], int]:
        """MACs by point, for many points; 0 where channels do not divide. Blocks that were counted are remembered."""
        stages = StageMacs(self.architecture(self.widths(1)))

        def macs(point: int) -> int:
            widths = self.widths(point)
            return stages.total(self.stem(widths[0]), widths)

        return macs

    def first(self, macs: Callable[[int], int] | None = None) -> int:
        """The narrowest point that can be built, as can all wider ones. Raises SpecError if there is none.

        `macs` is the line's `counter`, where there is one already.
        """
        counted = macs or self.counter()

        def too_narrow(point: int) -> bool:
            if counted(point):
                return False
            if point >= _MOST_POINTS:
                self.macs(point)  # its error names the stage
            return True

        return last_where(too_narrow, 1) + 1


def last_where(holds: Callable[[int], bool], first: int) -> int:
    """The last point from `first` on where a condition holds that, once false, stays false; first - 1 if none."""
    if not holds(first):
        return first - 1
    low, width = first, 1
    while holds(low + width):
        low, width = low + width, width * 2
    high = low + width
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def last_at_most(value: Callable[[int], float], limit: float, first: int) -> int:
    """The last point from `first` on whose value is at most the limit; first - 1 if there is none.

    The values must never fall. They are expected to grow with the square of the point and a constant, as MACs do
    nearly: their roots lie near a line, which says where to look next.
    """
    low, high = first - 1, None
    guess, halve = first, False
    points: list[tuple[int, float]] = [(0, 0.0)]  # the last two, and the roots of their values
    while high is None or high - low > 1:
        found = value(guess)
        low, high = (guess, high) if found <= limit else (low, guess)
        points = [*points[-1:], (guess, math.sqrt(max(found, 0)))]
        (one, at_one), (other, at_other) = points
        rise = (at_other - at_one) / (other - one) if other != one else 0.0
        aim = other + (math.sqrt(limit) - at_other) / rise if rise > 0 else 2.0 * guess
        guess = max(low + 1, math.floor(min(aim, 4.0 * max(low, 1))))
        if high is not None:
            guess = (low + high) // 2 if halve else min(guess, high - 1)
            halve = not halve and high - low > 4
    return low


def exceeded(costs: Costs, caps: Sequence[Bound]) -> list[Bound]:
    """The bounds that the costs exceed."""
    return [cap for cap in caps if cap.cost(costs) > cap.limit]


@dataclass(frozen=True, slots=True)
class WidthPoint:
    """Channels per stage, and the keys of the bounds that keep them from being wider."""

    widths: tuple[int, ...]
    binding: str


def unmet(line: WidthLine, key: str, limit: str, needs: str) -> UnmetBoundError:
    """The error of a line whose smallest network needs more of a bound than its limit, both in words."""
    groups, classes, widths = format_stages(line.groups), line.input.classes, line.widths(line.first())
    return UnmetBoundError(
        limit=limit,
        space=line.space.name,
        groups=f"{groups} group{'' if groups == '1' else 's'}",
        at=f"{format_resolution(line.input.resolution)} and {classes} class{'es' if classes > 1 else ''}",
        smallest=f"{'/'.join(map(str, widths))} channels behind a first convolution of {line.stem(widths[0])}",
        needs=needs,
        key=key,
    )


def best_point(line: WidthLine, budget: Budget) -> WidthPoint:
    """The best point of the line for the budget.

    Raises InfeasibleBudgetError, which names the smallest reachable cost and the bound that fails.
    """
    caps = caps_of(budget)
    macs = cache(line.counter())
    first = line.first(macs)
    costs = cache(line.costs)

    def cost_of(cap: Bound, point: int) -> int:
        return cap.cost(costs(point))

    failing = exceeded(costs(first), caps) if caps else []
    if not failing and budget.macs is not None and macs(first) > budget.macs * (1 + NEAREST_EXCESS):
        failing = [caps_of(replace(budget, match="under"))[0]]
    if failing:
        smallest = costs(first)
        worst = max(failing, key=lambda cap: cap.cost(smallest) / cap.limit)
        raise unmet(line, worst.key, worst.show(worst.limit), worst.show(worst.cost(smallest)))
    if budget.macs is not None and budget.match == "nearest":
        target = budget.macs
        below = last_at_most(macs, target, first)
        aim = below
        if below < first or macs(below + 1) - target < target - macs(below):
            aim = below + 1
        if not caps or not exceeded(costs(aim), caps):
            return WidthPoint(line.widths(aim), "mflops")
    best = min(last_at_most(partial(cost_of, cap), cap.limit, first) for cap in caps)
    binding = ", ".join(cap.key for cap in exceeded(costs(best + 1), caps))
    return WidthPoint(line.widths(best), binding)
