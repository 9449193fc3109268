"""Profiles: a device's rates, their source and error, and the latency that they predict for an architecture.

A profile is a TOML file, bundled in profiles/ or the user's own. It has the errors of its rates on held-out networks,
and those of two baselines on the same folds. `calibration` makes profiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snsearch.errors import SpecError
from snsearch.latency.forms import Counting
from snsearch.latency.kernels import KERNEL_MEANINGS, network_kernel_terms
from snsearch.latency.terms import MEANINGS, Terms, network_terms
from snsearch.network import Architecture
from snsearch.toml_reader import (
    Table,
    as_amount,
    as_factor,
    as_integer,
    as_number,
    as_text,
    find_file,
    list_of,
    read_table,
    suggestion,
    toml_value,
)
from snsearch.units import three_digits

DEFAULT_PROFILE = "snapdragon-820"


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

    mape: float  # mean absolute error, relative to the measured latency
    spearman: float  # rank correlation


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One library on one device: its rates and their errors."""

    name: str
    device: str
    core: str
    library: str
    threads: int
    precision: str
    figures: str  # what the rates are fitted on: "published", "measured" (the user's own) or "counted"
    source: str
    note: str
    form: str
    counting: Counting = "quantities"
    cache_bytes: int | None  # beyond which "far_bytes" count; None if they have no rate
    unseen: tuple[str, ...] = ()  # terms that no figure has, so their rates are unknown
    rates: tuple[tuple[str, float], ...]  # term and nanoseconds per unit
    interval_factor: float  # a prediction times and over this is its 95 % interval
    judged_ms: tuple[float, float] | None = None  # the fastest and the slowest held-out network
    kept_out: int  # networks held out in turn
    by_network: PredictionErrors  # each network predicted by rates that have not seen it
    by_family: PredictionErrors  # each predicted by rates that have seen none of its family
    log_log_flops: PredictionErrors  # baseline: a line of log latency over log FLOPs
    pixel_scaling: PredictionErrors  # baseline: the most similar network, scaled by pixels
    fitted_on: tuple[str, ...]  # names of networks and blocks

    @property
    def provenance(self) -> str:
        """The label of every prediction: device, kind of figures, mean error and source."""
        if self.figures == "counted":
            return (
                f"predicted from counted cost, {self.device}, ±{self.by_network.mape * 100:.0f} % of what is counted "
                f"(mean error of networks kept out; {self.source})"
            )
        return (
            f"predicted, {self.device}, fitted on {self.figures} figures, ±{self.by_network.mape * 100:.0f} % "
            f"(mean error of networks kept out; {self.source})"
        )

    def remark(self, ms: float) -> str:
        """A warning where the whole interval is beyond the held-out networks' latencies, else ""."""
        if self.judged_ms is None:
            return ""
        fastest, slowest = self.judged_ms
        if ms * self.interval_factor >= fastest and ms / self.interval_factor <= slowest:
            return ""
        low, high = map(three_digits, self.judged_ms)
        return f"outside of the {low} to {high} ms that the profile is judged by: the interval may be too narrow"

    def terms_of(self, arch: Architecture) -> Terms:
        """A network's terms as this profile counts them. Raises SpecError where groups do not divide channels."""
        return network_kernel_terms(arch) if self.counting == "kernels" else network_terms(arch, self.cache_bytes)

    def predict_terms(self, terms: Terms) -> float:
        """Milliseconds for terms as `terms_of` counts them."""
        return sum(rate * terms[term] for term, rate in self.rates) / 1e6

    def predict(self, arch: Architecture) -> Latency:
        """The architecture's latency. Takes one or two hundred microseconds.

        Raises SpecError where groups do not divide channels, or for a network with a term that no figure has.
        """
        terms = self.terms_of(arch)
        for term in self.unseen:
            if terms[term]:
                raise SpecError(
                    f'profile "{self.name}": {arch.key} has {_MEANINGS[term]}, and no network or block that the '
                    "profile is fitted on has any; fit it on such networks too"
                )
        ms = self.predict_terms(terms)
        remark = self.remark(ms)
        return Latency(
            ms=ms,
            low_ms=ms / self.interval_factor,
            high_ms=ms * self.interval_factor,
            provenance=f"{self.provenance}; {remark}" if remark else self.provenance,
        )

    def to_toml(self) -> str:
        """The profile as a file that read_profile reads back, to keep or to share."""
        document: dict[str, Any] = {
            "schema": 1,
            "name": self.name,
            "device": self.device,
            "core": self.core,
            "library": self.library,
            "threads": self.threads,
            "precision": self.precision,
            "figures": self.figures,
            "source": self.source,
            "note": self.note,
            "form": self.form,
        }
        if self.counting != "quantities":
            document["counting"] = self.counting
        if self.cache_bytes is not None:
            document["cache_bytes"] = self.cache_bytes
        if self.unseen:
            document["unseen"] = list(self.unseen)
        document["interval_factor"] = self.interval_factor
        lines = [f"{key} = {toml_value(value)}" for key, value in document.items()]
        if self.judged_ms is not None:
            lines.append(f"judged_ms = [{', '.join(map(toml_value, self.judged_ms))}]  # fastest and slowest network")
        lines.append(f"fitted_on = {toml_value(list(self.fitted_on))}")
        lines += ["", "[nanoseconds]  # a unit of each term"]
        lines += [f"{term} = {toml_value(rate)}" for term, rate in self.rates]
        lines += ["", "[kept_out]", f"networks = {self.kept_out}"]
        for name, errors in self._errors().items():
            lines.append(f"{name} = {{ mape = {toml_value(errors.mape)}, spearman = {toml_value(errors.spearman)} }}")
        return "\n".join(lines) + "\n"

    def _errors(self) -> dict[str, PredictionErrors]:
        return {
            "by_network": self.by_network,
            "by_family": self.by_family,
            "log_log_flops": self.log_log_flops,
            "pixel_scaling": self.pixel_scaling,
        }

    def to_json(self) -> dict[str, Any]:
        """The profile as JSON values."""
        return {
            "name": self.name,
            "device": self.device,
            "core": self.core,
            "library": self.library,
            "threads": self.threads,
            "precision": self.precision,
            "figures": self.figures,
            "source": self.source,
            "note": self.note,
            "form": self.form,
            "counting": self.counting,
            "cache_bytes": self.cache_bytes,
            "unseen": list(self.unseen),
            "nanoseconds": dict(self.rates),
            "interval_factor": self.interval_factor,
            "judged_ms": None if self.judged_ms is None else list(self.judged_ms),
            "kept_out": {
                "networks": self.kept_out,
                **{
                    name: {"mape": errors.mape, "spearman": errors.spearman}
                    for name, errors in self._errors().items()
                },
            },
            "fitted_on": list(self.fitted_on),
        }


