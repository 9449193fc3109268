"""StudyRecord -> ReportData -> one self-contained HTML page.

The data is plain: everything that the page says can be read and tested without HTML. The template only lays out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from snsearch import __version__
from snsearch.codec import encode
from snsearch.errors import StudyError
from snsearch.files import write_whole
from snsearch.network import Costs, count_costs
from snsearch.pages.charts import Axis, Frame, Line, Lines, Scatter
from snsearch.pages.counted_section import CountedSection, counted_document, counted_sections
from snsearch.pages.device_section import DeviceSection, device_sections, measured_document, provenance_of
from snsearch.pages.error_chart import Candidate, error_scatter
from snsearch.pages.evidence import counted_by_core, measured_by_device, standing
from snsearch.pages.group_costs import groups_words
from snsearch.solver import Budget, Row, Solution, layout
from snsearch.study import Score, StudyRecord, TrialRecord, scores_of, seed_noise
from snsearch.units import format_bytes, format_count, format_duration, format_mflops, format_resolution, three_digits


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateRow:
    """One trained candidate as the page shows it."""

    number: int
    words: str
    groups: int
    stem: int
    depth: str
    se: bool
    shuffle: bool
    channels: str
    first_channels: int
    mflops: str
    deviation: str
    params: str
    peak: str
    moved: str
    cost: float
    score: Score
    seconds: str
    on_front: bool
    tied: bool  # not on the front, but noise leaves it a place there
    key: str
    provenance: str  # of the figures that are weighed against the error

    @property
    def cost_shown(self) -> str:
        """The cost for readers."""
        return three_digits(self.cost)

    @property
    def error(self) -> float:
        """Mean proxy error over the candidate's seeds."""
        return self.score.error

    @property
    def deviation_95(self) -> float:
        """Half the width of the error's 95 % interval."""
        return self.score.deviation_95

    @property
    def seeds(self) -> int:
        """Trainings that the error is the mean of."""
        return self.score.seeds


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """One bound of the budget against what the candidates need."""

    bound: str
    limit: str
    rule: str
    least: str
    most: str
    held: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """Everything that the page shows."""

    title: str
    subtitle: str
    study: str
    written: str
    version: str
    rows: tuple[CandidateRow, ...]
    summary: tuple[str, ...]
    cost_label: str
    cost_axis: str
    scatter: Scatter
    devices: tuple[DeviceSection, ...]
    cores: tuple[CountedSection, ...]
    lines: Lines
    groups: tuple[int, ...]  # in the palette's order
    channel_table: tuple[Row, list[Row], list[Row]]
    channel_notes: tuple[str, ...]
    audits: tuple[Audit, ...]
    recount: str
    proxy: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    runs: tuple[tuple[tuple[str, str], ...], ...]
    unscored: tuple[tuple[str, str], ...]  # trials and further seeds without a score, with their reason
    document: dict[str, Any]  # the same figures for programs, embedded as JSON


def _row(trial: TrialRecord, score: Score, fronts: set[int], possible: set[int], provenance: str) -> CandidateRow:
    assert trial.architecture is not None
    assert trial.costs is not None
    assert trial.proxy is not None
    assert trial.cost is not None
    arch, costs = trial.architecture, trial.costs
    return CandidateRow(
        number=trial.number,
        words=trial.words,
        groups=arch.groups,
        stem=arch.stem_channels,
        depth=f"{trial.design.depth or 'default'} {'-'.join(map(str, arch.stage_repeats))}",
        se=bool(arch.se_reduction),
        shuffle=arch.shuffle,
        channels="/".join(map(str, arch.stage_channels)),
        first_channels=arch.stage_channels[0],
        mflops=format_mflops(costs.macs),
        deviation="" if trial.deviation is None else f"{trial.deviation:+.2%}",
        params=format_count(costs.params),
        peak=format_bytes(costs.peak_activation_bytes),
        moved=format_bytes(costs.bytes_moved),
        cost=trial.cost,
        score=score,
        seconds=format_duration(sum(result.seconds for result in trial.results)),
        on_front=trial.number in fronts,
        tied=trial.number in possible and trial.number not in fronts,
        key=arch.key,
        provenance=provenance,
    )


