"""Solutions as records: one column for each figure, declared once for people, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

from snsearch.codec import encode
from snsearch.latency import remarks_as_lines
from snsearch.network import cost_column
from snsearch.solver.budget import Budget
from snsearch.solver.solving import Solution
from snsearch.tables import Column, Table
from snsearch.units import (
    format_bytes,
    format_latency,
    format_resolution,
    format_stages,
    plain_number,
    plain_resolution,
    plain_stages,
    three_digits,
)


def interval_words(solution: Solution) -> str:
    """The 95 % interval of the predicted latency: "19.2 to 32.5"; empty without a latency."""
    latency = solution.latency
    return "" if latency is None else f"{three_digits(latency.low_ms)} to {three_digits(latency.high_ms)}"


_COLUMNS: tuple[Column[Solution], ...] = (
    Column("budget", lambda s: None if s.budget is None else s.budget.name, place="wide"),
    Column(
        "budget_mflops",
        lambda s: None if s.budget is None or s.budget.macs is None else plain_number(s.budget.macs / 1e6),
        place="data",
    ),
    Column("space", lambda s: s.space),
    Column(
        "groups",
        lambda s: plain_stages(s.architecture.groups),
        heading="g",
        align="right",
        text=lambda s: format_stages(s.architecture.groups),
    ),
    Column("scale", lambda s: plain_number(s.scale), align="right", drop=2, text=lambda s: f"{s.scale:g}x"),
    Column("stem_channels", lambda s: s.architecture.stem_channels, heading="conv1", align="right"),
    Column(
        "stage_channels",
        lambda s: list(s.architecture.stage_channels),
        heading="stages",
        text=lambda s: "-".join(map(str, s.architecture.stage_channels)),
    ),
    Column(
        "repeats",
        lambda s: list(s.architecture.stage_repeats),
        heading="units",
        text=lambda s: "-".join(map(str, s.architecture.stage_repeats)),
        place="wide",
    ),
    Column("shuffle", lambda s: s.architecture.shuffle, place="wide"),
    Column("se", lambda s: plain_stages(tuple(map(bool, s.architecture.se_reduction))), heading="SE", place="wide"),
    cost_column("mflops", attrgetter("costs")),
    Column("macs", lambda s: s.costs.macs, heading="multiply-adds", place="wide", text=lambda s: f"{s.costs.macs:,}"),
    cost_column("params", attrgetter("costs"), drop=1),
    cost_column("model_size_bytes", attrgetter("costs"), drop=3),
    Column(
        "bytes_moved",
        lambda s: s.costs.bytes_moved,
        heading="bytes moved",
        place="wide",
        text=lambda s: format_bytes(s.costs.bytes_moved),
    ),
    cost_column("peak_activation_bytes", attrgetter("costs"), drop=3),
    Column(
        "latency_ms",
        lambda s: None if s.latency is None else round(s.latency.ms, 4),
        heading="ms",
        align="right",
        text=lambda s: "" if s.latency is None else three_digits(s.latency.ms),
    ),
    Column(
        "latency_interval_ms",
        lambda s: None if s.latency is None else [round(s.latency.low_ms, 4), round(s.latency.high_ms, 4)],
        heading="95 % interval",
        unit="ms",
        align="right",
        text=interval_words,
    ),
    Column("latency_provenance", lambda s: s.latency and s.latency.provenance, place="data"),
    Column(
        "deviation",
        lambda s: None if s.deviation is None else round(s.deviation, 6),
        heading="from budget",
        align="right",
        text=lambda s: "" if s.deviation is None else f"{s.deviation:+.2%}",
    ),
    Column("binding", lambda s: s.binding, heading="bound by", place="wide"),
    Column("notes", lambda s: list(s.notes), place="wide", text=lambda s: "; ".join(s.notes)),
    Column("key", lambda s: s.architecture.key, place="wide"),
    Column("architecture", lambda s: encode(s.architecture), place="data", data=("json",)),
    Column("resolution", lambda s: plain_resolution(s.architecture.resolution), place="data", data=("csv",)),
    Column("classes", lambda s: s.architecture.classes, place="data", data=("csv",)),
)

# Shown only where the solutions differ in it, or where there is something to say.
_WHERE_THEY_DIFFER = ("space", "scale", "budget")


def caption_of(solutions: Sequence[Solution]) -> str:
    """What the solutions have in common: "ShuffleNet for 140.00 MFLOPs at 224x224, 1000 classes"."""
    titles = " / ".join(dict.fromkeys(s.title for s in solutions))
    budgets = dict.fromkeys(s.budget.describe() for s in solutions if s.budget is not None)
    inputs = dict.fromkeys((s.architecture.resolution, s.architecture.classes) for s in solutions)
    at = " or ".join(f"{format_resolution(resolution)}, {classes} classes" for resolution, classes in inputs)
    return f"{titles}{' for ' + ' or '.join(budgets) if budgets else ''} at {at}"


def notes_of(solutions: Sequence[Solution]) -> list[str]:
    """What differs from what was asked for, by the solution's group count."""
    several = len({s.space for s in solutions}) > 1
    notes = [
        f"{s.title + ' ' if several else ''}g={format_stages(s.architecture.groups)}: {note}"
        for s in solutions
        for note in s.notes
    ]
    promises = dict.fromkeys(promise for s in solutions if s.budget is not None and (promise := promise_of(s.budget)))
    remarks = [s.budget.latency_profile.remark(s.latency.ms) for s in solutions if s.budget and s.latency]
    return [*notes, *promises, *remarks_as_lines(remarks)]


def promise_of(budget: Budget) -> str:
    """What a prediction within the budget's latency promises; empty where the budget bounds none."""
    if budget.latency_ms is None:
        return ""
    profile, limit = budget.latency_profile, format_latency(budget.latency_ms)
    factor = f"a factor of {profile.interval_factor:.2f} either way"
    if budget.confidence is not None:
        means = f"with the upper end of its 95 % interval, {factor}, within {limit}"
    else:
        slowest = three_digits(budget.latency_ms * profile.interval_factor)
        means = (
            f"predicted, not promised: its 95 % interval is {factor}, so {limit} may be {slowest} ms; "
            f"--confidence 95% keeps its upper end within {limit}"
        )
    return f"latency: {means} ({profile.provenance})"


def networks_as_rows(solutions: Sequence[Solution], notes: Sequence[str] = ()) -> Table[Solution]:
    """A row a solution. What all of them share is in the title, or among the columns shown on request."""
    columns = []
    for column in _COLUMNS:
        if column.name in _WHERE_THEY_DIFFER:
            differ = len({column.value(s) for s in solutions}) > 1
            column = replace(column, place="short" if differ else "wide")
        if column.name.startswith("latency") and all(s.latency is None for s in solutions):
            continue
        if column.name == "deviation" and all(s.deviation is None for s in solutions):
            column = replace(column, place="wide")
        if column.name == "binding" and any(s.binding not in (None, "mflops") for s in solutions):
            column = replace(column, place="short")
        columns.append(column)
    return Table(columns=columns, rows=solutions, title=caption_of(solutions), notes=[*notes_of(solutions), *notes])
