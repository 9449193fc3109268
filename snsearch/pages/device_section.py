"""Measurements on devices as sections of a study's page: a table, and the front of error against latency.

Only latencies are drawn; emulated and refused measurements are in the table, without a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from snsearch.codec import encode
from snsearch.device import CountedNetwork, Measurement
from snsearch.pages.error_chart import Candidate, Palette
from snsearch.pages.evidence import measurements_of
from snsearch.pages.sections import Facts, Judged, Section, SectionRow, drawn, with_interval
from snsearch.study import Score, StudyRecord, TrialRecord

COLUMNS = (
    *((name, "") for name in ("ms [95 %]", "predicted", "off by", "runs", "parity")),
    ("provenance", "text"),
    ("verdict", "text wrap"),
)
TONES = {"ok": "good", "refused": "bad"}
Measured = tuple[TrialRecord, Score, Measurement]


def device_section(name: str, ours: Sequence[Measured], study: StudyRecord, groups: Palette) -> Section:
    """The section about a device, with the candidates that were measured there."""
    last = ours[-1][2]
    kind, _, profile = study.settings.cost_name.partition(" ")
    predicts = kind == "latency"
    own = predicts and profile.rpartition(" ")[0] == last.host.device
    scatter, fronts = drawn([_candidate(*each) for each in ours if each[2].latency_ms is not None], groups)
    return Section(
        title=f"Measured on {name}" if scatter else f"On {name}: no latency",
        summary=_summary(ours, study.settings.cost_axis if predicts else None, own),
        scatter=scatter,
        axis=f"ms ({name}, measured)",
        cost="measured latency",
        caption="bars are 95 % intervals of both. Only candidates with a measured latency are drawn; an asterisk "
        "marks one that is flagged.",
        columns=COLUMNS,
        rows=tuple(
            SectionRow(
                number=trial.number,
                words=trial.words,
                on_front=trial.number in fronts,
                cells=_cells(one, trial.cost if predicts else None, own),
            )
            for trial, _, one in ours
        ),
        facts=_facts(last),
    )


def _cells(one: Measurement, predicted: float | None, own: bool) -> tuple[str | Judged, ...]:
    """The cells of COLUMNS; `own` says that the prediction is for this device."""
    stats, ms = one.statistics, one.latency_ms
    return (
        with_interval(stats.median_ms, stats.low_ms, stats.high_ms)
        if ms is not None
        else "emulated: not a latency"
        if one.verdict == "emulated"
        else "none",
        "" if predicted is None else f"{predicted:.3g}",
        # Compare a prediction for another device by its order alone.
        "" if ms is None or not predicted or not own else f"{ms / predicted - 1:+.0%}",
        "" if ms is None else f"{stats.samples}, {stats.outliers} outliers to {stats.most_ms:.3g} ms",
        f"{one.parity:.0e}",
        "measured" if ms is not None else one.verdict,
        Judged(word=one.verdict, tone=TONES.get(one.verdict, ""), more=f": {one.why}" if one.reasons else ""),
    )


def _summary(ours: Sequence[Measured], predicted_for: str | None, own: bool) -> tuple[str, ...]:
    """What the section says first; `predicted_for` names the predicted cost, None if it is no latency."""
    counts = Counter(one.verdict for _, _, one in ours)
    timed = [(one.latency_ms, trial.cost) for trial, _, one in ours if one.latency_ms is not None]
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


def _candidate(trial: TrialRecord, score: Score, one: Measurement) -> Candidate:
    stats = one.statistics
    return Candidate(
        trial=trial,
        score=score,
        cost=stats.median_ms,
        cost_interval=(stats.low_ms, stats.high_ms),
        label=f"#{trial.number}" + ("*" if one.verdict == "flagged" else ""),
        cost_words=f"{one.provenance}: {stats.median_ms:.3g} ms",
    )


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