def _summary(rows: Sequence[CandidateRow], cost_axis: str) -> tuple[str, ...]:
    """What the front says, in sentences that claim no more than the noise allows."""
    unit = cost_axis.partition(" (")[0]  # such as ms, or MMACs + MB moved
    best = min(rows, key=lambda row: (row.error, row.cost))
    lines = [
        f"Lowest proxy error: #{best.number} ({best.words}), {best.error:.1%} ± {best.deviation_95:.1%} "
        f"({best.seeds} seed{'s' if best.seeds > 1 else ''}) at {three_digits(best.cost)} {unit}."
    ]
    near = [row for row in rows if row.error - best.error <= math.hypot(row.deviation_95, best.deviation_95)]
    cheapest = min(near, key=lambda row: row.cost)
    if cheapest.number != best.number:
        lines.append(
            f"Cheapest that cannot be told apart from it: #{cheapest.number} ({cheapest.words}), "
            f"{cheapest.error:.1%} ± {cheapest.deviation_95:.1%} at {three_digits(cheapest.cost)} {unit}, "
            f"{1 - cheapest.cost / best.cost:.0%} less."
        )
    if len(near) > 1:
        lines.append(
            f"{len(near)} of {len(rows)} candidates cannot be told apart from the lowest error: before you "
            "choose, train those that you consider for longer."
        )
    return tuple(lines)


def _audits(budget: Budget, trials: Sequence[TrialRecord]) -> tuple[Audit, ...]:
    costs = [trial.costs for trial in trials if trial.costs is not None]
    capped = [trial.costs for trial in trials if trial.costs is not None and trial.binding not in (None, "mflops")]
    audits = []

    def add(
        bound: str, limit: float | None, rule: str, value: Callable[[Costs], int], show: Callable[[int], str]
    ) -> None:
        if limit is None:
            return
        values = [value(one) for one in costs]
        held = max(values) <= limit
        if rule == "nearest":
            # Where another bound binds, the MFLOPs are out of reach, and only too many of them were a fault.
            held = all(
                v <= 1.05 * limit and (v >= 0.95 * limit or c in capped) for v, c in zip(values, costs, strict=True)
            )
        audits.append(
            Audit(
                bound=bound,
                limit=show(round(limit)),
                rule=(
                    "never exceeded"
                    if rule != "nearest"
                    else "nearest on either side"
                    + (f"; {len(capped)} of {len(costs)} end below, at another bound" if capped else "")
                ),
                least=show(min(values)),
                most=show(max(values)),
                held=held,
            )
        )

    add("MFLOPs", budget.macs, budget.match, lambda c: c.macs, format_mflops)
    add("Parameters", budget.params, "under", lambda c: c.params, lambda v: f"{v:,}")
    add("Peak activations", budget.peak_activation_bytes, "under", lambda c: c.peak_activation_bytes, format_bytes)
    add("Model size", budget.weight_bytes, "under", lambda c: c.weight_bytes, format_bytes)
    return tuple(audits)


def _recount(trials: Sequence[TrialRecord], budget: Budget) -> str:
    """Counts every architecture again. Raises StudyError where a stored figure is not what its network costs."""
    for trial in trials:
        assert trial.architecture is not None
        if count_costs(trial.architecture, budget.precision) != trial.costs:
            raise StudyError(f"trial #{trial.number}: its stored costs are not what its architecture counts")
    return (
        f"All {len(trials)} architectures were counted again for this page from their channels: every figure equals "
        "the one that the solver met."
    )


def _scatter(trials: Sequence[TrialRecord], rows: Sequence[CandidateRow], groups: Sequence[int]) -> Scatter:
    drawn = [
        Candidate(
            trial=trial,
            score=row.score,
            cost=row.cost,
            cost_interval=None,
            # Where there are many, the front is named and the others have their tooltip and their row.
            label=(f"#{row.number}" if row.on_front or len(rows) <= 25 else "")
            + (f" g={row.groups}" if len(groups) > 8 else ""),  # the palette has eight colors
            cost_words=f"cost {three_digits(row.cost)}, {row.mflops} MFLOPs, {row.params} parameters",
        )
        for trial, row in zip(trials, rows, strict=True)
    ]
    return error_scatter(drawn, {row.number for row in rows if row.on_front}, groups, height=460)


