"""The proxies of reference sets as a table: the same columns for the terminal, pages, JSON and CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from snsearch.lab.fidelity import Fidelity, SetFidelity
from snsearch.tables import Column, Table

Row = tuple[SetFidelity, Fidelity]


def _of_set(name: str, value: Callable[[SetFidelity], Any]) -> Column[Row]:
    return Column[Row](name, lambda row: value(row[0]), place="data")


def _figure(
    name: str, heading: str, value: Callable[[Fidelity], Any], text: Callable[[Fidelity], str], **how: Any
) -> Column[Row]:
    return Column[Row](
        name, lambda row: value(row[1]), heading=heading, text=lambda row: text(row[1]), align="right", **how
    )


def _interval(
    name: str, value: Callable[[Fidelity], tuple[float, float]], **how: Any
) -> tuple[Column[Row], Column[Row]]:
    """A column for people and JSON, and one for CSV."""
    return (
        _figure(
            name,
            "95 %",
            lambda one: list(value(one)),
            lambda one: "{:.2f} to {:.2f}".format(*value(one)),
            data=("json",),
            **how,
        ),
        Column[Row](name, lambda row: str(list(value(row[1]))), place="data", data=("csv",)),
    )


COLUMNS: tuple[Column[Row], ...] = (
    _of_set("set", lambda found: found.reference.name),
    _of_set("data", lambda found: found.reference.data),
    _of_set("budget_mflops", lambda found: None if (macs := found.reference.budget.macs) is None else macs / 1e6),
    _of_set("candidates", lambda found: found.members),
    _of_set("reference_seeds", lambda found: found.seeds),
    _of_set("noise_ceiling", lambda found: found.ceiling.mean),
    _of_set("noise_ceiling_one_seed", lambda found: found.ceiling.one_seed),
    _of_set("tuned_on", lambda found: found.reference.tuned_on),
    Column[Row](
        "proxy", lambda row: row[1].proxy, text=lambda row: row[1].proxy + (" (default)" if row[1].default else "")
    ),
    Column[Row]("kind", lambda row: row[1].kind, place="data"),
    _figure(
        "images",
        "",
        lambda one: one.images,
        lambda one: "" if one.images is None else f"{one.images:,}",
        drop=2,
    ),
    Column[Row]("seeds", lambda row: row[1].seeds, place="data"),
    _figure("kendall_tau", "Kendall tau", lambda one: one.agreement.kendall_tau,
            lambda one: f"{one.agreement.kendall_tau:.2f}"),
    *_interval("interval", lambda one: one.agreement.interval),
    _figure("spearman", "Spearman", lambda one: one.agreement.spearman, lambda one: f"{one.agreement.spearman:.2f}",
            place="wide"),
    *_interval("spearman_interval", lambda one: one.agreement.spearman_interval, place="data"),
    _figure("regret_top1", "regret of 1", lambda one: one.agreement.regret_top1,
            lambda one: f"{one.agreement.regret_top1:.2%}", place="wide"),
    _figure("regret_top3", "regret of 3", lambda one: one.agreement.regret_top3,
            lambda one: f"{one.agreement.regret_top3:.2%}", place="wide"),
    _figure("cost_seconds", "CPU s", lambda one: one.cost_seconds, lambda one: f"{one.cost_seconds:.2f}", drop=1),
    _figure("cost_ratio", "of reference", lambda one: one.cost_ratio,
            lambda one: f"1/{1 / one.cost_ratio:,.0f}" if one.cost_ratio > 1e-6 else "0"),
    Column[Row]("default", lambda row: row[1].default, place="data"),
)  # fmt: skip


def proxy_table(found: Sequence[SetFidelity], rows_of: Callable[[SetFidelity], Sequence[Fidelity]]) -> Table[Row]:
    """The proxies of some sets, those of each that `rows_of` gives, in that order."""
    return Table(columns=COLUMNS, rows=[(one, row) for one in found for row in rows_of(one)])


def set_document(*found: SetFidelity) -> list[dict[str, Any]]:
    """One flat record for each proxy and cost, as JSON values."""
    return proxy_table(found, lambda one: one.rows).records()
