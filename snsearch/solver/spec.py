"""SpaceSpec and Budget, and the strict readers of spaces/*.toml and budgets/*.toml.

A file is read and checked once, here; the rest of the code trusts the types. An unknown key is an error that
suggests the nearest known key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from snsearch.codec import Count, Field, Positive, Text, decode, filled, suggestion, text
from snsearch.errors import SpecError
from snsearch.network import Precision
from snsearch.toml_files import find_file, read_toml
from snsearch.units import (
    format_bytes,
    format_count,
    format_mflops,
    parse_bytes,
    parse_count,
    parse_resolution,
)

T = TypeVar("T")
Match = Literal["nearest", "under"]
Option = Literal["shuffle", "se"]


def _macs(mflops: Any) -> int:
    if type(mflops) not in (int, float) or not 0 < mflops <= 1e12:
        raise TypeError
    return max(1, round(float(mflops) * 1e6))


_MFLOPS = Field(key="mflops", read=_macs, expected="millions of multiply-adds, such as 140", toml=True)
_PARAMS = Field(read=parse_count, expected='a number such as "1.9M"', toml=True)
_PEAK = Field(key="peak_activation", read=parse_bytes, expected='a size such as "320KiB"', toml=True)
_SIZE = Field(key="model_size", read=parse_bytes, expected='a size such as "1MiB"', toml=True)
_PIXELS = Field(read=parse_resolution, expected='pixels such as 224 or "480x640"', toml=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a network may cost, and at which input and class count.

    A network comes as near as possible to `macs` on either side (match "nearest"), or never exceeds them ("under").
    It never exceeds the other bounds. At least one bound is given; SpecError otherwise.
    """

    name: Annotated[str, text("a name")]
    title: Annotated[str, text("a line of text", toml=True)] = ""
    source: Annotated[str, text("where the figures come from", toml=True)] = ""
    macs: Annotated[int | None, _MFLOPS] = None
    params: Annotated[int | None, _PARAMS] = None
    peak_activation_bytes: Annotated[int | None, _PEAK] = None
    weight_bytes: Annotated[int | None, _SIZE] = None
    match: Match = "nearest"
    precision: Precision = "float32"
    resolution: Annotated[tuple[int, int], _PIXELS] = (224, 224)
    classes: Count = 1000
    input_channels: Count = 3

    def __post_init__(self) -> None:
        if all(b is None for b in (self.macs, self.params, self.peak_activation_bytes, self.weight_bytes)):
            raise SpecError(
                f'budget "{self.name}": bounds nothing; give mflops, params, peak_activation or model_size'
            )

    def describe(self) -> str:
        """The bounds in words: "140.00 MFLOPs, model size at most 1.00 MiB"."""
        parts = []
        if self.macs is not None:
            form = "{} MFLOPs" if self.match == "nearest" else "at most {} MFLOPs"
            parts.append(form.format(format_mflops(self.macs)))
        if self.params is not None:
            parts.append(f"at most {format_count(self.params)} parameters")
        if self.peak_activation_bytes is not None:
            parts.append(f"peak activation memory at most {format_bytes(self.peak_activation_bytes)}")
        if self.weight_bytes is not None:
            parts.append(f"model size at most {format_bytes(self.weight_bytes)}")
        return ", ".join(parts)


def read_budget(path: Path) -> Budget:
    """The budget of a TOML file. Raises SpecError with the file, the key and what was expected."""
    return decode(Budget, *read_toml(path, "budget"), toml=True)


def load_budget(text: str) -> Budget:
    """The budget of a user's text: a number of MFLOPs, a bundled budget's name, or a TOML file. Raises SpecError."""
    try:
        mflops = float(text)
    except ValueError:
        return read_budget(find_file(text, "budgets"))
    return mflops_budget(mflops)


