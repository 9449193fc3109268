"""Budget, and the strict reader of budgets/*.toml."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from snsearch.codec import Field, decode, number, text
from snsearch.errors import SpecError
from snsearch.files import names_a_file
from snsearch.latency import Profile, load_profile
from snsearch.network import Precision
from snsearch.prose import shortened
from snsearch.toml_files import find_file, read_toml
from snsearch.units import (
    CHANNELS,
    CLASSES,
    MFLOPS,
    MILLISECONDS,
    format_budget,
    format_bytes,
    format_count,
    format_latency,
    parse_bytes,
    parse_confidence,
    parse_count,
    parse_latency,
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
_LATENCY = Field(read=parse_latency, expected=MILLISECONDS.expected, sparse=True)
_PROFILE = Field(read=load_profile, expected="a profile's name or file", toml=True)
_CONFIDENCE = Field(read=parse_confidence, expected='"95%"', sparse=True)
PIXELS = Field(read=parse_resolution, expected='pixels such as 224 or "480x640"', toml=True)
Classes = Annotated[int, number(*CLASSES)]
Channels = Annotated[int, number(*CHANNELS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a network may cost, and at which input and class count.

    A network comes as near as possible to `macs` on either side (match "nearest"), or never exceeds them ("under").
    It never exceeds the other bounds. At least one bound is given; SpecError otherwise. A latency is the one that
    the profile predicts; with a confidence, the upper end of its interval.
    """

    name: Annotated[str, text("a name")]
    title: Annotated[str, text("a line of text", toml=True)] = ""
    source: Annotated[str, text("where the figures come from", toml=True)] = ""
    macs: Annotated[int | None, MACS] = None
    params: Annotated[int | None, _PARAMS] = None
    peak_activation_bytes: Annotated[int | None, _PEAK] = None
    weight_bytes: Annotated[int | None, _SIZE] = None
    # Not in the repr, since that of a space, with its reference budget, is its digest.
    latency_ms: Annotated[float | None, _LATENCY] = field(default=None, repr=False)
    profile: Annotated[Profile | None, Field(sparse=True), _PROFILE] = field(default=None, repr=False)
    confidence: Annotated[float | None, _CONFIDENCE] = field(default=None, repr=False)
    match: Match = "nearest"
    precision: Precision = "float32"
    resolution: Annotated[tuple[int, int], PIXELS] = (224, 224)
    classes: Classes = 1000
    input_channels: Channels = 3

    def __post_init__(self) -> None:
        bounds = (self.macs, self.params, self.peak_activation_bytes, self.weight_bytes, self.latency_ms)
        if all(bound is None for bound in bounds):
            raise SpecError(
                f'budget "{self.name}": bounds nothing; give mflops, params, peak_activation, model_size or '
                "latency_ms"
            )
        for key in ("profile", "confidence"):
            if getattr(self, key) is not None and self.latency_ms is None:
                raise SpecError(
                    f'budget "{self.name}": {key} belongs to a latency; give one beside it (--latency, or latency_ms '
                    "in a file)"
                )

    @property
    def latency_profile(self) -> Profile:
        """The profile that predicts the latency. Raises SpecError if none was named."""
        if self.profile is None:
            raise SpecError(
                f'budget "{self.name}": a latency needs a device that it is predicted for; give --profile (snsearch '
                "profiles lists them), or --device of your own"
            )
        return self.profile

    @property
    def latency_limit_ms(self) -> float:
        """The most that the profile may predict. Raises SpecError if there is no profile."""
        assert self.latency_ms is not None, "the budget bounds the latency"
        factor = self.latency_profile.interval_factor
        return self.latency_ms if self.confidence is None else self.latency_ms / factor

    def describe(self) -> str:
        """The bounds in words: "140.00 MFLOPs, model size at most 1.00 MiB"."""
        parts = []
        if self.macs is not None:
            form = "{} MFLOPs" if self.match == "nearest" else "at most {} MFLOPs"
            parts.append(form.format(format_budget(self.macs)))
        if self.params is not None:
            parts.append(f"at most {format_count(self.params)} parameters")
        if self.peak_activation_bytes is not None:
            parts.append(f"peak activation memory at most {format_bytes(self.peak_activation_bytes)}")
        if self.weight_bytes is not None:
            parts.append(f"model size at most {format_bytes(self.weight_bytes)}")
        if self.latency_ms is not None:
            on = "" if self.profile is None else f" on {self.profile.device}"
            end = "predicted" if self.confidence is None else "the upper end of the predicted 95 % interval"
            parts.append(f"at most {format_latency(self.latency_ms)}{on} ({end})")
        return ", ".join(parts)


def read_budget(path: Path) -> Budget:
    """The budget of a TOML file. Raises SpecError with the file, the key and what was expected."""
    values, where = read_toml(path, "budget")
    profile = values.get("profile")
    if isinstance(profile, str) and profile.endswith(".toml"):  # a file beside the budget's
        values["profile"] = str(path.parent / profile)
    return decode(Budget, values, where, toml=True)


def load_budget(text: str) -> Budget:
    """The budget of a user's text: a number of MFLOPs, a bundled budget's name, or a TOML file. Raises SpecError."""
    try:
        mflops = float(text)
    except ValueError:
        if not names_a_file(text) and _is_latency(text):
            raise SpecError(f"budget {shortened(text)} is a latency; give it as --latency {text}") from None
        return read_budget(find_file(text, "budgets"))
    return mflops_budget(mflops)


def _is_latency(text: str) -> bool:
    try:
        return parse_latency(text) > 0
    except SpecError:
        return False


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
