"""SpaceSpec, and the strict reader of spaces/*.toml.

A file is read and checked once, here; the rest of the code trusts the types. An unknown key is an error that
suggests the nearest known key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from snsearch.codec import Field, Text, decode, filled, number, suggestion, text
from snsearch.errors import SpecError
from snsearch.prose import shortened
from snsearch.solver.budget import MACS, PIXELS, Budget, Channels, Classes
from snsearch.solver.space_rules import check_space
from snsearch.toml_files import find_file, read_toml
from snsearch.units import GROUPS, GROWTHS, SCALES, STRIDES, UNITS, Range

T = TypeVar("T")
Option = Literal["shuffle", "se"]


Groups = Annotated[int, number(*GROUPS)]
Stride = Annotated[int, number(*STRIDES)]
Units = Annotated[int, number(*UNITS)]
Scale = Annotated[float, number(*SCALES)]
Ratio = Annotated[float, number("a positive number up to 1,000", 1e-3, 1000)]


def _range(key: str, what: str, within: Range) -> Field:
    """A range in [search]: two numbers between bounds, the smaller one first."""
    return Field(
        key=f"search.{key}",
        expected=f"[least, most] of {what}, from {within.least:g} to {within.most:g}",
        check=lambda ends: within.least <= ends[0] <= ends[1] <= within.most,
    )


_UNITS_RANGE = _range("units", "a stage's units", UNITS)
_Units = Annotated[tuple[int, int], Field(expected=_UNITS_RANGE.expected, check=_UNITS_RANGE.check)]
_GROWTH = _range("ratios", "a stage's width over that of the stage before", GROWTHS)
_SCALE = _range("scale", "the scale", SCALES)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceSpec:
    """One design space: a structure unit, the stages that repeat it, and the widths that they may have."""

    name: Annotated[str, text("a name")]
    title: Annotated[str, text("a line of text")]
    source: Annotated[str, text("where the design comes from")]
    unit: Annotated[str, text("a structure unit's name"), Field(key="unit.kind")]
    bottleneck: Annotated[Channels, Field(key="unit.bottleneck")]
    groups: Annotated[tuple[Groups, ...], filled("a list of group counts"), Field(key="unit.groups")]
    any_groups: Annotated[bool, Field(key="unit.any_groups")]  # whether group counts beyond `groups` are allowed
    shuffle: Annotated[bool, Field(key="unit.shuffle")]  # the default
    # What a design may switch.
    options: Annotated[tuple[Option, ...], Field(key="unit.options", expected="a list of switches")]
    # Every stage width is a multiple of the first, times the group count where the second says so.
    width_multiple: Annotated[Channels, Field(key="width.multiple_of")]
    width_times_groups: Annotated[bool, Field(key="width.times_groups")]
    stem_stride: Annotated[Stride, Field(key="stem.stride")]
    stem_pool: Annotated[bool, Field(key="stem.max_pool")]
    stem_multiple_of_groups: Annotated[bool, Field(key="stem.multiple_of_groups")]
    # Empty where the stem follows the first stage's width.
    stem_at_scale: Annotated[
        tuple[Annotated[tuple[Scale, Channels], Field(expected="[scale, channels]")], ...],
        filled("a list of [scale, channels]"),
        Field(key="stem.channels_at_scale"),
    ] = ()
    # 0 where the stem follows the scale.
    stem_width_ratio: Annotated[Ratio, Field(key="stem.width_ratio")] = 0.0
    # Stage widths over the first one's; strides per stage.
    ratios: Annotated[tuple[Ratio, ...], filled("a width ratio a stage"), Field(key="stages.ratios")]
    strides: Annotated[tuple[Stride, ...], filled("a stride a stage"), Field(key="stages.strides")]
    # Name and units per stage; the first is the default.
    depths: Annotated[
        tuple[tuple[str, Annotated[tuple[Units, ...], filled("unit counts a stage, such as [4, 8, 4]")]], ...],
        filled("a table of names with unit counts a stage, such as [4, 8, 4]"),
    ]
    reference: Annotated[Budget, Field(key="")]  # the network that meets it is 1x
    named_scales: Annotated[tuple[float, ...], Field(key="")]
    search_groups: Annotated[tuple[Groups, ...], filled("a list of group counts"), Field(key="search.groups")]
    # Empty where the stem follows the first stage's width, or `search_scale` gives a range.
    search_scales: Annotated[tuple[Scale, ...], Field(key="search.scales", expected="a list of scales")]
    # Empty where `search_units` says how many units a stage may have.
    search_depths: Annotated[tuple[Text, ...], Field(key="search.depths", expected="a list of depth names")]
    search_se: Annotated[tuple[bool, ...], filled("a list of true and false"), Field(key="search.se")]
    # What follows opens the search: its designs are drawn, and never listed. Not in the repr, which is the digest of
    # spaces without it.
    search_per_stage: Annotated[
        tuple[Literal["groups", "se"], ...], filled('some of "groups" and "se"'), Field(key="search.per_stage")
    ] = field(default=(), repr=False)
    search_units: Annotated[
        tuple[_Units, ...], filled("[least, most] units for each stage"), Field(key="search.units")
    ] = field(default=(), repr=False)
    search_growth: Annotated[tuple[float, float] | None, _GROWTH] = field(default=None, repr=False)
    search_scale: Annotated[tuple[float, float] | None, _SCALE] = field(default=None, repr=False)
    search_shuffle: Annotated[tuple[bool, ...], filled("a list of true and false"), Field(key="search.shuffle")] = (
        field(default=(), repr=False)
    )

    @property
    def opened(self) -> dict[str, Any]:
        """What opens the search, by its key in [search]; empty for a space whose designs can be listed."""
        open_to = {
            "per_stage": self.search_per_stage,
            "units": self.search_units,
            "ratios": self.search_growth,
            "scale": self.search_scale,
            "shuffle": self.search_shuffle,
        }
        return {key: value for key, value in open_to.items() if value}

    def per_stage(self, value: T | tuple[T, ...], what: str) -> tuple[T, ...]:
        """One value per stage, of such a tuple or of a value for all. Raises SpecError for another number of them."""
        values = value if isinstance(value, tuple) else (value,) * len(self.ratios)
        if len(values) != len(self.ratios):
            given = ", ".join(map(str, values))
            raise SpecError(f"space {self.name}: {what} {given}; expected {len(self.ratios)} of them, one per stage")
        return values

    def width_steps(self, groups: tuple[int, ...]) -> tuple[int, ...]:
        """The width of each stage is a multiple of this.

        Where widths follow the group counts, it divides by the stage's own, and by that of the next stage, whose
        first unit reads it.
        """
        multiple = self.width_multiple
        if not self.width_times_groups:
            return (multiple,) * len(groups)
        return tuple(math.lcm(multiple * own, after) for own, after in zip(groups, (*groups[1:], 1), strict=True))

    def repeats(self, depth: str | None) -> tuple[int, ...]:
        """Units per stage of a depth: a name, a list such as "4-8-4", or None for the default. Raises SpecError."""
        named = dict(self.depths)
        if depth is None:
            return self.depths[0][1]
        if depth in named:
            return named[depth]
        parts = depth.split("-")
        if not all(part.isdecimal() and len(part) < 9 for part in parts):
            raise SpecError(f"space {self.name}: no depth {shortened(depth)}{suggestion(depth, tuple(named))}")
        repeats = tuple(map(int, parts))
        if len(repeats) != len(self.ratios) or not all(map(UNITS.holds, repeats)):
            raise SpecError(
                f"space {self.name}: depth {shortened(depth)} does not fit; expected {len(self.ratios)} counts from "
                f'1 to 100, such as "{"-".join(map(str, self.depths[0][1]))}"'
            )
        return repeats

    def check_groups(self, groups: int | tuple[int, ...]) -> None:
        """Raises SpecError for a group count, of all stages or of one, that the space does not have."""
        for count in self.per_stage(groups, "group counts"):
            if count < 1 or (count not in self.groups and not self.any_groups):
                known = ", ".join(map(str, self.groups))
                raise SpecError(f"space {self.name}: no group count {count}; it has {known}")

    def check_option(self, option: Option) -> None:
        """Raises SpecError for a switch that the space does not have."""
        if option not in self.options:
            raise SpecError(f"space {self.name} has no switch for {option}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """The [scale] of a space's file: what 1x solves to, and the scales that have names."""

    macs: Annotated[int, MACS]
    resolution: Annotated[tuple[int, int], PIXELS]
    classes: Classes
    named: Annotated[tuple[Scale, ...], filled("a list of scales")]


def read_space(path: Path) -> SpaceSpec:
    """The space of a TOML file. Raises SpecError with the file, the key and what was expected."""
    values, where = read_toml(path, "space")
    if "scale" not in values:
        raise SpecError(f'{where}: missing key "scale"; expected a table')
    scale = decode(_Scale, values.pop("scale"), f"{where}: [scale]", toml=True)
    space = decode(
        SpaceSpec,
        values,
        where,
        toml=True,
        reference=Budget(name="1x", macs=scale.macs, resolution=scale.resolution, classes=scale.classes),
        named_scales=tuple(sorted(scale.named)),
    )
    check_space(space, where)
    return replace(space, stem_at_scale=tuple(sorted(space.stem_at_scale)))


def load_space(text: str) -> SpaceSpec:
    """The space of a user's text: a bundled space's name or a TOML file. Raises SpecError."""
    return read_space(find_file(text, "spaces"))
