"""A study as its sections see it: candidates, the verdict, and what was measured and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from snsearch.device import CountedNetwork, Measurement
from snsearch.errors import SnsearchError, StudyError
from snsearch.latency import Profile, load_profile
from snsearch.pages.candidate_rows import CandidateRow, candidate_rows, not_told_apart
from snsearch.pages.evidence import counted_by_core, measured_by_device, provenance_of
from snsearch.pages.palette import COLORS
from snsearch.pages.predicted import axis_name, other_profiles
from snsearch.study import LATENCY, StudyRecord, Verdict, choices_of, objective_named, unit_of, verdict_of
from snsearch.tables import Column
from snsearch.units import format_stages


@dataclass(frozen=True, kw_only=True, slots=True)
class Families:
    """What the colors of networks tell apart: their groups or, where those are too many, the last stage's."""

    names: tuple[str, ...]  # in the order of the colors
    color: Mapping[tuple[int, ...], int]  # its number, by the group counts of a network's stages


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Everything that the sections of a study's page are made from."""

    study: StudyRecord
    rows: tuple[CandidateRow, ...]  # trained to the end
    stopped: tuple[CandidateRow, ...]  # left on their way
    verdict: Verdict | None
    measured: Mapping[str, Mapping[str, Measurement]]  # by device and architecture
    counted: Mapping[str, Mapping[str, CountedNetwork]]  # by core and architecture
    profile: Profile | None  # of the predicted latencies; None where there are none, or it is not at hand
    others: tuple[Profile, ...]  # all further profiles of this machine

    @property
    def unit(self) -> str:
        """The unit of the second objective."""
        return unit_of(self.study.settings.cost_axis)

    @property
    def families(self) -> Families:
        """The families of the candidates."""
        every = sorted({row.architecture.groups for row in (*self.rows, *self.stopped)})
        if len(every) <= COLORS:
            names = {groups: f"g = {format_stages(groups)}" for groups in every}
        else:
            names = {groups: f"g = {groups[-1]} in the last stage" for groups in sorted(every, key=lambda g: g[-1])}
        order = tuple(dict.fromkeys(names.values()))
        return Families(names=order, color={groups: order.index(name) % COLORS for groups, name in names.items()})

    @property
    def chosen(self) -> tuple[CandidateRow, ...]:
        """The candidates to look at closely: finalists, and those that are or may be on the front; at most 40."""
        wanted = [row for row in self.rows if row.final or row.status in ("front", "tied")]
        return tuple(sorted(wanted, key=lambda row: (row.final is None, row.score.error))[:40])

    @property
    def balanced(self) -> CandidateRow:
        """The verdict's pick; before there is one, the cheapest that cannot be told apart from the lowest error."""
        if self.verdict is not None:
            return self.row(self.verdict.pick.trial)
        best = min(self.rows, key=lambda row: (row.score.error, row.cost))
        return min(not_told_apart(self.rows, best), key=lambda row: row.cost)

    def row(self, number: int) -> CandidateRow:
        """The row of a trial that was trained to the end. Raises StopIteration."""
        return next(row for row in self.rows if row.number == number)


def view_of(study: StudyRecord) -> View:
    """The view of a study. Raises StudyError if no candidate has been trained."""
    trials = study.candidates
    if not trials:
        raise StudyError(f"the study {study.name!r} has no trained candidate yet")
    keys = {trial.architecture.key for trial in trials if trial.architecture}
    stopped = {
        trial.architecture.key: trial
        for trial in study.trials
        if trial.status == "stopped" and trial.architecture and trial.duplicate_of is None
        if trial.proxy and trial.costs and trial.cost is not None and trial.architecture.key not in keys
    }
    counted, measured = counted_by_core(study), measured_by_device(study)
    rows = candidate_rows(
        trials,
        [*stopped.values()],
        study.settings,
        choices_of(study),
        lambda key: provenance_of(key, study.settings.cost_name, counted, measured),
    )
    profile = _profile_of(study)
    return View(
        study=study,
        rows=rows[: len(trials)],
        stopped=rows[len(trials) :],
        verdict=verdict_of(study),
        measured=measured,
        counted=counted,
        profile=profile,
        others=other_profiles(profile),
    )


def _profile_of(study: StudyRecord) -> Profile | None:
    """The profile that predicts the study's latencies, if it is at hand and still the same."""
    settings = study.settings
    kind, _, named = settings.cost_name.partition(" ")
    if kind != LATENCY:
        return None
    try:
        profile = (
            load_profile(named.rpartition(" ")[0])
            if settings.budget.latency_ms is None
            else settings.budget.latency_profile
        )
    except SnsearchError:
        return None
    return profile if objective_named(LATENCY, profile).name == settings.cost_name else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """Something that candidates can be drawn against: columns of the candidates' table."""

    name: str  # of the column
    title: str
    interval: bool = False  # whether there are columns NAME_low and NAME_high
    percent: bool = False
    note: str = ""  # what kind of figures it has


def cost_axes(view: View) -> tuple[Axis, ...]:
    """What the error can be drawn against; the study's own objective is the first."""
    budget = view.study.settings.budget
    axes = [
        Axis(name="cost", title=view.study.settings.cost_axis, interval=view.rows[0].cost_interval is not None),
        *(
            Axis(name=f"measured_{at}", title=f"ms ({name}, measured)", interval=True)
            for at, name in enumerate(view.measured)
        ),
        *(
            Axis(name=f"{what}_{at}", title=f"M {words} ({name}, counted)")
            for at, name in enumerate(view.counted)
            for what, words in COUNTS.items()
        ),
        *(
            Axis(name=axis_name(at), title=f"ms ({one.name}, predicted)", interval=True, note=one.provenance)
            for at, one in enumerate(view.others)
        ),
        Axis(name="mflops", title=f"MFLOPs at {budget.resolution[0]}x{budget.resolution[1]}"),
        Axis(name="params", title="parameters"),
        Axis(name="peak_bytes", title=f"peak activations, bytes ({budget.precision})"),
        Axis(name="size_bytes", title=f"model size, bytes ({budget.precision})"),
    ]
    return tuple(axes)


COUNTS = {"instructions": "instructions", "l1d_misses": "L1d misses", "l2_misses": "L2 misses"}


def further_columns(view: View) -> tuple[Column[CandidateRow], ...]:
    """Columns of what was measured and counted of the candidates, for charts, JSON and CSV."""
    found: list[Column[CandidateRow]] = []
    for at, on_device in enumerate(view.measured.values()):
        for end, name in (("", "median_ms"), ("_low", "low_ms"), ("_high", "high_ms")):
            found.append(Column(f"measured_{at}{end}", _measured(on_device, name), place="data"))
    for at, on_core in enumerate(view.counted.values()):
        found += [Column(f"{what}_{at}", _counted(on_core, what), place="data") for what in COUNTS]
    return tuple(found)


def _measured(found: Mapping[str, Measurement], name: str) -> Callable[[CandidateRow], float | None]:
    def value(row: CandidateRow) -> float | None:
        one = found.get(row.architecture.key)
        return None if one is None or one.latency_ms is None else float(getattr(one.statistics, name))

    return value


def _counted(found: Mapping[str, CountedNetwork], name: str) -> Callable[[CandidateRow], float | None]:
    def value(row: CandidateRow) -> float | None:
        one = found.get(row.architecture.key)
        return None if one is None else float(getattr(one.record.counts, name)) / 1e6

    return value
