"""Profiles: a device's rates, their source and error, and the latency that they predict.

A profile is a TOML file, bundled in profiles/ or the user's own. It has the errors of its rates on held-out networks,
and those of two baselines on the same folds. `calibration` makes profiles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snsearch.codec import Count, Field, Text, decode, filled, number, suggestion, text
from snsearch.errors import SpecError
from snsearch.latency.forms import Counting
from snsearch.latency.kernels import KERNEL_MEANINGS, network_kernel_terms
from snsearch.latency.terms import MEANINGS, Terms, network_terms, predict_ms
from snsearch.network import AnyNetwork
from snsearch.toml_files import find_file, read_toml, toml_of
from snsearch.units import three_digits

DEFAULT_PROFILE = "snapdragon-820"
NCNN_PROFILE = "ncnn-raspberry-pi-zero-2"  # whose ratios of rates serve other devices that run ncnn


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """A predicted latency in milliseconds, its 95 % interval, and what kind of figure it is."""

    ms: float
    low_ms: float
    high_ms: float
    provenance: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionErrors:
    """How predictions for held-out networks compare with the measured latencies."""

    mape: Annotated[float, number("a mean absolute relative error, such as 0.1", 0)]
    spearman: Annotated[float, number("a rank correlation from -1 to 1", -1, 1)]


_RANGE = Field(expected="two numbers of milliseconds, the lower one first", check=lambda ends: 0 < ends[0] <= ends[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One library on one device: its rates and their errors."""

    name: Annotated[str, text("a name")]
    device: Annotated[str, text("the device's name")]
    core: str
    library: Annotated[str, text("the library that ran the networks")]
    threads: Count
    precision: Annotated[str, text("the precision, such as float32")]
    # What the rates are fitted on: "published", "measured" (the user's own) or "counted".
    figures: Annotated[str, text("published or measured")]
    source: Annotated[str, text("where the figures come from")]
    note: str
    form: Annotated[str, text("the form's name")]
    counting: Counting = "quantities"
    # Beyond which "far_bytes" count; None if they have no rate.
    cache_bytes: Annotated[int | None, number("bytes of the cache", 1, 1 << 40)]
    # Terms that no figure has, so their rates are unknown.
    unseen: Annotated[tuple[Text, ...], Field(expected="a list of terms")] = ()
    # Term and nanoseconds per unit.
    rates: Annotated[
        tuple[tuple[str, Annotated[float, number("nanoseconds of at least 0", 0)]], ...],
        Field(key="nanoseconds"),
    ]
    # A prediction times and over this is its 95 % interval.
    interval_factor: Annotated[float, number("a number of at least 1", 1)]
    judged_ms: Annotated[tuple[float, float] | None, _RANGE] = None  # the fastest and the slowest held-out network
    kept_out: Annotated[Count, Field(key="kept_out.networks")]  # networks held out in turn
    # Each network predicted by rates that have not seen it, and by rates that have seen none of its family.
    by_network: Annotated[PredictionErrors, Field(key="kept_out.by_network")]
    by_family: Annotated[PredictionErrors, Field(key="kept_out.by_family")]
    # Baselines: a line of log latency over log FLOPs; the most similar network, scaled by pixels.
    log_log_flops: Annotated[PredictionErrors, Field(key="kept_out.log_log_flops")]
    pixel_scaling: Annotated[PredictionErrors, Field(key="kept_out.pixel_scaling")]
    fitted_on: Annotated[tuple[Text, ...], filled("a list of networks")]  # names of networks and blocks

    def __post_init__(self) -> None:
        rates, known = dict(self.rates), _TERMS[self.counting]
        for place, terms in (("", self.unseen), ("[nanoseconds]: ", rates)):
            for term in terms:
                if term not in known:
                    raise SpecError(f'{place}unknown term "{term}"{suggestion(term, known)}')
        if not any(rates.values()):
            raise SpecError("[nanoseconds]: every rate is 0; expected at least one above it")
        if self.cache_bytes is None and rates.get("far_bytes"):
            raise SpecError("[nanoseconds] far_bytes has a rate; expected cache_bytes beside it")

    def __repr__(self) -> str:
        return f"<profile {self.name}: {self.device}, {self.library}, {self.precision}>"

    @property
    def provenance(self) -> str:
        """The label of every prediction: device, kind of figures, mean error and source."""
        error, judged = f"±{self.by_network.mape * 100:.0f} %", f"(mean error of held-out networks; {self.source})"
        if self.figures == "counted":
            return f"predicted from counted cost, {self.device}, {error} of what is counted {judged}"
        return f"predicted, {self.device}, fitted on {self.figures} figures, {error} {judged}"

    @property
    def judged_predictions(self) -> tuple[float, float] | None:
        """The least and the most milliseconds whose interval meets the held-out networks' latencies."""
        if self.judged_ms is None:
            return None
        return self.judged_ms[0] / self.interval_factor, self.judged_ms[1] * self.interval_factor

    def remark(self, ms: float) -> str:
        """A warning where the whole interval is beyond the held-out networks' latencies, else ""."""
        judged = self.judged_predictions
        if self.judged_ms is None or judged is None or judged[0] <= ms <= judged[1]:
            return ""
        low, high = map(three_digits, self.judged_ms)
        return f"outside of the {low} to {high} ms that the profile is judged by: the interval may be too narrow"

    def terms(self, network: AnyNetwork) -> Terms:
        """A network's terms as the profile counts them. Raises SpecError if groups do not divide channels."""
        return (
            network_kernel_terms(network) if self.counting == "kernels" else network_terms(network, self.cache_bytes)
        )

    def predict(self, arch: AnyNetwork) -> Latency:
        """The network's latency. Takes one or two hundred microseconds.

        Raises SpecError if groups do not divide channels, or for a network with a term that no figure has.
        """
        terms = self.terms(arch)
        if refused := self._refused(terms):
            raise SpecError(
                f'profile "{self.name}": {arch.key} has {_MEANINGS[refused]}, and no network or block that the '
                "profile is fitted on has any; fit it on such networks too"
            )
        ms = predict_ms(dict(self.rates), terms)
        remark = self.remark(ms)
        return Latency(
            ms=ms,
            low_ms=ms / self.interval_factor,
            high_ms=ms * self.interval_factor,
            provenance=f"{self.provenance}; {remark}" if remark else self.provenance,
        )

    def _refused(self, terms: Terms) -> str | None:
        return next((term for term in self.unseen if terms[term]), None)

    def to_toml(self) -> str:
        """The profile as a file that read_profile reads back, to keep or to share."""
        return toml_of(self, {"judged_ms": "fastest and slowest network", "nanoseconds": "a unit of each term"})


