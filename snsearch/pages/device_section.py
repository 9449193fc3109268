"""What was measured on devices, as a study's page shows it: a table, and the front of error against latency.

Only what is a latency is drawn as one; emulated and refused measurements stand in the table, without a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snsearch.codec import encode
from snsearch.device import CountedNetwork, Measurement
from snsearch.pages.charts import Scatter
from snsearch.pages.error_chart import Candidate, error_scatter
from snsearch.pages.evidence import measured_by_device, measurements_of
from snsearch.study import Score, StudyRecord, TrialRecord, front


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRow:
    """One candidate on one device."""

    number: int
    words: str
    ms: float | None  # None where there is no latency
    shown: str  # the latency with its interval, or why there is none
    predicted: float | None  # where the study's second objective is a latency
    deviation: str  # of the measured from the predicted latency
    runs: str
    verdict: str
    reasons: str
    parity: str
    provenance: str
    on_front: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceSection:
    """Everything that the page says of one device."""

    title: str
    summary: tuple[str, ...]
    rows: tuple[DeviceRow, ...]
    scatter: Scatter | None  # where at least one candidate has a latency
    axis: str
    facts: tuple[tuple[str, str], ...]


def device_sections(
    study: StudyRecord, trials: Sequence[TrialRecord], scores: Sequence[Score], groups: Sequence[int]
) -> tuple[DeviceSection, ...]:
    """One section a device, in the order in which they were measured on; `scores` are the trials'."""
    by_key = {
        trial.architecture.key: (trial, score)
        for trial, score in zip(trials, scores, strict=True)
        if trial.architecture is not None
    }
    sections = []
    for name, found in measured_by_device(study).items():
        ours = [(*by_key[key], one) for key, one in found.items() if key in by_key]
        if ours:
            sections.append(_section(name, sorted(ours, key=lambda each: each[0].number), study, groups))
    return tuple(sections)


Measured = tuple[TrialRecord, Score, Measurement]


def _section(name: str, ours: Sequence[Measured], study: StudyRecord, groups: Sequence[int]) -> DeviceSection:
    timed = [each for each in ours if each[2].latency_ms is not None]
    points = [(score.error, one.latency_ms or 0.0) for _, score, one in timed]
    fronts = {timed[index][0].number for index in front(points)} if points else set()
    host = ours[-1][2].host
    kind, _, profile = study.settings.cost_name.partition(" ")
    own = profile.rpartition(" ")[0] == host.device
    rows = tuple(_row(trial, one, trial.number in fronts, kind == "latency", own) for trial, _, one in ours)
    return DeviceSection(
        title=f"Measured on {name}" if timed else f"On {name}: no latency",
        summary=_summary(rows, study.settings.cost_axis, own),
        rows=rows,
        scatter=error_scatter([_drawn(*each) for each in timed], fronts, groups, height=400) if timed else None,
        axis=f"ms ({name}, measured)",
        facts=_facts(ours[-1][2], host.words),
    )


def _row(trial: TrialRecord, one: Measurement, on_front: bool, predicts: bool, own: bool) -> DeviceRow:
    stats, ms = one.statistics, one.latency_ms
    predicted = trial.cost if predicts else None
    return DeviceRow(
        number=trial.number,
        words=trial.words,
        ms=ms,
        shown=(
            f"{stats.median_ms:.3g} [{stats.low_ms:.3g}, {stats.high_ms:.3g}]"
            if ms is not None
            else "emulated: not a latency"
            if one.verdict == "emulated"
            else "none"
        ),
        predicted=predicted,
        # A prediction for another device is compared by its order alone.
        deviation="" if ms is None or not predicted or not own else f"{ms / predicted - 1:+.0%}",
        runs="" if ms is None else f"{stats.samples}, {stats.outliers} outliers to {stats.most_ms:.3g} ms",
        verdict=one.verdict,
        reasons="; ".join(one.reasons),
        parity=f"{one.parity:.0e}",
        provenance="measured" if ms is not None else one.verdict,
        on_front=on_front,
    )