def _lines(trials: Sequence[TrialRecord], rows: Sequence[CandidateRow], groups: Sequence[int]) -> Lines:
    frame = Frame(width=960, height=320)
    curves = [trial.proxy.curve for trial in trials if trial.proxy is not None]
    points = [point for curve in curves for point in curve]
    x = Axis.over([0.0, *(float(point.images_seen) for point in points)], *frame.x_range)
    y = Axis.over([point.test_error for point in points], *frame.y_range, percent=True)
    lines = tuple(
        Line(
            number=row.number,
            points=" ".join(f"{x.at(point.images_seen):g},{y.at(point.test_error):g}" for point in curve),
            color=groups.index(row.groups),
            on_front=row.on_front,
            title=f"#{row.number} {row.words}",
        )
        for row, curve in zip(rows, curves, strict=True)
    )
    return Lines(frame=frame, x=x, y=y, lines=lines)


def _solution(trial: TrialRecord, study: StudyRecord) -> Solution:
    assert trial.architecture is not None
    assert trial.costs is not None
    return Solution(
        space=study.settings.space,
        title=f"#{trial.number}",
        design=trial.design,
        scale=trial.design.scale or 1.0,
        architecture=trial.architecture,
        costs=trial.costs,
        budget=study.settings.budget,
        deviation=trial.deviation,
        binding=trial.binding,
        notes=trial.notes,
    )


def _seed_words(trials: Sequence[TrialRecord]) -> str:
    seeds = sorted({result.seed for trial in trials for result in trial.results})
    noise = seed_noise([trial.results for trial in trials])
    if noise is None:
        several = "one a candidate" if len(seeds) == 1 else "too few candidates have several"
        return f"{', '.join(map(str, seeds))}: {several}, so that the spread between seeds is not measured"
    return (
        f"{', '.join(map(str, seeds))}; {noise.candidates} finalists have several, and between their seeds the error "
        f"spreads by {noise.deviation:.2%} (standard deviation, pooled, {noise.degrees} degrees of freedom)"
    )


def _interval_words(trials: Sequence[TrialRecord]) -> str:
    images = sorted({result.test_images for trial in trials for result in trial.results})
    of_images = f"the {' or '.join(f'{count:,}' for count in images)} test images (Agresti and Coull)"
    if seed_noise([trial.results for trial in trials]) is None:
        return (
            f"95 %, from {of_images} alone; they leave the spread between seeds out, which on small data can be as "
            "large as the differences shown"
        )
    return (
        f"95 %, from {of_images} and the spread between seeds, taken to be the same for every candidate; a mean over "
        "several seeds has a narrower one"
    )


def _proxy_facts(study: StudyRecord, trials: Sequence[TrialRecord]) -> tuple[tuple[str, str], ...]:
    results = [result for trial in trials for result in trial.results]
    devices = sorted({result.device for result in results})
    return (
        (
            "What the error is",
            "share of wrong test images after a short proxy training, not the error of a finished one",
        ),
        ("Data", study.settings.data_description),
        ("Recipe", study.settings.recipe.describe()),
        ("Seeds", _seed_words(trials)),
        ("Intervals", _interval_words(trials)),
        ("Trained on", f"{', '.join(devices)}, {sum(r.seconds for r in results) / 60:.1f} minutes in all"),
        ("Second objective", study.settings.cost_label),
        *([("What groups cost", words)] if (words := groups_words(trials, study.settings.cost_axis)) else []),
    )


def _provenance(study: StudyRecord) -> tuple[tuple[str, str], ...]:
    settings = study.settings
    budget = settings.budget
    source = f" ({budget.source})" if budget.source else ""
    return (
        ("Study", study.name),
        ("Space", f"{settings.space}, digest {settings.space_digest}"),
        ("Budget", f"{budget.name}: {budget.describe()}{source}"),
        (
            "Deployed input",
            f"{budget.input_channels}x{format_resolution(budget.resolution)}, {budget.classes} classes, "
            f"{budget.precision}",
        ),
        (
            "Widths",
            "every stage free within a third of its proportion, to match the MFLOPs within 0.1 % where it can be"
            if settings.tight
            else "in proportion",
        ),
        ("Data", f"{settings.data}, fingerprint {settings.data_fingerprint}"),
        ("Seed", str(settings.seed)),
    )


def _runs(study: StudyRecord) -> tuple[tuple[tuple[str, str], ...], ...]:
    def show(value: Any) -> str:
        return " ".join(map(str, value)) if isinstance(value, list) else str(value)

    return tuple(
        tuple((key.replace("_", " "), show(value)) for key, value in run.items()) for run in study.provenance
    )