def mflops_budget(mflops: float, match: Match = "nearest") -> Budget:
    """A budget of MFLOPs alone, at 224x224 and 1000 classes. Raises SpecError outside 0.001 to 10,000,000."""
    if not 0.001 <= mflops <= 1e7:
        raise SpecError(f"budget {mflops:g}: expected MFLOPs between 0.001 and 10,000,000")
    return Budget(name=f"{mflops:g} MFLOPs", macs=_macs(mflops), match=match)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceSpec:
    """One design space: a structure unit, the stages that repeat it, and the widths that they may have."""

    name: Annotated[str, text("a name")]
    title: Annotated[str, text("a line of text")]
    source: Annotated[str, text("where the design comes from")]
    unit: Annotated[str, text("a structure unit's name"), Field(key="unit.kind")]
    bottleneck: Annotated[Count, Field(key="unit.bottleneck")]
    groups: Annotated[tuple[Count, ...], filled("a list of group counts"), Field(key="unit.groups")]
    any_groups: Annotated[bool, Field(key="unit.any_groups")]  # whether group counts beyond `groups` are allowed
    shuffle: Annotated[bool, Field(key="unit.shuffle")]  # the default
    # What a design may switch.
    options: Annotated[tuple[Option, ...], Field(key="unit.options", expected="a list of switches")]
    # Every stage width is a multiple of the first, times the group count where the second says so.
    width_multiple: Annotated[Count, Field(key="width.multiple_of")]
    width_times_groups: Annotated[bool, Field(key="width.times_groups")]
    stem_stride: Annotated[Count, Field(key="stem.stride")]
    stem_pool: Annotated[bool, Field(key="stem.max_pool")]
    stem_multiple_of_groups: Annotated[bool, Field(key="stem.multiple_of_groups")]
    # Empty where the stem follows the first stage's width.
    stem_at_scale: Annotated[
        tuple[Annotated[tuple[Positive, Count], Field(expected="[scale, channels]")], ...],
        filled("a list of [scale, channels]"),
        Field(key="stem.channels_at_scale"),
    ] = ()
    # 0 where the stem follows the scale.
    stem_width_ratio: Annotated[Positive, Field(key="stem.width_ratio")] = 0.0
    # Stage widths over the first one's; strides per stage.
    ratios: Annotated[tuple[Positive, ...], filled("a width ratio a stage"), Field(key="stages.ratios")]
    strides: Annotated[tuple[Count, ...], filled("a stride a stage"), Field(key="stages.strides")]
    # Name and units per stage; the first is the default.
    depths: Annotated[
        tuple[tuple[str, Annotated[tuple[Count, ...], filled("unit counts a stage, such as [4, 8, 4]")]], ...],
        filled("a table of names with unit counts a stage, such as [4, 8, 4]"),
    ]
    reference: Annotated[Budget, Field(key="")]  # the network that meets it is 1x
    named_scales: Annotated[tuple[float, ...], Field(key="")]
    search_groups: Annotated[tuple[Count, ...], filled("a list of group counts"), Field(key="search.groups")]
    search_scales: Annotated[tuple[Positive, ...], Field(key="search.scales", expected="a list of scales")]
    search_depths: Annotated[tuple[Text, ...], filled("a list of depth names"), Field(key="search.depths")]
    search_se: Annotated[tuple[bool, ...], filled("a list of true and false"), Field(key="search.se")]

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
            raise SpecError(f"space {self.name}: no depth {depth!r}{suggestion(depth, tuple(named))}")
        repeats = tuple(map(int, parts))
        if len(repeats) != len(self.ratios) or not all(1 <= count <= 100 for count in repeats):
            raise SpecError(
                f"space {self.name}: depth {depth!r} does not fit; expected {len(self.ratios)} counts from 1 to "
                f'100, such as "{"-".join(map(str, self.depths[0][1]))}"'
            )
        return repeats

    def check_groups(self, groups: int | tuple[int, ...]) -> None:
        """Raises SpecError for a group count, of all stages or of one, that the space does not have."""
        for count in self.per_stage(groups, "group counts"):
            if count < 1 or (count not in self.groups and not self.any_groups):
                known = ", ".join(map(str, self.groups))
                raise SpecError(f"space {self.name}: no group count {count}; it has {known}")

    def check_ratios(self, ratios: tuple[float, ...]) -> None:
        """Raises SpecError for width ratios that are none of as many stages."""
        if not _are_ratios(self.per_stage(ratios, "width ratios")):
            raise SpecError(f"width ratios {','.join(f'{one:g}' for one in ratios)}: expected {_RATIOS}")

    def check_option(self, option: Option) -> None:
        """Raises SpecError for a switch that the space does not have."""
        if option not in self.options:
            raise SpecError(f"space {self.name} has no switch for {option}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """The [scale] of a space's file: what 1x solves to, and the scales that have names."""

    macs: Annotated[int, _MFLOPS]
    resolution: Annotated[tuple[int, int], _PIXELS]
    classes: Count
    named: Annotated[tuple[Positive, ...], filled("a list of scales")]


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
    _check_space(space, where)
    return replace(space, stem_at_scale=tuple(sorted(space.stem_at_scale)))


_RATIOS = "rising ratios that begin with 1"


def _are_ratios(ratios: tuple[float, ...]) -> bool:
    return ratios[0] == 1 and all(before <= ratio < math.inf for before, ratio in pairwise(ratios))


def _check_space(space: SpaceSpec, where: str) -> None:
    if bool(space.stem_at_scale) == bool(space.stem_width_ratio):
        given = "both" if space.stem_at_scale else "neither"
        raise SpecError(f"{where}: [stem] has {given} of channels_at_scale and width_ratio; expected one of them")
    if not _are_ratios(space.ratios):
        raise SpecError(f"{where}: [stages] ratios is {list(space.ratios)}; expected {_RATIOS}")
    for key, repeats in (("[stages] strides", space.strides), *((f"[depths] {n}", r) for n, r in space.depths)):
        if len(repeats) != len(space.ratios):
            raise SpecError(f"{where}: {key} is {list(repeats)}; expected {len(space.ratios)} integers, one a stage")
    for depth in space.search_depths:
        space.repeats(depth)
    for groups in space.search_groups:
        space.check_groups(groups)
    if any(space.search_se):
        space.check_option("se")


def load_space(text: str) -> SpaceSpec:
    """The space of a user's text: a bundled space's name or a TOML file. Raises SpecError."""
    return read_space(find_file(text, "spaces"))


def with_input(budget: Budget, *, resolution: tuple[int, int] | None = None, classes: int | None = None) -> Budget:
    """The same bounds at another resolution (height and width in pixels) or class count, where given."""
    return replace(
        budget,
        resolution=budget.resolution if resolution is None else resolution,
        classes=budget.classes if classes is None else classes,
    )
