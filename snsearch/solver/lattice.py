"""The line of networks with all stages in proportion, and its best point for a budget.

Along the line MACs, parameters and memory never fall, so that the best point is one of the two neighbours of
the budget, and bisection finds it. No cost formula stands here: everything is counted by `costs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.network import Architecture, Costs, count_costs, count_macs
from snsearch.solver.spec import Budget, SpaceSpec
from snsearch.units import format_bytes, format_count, format_mflops, format_resolution

NEAREST_EXCESS = 0.1  # how far above the budget the nearest solution may lie where nothing lies below
SE_REDUCTION = 16  # ShuffleNet, Table 5, and arXiv:1709.01507
PACK = 4  # channels that a 128-bit SIMD register holds as float32


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """What is chosen beside the widths. None stands for the space's default, and a scale fit for the budget."""

    groups: int
    scale: float | None = None
    depth: str | None = None
    se: bool = False
    shuffle: bool | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    key: str
    limit: int
    cost: Callable[[Costs], int]
    show: Callable[[float], str]


def caps_of(budget: Budget) -> tuple[Bound, ...]:
    """The bounds that are never exceeded; the MACs are among them where the match is "under"."""
    under = budget.macs if budget.match == "under" else None
    bounds = (
        ("mflops", under, lambda c: c.macs, lambda v: f"{format_mflops(round(v))} MFLOPs"),
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
    """First-convolution channels that the space's table gives a scale, before rounding to groups."""
    table = space.stem_at_scale
    if scale < table[0][0]:
        return table[0][1] * 2.0 ** math.floor(math.log2(scale / table[0][0]))
    if scale >= table[-1][0]:
        return table[-1][1] * 2.0 ** math.floor(math.log2(scale / table[-1][0]))
    return [channels for at, channels in table if at <= scale][-1]


@dataclass(frozen=True, slots=True)
class Line:
    """The networks of one space and design with all stages in proportion: a line of lattice points.

    A point is the first stage's width in steps.
    """

    space: SpaceSpec
    design: Design
    input: Budget
    scale: float | None  # None where the stem follows the first stage's width
    pack: int

    @property
    def step(self) -> int:
        return self.space.width_step(self.design.groups) * self.pack

    @property
    def stem_step(self) -> int:
        groups = self.design.groups if self.space.stem_multiple_of_groups else 1
        return groups * (PACK if self.pack > 1 else 1)

    def stem(self, first_width: int) -> int:
        if self.scale is None:
            return max(1, round(first_width * self.space.stem_width_ratio))
        return nearest_multiple(stem_of_scale(self.space, self.scale), self.stem_step)

    def widths(self, point: int) -> tuple[int, ...]:
        return tuple(nearest_multiple(ratio * point * self.step, self.step) for ratio in self.space.ratios)

    def architecture(self, widths: Sequence[int]) -> Architecture:
        space, design = self.space, self.design
        shuffle = space.shuffle if design.shuffle is None else design.shuffle
        return Architecture(
            unit=space.unit,
            groups=design.groups,
            bottleneck=space.bottleneck,
            shuffle=shuffle,
            se_reduction=SE_REDUCTION if design.se else 0,
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

    def at(self, point: int) -> Architecture:
        return self.architecture(self.widths(point))

    def macs(self, point: int) -> int:
        return count_macs(self.at(point))

    def costs(self, point: int) -> Costs:
        return count_costs(self.at(point), self.input.precision)

    def first(self) -> int:
        """The narrowest point that can be built. Raises SpecError where there is none."""
        point = 1
        while True:
            try:
                self.macs(point)
            except SpecError:
                if point * self.step > self.stem(point * self.step) + self.step:
                    raise
                point += 1
            else:
                return point


def last_where(holds: Callable[[int], bool], first: int) -> int:
    """The last point from `first` on that holds, for a condition that once false stays false; first - 1 if none."""
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


def within(costs: Costs, caps: Sequence[Bound]) -> bool:
    return all(cap.cost(costs) <= cap.limit for cap in caps)


@dataclass(frozen=True, slots=True)
class Point:
    widths: tuple[int, ...]
    binding: str


def best_point(line: Line, budget: Budget) -> Point:
    """The best point of the line. Raises InfeasibleBudgetError with the smallest reachable and the failing bound."""
    caps = caps_of(budget)
    first = line.first()
    smallest = line.costs(first)
    failing = [cap for cap in caps if cap.cost(smallest) > cap.limit]
    if not failing and budget.macs is not None and smallest.macs > budget.macs * (1 + NEAREST_EXCESS):
        failing = [caps_of(replace(budget, match="under"))[0]]
    if failing:
        worst = max(failing, key=lambda cap: cap.cost(smallest) / cap.limit)
        groups, classes, widths = line.design.groups, line.input.classes, line.widths(first)
        raise InfeasibleBudgetError(
            f"{worst.show(worst.limit)} cannot be met by {line.space.name} with {groups} "
            f"group{'s' if groups > 1 else ''} at {format_resolution(line.input.resolution)} and {classes} "
            f"class{'es' if classes > 1 else ''}: the smallest network, {'/'.join(map(str, widths))} channels "
            f"behind a first convolution of {line.stem(widths[0])}, needs {worst.show(worst.cost(smallest))}; raise "
            f"{worst.key}, lower the resolution, or take fewer groups or units"
        )
    if budget.macs is not None and budget.match == "nearest":
        target = budget.macs
        below = last_where(lambda point: line.macs(point) <= target, first)
        aim = below
        if below < first or line.macs(below + 1) - target < target - line.macs(below):
            aim = below + 1
        if all(cap.cost(line.costs(aim)) <= cap.limit for cap in caps):
            return Point(line.widths(aim), "mflops")
    else:
        aim = None
    best = last_where(lambda point: within(line.costs(point), caps), first)
    over = line.costs(best + 1)
    binding = ", ".join(cap.key for cap in caps if cap.cost(over) > cap.limit)
    return Point(line.widths(best), binding)