_TERMS: dict[Counting, tuple[str, ...]] = {"quantities": tuple(MEANINGS), "kernels": tuple(KERNEL_MEANINGS)}
_MEANINGS = {**MEANINGS, **KERNEL_MEANINGS}


def remarks_as_lines(remarks: Sequence[str]) -> list[str]:
    """Every remark once, with how many of the predictions it is on; a prediction without one has ""."""
    counts = Counter(filter(None, remarks))
    return [f"{count} of {len(remarks)} predictions lie {remark}" for remark, count in counts.items()]


def predicted_by(profiles: Sequence[Profile], network: AnyNetwork) -> list[float | None]:
    """A network's milliseconds by each profile, None where one refuses it; what profiles share is counted once.

    Raises SpecError if groups do not divide channels.
    """
    counted: dict[tuple[Counting, int | None], Terms] = {}
    found: list[float | None] = []
    for profile in profiles:
        counts = profile.counting, profile.cache_bytes
        if counts not in counted:
            counted[counts] = profile.terms(network)
        terms = counted[counts]
        found.append(None if profile._refused(terms) else predict_ms(dict(profile.rates), terms))
    return found


def read_profile(path: Path) -> Profile:
    """The profile of a TOML file. Raises SpecError with the file, the key and what was expected."""
    values, where = read_toml(path, "profile")
    return decode(Profile, {"core": "", "note": ""} | values, where, toml=True)


def load_profile(text: str) -> Profile:
    """The profile of a user's text: a bundled profile's name or a TOML file. Raises SpecError."""
    return read_profile(find_file(text, "profiles"))
