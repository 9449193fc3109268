"""Designs with groups, SE, units and ratios per stage, against plain walks with summed formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from snsearch.codec import decode, encode
from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs
from snsearch.network.graph import OpGraph
from snsearch.solver.budget import Budget, mflops_budget
from snsearch.solver.design import Design, label_of
from snsearch.solver.solving import Solution, scaled, solve
from snsearch.solver.spec import load_space
from snsearch.solver.tight import distortion_of
from tests.architectures import shufflenet
from tests.closed_form import Tally, network, shufflenet_stage

SHUFFLENET, RESNEXT = load_space("shufflenet-v1"), load_space("resnext")
FREE = mflops_budget(1)
MIXED = Design(groups=(1, 3, 8), se=(False, True, True), depth="2-5-3", ratios=(1.0, 2.2, 3.7))


def steps_of(groups: tuple[int, ...]) -> tuple[int, ...]:
    """The least common multiple of 4 g of the stage, for its bottleneck, and of the next stage's g."""
    return tuple(
        next(step for step in range(4 * own, 10_000, 4 * own) if step % after == 0)
        for own, after in pairwise((*groups, 1))
    )


@st.composite
def designs(draw: st.DrawFn, groups: tuple[int, ...] = (1, 2, 3, 4, 8)) -> Design:
    """Designs of three stages, each with its own choices."""
    growth = st.integers(125, 300).map(lambda percent: percent / 100)
    second = draw(growth)
    return Design(
        groups=draw(st.tuples(*[st.sampled_from(groups)] * 3)),
        se=draw(st.tuples(st.booleans(), st.booleans(), st.booleans())),
        depth="-".join(map(str, draw(st.tuples(*[st.integers(1, 6)] * 3)))),
        scale=draw(st.sampled_from((0.25, 0.5, 1.0))),
        ratios=(1.0, second, second * draw(growth)),
    )


