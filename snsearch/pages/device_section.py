"""Measurements on devices as sections of a page: what was measured, beside the predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from itertools import combinations
from typing import Any

from snsearch.codec import encode
from snsearch.device import Measurement
from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.evidence import measurements_of
from snsearch.pages.sections import Facts, Section, with_interval
from snsearch.pages.view import View
from snsearch.study import StudyRecord, front
from snsearch.tables import Column, Table

Measured = tuple[CandidateRow, Measurement]


def device_sections(view: View) -> tuple[Section, ...]:
    """A section for each device that measured a candidate."""
    found = {
        name: [(row, of[key]) for row in view.rows if (key := row.architecture.key) in of]
        for name, of in view.measured.items()
    }
    return tuple(_section(name, at, ours, view.study) for at, (name, ours) in enumerate(found.items()) if ours)


def _section(name: str, at: int, ours: Sequence[Measured], study: StudyRecord) -> Section:
    last = ours[-1][1]
    kind, _, profile = study.settings.cost_name.partition(" ")
    predicts = kind == "latency"
    own = predicts and profile.rpartition(" ")[0] == last.host.device
    timed = [(row, one) for row, one in ours if one.latency_ms is not None]
    on_front = front([(row.score.error, one.statistics.median_ms) for row, one in timed])
    numbers = {timed[index][0].number for index in on_front}
    return Section(
        name=f"device-{at}",
        title=f"Measured on {name}" if timed else f"On {name}: no latency",
        lines=_summary(ours, study.settings.cost_axis if predicts else None, own),
        tables=(Table(columns=_columns(numbers, predicts=predicts, own=own), rows=ours),),
        facts=_facts(last),
    )


def _columns(numbers: Set[int], *, predicts: bool, own: bool) -> tuple[Column[Measured], ...]:
    """The columns of measurements; `own` says that the prediction is for this device."""
    of = Column[Measured]

    def off(measured: Measured) -> str:
        # Compare a prediction for another device by its order alone.
        row, one = measured
        return f"{one.latency_ms / row.cost - 1:+.0%}" if own and one.latency_ms is not None and row.cost else ""

    return (
        of("trial", lambda m: f"#{m[0].number}", align="right"),
        of("candidate", lambda m: m[0].trial.words + (" (front)" if m[0].number in numbers else "")),
        of("ms", lambda m: _ms(m[1]), heading="ms [95 %]", align="right"),
        *([of("predicted", lambda m: f"{m[0].cost:.3g}", align="right")] if predicts else []),
        *([of("off by", off, align="right")] if own else []),
        of("runs", lambda m: _runs(m[1]), align="right"),
        of("parity", lambda m: f"{m[1].parity:.0e}", align="right"),
        of("provenance", lambda m: "measured" if m[1].latency_ms is not None else m[1].verdict),
        of("verdict", lambda m: m[1].verdict + (f": {m[1].why}" if m[1].reasons else "")),
    )


def _ms(one: Measurement) -> str:
    if one.latency_ms is None:
        return "emulated: not a latency" if one.verdict == "emulated" else "none"
    return with_interval(one.statistics.median_ms, one.statistics.low_ms, one.statistics.high_ms)


def _runs(one: Measurement) -> str:
    stats = one.statistics
    return "" if one.latency_ms is None else f"{stats.samples}, {stats.outliers} outliers to {stats.most_ms:.3g} ms"


def _summary(ours: Sequence[Measured], predicted_for: str | None, own: bool) -> tuple[str, ...]:
    """What the section says first; `predicted_for` names the predicted cost, None if it is no latency."""
    counts = Counter(one.verdict for _, one in ours)
    timed = [(one.latency_ms, row.cost) for row, one in ours if one.latency_ms is not None]
    lines = []
    if counts["emulated"]:
        lines.append(
            f"{counts['emulated']} ran on an emulated device: their outputs were compared with torch's; their times "
            "are no latencies."
        )
    if counts["refused"]:
        lines.append(f"{counts['refused']} measurements were refused; the table says why.")
    if counts["flagged"]:
        lines.append(f"{counts['flagged']} of {len(timed)} latencies are flagged: something disturbed them.")
    known = [(ms, cost) for ms, cost in timed if cost and predicted_for is not None]
    if own and known:
        error = sum(abs(predicted / ms - 1) for ms, predicted in known) / len(known)
        lines.append(
            f"The predictions of this device's own profile are off by {error:.0%}, as a mean over {len(known)}."
        )
    elif len(known) > 1:
        pairs = [(a, b) for a, b in combinations(known, 2) if a[0] != b[0]]
        alike = sum((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in pairs)
        lines.append(
            f"Predicted latencies are another device's ({predicted_for}): only their order can be compared, and "
            f"{alike} of {len(pairs)} pairs have the same order here."
        )
    return tuple(lines)


def _facts(one: Measurement) -> Facts:
    host = one.host
    khz = [state.khz / 1e6 for state in one.states if state.khz is not None]
    degrees = [state.temperature_mc / 1000 for state in one.states if state.temperature_mc is not None]
    governor = "" if host.governor is None else f", governor {host.governor}"
    return (
        ("Host", host.words),
        ("Engine", f"{host.library}, {host.runner}, runner {host.runner_sha256[:12]}, one thread, {one.precision}"),
        (
            "Frequency",
            f"{min(khz):.2f} to {max(khz):.2f} GHz during the last measurement{governor}" if khz else "unknown",
        ),
        ("Temperature", f"{min(degrees):.0f} to {max(degrees):.0f} °C then" if degrees else "unknown"),
        ("Memory", "unknown" if host.memory_kb is None else f"{host.memory_kb / 1024:,.0f} MiB"),
        ("Intervals", "95 % of the median, a bootstrap over rounds; outliers are included"),
        ("Reference network", f"{one.reference}, run in every round"),
        ("Last measured", one.measured),
    )


def measured_document(study: StudyRecord) -> list[dict[str, Any]]:
    """The measurements for programs: figures and verdicts; the raw samples stay in the study."""
    left_out = ("samples_ns", "reference_ns", "states")
    return [
        {key: value for key, value in encode(one).items() if key not in left_out} for one in measurements_of(study)
    ]
