"""SpaceSpec + Budget -> Solution: the channel counts that meet a budget best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.latency import Latency, predict_ms
from snsearch.network import SIMD_CHANNELS, Architecture, Costs, OpGraph, count_costs
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design, check_design
from snsearch.solver.lattice import (
    WidthLine,
    WidthPoint,
    best_point,
    caps_of,
    nearest_multiple,
    stem_of_scale,
    unmet,
)
from snsearch.solver.spec import SpaceSpec
from snsearch.solver.tight import TIGHT_TOLERANCE, tight_widths
from snsearch.units import format_mflops, three_digits


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """An architecture of a space, its costs, and how far they are from the budget."""

    space: str  # name
    title: str  # of the space
    design: Design
    scale: float  # the design's; where it gives none, the one that fits the budget
    architecture: Architecture
    costs: Costs
    budget: Budget | None
    deviation: float | None  # of the MACs from the budget's, as a fraction of the budget's
    binding: str | None  # keys of the bounds that keep the network from being wider, joined by ", "
    notes: tuple[str, ...]  # what differs from what was asked for, and why
    latency: Latency | None = None  # predicted, where the budget bounds it

    def __repr__(self) -> str:
        return f"<{self.title} {self.architecture.key}: {self.costs.mflops:.1f} MFLOPs>"

    def _repr_html_(self) -> str:
        """The solution as a notebook shows it."""
        from snsearch.solver.solution_table import networks_as_rows

        return networks_as_rows((self,)).html()


def is_packed(arch: Architecture) -> bool:
    """Whether every convolution after the first reads and writes a multiple of 4 channels per group.

    A depthwise convolution needs a multiple of 4 channels. ARM engines have vector kernels for such layers only.
    """
    for op in OpGraph.of(arch).ops:
        if op.kind != "conv" or op.name == "stem.conv":
            continue
        groups = 1 if op.groups == op.channels == op.channels_in else op.groups
        if (op.channels_in // groups) % SIMD_CHANNELS or (op.channels // groups) % SIMD_CHANNELS:
            return False
    return True


def reference_width(space: SpaceSpec, design: Design) -> int:
    """The first stage's channels at 1x: those of the network that meets the space's reference budget.

    It has the design's groups and ratios, the space's default depth and no SE.
    """
    return _reference_width(space, Design(groups=design.groups, ratios=design.ratios))


@lru_cache(maxsize=256)
def _reference_width(space: SpaceSpec, design: Design) -> int:
    line = WidthLine(
        space=space,
        design=design,
        input=space.reference,
        scale=1.0 if space.stem_at_scale else None,
        pack=1,
    )
    return best_point(line, space.reference).widths[0]


def _scales(space: SpaceSpec) -> Iterator[float]:
    """The space's named scales upwards, then 1.5 and 2 times the last one, and so on: 2, 3, 4, 6, 8 …"""
    yield from space.named_scales
    scale = space.named_scales[-1]
    while scale < 1e4:
        yield scale * 1.5
        yield scale * 2
        scale *= 2


@lru_cache(maxsize=256)
def _budget_scale(space: SpaceSpec, budget: Budget) -> float:
    """The scale whose network comes nearest to the budget, by the ratio of its worst bound.

    It takes the space's fewest groups, its default depth and no SE whatever the design, so that all variants of a
    budget share their first convolution, as in the ShuffleNet paper.
    """
    bounds = caps_of(replace(budget, match="under"))
    limit = None if budget.latency_ms is None else budget.latency_limit_ms
    design = Design(groups=min(space.groups))
    base = reference_width(space, design)

    def excess(scale: float) -> float:
        line = WidthLine(space=space, design=design, input=budget, scale=scale, pack=1)
        point = line.nearest(base * scale)
        costs = line.costs(point)
        shares = [bound.cost(costs) / bound.limit for bound in bounds]
        if limit is not None:
            profile = budget.latency_profile
            terms = profile.terms(line.architecture(line.widths(point)))  # also of a network that it refuses
            shares.append(predict_ms(dict(profile.rates), terms) / limit)
        return max(shares)

    values: dict[float, float] = {}
    for scale in _scales(space):
        values[scale] = excess(scale)
        if values[scale] > 1:
            break
    scale = space.named_scales[0]
    while values[scale] > 1 and stem_of_scale(space, scale) >= 2:
        scale /= 2
        values[scale] = excess(scale)
    return min(values, key=lambda scale: abs(math.log(values[scale])))


