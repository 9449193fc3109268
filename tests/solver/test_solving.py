"""The solver: the paper's networks found again, and every answer against the whole lattice."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.files import bundled_names
from snsearch.network.arch import Architecture
from snsearch.network.costs import Costs, count_costs, count_macs
from snsearch.network.graph import OpGraph
from snsearch.solver.budget import Budget, load_budget, mflops_budget, with_input
from snsearch.solver.design import Design
from snsearch.solver.solving import Solution, is_packed, scaled, solve
from snsearch.solver.spec import load_space
from tests.architectures import architectures, shufflenet
from tests.closed_form import network

SHUFFLENET = load_space("shufflenet-v1")
FREE = mflops_budget(1)  # the input of networks that are solved without a budget; its bound is not read

# What the spaces say, once more: width step by group count, and stage ratios.
STEP_PER_GROUP = {"shufflenet-v1": 4, "shufflenet-free": 4, "igc": 2}
STEP = {"mobilenet-v1": 2, "resnet": 4, "resnext": 4, "vgg-like": 1, "xception-like": 4}
RATIOS = {"mobilenet-v1": (1, 2, 4, 8, 16)}


def _line(solution: Solution) -> Iterator[Architecture]:
    """Every network that differs from the solution in its widths only, all stages in proportion, narrowest first."""
    arch = solution.architecture
    step = STEP_PER_GROUP.get(solution.space, 0) * arch.groups[0] or STEP[solution.space]
    for point in itertools.count(1):
        widths = tuple(ratio * point * step for ratio in RATIOS.get(solution.space, (1, 2, 4)))
        stem = widths[0] // 2 if solution.space == "mobilenet-v1" else arch.stem_channels
        if arch.unit != "shufflenet" or widths[0] > stem:
            yield replace(arch, stage_channels=widths, stem_channels=stem)


def _nearest_on_line(solution: Solution, target: int) -> Architecture:
    """The network of the line nearest to the target; the cheaper of two that are as near."""
    best: tuple[int, int, Architecture] | None = None
    for arch in _line(solution):
        macs = network(arch).macs
        if best is None or abs(macs - target) < best[0]:
            best = (abs(macs - target), macs, arch)
        if macs > 3 * target:
            return best[2]
    raise AssertionError("the line has no end")


# ShuffleNet (arXiv:1707.01083), Table 1: output channels of stage 2 by group count, all of 24 channels in the first
# convolution; MACs recounted as convolutions and classifier.
TABLE_1 = [
    (1, 144, 143_078_976),
    (2, 200, 140_836_512),
    (3, 240, 137_460_672),
    (4, 272, 134_339_776),
    (8, 384, 138_365_952),
]


@pytest.mark.parametrize(("groups", "width", "macs"), TABLE_1)
def test_140_mflops_solve_to_the_channels_of_table_1(groups: int, width: int, macs: int) -> None:
    solution = solve(SHUFFLENET, mflops_budget(140), Design(groups=groups))
    assert solution.architecture == shufflenet(groups, width, 2 * width, 4 * width, stem=24)
    assert solution.costs == count_costs(solution.architecture)
    assert solution.costs.macs == macs
    assert solution.deviation == (macs - 140_000_000) / 140_000_000
    assert (solution.space, solution.scale, solution.binding, solution.notes) == ("shufflenet-v1", 1.0, "mflops", ())


# The authors' released models: first convolutions of 12, 24, 24 and 48 channels, and what they recount to.
@pytest.mark.parametrize(
    ("scale", "stem", "stage2", "mflops"),
    [(0.5, 12, 120, 37.6), (1, 24, 240, 137.5), (1.5, 24, 360, 292.4), (2, 48, 480, 524.0)],
)
def test_scales_without_a_budget_are_the_released_networks(
    scale: float, stem: int, stage2: int, mflops: float
) -> None:
    solution = scaled(SHUFFLENET, Design(groups=3, scale=scale), FREE)
    assert solution.architecture == shufflenet(3, stage2, 2 * stage2, 4 * stage2, stem=stem)
    assert round(solution.costs.mflops, 1) == mflops
    assert (solution.budget, solution.deviation, solution.binding) == (None, None, None)


def test_2x_with_squeeze_and_excitation_costs_what_table_5_prints() -> None:
    # Table 5 prints 527; released models have SE on every unit with a reduction of 16.
    solution = scaled(SHUFFLENET, Design(groups=3, scale=2, se=True), FREE)
    assert round(solution.costs.mflops, 1) == 526.9


def test_a_scale_is_1x_where_none_is_asked_for() -> None:
    assert scaled(SHUFFLENET, Design(groups=3), FREE).architecture == shufflenet(3, 240, 480, 960)


# Channels of stage 4 that the text of section 4.2 prints for 38 MFLOPs.
@pytest.mark.parametrize(
    ("space", "groups", "stage4"),
    [("resnet", 1, 192), ("resnext", 16, 192), ("xception-like", 1, 288), ("shufflenet-v1", 4, 576)],
)
def test_38_mflops_solve_to_the_channels_of_section_4_2(space: str, groups: int, stage4: int) -> None:
    solution = solve(load_space(space), mflops_budget(38), Design(groups=groups))
    assert solution.architecture.stage_channels == (stage4 // 4, stage4 // 2, stage4)
    assert solution.architecture.stem_channels == 12


# MobileNet (arXiv:1704.04861), Tables 1 and 6: width multiplier, channels of the first convolution, millions of MACs.
@pytest.mark.parametrize(("scale", "stem", "mflops"), [(1, 32, 569), (0.75, 24, 325), (0.5, 16, 149), (0.25, 8, 41)])
def test_mobilenet_is_found_by_scale_and_by_budget(scale: float, stem: int, mflops: int) -> None:
    space = load_space("mobilenet-v1")
    for solution in (
        scaled(space, Design(groups=1, scale=scale), FREE),
        solve(space, mflops_budget(mflops), Design(groups=1)),
    ):
        assert solution.architecture.stem_channels == stem
        assert solution.architecture.stage_channels == tuple(stem * factor for factor in (2, 4, 8, 16, 32))
        assert solution.scale == scale
        assert round(solution.costs.mflops) == mflops


@pytest.mark.parametrize("mflops", [1.5, 5, 13, 38, 57, 140, 292, 1000])
@pytest.mark.parametrize(
    ("space", "groups"),
    [
        *(("shufflenet-v1", groups) for groups in (1, 2, 3, 4, 5, 8, 16)),
        *(("resnext", groups) for groups in (16, 3)),
        *((name, 1) for name in ("mobilenet-v1", "resnet", "vgg-like", "xception-like")),
    ],
)
def test_the_nearest_network_of_the_whole_line_is_found(space: str, groups: int, mflops: float) -> None:
    try:
        solution = solve(load_space(space), mflops_budget(mflops), Design(groups=groups))
    except InfeasibleBudgetError:
        # Even the narrowest network is more than a tenth above the budget.
        narrow = scaled(load_space(space), Design(groups=groups, scale=0.01), FREE)
        assert network(next(_line(narrow))).macs > 1.1 * mflops * 1e6
    else:
        assert solution.architecture == _nearest_on_line(solution, round(mflops * 1e6))


@pytest.mark.parametrize("mflops", [5, 13, 38, 140, 600])
@pytest.mark.parametrize(
    ("space", "groups"),
    [("shufflenet-v1", 1), ("shufflenet-v1", 3), ("shufflenet-v1", 8), ("resnext", 16), ("mobilenet-v1", 1)],
)
def test_under_never_exceeds_and_is_the_widest(space: str, groups: int, mflops: float) -> None:
    solution = solve(load_space(space), mflops_budget(mflops, "under"), Design(groups=groups))
    target = mflops * 1e6
    widest = list(itertools.takewhile(lambda arch: network(arch).macs <= target, _line(solution)))[-1]
    assert solution.architecture == widest
    assert solution.costs.macs <= target
    assert solution.binding == "mflops"


def _exceeded(costs: Costs, budget: Budget) -> list[str]:
    """The bounds that the costs exceed."""
    pairs = [
        ("mflops", costs.macs, budget.macs if budget.match == "under" else None),
        ("params", costs.params, budget.params),
        ("peak_activation", costs.peak_activation_bytes, budget.peak_activation_bytes),
        ("model_size", costs.weight_bytes, budget.weight_bytes),
    ]
    return [key for key, cost, limit in pairs if limit is not None and cost > limit]


def _best_on_line(solution: Solution, budget: Budget) -> tuple[Architecture, str]:
    """The nearest network if it keeps the caps, else the widest that does; and the bounds that stop a wider one."""
    if budget.macs is not None and budget.match == "nearest":
        nearest = _nearest_on_line(solution, budget.macs)
        if not _exceeded(count_costs(nearest, budget.precision), budget):
            return nearest, "mflops"
    best: Architecture | None = None
    for arch in _line(solution):
        exceeded = _exceeded(count_costs(arch, budget.precision), budget)
        if exceeded:
            assert best is not None
            return best, ", ".join(exceeded)
        best = arch
    raise AssertionError("the line has no end")


@pytest.mark.parametrize(
    ("bounds", "binding"),
    [
        ({"macs": 140_000_000, "params": 1_000_000}, "params"),
        ({"macs": 140_000_000, "peak_activation_bytes": 2**21}, "peak_activation"),
        ({"macs": 140_000_000, "weight_bytes": 5 * 2**20}, "model_size"),
        ({"macs": 140_000_000, "params": 3_000_000, "weight_bytes": 20 * 2**20}, "mflops"),
        ({"macs": 100_000_000, "match": "under", "params": 3_000_000}, "mflops"),
        ({"macs": 1_000_000_000, "match": "under", "params": 3_000_000}, "params"),
        ({"params": 1_500_000}, "params"),
        ({"weight_bytes": 2**20, "precision": "int8"}, "model_size"),
        ({"weight_bytes": 2**20, "precision": "float16"}, "model_size"),
        ({"peak_activation_bytes": 2**20, "weight_bytes": 10 * 2**20, "precision": "int8"}, "peak_activation"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
@pytest.mark.parametrize("groups", [3, 8])
def test_bounds_are_respected_and_the_binding_one_is_named(groups: int, bounds: dict[str, Any], binding: str) -> None:
    budget = Budget(name="b", **bounds)
    solution = solve(SHUFFLENET, budget, Design(groups=groups, scale=1))
    assert not _exceeded(solution.costs, budget)
    assert solution.costs == count_costs(solution.architecture, budget.precision)
    assert (solution.architecture, solution.binding) == _best_on_line(solution, budget)
    assert solution.binding == binding


@settings(max_examples=60)
@given(
    space=st.sampled_from(bundled_names("spaces")),
    groups=st.integers(1, 20),
    macs=st.none() | st.integers(2_000_000, 60_000_000),
    params=st.none() | st.integers(200_000, 3_000_000),
    peak=st.none() | st.integers(100_000, 3_000_000),
    size=st.none() | st.integers(300_000, 3_000_000),
    under=st.booleans(),
    resolution=st.tuples(st.integers(32, 128), st.integers(32, 128)),
)
def test_any_bounds_together_are_met_as_well_as_the_line_can(
    space: str,
    groups: int,
    macs: int | None,
    params: int | None,
    peak: int | None,
    size: int | None,
    under: bool,
    resolution: tuple[int, int],
) -> None:
    if macs is params is peak is size is None:
        macs = 10_000_000
    spec = load_space(space)
    budget = Budget(
        name="b",
        macs=macs,
        params=params,
        peak_activation_bytes=peak,
        weight_bytes=size,
        match="under" if under else "nearest",
        precision="float16",
        resolution=resolution,
    )
    design = Design(groups=groups if spec.any_groups else spec.groups[0])
    try:
        solution = solve(spec, budget, design)
    except InfeasibleBudgetError:
        return
    assert not _exceeded(solution.costs, budget)
    assert (solution.architecture, solution.binding) == _best_on_line(solution, budget)


@pytest.mark.parametrize("name", ["stm32f746", "visual-wake-words", "mobile-600"])
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
def test_the_bundled_device_budgets_are_respected(name: str, groups: int) -> None:
    budget = load_budget(name)
    solution = solve(SHUFFLENET, budget, Design(groups=groups))
    assert not _exceeded(solution.costs, budget)
    assert (solution.architecture.resolution, solution.architecture.classes) == (budget.resolution, budget.classes)
    assert solution.architecture.input_channels == budget.input_channels


def test_the_first_convolution_narrows_further_where_nothing_else_fits() -> None:
    # At 24 channels the first convolution alone has 3*224*224 + 24*112*112 live floats, 1.7 MiB; at 12 it has 1.15.
    budget = Budget(name="b", macs=140_000_000, peak_activation_bytes=2**20)
    solution = solve(SHUFFLENET, budget, Design(groups=3))
    assert solution.architecture.stem_channels == 6
    assert solution.costs.peak_activation_bytes <= 2**20
    with pytest.raises(InfeasibleBudgetError, match=r"raise peak_activation"):
        solve(SHUFFLENET, budget, Design(groups=3, scale=1))


_SMALLEST = re.compile(
    r"the smallest network, (?P<widths>[\d/]+) channels behind a first convolution of (?P<stem>\d+), "
    r"needs (?P<need>[\d,.]+)"
)


def _named_smallest(error: InfeasibleBudgetError, arch: Architecture) -> tuple[Architecture, float]:
    """The network that the message names, laid out as the given one, and the figure that it says it needs."""
    match = _SMALLEST.search(str(error))
    assert match is not None, str(error)
    widths = tuple(map(int, match["widths"].split("/")))
    return replace(arch, stage_channels=widths, stem_channels=int(match["stem"])), float(
        match["need"].replace(",", "")
    )


@pytest.mark.parametrize(
    ("groups", "widths", "stem"), [(1, (4, 8, 16), 1), (8, (32, 64, 128), 8), (20, (80, 160, 320), 20)]
)
def test_infeasible_budget_names_the_smallest_reachable(groups: int, widths: tuple[int, ...], stem: int) -> None:
    with pytest.raises(InfeasibleBudgetError) as raised:
        solve(SHUFFLENET, mflops_budget(0.3), Design(groups=groups))
    smallest, need = _named_smallest(raised.value, shufflenet(groups, 1, 1, 1))
    assert (smallest.stage_channels, smallest.stem_channels) == (widths, stem)
    assert need == round(network(smallest).macs / 1e6, 2)
    assert "0.30 MFLOPs cannot be met by shufflenet-v1" in str(raised.value)
    assert "raise mflops" in str(raised.value)


@pytest.mark.parametrize(
    ("bounds", "key"),
    [
        ({"macs": 1000, "match": "under"}, "mflops"),
        ({"macs": 1000}, "mflops"),
        ({"params": 1000}, "params"),
        ({"peak_activation_bytes": 1000}, "peak_activation"),
        ({"weight_bytes": 1000}, "model_size"),
        ({"macs": 140_000_000, "params": 1000}, "params"),
        (
            {"macs": 1000, "match": "under", "peak_activation_bytes": 400_000},
            "mflops",
        ),  # missed by more than the peak
    ],
)
def test_infeasible_budget_names_the_bound_that_fails(bounds: dict[str, Any], key: str) -> None:
    with pytest.raises(InfeasibleBudgetError, match=rf"raise {key} \(--"):
        solve(SHUFFLENET, Budget(name="b", **bounds), Design(groups=3))


def test_the_nearest_network_may_lie_a_tenth_above_a_budget_and_no_more() -> None:
    design = Design(groups=8, scale=0.25)
    narrowest = network(shufflenet(8, 32, 64, 128, stem=16)).macs
    budget = Budget(name="b", macs=math.ceil(narrowest / 1.1) + 1)
    solution = solve(SHUFFLENET, budget, design)
    assert solution.costs.macs == narrowest
    assert solution.deviation == pytest.approx(0.1, abs=1e-5)
    with pytest.raises(InfeasibleBudgetError):
        solve(SHUFFLENET, replace(budget, macs=math.floor(narrowest / 1.1) - 1), design)
    with pytest.raises(InfeasibleBudgetError):
        solve(SHUFFLENET, replace(budget, match="under"), design)


@settings(max_examples=250)
@given(
    mflops=st.floats(1, 10_000),
    resolution=st.tuples(st.integers(32, 1280), st.integers(32, 1280)),
    classes=st.integers(1, 100_000),
    groups=st.integers(1, 64),
    space=st.sampled_from(("shufflenet-v1", "shufflenet-v1", "resnext")),
    under=st.booleans(),
    se=st.booleans(),
    depth=st.sampled_from(("paper", "shallow", "1-1-1", "5-3-9")),
)
def test_every_budget_is_met_or_refused_with_the_smallest_reachable(
    mflops: float,
    resolution: tuple[int, int],
    classes: int,
    groups: int,
    space: str,
    under: bool,
    se: bool,
    depth: str,
) -> None:
    spec = load_space(space)
    budget = with_input(
        mflops_budget(mflops, "under" if under else "nearest"), resolution=resolution, classes=classes
    )
    assert budget.macs is not None
    design = Design(groups=groups, se=se, depth=depth)
    try:
        solution = solve(spec, budget, design)
    except InfeasibleBudgetError as error:
        layout = scaled(spec, design, budget).architecture
        smallest, need = _named_smallest(error, layout)
        assert need == pytest.approx(network(smallest).macs / 1e6, abs=0.0051)
        assert network(smallest).macs > budget.macs * (1 if under else 1.1)
        return
    arch = solution.architecture
    first = arch.stage_channels[0]
    assert arch.stage_channels == (first, 2 * first, 4 * first)
    assert solution.costs.macs == count_macs(arch) == network(arch).macs
    assert not under or solution.costs.macs <= budget.macs
    assert solution.deviation == (solution.costs.macs - budget.macs) / budget.macs
    for op in OpGraph.of(arch).ops:
        assert (op.channels_in % op.groups, op.channels % op.groups) == (0, 0), op.name
    assert (arch.resolution, arch.classes, set(arch.groups)) == (resolution, classes, {groups})


@pytest.mark.parametrize(
    ("groups", "mflops", "stem", "named"),
    [(5, 140, 25, 24), (16, 140, 32, 24), (8, 38, 16, 12), (7, 140, 21, 24), (64, 140, 64, 24)],
)
def test_the_first_convolution_is_rounded_to_the_groups_with_a_note(
    groups: int, mflops: float, stem: int, named: int
) -> None:
    solution = solve(SHUFFLENET, mflops_budget(mflops), Design(groups=groups))
    assert solution.architecture.stem_channels == stem
    assert solution.notes == (
        f"first convolution of {stem} channels instead of {named}, "
        f"so that the stride-2 concatenation divides by {groups}",
    )


def test_a_scale_rounds_its_first_convolution_too() -> None:
    solution = scaled(SHUFFLENET, Design(groups=8, scale=0.5), FREE)
    assert solution.architecture.stem_channels == 16
    assert len(solution.notes) == 1


@pytest.mark.parametrize("space", ["resnet", "shufflenet-v1"])
def test_a_first_convolution_below_one_channel_is_not_put_down_to_packing_or_groups(space: str) -> None:
    # 0.01x asks for a fraction of one channel; neither groups nor packing have a part in making it 1.
    solution = scaled(load_space(space), Design(groups=1, scale=0.01), FREE)
    assert solution.architecture.stem_channels == 1
    assert not any("packed" in note or "divides by 1" in note for note in solution.notes)


@pytest.mark.parametrize(
    ("scale", "stem"),
    [(0.1, 3), (0.125, 6), (0.25, 12), (0.7, 12), (1, 24), (1.9, 24), (2, 48), (3.9, 48), (4, 96), (8, 192)],
)
def test_the_first_convolution_follows_the_scale(scale: float, stem: int) -> None:
    assert scaled(SHUFFLENET, Design(groups=1, scale=scale), FREE).architecture.stem_channels == stem


# The scale whose network with one group is nearest by ratio: 0.5x has 38.5 MFLOPs, 1x 143, 2x some 550, 3x some 1200.
@pytest.mark.parametrize(
    ("mflops", "scale", "stem"),
    [
        (5, 0.125, 6),
        (13, 0.25, 12),
        (60, 0.5, 12),
        (80, 1, 24),
        (330, 1.5, 24),
        (500, 2, 48),
        (1200, 3, 48),
        (2000, 4, 96),
    ],
)
def test_the_first_convolution_follows_the_budget(mflops: float, scale: float, stem: int) -> None:
    for groups in (1, 2, 3):
        solution = solve(SHUFFLENET, mflops_budget(mflops), Design(groups=groups))
        assert (solution.scale, solution.architecture.stem_channels) == (scale, stem)


def test_matched_variants_share_their_first_convolution() -> None:
    for mflops in (13, 38, 140, 292, 524):
        stems = {
            solve(SHUFFLENET, mflops_budget(mflops), Design(groups=groups, depth=depth)).architecture.stem_channels
            for groups in (1, 2, 3, 4)
            for depth in ("paper", "deep")
        }
        assert len(stems) == 1


def test_a_scale_beside_a_budget_fixes_the_first_convolution_only() -> None:
    solution = solve(SHUFFLENET, mflops_budget(140), Design(groups=3, scale=0.5))
    assert (solution.scale, solution.architecture.stem_channels) == (0.5, 12)
    assert solution.architecture == _nearest_on_line(solution, 140_000_000)


def test_the_shuffle_can_be_left_out_and_costs_no_macs() -> None:
    without = solve(SHUFFLENET, mflops_budget(140), Design(groups=3, shuffle=False))
    assert without.architecture == shufflenet(3, 240, 480, 960, shuffle=False)
    assert without.costs.macs == 137_460_672


def test_a_depth_changes_the_repeats_and_the_widths_with_them() -> None:
    shallow = solve(SHUFFLENET, mflops_budget(140), Design(groups=3, depth="shallow")).architecture
    assert shallow.stage_repeats == (2, 4, 2)
    assert shallow.stage_channels[0] > 240
    assert solve(SHUFFLENET, mflops_budget(140), Design(groups=3, depth="2-4-2")).architecture == shallow


@pytest.mark.parametrize(
    ("space", "design", "message"),
    [
        ("resnet", Design(groups=3), "space resnet: no group count 3; it has 1"),
        ("shufflenet-v1", Design(groups=0), "no group count 0"),
        ("shufflenet-v1", Design(groups=3, depth="shalow"), 'did you mean "shallow"'),
        ("shufflenet-v1", Design(groups=3, depth="4-8"), "does not fit"),
        ("mobilenet-v1", Design(groups=1, depth="4-8-4"), "does not fit; expected 5 counts"),
        ("resnet", Design(groups=1, shuffle=True), "space resnet has no switch for shuffle"),
        ("shufflenet-v1", Design(groups=3, scale=0.001), "scale 0.001: expected a number from 0.01 to 100"),
        ("shufflenet-v1", Design(groups=3, scale=101), "scale 101: expected"),
        ("shufflenet-v1", Design(groups=3, scale=math.nan), "scale nan: expected"),
    ],
)
def test_a_design_that_the_space_lacks_is_refused(space: str, design: Design, message: str) -> None:
    for answer in (
        lambda: solve(load_space(space), mflops_budget(140), design),
        lambda: scaled(load_space(space), design, FREE),
    ):
        with pytest.raises(SpecError, match=re.escape(message)):
            answer()


def test_se_on_a_space_without_the_switch_is_refused() -> None:
    with pytest.raises(SpecError, match="has no switch for se"):
        solve(replace(SHUFFLENET, options=()), mflops_budget(140), Design(groups=3, se=True))


def _all_packed(arch: Architecture) -> bool:
    """Multiples of 4 channels per group on both sides of every convolution but the first; all if depthwise."""
    for op in OpGraph.of(arch).ops:
        if op.kind == "conv" and op.name != "stem.conv":
            depthwise = op.groups == op.channels_in == op.channels
            groups = 1 if depthwise else op.groups
            if op.channels_in // groups % 4 or op.channels // groups % 4:
                return False
    return True


# By hand: the bottlenecks of g=2 have 50/2 and those of g=4 68/4 channels per group; g=8 makes 360/8 at the first
# stride-2 unit, 384 less the stem's 24.
@pytest.mark.parametrize(
    ("groups", "width", "packed"), [(1, 144, True), (2, 200, False), (3, 240, True), (4, 272, False), (8, 384, False)]
)
def test_which_networks_of_table_1_are_packed(groups: int, width: int, packed: bool) -> None:
    assert is_packed(shufflenet(groups, width, 2 * width, 4 * width)) is packed


@given(architectures(units=("shufflenet", "bottleneck", "separable"), most_repeats=2))
def test_packing_is_four_channels_a_group_everywhere(arch: Architecture) -> None:
    wide = replace(
        arch,
        stem_channels=4 * arch.stem_channels,
        stage_channels=tuple(4 * width for width in arch.stage_channels),
    )
    assert is_packed(arch) == _all_packed(arch)
    assert is_packed(wide) == _all_packed(wide)


def test_one_channel_a_group_is_not_a_depthwise_convolution() -> None:
    # The stride-2 unit projects 16 bottleneck channels to 64 - 60 in 4 groups: one channel per group.
    assert not is_packed(shufflenet(4, 64, stem=60, stage_repeats=(2,)))


@pytest.mark.parametrize("mflops", [13, 38, 140, 300])
@pytest.mark.parametrize(
    ("space", "groups"),
    [
        *(("shufflenet-v1", groups) for groups in (1, 2, 3, 4, 5, 8)),
        *((name, 1) for name in ("mobilenet-v1", "resnet", "vgg-like", "xception-like")),
        ("resnext", 16),
        ("resnext", 4),
    ],
)
def test_a_packed_solution_is_packed_or_says_that_it_cannot_be(space: str, groups: int, mflops: float) -> None:
    budget, design = mflops_budget(mflops), Design(groups=groups)
    solution = solve(load_space(space), budget, design, packed=True)
    plain = solve(load_space(space), budget, design)
    last = solution.notes[-1]
    if last.startswith("packed: not possible"):
        assert solution == replace(plain, notes=(*plain.notes, last))
    elif _all_packed(plain.architecture):
        assert solution == replace(plain, notes=(*plain.notes, "packed: already divides by 4"))
    else:
        assert last.startswith("packed: ")
        assert _all_packed(solution.architecture)
        assert solution.architecture != plain.architecture


def test_packing_says_what_it_costs() -> None:
    solution = solve(SHUFFLENET, mflops_budget(140), Design(groups=2), packed=True)
    assert solution.architecture == shufflenet(2, 192, 384, 768)
    assert solution.notes == (
        "packed: 24/192/384/768 channels, 130.71 MFLOPs (-6.63%) instead of 24/200/400/800 channels, "
        "140.84 MFLOPs (+0.60%)",
    )


def test_a_packed_first_convolution_says_why_it_is_wider() -> None:
    solution = solve(SHUFFLENET, mflops_budget(140), Design(groups=4), packed=True)
    assert solution.architecture.stem_channels == 32
    assert solution.notes[0] == "first convolution of 32 channels instead of 24, so that its channels are packed by 4"


def test_packing_that_exceeds_the_budget_falls_back_and_says_why() -> None:
    # 64 groups packed by 4 need stages of 1024 channels at least.
    solution = solve(SHUFFLENET, mflops_budget(140), Design(groups=64), packed=True)
    plain = solve(SHUFFLENET, mflops_budget(140), Design(groups=64))
    assert solution.architecture == plain.architecture
    assert solution.notes[-1].startswith("packed: not possible here (140.00 MFLOPs cannot be met")


def test_packing_keeps_the_caps() -> None:
    budget = Budget(name="b", macs=140_000_000, params=1_500_000)
    solution = solve(SHUFFLENET, budget, Design(groups=2), packed=True)
    assert _all_packed(solution.architecture)
    assert (solution.binding, solution.costs.params <= 1_500_000) == ("params", True)
