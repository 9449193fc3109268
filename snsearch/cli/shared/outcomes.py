"""What was measured or counted: in a line, as a table, as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from snsearch.cli.shared.console import print_json, print_table
from snsearch.codec import encode
from snsearch.device import CountedNetwork, Counts, Measurement, Unmeasured
from snsearch.network import count_macs, network_of
from snsearch.tables import Column, Table

if TYPE_CHECKING:
    from snsearch.api import Outcome

Timed = Measurement | Unmeasured
_HEADINGS = {"instructions": "M instructions", "l1d_misses": "M L1d misses", "l2_misses": "M L2 misses"}


def words_of(one: Outcome) -> str:
    """An outcome in a line; never a latency where there is none."""
    if isinstance(one, CountedNetwork):
        return f"{one.subject}: {one.record.counts.instructions / 1e6:.2f} M instructions"
    if isinstance(one, Unmeasured):
        return f"{one.subject.name}: not measured: {one.reason}"
    if one.latency_ms is None:
        latency = "emulated: not a latency" if one.verdict == "emulated" else "refused"
    else:
        stats = one.statistics
        latency = f"{stats.median_ms:.3g} ms [{stats.low_ms:.3g}, {stats.high_ms:.3g}] {one.verdict}"
    return f"{one.subject}: {latency}" + (f" ({one.why})" if one.reasons else "")


def print_outcomes(outcomes: Sequence[Outcome], form: str, *, wide: bool = False) -> None:
    """Prints outcomes to stdout: those of a device, or those of a counted one."""
    counted = [one for one in outcomes if isinstance(one, CountedNetwork)]
    timed = [one for one in outcomes if not isinstance(one, CountedNetwork)]
    if form == "json":
        print_json({"schema": 1, **_json(timed, counted)})
    elif counted:
        print_table(counted_table(counted), form, wide=wide)
    elif timed or form == "csv":
        print_table(timed_table(timed), form, wide=wide)


def _json(timed: Sequence[Timed], counted: Sequence[CountedNetwork]) -> dict[str, Any]:
    if counted:
        return {"counted": [_counted_json(one) for one in counted]}
    return {
        "measurements": [encode(one) for one in timed if isinstance(one, Measurement)],
        "unmeasured": [
            {"subject": one.subject.name, "reason": one.reason} for one in timed if isinstance(one, Unmeasured)
        ],
    }


def _counted_json(one: CountedNetwork) -> dict[str, Any]:
    macs = count_macs(network_of(one.subject))
    return {"network": one.subject, "macs": macs, **encode(one.record), "predicted": one.predicted_json()}


def _mflops(key: str) -> float:
    return round(count_macs(network_of(key)) / 1e6, 4)


def _key(one: Timed) -> str:
    return one.subject if isinstance(one, Measurement) else one.subject.name


def timed_table(outcomes: Sequence[Timed]) -> Table[Timed]:
    """Latencies with their intervals and verdicts; no figure where there is no latency."""

    def figure(one: Timed, name: str) -> float | None:
        has_one = isinstance(one, Measurement) and one.latency_ms is not None
        return round(getattr(one.statistics, name), 6) if isinstance(one, Measurement) and has_one else None

    def shown(one: Timed, text: str) -> str:
        """The text of a latency's statistics."""
        return text.format(one.statistics) if isinstance(one, Measurement) and one.latency_ms is not None else ""

    def verdict(one: Timed) -> str:
        if isinstance(one, Unmeasured):
            return f"not measured: {one.reason}"
        words = "emulated: not a latency" if one.verdict == "emulated" else one.verdict
        return words + (f": {one.why}" if one.reasons else "")

    def outliers(one: Timed) -> str:
        return shown(one, "{0.outliers}, up to {0.most_ms:.3f} ms" if figure(one, "outliers") else "{0.outliers}")

    return Table(
        columns=(
            Column[Timed]("key", _key, heading="network"),
            Column[Timed]("mflops", lambda one: _mflops(_key(one)), heading="MFLOPs", align="right", place="wide"),
            Column[Timed](
                "latency_ms",
                lambda one: figure(one, "median_ms"),
                heading="ms",
                text=lambda one: shown(one, "{0.median_ms:.3f}"),
                align="right",
            ),
            Column[Timed](
                "low_ms",
                lambda one: figure(one, "low_ms"),
                heading="95 % interval",
                text=lambda one: shown(one, "{0.low_ms:.3f} to {0.high_ms:.3f}"),
                align="right",
            ),
            Column[Timed]("high_ms", lambda one: figure(one, "high_ms"), place="data"),
            Column[Timed](
                "verdict", lambda one: one.verdict if isinstance(one, Measurement) else "not measured", text=verdict
            ),
            Column[Timed](
                "parity",
                lambda one: one.parity if isinstance(one, Measurement) else None,
                text=lambda one: f"{one.parity:.0e}" if isinstance(one, Measurement) else "",
                align="right",
                place="wide",
            ),
            Column[Timed](
                "provenance", lambda one: one.provenance if isinstance(one, Measurement) else one.reason, place="wide"
            ),
            Column[Timed]("runs", lambda one: shown(one, "{0.samples}"), align="right", place="wide", data=()),
            Column[Timed]("outliers", outliers, align="right", place="wide", data=()),
        ),
        rows=outcomes,
        notes=tuple(dict.fromkeys(_conditions(one) for one in outcomes if isinstance(one, Measurement))),
    )


def _conditions(one: Measurement) -> str:
    return (
        f"{one.host.device}: {one.host.words}; {one.host.library} ({one.host.runner}), one thread, "
        f"{one.precision}{one.sustained_words}"
    )


def counted_table(networks: Sequence[CountedNetwork]) -> Table[CountedNetwork]:
    """Counts, and what a device's published figures make of them."""
    weighing = networks[0].core.weighing if networks else None

    def count(name: str) -> Column[CountedNetwork]:
        return Column[CountedNetwork](
            name,
            lambda one: getattr(one.record.counts, name),
            heading=_HEADINGS.get(name, ""),
            text=lambda one: f"{getattr(one.record.counts, name) / 1e6:.2f}",
            align="right",
            place="short" if name in _HEADINGS else "data",
            drop=1 if name == "l1d_misses" else 0,
        )

    def milliseconds(name: str, index: int) -> Column[CountedNetwork]:
        return Column[CountedNetwork](
            name,
            lambda one: None if one.milliseconds is None else f"{one.milliseconds[index]:.4f}",
            heading="predicted ms, 95 % interval",
            text=lambda one: "{:.1f} [{:.1f}, {:.1f}]".format(*(one.milliseconds or (0.0, 0.0, 0.0))),
            align="right",
            place="short" if index == 0 and weighing is not None else "data",
        )

    return Table(
        columns=(
            Column[CountedNetwork]("key", lambda one: one.subject, heading="network"),
            Column[CountedNetwork](
                "mflops",
                lambda one: _mflops(one.subject),
                heading="MFLOPs",
                text=lambda one: f"{_mflops(one.subject):.1f}",
                align="right",
                drop=2,
            ),
            *(count(field.name) for field in fields(Counts)),
            *(milliseconds(name, index) for index, name in enumerate(("predicted_ms", "low_ms", "high_ms"))),
            Column[CountedNetwork]("provenance", lambda one: one.record.provenance, place="data"),
        ),
        rows=networks,
        notes=(
            *dict.fromkeys(one.record.provenance for one in networks),
            *(() if weighing is None else (f"ms: {weighing.provenance}",)),
        ),
    )
