"""SpaceSpec and Budget, and the strict readers of spaces/*.toml and budgets/*.toml.

A file is read and checked once, here; the rest of the code trusts the types. An unknown key is an error that
suggests the nearest known key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from snsearch.errors import SpecError
from snsearch.network import Precision
from snsearch.toml_reader import Table as _Table
from snsearch.toml_reader import as_flag as _flag
from snsearch.toml_reader import as_integer as _integer
from snsearch.toml_reader import as_number as _number
from snsearch.toml_reader import as_text as _text
from snsearch.toml_reader import find_file as _find
from snsearch.toml_reader import list_of as _list_of
from snsearch.toml_reader import read_table as _read
from snsearch.toml_reader import suggestion
from snsearch.toml_reader import word_of as _word_of
from snsearch.units import (
    format_bytes,
    format_count,
    format_mflops,
    parse_bytes,
    parse_count,
    parse_resolution,
)

Match = Literal["nearest", "under"]
Option = Literal["shuffle", "se"]


def _scale_and_channels(value: Any) -> tuple[float, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise TypeError
    return _number(value[0]), _integer(value[1])


def _mflops(value: Any) -> int:
    return max(1, round(_number(value) * 1e6))


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a network may cost, and at which input and class count.

    A network comes as near as possible to `macs` on either side (match "nearest"), or never exceeds them ("under").
    It never exceeds the other bounds. At least one bound is given; SpecError otherwise.
    """

    name: str
    title: str = ""
    source: str = ""
    macs: int | None = None
    params: int | None = None
    peak_activation_bytes: int | None = None
    weight_bytes: int | None = None
    match: Match = "nearest"
    precision: Precision = "float32"
    resolution: tuple[int, int] = (224, 224)
    classes: int = 1000
    input_channels: int = 3

    def __post_init__(self) -> None:
        if all(b is None for b in (self.macs, self.params, self.peak_activation_bytes, self.weight_bytes)):
            raise SpecError(
                f'budget "{self.name}": bounds nothing; give mflops, params, peak_activation or model_size'
            )

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; from_json reads them back."""
        return {**asdict(self), "resolution": list(self.resolution)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Budget:
        """The budget of to_json's values."""
        return cls(**{**values, "resolution": tuple(values["resolution"])})

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
    table = _read(path, "budget")
    values: dict[str, Any] = {
        "name": table.get("name", _text, "a name"),
        "title": table.get("title", _text, "a line of text", ""),
        "source": table.get("source", _text, "where the figures come from", ""),
        "macs": table.optional("mflops", _mflops, "millions of multiply-adds, such as 140"),
        "params": table.optional("params", parse_count, 'a number such as "1.9M"'),
        "peak_activation_bytes": table.optional("peak_activation", parse_bytes, 'a size such as "320KiB"'),
        "weight_bytes": table.optional("model_size", parse_bytes, 'a size such as "1MiB"'),
        "match": table.get("match", _word_of(get_args(Match)), "nearest or under", "nearest"),
        "precision": table.get("precision", _word_of(get_args(Precision)), "float32, float16 or int8", "float32"),
        "resolution": table.get("resolution", parse_resolution, 'pixels such as 224 or "480x640"', (224, 224)),
        "classes": table.get("classes", _integer, "a positive integer", 1000),
        "input_channels": table.get("input_channels", _integer, "a positive integer", 3),
    }
    table.done()  # before the budget checks itself: a misspelt bound should be called that
    return Budget(**values)


def load_budget(text: str) -> Budget:
    """The budget of a user's text: a number of MFLOPs, a bundled budget's name, or a TOML file. Raises SpecError."""
    try:
        mflops = float(text)
    except ValueError:
        return read_budget(_find(text, "budgets"))
    return mflops_budget(mflops)


def mflops_budget(mflops: float, match: Match = "nearest") -> Budget:
    """A budget of MFLOPs alone, at 224x224 and 1000 classes. Raises SpecError outside 0.001 to 10,000,000."""
    if not 0.001 <= mflops <= 1e7:
        raise SpecError(f"budget {mflops:g}: expected MFLOPs between 0.001 and 10,000,000")
    return Budget(name=f"{mflops:g} MFLOPs", macs=_mflops(mflops), match=match)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceSpec:
    """One design space: a structure unit, the stages that repeat it, and the widths that they may have."""

    name: str
    title: str
    source: str
    unit: str
    bottleneck: int
    groups: tuple[int, ...]
    any_groups: bool  # whether group counts beyond `groups` are allowed
    shuffle: bool  # the default
    options: tuple[Option, ...]  # what a design may switch
    width_multiple: int  # every stage width is a multiple of this ...
    width_times_groups: bool  # ... times the group count
    stem_stride: int
    stem_pool: bool
    stem_multiple_of_groups: bool
    stem_at_scale: tuple[tuple[float, int], ...]  # empty where the stem follows the first stage's width
    stem_width_ratio: float  # 0 where the stem follows the scale
    ratios: tuple[float, ...]  # stage widths over the first one's
    strides: tuple[int, ...]  # per stage
    depths: tuple[tuple[str, tuple[int, ...]], ...]  # name and units per stage; the first is the default
    reference: Budget  # the network that meets it is 1x
    named_scales: tuple[float, ...]
    search_groups: tuple[int, ...]
    search_scales: tuple[float, ...]
    search_depths: tuple[str, ...]
    search_se: tuple[bool, ...]

    def width_step(self, groups: int) -> int:
        """Every stage width is a multiple of this."""
        return self.width_multiple * (groups if self.width_times_groups else 1)

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

    def check_groups(self, groups: int) -> None:
        """Raises SpecError for a group count that the space does not have."""
        if groups < 1 or (groups not in self.groups and not self.any_groups):
            raise SpecError(f"space {self.name}: no group count {groups}; it has {', '.join(map(str, self.groups))}")

    def check_option(self, option: Option) -> None:
        """Raises SpecError for a switch that the space does not have."""
        if option not in self.options:
            raise SpecError(f"space {self.name} has no switch for {option}")