def report_data(study: StudyRecord) -> ReportData:
    """Everything that a study's page shows.

    Raises StudyError where no candidate has been trained, or a stored figure is not what its network costs.
    """
    trials = study.candidates
    if not trials:
        raise StudyError(f"the study {study.name!r} has no trained candidate yet")
    settings = study.settings
    scores = scores_of([trial.results for trial in trials])
    fronts, possible = standing(trials)
    counted, measured = counted_by_core(study), measured_by_device(study)
    rows = tuple(
        _row(trial, score, fronts, possible, provenance_of(_key(trial), settings.cost_name, counted, measured))
        for trial, score in zip(trials, scores, strict=True)
    )
    groups = tuple(sorted({row.groups for row in rows}))
    shown = sorted((t for t in trials if t.number in fronts), key=lambda t: t.cost or 0.0)
    at = f"{format_resolution(settings.budget.resolution)}, {settings.budget.classes} classes"
    return ReportData(
        title=f"{settings.space} for {settings.budget.describe()}",
        subtitle=f"at {at}; proxy-trained on {settings.data}; {len(trials)} candidates, {len(fronts)} on the front",
        study=study.name,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        rows=rows,
        summary=_summary(rows, settings.cost_axis),
        cost_label=settings.cost_label,
        cost_axis=settings.cost_axis,
        scatter=_scatter(trials, rows, groups),
        devices=device_sections(study, trials, scores, groups),
        cores=counted_sections(study, trials, scores, groups),
        lines=_lines(trials, rows, groups),
        groups=groups,
        channel_table=layout(
            [_solution(t, study) for t in shown], [f"#{t.number} g={t.design.groups}" for t in shown]
        ),
        channel_notes=tuple(f"#{t.number}: {note}" for t in shown for note in t.notes),
        audits=_audits(settings.budget, trials),
        recount=_recount(trials, settings.budget),
        proxy=_proxy_facts(study, trials),
        provenance=_provenance(study),
        runs=_runs(study),
        unscored=tuple(
            (f"#{t.number} {t.status}", t.reason) for t in study.trials if t.status in ("failed", "interrupted")
        )
        + tuple((f"#{t.number} seed {seed} failed", reason) for t in study.trials for seed, reason in t.lost_seeds),
        document=_document(study, rows),
    )


def _key(trial: TrialRecord) -> str:
    assert trial.architecture is not None
    return trial.architecture.key


def _document(study: StudyRecord, rows: Sequence[CandidateRow]) -> dict[str, Any]:
    by_number = {row.number: row for row in rows}
    return {
        "schema": 1,
        "study": study.name,
        "settings": encode(study.settings),
        "candidates": [
            {
                "number": trial.number,
                "on_front": by_number[trial.number].on_front,
                "tied": by_number[trial.number].tied,
                "key": by_number[trial.number].key,
                "architecture": encode(trial.architecture),
                "costs": encode(trial.costs),
                "deviation": trial.deviation,
                "cost": trial.cost,
                "provenance": by_number[trial.number].provenance,
                "proxy": encode(trial.proxy),
                "repeats": [encode(result) for result in trial.repeats],
                "error": by_number[trial.number].error,
                "error_interval": [
                    max(0.0, by_number[trial.number].error - by_number[trial.number].deviation_95),
                    min(1.0, by_number[trial.number].error + by_number[trial.number].deviation_95),
                ],
            }
            for trial in study.candidates
        ],
        "measurements": measured_document(study),
        "counts": counted_document(study),
    }


def _json_for_html(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in, whatever strings it holds."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def render_template(name: str, data: Any, document: Any) -> str:
    """A page as HTML text: no outside resources, every text escaped."""
    environment = Environment(
        loader=PackageLoader("snsearch.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(name).render(data=data, document=_json_for_html(document))
    # Names of files need not be UTF-8; Python holds their bytes as lone surrogates, which no page can.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def render(data: ReportData) -> str:
    """The study's page as HTML text."""
    return render_template("report.html.j2", data, data.document)


def write_report(data: ReportData, path: Path) -> None:
    """Writes the study's page in one step. Raises StudyError where it cannot be written."""
    write_page(render(data), path)


def write_page(text: str, path: Path) -> None:
    """Writes the page; a page that is already there is replaced in one step.

    Raises StudyError where it cannot be written.
    """
    try:
        write_whole(path, text)
    except OSError as error:
        raise StudyError(f"the page {str(path)!r} cannot be written: {error.strerror or error}") from None
