"""The columns of the bench's tables and results, for a terminal, JSON, CSV and Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snsearch.tables import Column

if TYPE_CHECKING:
    from snsearch.lab.bench.claims import Claims
    from snsearch.lab.bench.replays import Result
    from snsearch.lab.bench.tables import Summary


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    return "" if value is None or interval is None else f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


TABLE_COLUMNS: tuple[Column[Summary], ...] = (
    Column("table", lambda one: one.name),
    Column("data", lambda one: one.data, drop=1),
    Column("budget_mflops", lambda one: one.budget_mflops, heading="MFLOPs", align="right", place="wide"),
    Column("members", lambda one: one.members, heading="networks", align="right"),
    Column("seeds", lambda one: one.seeds, heading="whole seeds", align="right"),
    Column(
        "spread", lambda one: one.spread, heading="spread", unit="points", text=lambda one: _figure(one.spread),
        align="right",
    ),
    Column(
        "noise", lambda one: one.noise, heading="noise of a seed", unit="points", text=lambda one: _figure(one.noise),
        align="right",
    ),
    Column(
        "reliability", lambda one: one.reliability, text=lambda one: _with_interval(one.reliability, one.interval),
        heading="reliability of the mean (95 %)", align="right",
    ),
    Column("reliability_interval", lambda one: one.interval and list(one.interval), place="data", data=("json",)),
    Column("held_out", lambda one: one.held_out, heading="held out"),
)  # fmt: skip

CLAIM_COLUMNS: tuple[Column[Claims], ...] = (
    Column("table", lambda one: one.table),
    Column("members", lambda one: one.members, heading="networks", align="right"),
    Column("verdicts", lambda one: one.verdicts, align="right"),
    Column("claims", lambda one: one.claims, align="right"),
    Column(
        "held", lambda one: one.share, heading="that hold (95 %)", align="right",
        text=lambda one: f"{one.share:.1%} ({one.interval[0]:.1%} to {one.interval[1]:.1%})",
    ),
    Column("held_interval", lambda one: list(one.interval), place="data", data=("json",)),
)  # fmt: skip

RESULT_COLUMNS: tuple[Column[Result], ...] = (
    Column("table", lambda one: one.table, text=lambda one: one.table + (" (held out)" if one.held_out else "")),
    Column("data", lambda one: one.data, place="data"),
    Column("budget_mflops", lambda one: one.budget_mflops, place="data"),
    Column("members", lambda one: one.members, place="data"),
    Column("seeds", lambda one: one.seeds, place="data"),
    Column("reliability", lambda one: one.reliability, place="data"),
    Column("held_out", lambda one: one.held_out, place="data"),
    Column("method", lambda one: one.method),
    Column(
        "compute_in_full_trainings", lambda one: one.compute, heading="full trainings",
        text=lambda one: f"{one.compute:g}", align="right", drop=3,
    ),
    Column(
        "tau_b", lambda one: one.tau, heading="tau (95 %)", align="right",
        text=lambda one: _with_interval(one.tau, one.tau_interval),
    ),
    Column("tau_interval", lambda one: one.tau_interval and list(one.tau_interval), place="data", data=("json",)),
    Column("tau_ceiling", lambda one: one.tau_ceiling, heading="of", text=lambda one: _figure(one.tau_ceiling),
           align="right", drop=1),
    Column("top5_recall", lambda one: one.top5_recall, heading="top-5 recall",
           text=lambda one: _figure(one.top5_recall), align="right", drop=2),
    Column("regret_sd", lambda one: one.regret, heading="median regret (95 %)",
           text=lambda one: _with_interval(one.regret, one.regret_interval), align="right"),
    Column("regret_interval", lambda one: list(one.regret_interval), place="data", data=("json",)),
    Column("mean_regret_sd", lambda one: one.mean_regret, heading="mean regret",
           text=lambda one: _figure(one.mean_regret), align="right", place="wide"),
    Column("agree", lambda one: one.agree, heading="picks that agree", text=lambda one: f"{one.agree:.0%}",
           align="right", place="wide"),
    Column("replays", lambda one: one.replays, place="data"),
    Column(
        "better_than", lambda one: dict(one.better_than), heading="no worse than",
        text=lambda one: ", ".join(f"{name} {share:.0%}" for name, share in one.better_than.items()), place="wide",
        data=("json",),
    ),
)  # fmt: skip
