"""A study in a few lines: what it is, and its front, for a notebook."""

from __future__ import annotations

from snsearch.errors import StudyError
from snsearch.study.confidence import Score, scores_of
from snsearch.study.objective import unit_of
from snsearch.study.pareto import front
from snsearch.study.records import StudyRecord, TrialRecord
from snsearch.study.storage_url import without_secrets
from snsearch.study.verdict import Choice, choices_of, verdict_of
from snsearch.tables import Column, Table
from snsearch.units import format_count, format_interval, format_mflops, three_digits

Scored = tuple[TrialRecord, Score]


def best_candidate(record: StudyRecord) -> TrialRecord:
    """The pick of the verdict; before there is one, the candidate of the lowest error.

    Raises StudyError where there is none.
    """
    if (verdict := verdict_of(record)) is not None:
        return next(trial for trial in record.trials if trial.number == verdict.pick.trial)
    trials = record.candidates
    if not trials:
        raise StudyError(f"{record.name} has no candidate that was trained; search on, or name a trial")
    scored = zip(trials, scores_of([trial.results for trial in trials]), strict=True)
    return min(scored, key=lambda one: (one[1].error, one[0].cost or 0.0))[0]


def short_text(record: StudyRecord) -> str:
    """The study in a line: its name, its networks, the best, and where it is."""
    best = ""
    if record.candidates:
        trial = best_candidate(record)
        [score] = scores_of([trial.finals or trial.results])
        best = f"; best #{trial.number} ({trial.words}), error {score.error:.2%}"
    where = f"; {without_secrets(record.url)}" if record.url else ""
    return f"<study {record.name}: {record.tried_words}{best}{where}>"


def front_table(record: StudyRecord) -> Table[Scored]:
    """The front of error against the second objective, cheapest first."""
    trials = record.candidates
    scores = scores_of([trial.results for trial in trials])
    points = [(score.error, trial.cost or 0.0) for trial, score in zip(trials, scores, strict=True)]
    return Table(
        columns=_columns(unit_of(record.settings.cost_axis)),
        rows=[(trials[index], scores[index]) for index in front(points)],
        title=f"front of proxy error against {record.settings.cost_axis}",
    )


def finalists_table(record: StudyRecord) -> Table[Choice]:
    """The finalists by their full trainings with seeds that did not choose them, cheapest first."""
    unit = unit_of(record.settings.cost_axis)
    return Table(
        columns=(
            Column[Choice]("trial", lambda one: f"#{one.trial}"),
            Column[Choice]("candidate", lambda one: one.words),
            Column[Choice]("error", lambda one: f"{one.error:.2%}", align="right"),
            Column[Choice]("95 %", lambda one: format_interval(one.error, one.error_interval, ".2%"), align="right"),
            Column[Choice](unit, lambda one: three_digits(one.cost), align="right"),
            Column[Choice]("seeds", lambda one: one.seeds, align="right", drop=1),
        ),
        rows=sorted(choices_of(record).values(), key=lambda one: one.cost),
        title="finalists: full trainings with further seeds, on test images",
    )


def _columns(unit: str) -> tuple[Column[Scored], ...]:
    def mflops(scored: Scored) -> str:
        return "" if scored[0].costs is None else format_mflops(scored[0].costs.macs)

    def params(scored: Scored) -> str:
        return "" if scored[0].costs is None else format_count(scored[0].costs.params)

    return (
        Column[Scored]("trial", lambda scored: f"#{scored[0].number}"),
        Column[Scored]("candidate", lambda scored: scored[0].words),
        Column[Scored]("error", lambda scored: f"{scored[1].error:.2%}", align="right"),
        Column[Scored]("95 %", lambda scored: _interval_words(scored[1]), align="right"),
        Column[Scored](unit, lambda scored: three_digits(scored[0].cost or 0.0), align="right"),
        Column[Scored]("seeds", lambda scored: scored[1].seeds, align="right", drop=2),
        Column[Scored]("MFLOPs", mflops, align="right", drop=1),
        Column[Scored]("parameters", params, align="right", drop=3),
    )


def _interval_words(score: Score) -> str:
    return format_interval(score.error, score.interval, ".2%")


def summary_html(record: StudyRecord) -> str:
    """The study as a short table for notebooks, every text escaped; `snsearch.report` makes the whole page."""
    settings = record.settings
    table = front_table(record)
    return Table(
        columns=table.columns,
        rows=table.rows,
        title=f"{record.name}: {settings.space}, {settings.budget.describe()}, {settings.data}",
        notes=(f"{record.tried_words}; {table.title}",),
    ).html()
