"""What the numbers of a space must be for its networks to be built. Each rule names the key that breaks it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from snsearch.codec import suggestion
from snsearch.errors import SpecError
from snsearch.network import STRUCTURE_UNITS

if TYPE_CHECKING:
    from snsearch.solver.spec import SpaceSpec


def check_space(space: SpaceSpec, where: str) -> None:
    """Raises SpecError with the file, the key and what was expected, where no network could be built."""
    if fault := next(_faults(space), None):
        raise SpecError(f"{where}: {fault}")


RATIOS = "rising ratios that begin with 1"


def are_ratios(ratios: Sequence[float]) -> bool:
    """Whether these are RATIOS."""
    return ratios[0] == 1 and all(before <= ratio < math.inf for before, ratio in pairwise(ratios))


def misfit_of_ratios(space: SpaceSpec, ratios: Sequence[float]) -> str:
    """Why the space's unit cannot have stages of these widths over the first one's; empty where it can."""
    if space.unit != "shufflenet":
        return ""
    for stride, before, ratio in zip(space.strides[1:], ratios[:-1], ratios[1:], strict=True):
        if stride == 1 and ratio != before:
            return "expected equal ratios where the stride is 1, because a shufflenet unit widens with a stride of 2"
        if stride == 2 and ratio == before:
            return "expected rising ratios where the stride is 2, because a shufflenet unit of stride 2 widens"
    return ""


def _faults(space: SpaceSpec) -> Iterator[str]:
    if space.unit not in STRUCTURE_UNITS:
        yield f"[unit] kind: unknown structure unit {space.unit!r}{suggestion(space.unit, sorted(STRUCTURE_UNITS))}"
    if bool(space.stem_at_scale) == bool(space.stem_width_ratio):
        given = "both" if space.stem_at_scale else "neither"
        yield f"[stem] has {given} of channels_at_scale and width_ratio; expected one of them"
    if not are_ratios(space.ratios):
        yield f"[stages] ratios is {list(space.ratios)}; expected {RATIOS}"
    for key, repeats in (("[stages] strides", space.strides), *((f"[depths] {n}", r) for n, r in space.depths)):
        if len(repeats) != len(space.ratios):
            yield f"{key} is {list(repeats)}; expected {len(space.ratios)} integers, one a stage"
    if space.unit == "shufflenet":
        yield from _shufflenet_faults(space)
    yield from _search_faults(space)


def _search_faults(space: SpaceSpec) -> Iterator[str]:
    for one, other, takes in (
        ("depths", "units", (space.search_depths, space.search_units)),
        ("scales", "scale", (space.search_scales, space.search_scale)),
    ):
        if all(takes):
            yield f"[search] has both {one} and {other}; expected one of them"
    if not space.search_depths and not space.search_units:
        yield "[search] depths is []; expected a list of depth names, or units beside it"
    if space.search_units and len(space.search_units) != len(space.ratios):
        ranges = [list(ends) for ends in space.search_units]
        yield f"[search] units is {ranges}; expected {len(space.ratios)} ranges, one per stage"
    if space.search_scale and not space.stem_at_scale:
        yield "[search] has a scale, and [stem] no channels_at_scale that it chooses from"
    try:
        if space.search_shuffle:
            space.check_option("shuffle")
        for depth in space.search_depths:
            space.repeats(depth)
        for groups in space.search_groups:
            space.check_groups(groups)
        if any(space.search_se):
            space.check_option("se")
    except SpecError as error:
        yield f"[search] {error}"


def _shufflenet_faults(space: SpaceSpec) -> Iterator[str]:
    """A stride-2 unit widens by concatenation, all others add; grouped convolutions divide their channels."""
    for index, stride in enumerate(space.strides):
        if stride > 2:
            yield f"[stages] strides[{index}] is {stride}; expected 1 or 2, as a shufflenet unit has"
    if space.strides[0] == 1:
        yield (
            "[stages] strides[0] is 1; expected 2, because the first shufflenet unit widens the first convolution's "
            "channels, which takes a stride of 2"
        )
    if misfit := misfit_of_ratios(space, space.ratios):
        yield f"[stages] ratios is {list(space.ratios)} and strides {list(space.strides)}; {misfit}"
    if space.search_growth and (space.search_growth[0] == 1 or 1 in space.strides):
        yield (
            f"[search] ratios is {list(space.search_growth)}; expected more than 1, and strides of 2, because a "
            "shufflenet unit of stride 2 widens, and no other does"
        )
    if space.stem_width_ratio >= 1:
        yield (
            f"[stem] width_ratio is {space.stem_width_ratio:g}; expected less than 1, because the first shufflenet "
            "unit widens the first convolution's channels"
        )
    most = max(space.groups)
    if most == 1 and not space.any_groups:
        return
    if not space.stem_multiple_of_groups or space.stem_width_ratio:
        yield (
            "[stem] multiple_of_groups: expected true, with channels_at_scale, because the channels that a "
            "shufflenet unit adds to the first convolution's divide by the group count"
        )
    if space.any_groups and not space.width_times_groups:
        yield "[width] times_groups is false; expected true where [unit] any_groups is true"
    for groups in (1,) if space.width_times_groups else space.groups:
        if space.width_multiple % (groups * space.bottleneck):
            yield (
                f"[width] multiple_of is {space.width_multiple}; expected a multiple of {groups * space.bottleneck}, "
                f"so that the bottleneck (the width over [unit] bottleneck, {space.bottleneck}) divides by the groups"
            )