_TERMS: dict[Counting, tuple[str, ...]] = {"quantities": tuple(MEANINGS), "kernels": tuple(KERNEL_MEANINGS)}
_MEANINGS = {**MEANINGS, **KERNEL_MEANINGS}


def _correlation(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1:
        raise TypeError
    return float(value)


def _range(value: Any) -> tuple[float, float]:
    """Two latencies, the lower one first."""
    if not isinstance(value, list) or len(value) != 2:
        raise TypeError
    low, high = map(as_number, value)
    if low > high:
        raise TypeError
    return low, high


def _cache(value: Any) -> int:
    """A cache's size in bytes."""
    if type(value) is not int or not 1 <= value <= 1 << 40:
        raise TypeError
    return value


def _optional_text(value: Any) -> str:
    return as_text(value) if value != "" else ""


def _counting(value: Any) -> Counting:
    if value not in ("quantities", "kernels"):
        raise TypeError
    return "kernels" if value == "kernels" else "quantities"


def _rates(table: Table, counting: Counting) -> tuple[tuple[str, float], ...]:
    rates = table.get_all(as_amount, "nanoseconds of at least 0")
    for term, _ in rates:
        if term not in _TERMS[counting]:
            raise SpecError(f'{table.where}: unknown term "{term}"{suggestion(term, _TERMS[counting])}')
    if not any(rate for _, rate in rates):
        raise SpecError(f"{table.where}: every rate is 0; expected at least one above it")
    return rates


def _errors(table: Table, name: str) -> PredictionErrors:
    part = table.table(name)
    errors = PredictionErrors(
        mape=part.get("mape", as_amount, "a mean absolute relative error, such as 0.1"),
        spearman=part.get("spearman", _correlation, "a rank correlation from -1 to 1"),
    )
    part.done()
    return errors


def read_profile(path: Path) -> Profile:
    """The profile of a TOML file. Raises SpecError with the file, the key and what was expected."""
    table = read_table(path, "profile")
    kept_out = table.table("kept_out")
    counting: Counting = table.get("counting", _counting, "quantities or kernels", "quantities")
    unseen = table.optional("unseen", list_of(as_text), "a list of terms") or ()
    for term in unseen:
        if term not in _TERMS[counting]:
            raise SpecError(f'profile "{path.name}": unknown term "{term}"{suggestion(term, _TERMS[counting])}')
    profile = Profile(
        name=table.get("name", as_text, "a name"),
        device=table.get("device", as_text, "the device's name"),
        core=table.get("core", _optional_text, "the processor core's name", ""),
        library=table.get("library", as_text, "the library that ran the networks"),
        threads=table.get("threads", as_integer, "a positive integer"),
        precision=table.get("precision", as_text, "the precision, such as float32"),
        figures=table.get("figures", as_text, "published or measured"),
        source=table.get("source", as_text, "where the figures come from"),
        note=table.get("note", _optional_text, "a remark", ""),
        form=table.get("form", as_text, "the form's name"),
        counting=counting,
        unseen=unseen,
        cache_bytes=table.optional("cache_bytes", _cache, "bytes of the cache"),
        interval_factor=table.get("interval_factor", as_factor, "a number of at least 1"),
        judged_ms=table.optional("judged_ms", _range, "two numbers of milliseconds, the lower one first"),
        fitted_on=table.get("fitted_on", list_of(as_text), "a list of networks"),
        rates=_rates(table.table("nanoseconds"), counting),
        kept_out=kept_out.get("networks", as_integer, "a positive integer"),
        by_network=_errors(kept_out, "by_network"),
        by_family=_errors(kept_out, "by_family"),
        log_log_flops=_errors(kept_out, "log_log_flops"),
        pixel_scaling=_errors(kept_out, "pixel_scaling"),
    )
    kept_out.done()
    table.done()
    if profile.cache_bytes is None and dict(profile.rates).get("far_bytes"):
        raise SpecError(f'profile "{path.name}": far_bytes has a rate; expected cache_bytes beside it')
    return profile


def load_profile(text: str) -> Profile:
    """The profile of a user's text: a bundled profile's name or a TOML file. Raises SpecError."""
    return read_profile(find_file(text, "profiles"))