def _stem_note(line: WidthLine, stem: int) -> tuple[str, ...]:
    if line.scale is None or stem == stem_of_scale(line.space, line.scale):
        return ()
    named = stem_of_scale(line.space, line.scale)
    if stem == nearest_multiple(named, 1):
        return (f"first convolution of {stem} channels instead of {named:g}",)
    reason = (
        f"so that the stride-2 concatenation divides by {line.groups[0]}"
        if line.space.stem_multiple_of_groups and line.pack == 1
        else f"so that its channels are packed by {SIMD_CHANNELS}"
    )
    return (f"first convolution of {stem} channels instead of {named:g}, {reason}",)


def _solution(
    line: WidthLine, widths: Sequence[int], budget: Budget | None, binding: str | None, notes: tuple[str, ...]
) -> Solution:
    arch = line.architecture(widths)
    costs = count_costs(arch, line.input.precision)
    target = None if budget is None else budget.macs
    scale = line.scale
    if scale is None:
        scale = round(widths[0] / reference_width(line.space, line.design), 4)
    return Solution(
        space=line.space.name,
        title=line.space.title,
        design=line.design,
        scale=scale,
        architecture=arch,
        costs=costs,
        budget=budget,
        deviation=None if target is None else (costs.macs - target) / target,
        binding=binding,
        notes=tuple(dict.fromkeys((*_stem_note(line, arch.stem_channels), *notes))),
        latency=None if budget is None or budget.latency_ms is None else budget.latency_profile.predict(arch),
    )


def solve(space: SpaceSpec, budget: Budget, design: Design, *, tight: bool = False, packed: bool = False) -> Solution:
    """The network of the space and design that meets the budget best, at the budget's resolution and classes.

    Args:
        space: the design space.
        budget: the bounds; at least one.
        design: without a scale, the first convolution follows the budget, and is narrowed further where no network
            fits otherwise.
        tight: let the stages leave their proportion a little, to come within 0.1 % of the MFLOPs.
        packed: prefer widths whose channels per group are multiples of 4.

    Raises:
        InfeasibleBudgetError: no network meets the budget. Names the smallest reachable cost and the bound that
            fails.
        SpecError: the space does not have the design, or `tight` is asked of a budget without MFLOPs.
    """
    check_design(space, design)
    if design.scale is not None and not space.stem_at_scale:
        raise SpecError(f"space {space.name}: all widths follow one scale, so a budget leaves none to choose")
    if not space.stem_at_scale:
        scales: list[float | None] = [None]
    elif design.scale is not None:
        scales = [design.scale]
    else:
        scales = [_budget_scale(space, budget)]
        while stem_of_scale(space, scales[-1] or 1) > 1:
            scales.append((scales[-1] or 1) / 2)
    for scale in scales:
        line = WidthLine(space=space, design=design, input=budget, scale=scale, pack=1)
        try:
            plain = _best(line, budget, tight=tight)
            break
        except InfeasibleBudgetError:
            if scale == scales[-1]:
                raise
    if not packed:
        return plain
    return _packed(line, budget, plain, tight=tight)


def _best(line: WidthLine, budget: Budget, *, tight: bool) -> Solution:
    if budget.latency_ms is not None:
        return _within_latency(line, budget, tight=tight)
    return _finish(line, budget, best_point(line, budget), tight=tight)