def read_space(path: Path) -> SpaceSpec:
    """The space of a TOML file. Raises SpecError with the file, the key and what was expected."""
    table = _read(path, "space")
    unit, width, stem, stages, depths, scale, search = (
        table.table(name) for name in ("unit", "width", "stem", "stages", "depths", "scale", "search")
    )
    counts = _list_of(_integer)
    named_depths = depths.get_all(counts, "unit counts a stage, such as [4, 8, 4]")
    ratio = stem.optional("width_ratio", _number, "a fraction of the first stage's width")
    by_scale = _list_of(_scale_and_channels)
    space = SpaceSpec(
        name=table.get("name", _text, "a name"),
        title=table.get("title", _text, "a line of text"),
        source=table.get("source", _text, "where the design comes from"),
        unit=unit.get("kind", _text, "a structure unit's name"),
        bottleneck=unit.get("bottleneck", _integer, "a positive integer"),
        groups=unit.get("groups", counts, "a list of group counts"),
        any_groups=unit.get("any_groups", _flag, "true or false"),
        shuffle=unit.get("shuffle", _flag, "true or false"),
        options=unit.get("options", _list_of(_word_of(get_args(Option)), empty=True), "a list of switches"),
        width_multiple=width.get("multiple_of", _integer, "a positive integer"),
        width_times_groups=width.get("times_groups", _flag, "true or false"),
        stem_stride=stem.get("stride", _integer, "a positive integer"),
        stem_pool=stem.get("max_pool", _flag, "true or false"),
        stem_multiple_of_groups=stem.get("multiple_of_groups", _flag, "true or false"),
        stem_at_scale=()
        if ratio is not None
        else tuple(sorted(stem.get("channels_at_scale", by_scale, "a list of [scale, channels]"))),
        stem_width_ratio=ratio or 0.0,
        ratios=stages.get("ratios", _list_of(_number), "a width ratio a stage"),
        strides=stages.get("strides", counts, "a stride a stage"),
        depths=named_depths,
        reference=Budget(
            name="1x",
            macs=scale.get("mflops", _mflops, "millions of multiply-adds"),
            resolution=scale.get("resolution", parse_resolution, "pixels"),
            classes=scale.get("classes", _integer, "a positive integer"),
        ),
        named_scales=tuple(sorted(scale.get("named", _list_of(_number), "a list of scales"))),
        search_groups=search.get("groups", counts, "a list of group counts"),
        search_scales=search.get("scales", _list_of(_number, empty=True), "a list of scales"),
        search_depths=search.get("depths", _list_of(_text), "a list of depth names"),
        search_se=search.get("se", _list_of(_flag), "a list of true and false"),
    )
    for part in (table, unit, width, stem, stages, scale, search):
        part.done()
    _check_space(space, table)
    return space


def _check_space(space: SpaceSpec, table: _Table) -> None:
    if space.ratios[0] != 1 or list(space.ratios) != sorted(space.ratios):
        raise table.fail("ratios", list(space.ratios), "rising ratios that begin with 1")
    for name, repeats in (("strides", space.strides), *space.depths):
        if len(repeats) != len(space.ratios):
            raise table.fail(name, list(repeats), f"{len(space.ratios)} integers, one a stage")
    for depth in space.search_depths:
        space.repeats(depth)
    for groups in space.search_groups:
        space.check_groups(groups)
    if any(space.search_se):
        space.check_option("se")


def load_space(text: str) -> SpaceSpec:
    """The space of a user's text: a bundled space's name or a TOML file. Raises SpecError."""
    return read_space(_find(text, "spaces"))


def with_input(budget: Budget, *, resolution: tuple[int, int] | None = None, classes: int | None = None) -> Budget:
    """The same bounds at another resolution (height and width in pixels) or class count, where given."""
    return replace(
        budget,
        resolution=budget.resolution if resolution is None else resolution,
        classes=budget.classes if classes is None else classes,
    )
