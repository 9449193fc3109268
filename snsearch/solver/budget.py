"""Budget, and the strict reader of budgets/*.toml."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from snsearch.codec import Field, decode, number, text
from snsearch.errors import SpecError
from snsearch.network import Precision
from snsearch.toml_files import find_file, read_toml
from snsearch.units import (
    CHANNELS,
    CLASSES,
    MFLOPS,
    format_bytes,
    format_count,
    format_mflops,
    parse_bytes,
    parse_count,
    parse_resolution,
)

Match = Literal["nearest", "under"]


def _macs(mflops: Any) -> int:
    if type(mflops) not in (int, float) or not MFLOPS.holds(mflops):
        raise TypeError
    return round(float(mflops) * 1e6)


MACS = Field(key="mflops", read=_macs, expected=f"millions of multiply-adds: {MFLOPS.expected}", toml=True)
_PARAMS = Field(read=parse_count, expected='a number such as "1.9M"', toml=True)
_PEAK = Field(key="peak_activation", read=parse_bytes, expected='a size such as "320KiB"', toml=True)
_SIZE = Field(key="model_size", read=parse_bytes, expected='a size such as "1MiB"', toml=True)
PIXELS = Field(read=parse_resolution, expected='pixels such as 224 or "480x640"', toml=True)
Classes = Annotated[int, number(*CLASSES)]
Channels = Annotated[int, number(*CHANNELS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a network may cost, and at which input and class count.

    A network comes as near as possible to `macs` on either side (match "nearest"), or never exceeds them ("under").
    It never exceeds the other bounds. At least one bound is given; SpecError otherwise.
    """

    name: Annotated[str, text("a name")]
    title: Annotated[str, text("a line of text", toml=True)] = ""
    source: Annotated[str, text("where the figures come from", toml=True)] = ""
    macs: Annotated[int | None, MACS] = None
    params: Annotated[int | None, _PARAMS] = None
    peak_activation_bytes: Annotated[int | None, _PEAK] = None
    weight_bytes: Annotated[int | None, _SIZE] = None
    match: Match = "nearest"
    precision: Precision = "float32"
    resolution: Annotated[tuple[int, int], PIXELS] = (224, 224)
    classes: Classes = 1000
    input_channels: Channels = 3

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
    """A budget of MFLOPs alone, at 224x224 and 1000 classes. Raises SpecError outside MFLOPS."""
    if not MFLOPS.holds(mflops):
        raise SpecError(f"budget {mflops:g}: expected {MFLOPS.expected}")
    return Budget(name=f"{mflops:g} MFLOPs", macs=_macs(mflops), match=match)


def with_input(budget: Budget, *, resolution: tuple[int, int] | None = None, classes: int | None = None) -> Budget:
    """The same bounds at another resolution (height and width in pixels) or class count, where given.

    Raises SpecError outside CLASSES.
    """
    if classes is not None:
        CLASSES.check(classes, classes)
    return replace(
        budget,
        resolution=budget.resolution if resolution is None else resolution,
        classes=budget.classes if classes is None else classes,
    )
