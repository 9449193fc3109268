"""Architecture: one network, every size an integer, with a stable and readable key."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Annotated, Any, Self

from snsearch.codec import Field
from snsearch.errors import SpecError
from snsearch.units import format_stages, parse_resolution, plain_resolution, plain_stages, read_stages

PerStage = Annotated[
    tuple[int, ...], Field(expected="an integer, or a list with one per stage", read=read_stages, write=plain_stages)
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """One network: a stem, stages of repeated structure units, global pooling and a classifier.

    Holds everything that determines shapes and costs; names, budgets and scales do not. An integer for `groups` or
    `se_reduction` is that of every stage.
    """

    unit: str
    groups: PerStage
    bottleneck: int
    shuffle: bool
    se_reduction: PerStage  # channels over the gate's bottleneck; 0: no squeeze-and-excitation
    stem_channels: int
    stem_stride: int
    stem_pool: bool  # 3x3 max-pooling of stride 2 after the first convolution
    stage_channels: tuple[int, ...]  # output channels per stage
    stage_repeats: tuple[int, ...]  # units per stage, including the one that changes stride and width
    stage_strides: tuple[int, ...]
    input_channels: int
    resolution: Annotated[tuple[int, int], Field(read=parse_resolution, write=plain_resolution)]  # height, width
    classes: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if field.name == "unit":
                if not isinstance(value, str) or re.fullmatch(r"[a-z0-9-]+", value) is None:
                    raise SpecError(f"architecture: unit is {value!r}; expected a name of a-z, 0-9 and -")
                continue
            if field.name in ("shuffle", "stem_pool"):
                if not isinstance(value, bool):
                    raise SpecError(f"architecture: {field.name} is {value!r}; expected true or false")
                continue
            least = 0 if field.name == "se_reduction" else 1
            if not all(type(number) is int and number >= least for number in numbers):
                raise SpecError(f"architecture: {field.name} is {value!r}; expected integers of at least {least}")
        for name in ("groups", "se_reduction"):
            if not isinstance(getattr(self, name), tuple):
                object.__setattr__(self, name, (getattr(self, name),) * len(self.stage_channels))
        per_stage = (self.stage_repeats, self.stage_strides, self.groups, self.se_reduction)
        if not self.stage_channels or {len(self.stage_channels)} != set(map(len, per_stage)):
            raise SpecError(
                "architecture: stage_channels, stage_repeats, stage_strides, groups and se_reduction differ in length"
            )
        if sum(self.stage_repeats) > _MOST_UNITS:
            units = sum(self.stage_repeats)
            raise SpecError(f"architecture: stage_repeats has {units:,} units in all; expected up to {_MOST_UNITS:,}")

    @property
    def key(self) -> str:
        """The architecture as one readable token, safe in file names and shells. `from_key` reads it."""
        unit = [self.unit, f"g{format_stages(self.groups)}", f"b{self.bottleneck}"]
        unit += ["shuffle"] if self.shuffle else []
        unit += [f"se{format_stages(self.se_reduction)}"] if any(self.se_reduction) else []
        stages = "-".join(
            f"{width}x{repeats}s{stride}"
            for width, repeats, stride in zip(
                self.stage_channels, self.stage_repeats, self.stage_strides, strict=True
            )
        )
        return "_".join(
            (
                ".".join(unit),
                f"stem{self.stem_channels}s{self.stem_stride}{'p' if self.stem_pool else ''}",
                stages,
                f"{self.input_channels}x{self.resolution[0]}x{self.resolution[1]}",
                f"c{self.classes}",
            )
        )

    @classmethod
    def from_key(cls, key: str) -> Self:
        """The architecture of a key. Raises SpecError for an invalid key.

        "g3-3-3" is read as "g3", and "se0-0-0" as no SE: the architecture's own key is the short one.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            raise SpecError(
                f"{key!r} is not an architecture key; expected the form "
                "shufflenet.g3.b4.shuffle_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000"
            )
        stages = [tuple(map(int, re.split("[xs]", stage))) for stage in match["stages"].split("-")]
        channels, repeats, strides = (tuple(column) for column in zip(*stages, strict=True))
        return cls(
            unit=match["unit"],
            groups=_stages(match["groups"]),
            bottleneck=int(match["bottleneck"]),
            shuffle=match["shuffle"] is not None,
            se_reduction=_stages(match["se"] or "0"),
            stem_channels=int(match["stem"]),
            stem_stride=int(match["stride"]),
            stem_pool=match["pool"] is not None,
            stage_channels=channels,
            stage_repeats=repeats,
            stage_strides=strides,
            input_channels=int(match["input"]),
            resolution=parse_resolution(f"{match['height']}x{match['width']}"),
            classes=int(match["classes"]),
        )

    def at_input(self, *, channels: int, resolution: tuple[int, int], classes: int) -> Self:
        """The same widths, depths and units on another input, for training on small images.

        On small images the stem reduces less, so that the last stage keeps at least two pixels per side where the
        stages allow it: no max-pooling below 64 pixels, and a first stride of 1 where only one pixel would be left.

        Args:
            channels: of the input image.
            resolution: height and width in pixels.
            classes: of the classifier.
        """
        side = min(resolution)
        return replace(
            self,
            input_channels=channels,
            resolution=resolution,
            classes=classes,
            stem_pool=self.stem_pool and side >= 64,
            stem_stride=self.stem_stride if side > self.stem_stride * prod(self.stage_strides) else 1,
        )


def _stages(text: str) -> Any:
    """The integer of all stages, or a tuple of one per stage."""
    return tuple(map(int, text.split("-"))) if "-" in text else int(text)


_MOST_UNITS = 10_000
_KEY = re.compile(
    r"(?P<unit>[a-z0-9-]+)\.g(?P<groups>\d{1,9}(?:-\d{1,9})*)\.b(?P<bottleneck>\d{1,9})(?P<shuffle>\.shuffle)?"
    r"(?:\.se(?P<se>\d{1,9}(?:-\d{1,9})*))?"
    r"_stem(?P<stem>\d{1,9})s(?P<stride>\d{1,9})(?P<pool>p)?"
    r"_(?P<stages>\d{1,9}x\d{1,9}s\d{1,9}(?:-\d{1,9}x\d{1,9}s\d{1,9})*)"
    r"_(?P<input>\d{1,9})x(?P<height>\d{1,9})x(?P<width>\d{1,9})_c(?P<classes>\d{1,9})"
)