def _summary(rows: Sequence[DeviceRow], predicted_for: str, own: bool) -> tuple[str, ...]:
    timed = [row for row in rows if row.ms is not None]
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in ("flagged", "refused", "emulated")}
    lines = []
    if counts["emulated"]:
        lines.append(
            f"{counts['emulated']} ran on an emulated device: their outputs were compared with torch's, and no time "
            "of theirs is a latency."
        )
    if counts["refused"]:
        lines.append(f"{counts['refused']} measurements were refused; the table says why.")
    if counts["flagged"]:
        lines.append(f"{counts['flagged']} of {len(timed)} latencies are flagged: something disturbed them.")
    known = [(row.ms, row.predicted) for row in timed if row.ms is not None and row.predicted]
    if own and known:
        error = sum(abs(predicted / ms - 1) for ms, predicted in known) / len(known)
        lines.append(
            f"What this device's own profile predicted lies {error:.0%} from what was measured, as a mean over "
            f"{len(known)}."
        )
    elif len(known) > 1:
        pairs = [(a, b) for index, a in enumerate(known) for b in known[:index] if a[0] != b[0]]
        alike = sum((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in pairs)
        lines.append(
            f"Predicted latencies are another device's ({predicted_for}): only their order can be compared, and "
            f"{alike} of {len(pairs)} pairs stand in the same order here."
        )
    return tuple(lines)


def _drawn(trial: TrialRecord, score: Score, one: Measurement) -> Candidate:
    stats = one.statistics
    return Candidate(
        trial=trial,
        score=score,
        cost=stats.median_ms,
        cost_interval=(stats.low_ms, stats.high_ms),
        label=f"#{trial.number}" + ("*" if one.verdict == "flagged" else ""),
        cost_words=f"{one.provenance}: {stats.median_ms:.3g} ms",
    )


def _facts(one: Measurement, words: str) -> tuple[tuple[str, str], ...]:
    host = one.host
    khz = [state.khz for state in one.states if state.khz is not None]
    degrees = [state.temperature_mc for state in one.states if state.temperature_mc is not None]
    return (
        ("Host", words),
        ("Engine", f"{host.library}, {host.runner}, runner {host.runner_sha256[:12]}, one thread, {one.precision}"),
        (
            "Frequency",
            "unknown"
            if not khz
            else f"{min(khz) / 1e6:.2f} to {max(khz) / 1e6:.2f} GHz during the last measurement"
            + ("" if host.governor is None else f", governor {host.governor}"),
        ),
        (
            "Temperature",
            "unknown" if not degrees else f"{min(degrees) / 1000:.0f} to {max(degrees) / 1000:.0f} °C then",
        ),
        ("Memory", "unknown" if host.memory_kb is None else f"{host.memory_kb / 1024:,.0f} MiB"),
        ("Intervals", "95 % of the median, a bootstrap over rounds; outliers are kept in it"),
        ("Reference network", f"{one.reference}, run in every round"),
        ("Last measured", one.measured),
    )


def measured_document(study: StudyRecord) -> list[dict[str, Any]]:
    """What was measured, for programs: figures and verdicts; the raw samples stay in the study."""
    left_out = ("samples_ns", "reference_ns", "states")
    return [
        {key: value for key, value in encode(one).items() if key not in left_out} for one in measurements_of(study)
    ]


def provenance_of(
    key: str,
    cost_name: str,
    counted: Mapping[str, Mapping[str, CountedNetwork]],
    measured: Mapping[str, Mapping[str, Measurement]],
) -> str:
    """Which kinds of figures a candidate has beside its error: "predicted; counted on cortex-a72; measured on pi"."""
    kinds = ["counted"]
    if cost_name.startswith("latency "):
        kinds = ["predicted from counted cost" if cost_name.startswith("latency counted-") else "predicted"]
    kinds += [f"counted on {core}" for core, found in counted.items() if key in found]
    for device, found in measured.items():
        if (one := found.get(key)) is not None:
            kinds.append(f"{'measured' if one.latency_ms is not None else one.verdict} on {device}")
    return "; ".join(kinds)