def line_of(solution: Solution) -> Iterator[Architecture]:
    """Every network in the design's proportion, narrowest first: each width the multiple nearest to it."""
    arch = solution.architecture
    steps = steps_of(arch.groups)
    for point in range(1, 10_000):
        widths = [point * steps[0]]
        for ratio, step in zip((solution.design.ratios or (1, 2, 4))[1:], steps[1:], strict=True):
            # The product is rounded as floats are: 1.4 x 300 is 420, half way between multiples of 24.
            nearest = max(math.floor(Fraction(ratio * widths[0]) / step + Fraction(1, 2)), 1) * step
            widths.append(nearest if nearest > widths[-1] else (widths[-1] // step + 1) * step)
        if widths[0] > arch.stem_channels:
            yield replace(arch, stage_channels=tuple(widths))


@settings(max_examples=60, deadline=None)
@given(designs(), st.integers(12_000_000, 150_000_000), st.booleans())
def test_the_nearest_network_of_the_line_is_found(design: Design, macs: int, under: bool) -> None:
    try:
        solution = solve(SHUFFLENET, Budget(name="b", macs=macs, match="under" if under else "nearest"), design)
    except InfeasibleBudgetError:
        reject()
    arch = solution.architecture
    assert (arch.groups, arch.stage_repeats) == (design.groups, SHUFFLENET.repeats(design.depth))
    assert arch.se_reduction == tuple(16 if gated else 0 for gated in design.se)
    assert solution.costs.macs == network(arch).macs
    assert solution.costs == count_costs(arch)
    assert all(op.channels % op.groups == op.channels_in % op.groups == 0 for op in OpGraph.of(arch).ops)
    counted = ((abs(network(one).macs - macs), network(one).macs, one) for one in line_of(solution))
    best, last = None, 0
    for off, found, one in counted:
        assert found > last, "MACs rise along the line"
        last = found
        if best is None or (off < best[0] and not (under and found > macs)):
            best = (off, one)
        if found > 2 * macs:
            break
    assert best is not None
    assert arch == best[1]


def best_of_lattice(arch: Architecture, target: int, ratios: tuple[float, ...]) -> tuple[int, ...]:
    """The least distorted widths within a thousandth of the target, else the nearest, of a plain walk."""
    steps, exact = steps_of(arch.groups), [Fraction(ratio) for ratio in ratios]

    @cache
    def stage(index: int, width_in: int, width_out: int) -> int:
        tally, sides = Tally(), (56, 28, 14)
        shufflenet_stage(
            tally,
            (sides[index], sides[index]),
            width_in,
            width_out,
            repeats=arch.stage_repeats[index],
            groups=arch.groups[index],
            opens_network=index == 0,
            reduction=arch.se_reduction[index],
        )
        return tally.macs

    within: list[tuple[Fraction, int, tuple[int, ...]]] = []
    nearest: tuple[int, Fraction, tuple[int, ...]] | None = None
    stem, second_step, third_step = arch.stem_channels, steps[1], steps[2]
    for first in range((stem // steps[0] + 1) * steps[0], 10_000, steps[0]):
        so_far = 112 * 112 * 27 * stem + stage(0, stem, first)
        if so_far > 2 * target:
            break
        for second in range((first // second_step + 1) * second_step, math.ceil(3 * first * ratios[1]), second_step):
            with_second = so_far + stage(1, first, second)
            if with_second > 2 * target:
                break
            start = (second // third_step + 1) * third_step
            for third in range(start, math.ceil(3 * first * ratios[2]), third_step):
                parts = [width / ratio for width, ratio in zip((first, second, third), exact, strict=True)]
                spread = max(parts) / min(parts)
                off = abs(with_second + stage(2, second, third) + third * arch.classes - target)
                if spread > Fraction(25, 9):  # two thirds of its proportion either way
                    continue
                if 1000 * off <= target:
                    within.append((spread, off, (first, second, third)))
                found = (off, spread, (first, second, third))
                nearest = found if nearest is None else min(nearest, found)
    assert nearest is not None
    return min(within)[2] if within else nearest[2]


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(designs(groups=(2, 3, 4, 8)), st.integers(9_000_000, 16_000_000))
def test_tight_widths_are_the_best_of_the_whole_lattice(design: Design, macs: int) -> None:
    budget = Budget(name="b", macs=macs)
    try:
        solution = solve(SHUFFLENET, budget, design, tight=True)
    except InfeasibleBudgetError:
        reject()
    arch = solution.architecture
    assert design.ratios is not None
    parts = [width / ratio for width, ratio in zip(arch.stage_channels, design.ratios, strict=True)]
    if max(parts) / min(parts) > 25 / 9 + 1e-9:  # no widths are near enough to proportion
        assert arch == solve(SHUFFLENET, budget, design).architecture
        assert solution.notes[-1].startswith("tight: no widths come nearer")
        return
    best = best_of_lattice(arch, macs, design.ratios)
    if abs(solution.deviation or 0) <= 0.001:  # of widths that are as distorted but for rounding, either may be found
        assert distortion_of(arch.stage_channels, design.ratios) == pytest.approx(
            distortion_of(best, design.ratios), abs=1e-12
        )
    else:
        assert arch.stage_channels == best


def test_a_list_of_one_choice_is_that_choice() -> None:
    alike = Design(groups=(3, 3, 3), se=(True, True, True), ratios=(1.0, 2.0, 4.0))
    for tight in (False, True):
        found, plain = (
            solve(SHUFFLENET, mflops_budget(38), design, tight=tight) for design in (alike, Design(groups=3, se=True))
        )
        assert (found.architecture, found.costs) == (plain.architecture, plain.costs)
    found = scaled(SHUFFLENET, replace(alike, scale=1), FREE)
    assert found.architecture == shufflenet(3, 240, 480, 960, se_reduction=16)


def test_one_x_of_a_design_costs_what_one_x_of_the_space_costs() -> None:
    solution = scaled(SHUFFLENET, Design(groups=(1, 3, 8), ratios=(1.0, 2.2, 3.7)), FREE)
    assert solution.costs.macs == pytest.approx(140_000_000, rel=0.05)
    assert (solution.scale, solution.architecture.stem_channels) == (1, 24)
    wide = scaled(SHUFFLENET, Design(groups=(1, 3, 8), ratios=(1.0, 2.2, 3.7), scale=2), FREE)
    assert wide.architecture.stage_channels[0] == 2 * solution.architecture.stage_channels[0]


def test_other_units_need_nothing_of_the_next_stage() -> None:
    solution = solve(RESNEXT, mflops_budget(40), Design(groups=(4, 16, 2)))
    assert all(width % 4 == 0 for width in solution.architecture.stage_channels)
    spatial = {op.name: op.groups for op in OpGraph.of(solution.architecture).ops if op.name.endswith("0.spatial")}
    assert spatial == {"stage2.0.spatial": 4, "stage3.0.spatial": 16, "stage4.0.spatial": 2}


@pytest.mark.parametrize("groups", [(4, 3, 2), (1, 8, 4)])
def test_packed_widths_of_mixed_stages_divide_by_4_in_every_group(groups: tuple[int, ...]) -> None:
    solution = solve(SHUFFLENET, mflops_budget(300), Design(groups=groups), packed=True)
    assert solution.notes[-1].startswith("packed: ")
    for op in OpGraph.of(solution.architecture).ops[2:]:
        if op.kind == "conv" and op.groups != op.channels:
            assert (op.channels // op.groups % 4, op.channels_in // op.groups % 4) == (0, 0), op.name


@pytest.mark.parametrize(
    ("space", "design", "message"),
    [
        ("shufflenet-v1", Design(groups=(3, 3)), "group counts 3, 3; expected 3 of them, one per stage"),
        ("shufflenet-v1", Design(groups=(3, 0, 3)), "no group count 0"),
        ("mobilenet-v1", Design(groups=(1, 1, 2, 1, 1)), "no group count 2; it has 1"),
        ("shufflenet-v1", Design(groups=3, se=(True,)), "SE switches True; expected 3 of them"),
        ("shufflenet-v1", Design(groups=3, ratios=(1, 2)), "width ratios 1, 2; expected 3 of them"),
        (
            "shufflenet-v1",
            Design(groups=3, ratios=(1, 4, 3)),
            "width ratios 1,4,3: expected rising ratios that begin",
        ),
        ("shufflenet-v1", Design(groups=3, ratios=(2, 4, 8)), "expected rising ratios that begin with 1"),
        ("shufflenet-v1", Design(groups=3, ratios=(1, 2, math.inf)), "expected rising ratios that begin with 1"),
        ("shufflenet-v1", Design(groups=3, ratios=(1, math.nan, 3)), "expected rising ratios that begin with 1"),
    ],
)
def test_what_a_space_does_not_have_is_refused(space: str, design: Design, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        solve(load_space(space), mflops_budget(140), design)


def test_a_design_is_written_and_read_back() -> None:
    assert decode(Design, encode(MIXED), "it") == MIXED
    assert encode(Design(groups=3)) == {"groups": 3, "scale": None, "depth": None, "se": False, "shuffle": None}
    for wrong in ({"groups": [1, True, 3]}, {"groups": None}, {"groups": 3, "se": [1, 0, 1]}, {"groups": []}):
        with pytest.raises(SpecError):
            decode(Design, {**encode(MIXED), **wrong}, "it")


def test_labels_tell_designs_apart() -> None:
    assert label_of(MIXED) == "g1-3-8 2-5-3 se0-1-1 1:2.2:3.7"
    assert label_of(Design(groups=(3, 3, 3), se=(True, True, True))) == "g3 se1"