def _within_latency(line: WidthLine, budget: Budget, *, tight: bool) -> Solution:
    """The network of most MACs whose predicted latency is at most 2 % below the limit, and within the other bounds.

    The network that the other bounds give, where it is not slower than that; then a note says what binds.
    """
    from snsearch.solver.latency_search import LATENCY_TOLERANCE, LatencySearch

    limit = budget.latency_limit_ms
    least = limit * (1 - LATENCY_TOLERANCE)
    caps = caps_of(replace(budget, match="under"))
    without: Solution | None = None
    if caps:
        others = replace(budget, latency_ms=None, profile=None, confidence=None)
        point = best_point(line, others)
        found = _finish(line, others, point, tight=tight and budget.macs is not None)
        found = _solution(line, found.architecture.stage_channels, budget, point.binding, found.notes)
        assert found.latency is not None, "the budget bounds the latency"
        if found.latency.ms <= limit:
            note = f"latency: {point.binding} binds first, at {three_digits(found.latency.ms)} ms"
            without = replace(found, notes=(*found.notes, note))
            if found.latency.ms >= least or point.binding.startswith("mflops"):
                return found if found.latency.ms >= least else without
    search = LatencySearch(line, budget, caps)
    if widths := search.best(least):
        return _solution(line, widths, budget, "latency", ())
    if without is not None:
        return without
    if widths := search.best(0.0):
        note = (
            f"latency: no widths with every stage near its proportion are predicted within {LATENCY_TOLERANCE:.0%} "
            f"below {three_digits(limit)} ms; of those further below, these have the most MACs"
        )
        return _solution(line, widths, budget, "latency", (note,))
    smallest = budget.latency_profile.predict(line.architecture(line.widths(line.first())))
    raise unmet(line, "latency", f"{three_digits(limit)} ms", f"{three_digits(smallest.ms)} ms (predicted)")


def _finish(line: WidthLine, budget: Budget, point: WidthPoint, *, tight: bool) -> Solution:
    if not tight:
        return _solution(line, point.widths, budget, point.binding, ())
    if budget.macs is None:
        raise SpecError("tight solving comes close to an MFLOPs budget; this budget names none")
    if not point.binding.startswith("mflops"):
        note = f"tight: {point.binding} binds before the MFLOPs are reached"
        return _solution(line, point.widths, budget, point.binding, (note,))
    widths = tight_widths(line, budget, point.widths) or point.widths
    solution = _solution(line, widths, budget, point.binding, ())
    deviation = abs(solution.deviation or 0.0)
    if deviation > TIGHT_TOLERANCE:
        note = (
            f"tight: no widths come nearer than {deviation:.3%} to the budget with every stage within "
            f"{'a third' if line.design.ratios is None else 'two thirds'} of its proportion"
        )
        return replace(solution, notes=(*solution.notes, note))
    return solution


def _packed(line: WidthLine, budget: Budget, plain: Solution, *, tight: bool) -> Solution:
    """The packed counterpart of a solution, with a note of both; the plain solution where there is none."""
    if is_packed(plain.architecture):
        return replace(plain, notes=(*plain.notes, "packed: already divides by 4"))
    try:
        for pack in (2, 4, 8, 16, 32, 64):
            packed_line = replace(line, pack=pack)
            solution = _best(packed_line, budget, tight=tight)
            if is_packed(solution.architecture):
                break
        else:
            raise SpecError("the space has no such widths")
    except (InfeasibleBudgetError, SpecError) as error:
        return replace(plain, notes=(*plain.notes, f"packed: not possible here ({error})"))

    def describe(one: Solution) -> str:
        arch = one.architecture
        widths = "/".join(map(str, (arch.stem_channels, *arch.stage_channels)))
        text = f"{widths} channels, {format_mflops(one.costs.macs)} MFLOPs"
        return text if one.deviation is None else f"{text} ({one.deviation:+.2%})"

    return replace(solution, notes=(*solution.notes, f"packed: {describe(solution)} instead of {describe(plain)}"))


def scaled(space: SpaceSpec, design: Design, at: Budget) -> Solution:
    """The network of a scale, without a budget. 1x is the network that meets the space's reference budget.

    Args:
        space: the design space.
        design: without a scale, 1x.
        at: gives resolution, classes, input channels and precision. Its bounds are not read.

    Raises:
        SpecError: the space does not have the design.
    """
    check_design(space, design)
    scale = 1.0 if design.scale is None else design.scale
    line = WidthLine(space=space, design=design, input=at, scale=scale if space.stem_at_scale else None, pack=1)
    return _solution(line, line.widths(line.nearest(reference_width(space, design) * scale)), None, None, ())
