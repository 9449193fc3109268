"""The budget against what the candidates need, and the stored costs against a new count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from snsearch.errors import SpecError, StudyError
from snsearch.network import count_costs
from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.sections import Section
from snsearch.pages.view import View
from snsearch.solver import Budget
from snsearch.tables import Column, Table
from snsearch.units import format_bytes, format_latency, format_mflops, three_digits

NEAR = 0.05  # how far from its budget a network's MFLOPs may be, as a share


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """One bound of the budget against what the candidates need."""

    bound: str
    limit: str
    rule: str
    least: str
    most: str
    held: bool


_COLUMNS = (
    Column[Audit]("bound", attrgetter("bound")),
    Column[Audit]("budget", attrgetter("limit"), align="right"),
    Column[Audit]("rule", attrgetter("rule")),
    Column[Audit]("least used", attrgetter("least"), align="right"),
    Column[Audit]("most used", attrgetter("most"), align="right"),
    Column[Audit]("held", attrgetter("held")),
)


def audit_section(view: View) -> Section:
    """The budget beside what the candidates need."""
    return Section(
        name="audit",
        title="Budget audit",
        lines=(
            f"All {len(view.rows)} architectures were counted again for this page from their channels: every figure "
            "equals the one that the solver met.",
        ),
        tables=(Table(columns=_COLUMNS, rows=audits(view.study.settings.budget, view.rows)),),
    )


def audits(budget: Budget, rows: Sequence[CandidateRow]) -> tuple[Audit, ...]:
    """One audit per bound of the budget."""
    costs = [row.costs for row in rows]
    bounds = (
        ("MFLOPs", budget.macs, "macs", format_mflops),
        ("Parameters", budget.params, "params", "{:,}".format),
        ("Peak activations", budget.peak_activation_bytes, "peak_activation_bytes", format_bytes),
        ("Model size", budget.weight_bytes, "weight_bytes", format_bytes),
    )
    found = []
    for bound, limit, field, show in bounds:
        if limit is None:
            continue
        values = list(map(attrgetter(field), costs))
        rule, held = "never exceeded", max(values) <= limit
        if field == "macs" and budget.match == "nearest":
            rule, held = _nearest(limit, rows)
        least, most = show(min(values)), show(max(values))
        found.append(Audit(bound=bound, limit=show(round(limit)), rule=rule, least=least, most=most, held=held))
    if budget.latency_ms is not None:
        found.append(_latency_audit(budget, budget.latency_ms, rows))
    return tuple(found)


def _latency_audit(budget: Budget, limit_ms: float, rows: Sequence[CandidateRow]) -> Audit:
    """The audit of the latency, which is predicted again for it by the profile that the study keeps."""
    predicted = [budget.latency_profile.predict(row.architecture) for row in rows]
    values = [one.ms if budget.confidence is None else one.high_ms for one in predicted]
    what = "predicted latency" if budget.confidence is None else "upper end of its 95 % interval"
    return Audit(
        bound="Latency",
        limit=format_latency(limit_ms),
        rule=f"{what} on {budget.latency_profile.device}, never exceeded",
        least=f"{three_digits(min(values))} ms",
        most=f"{three_digits(max(values))} ms",
        held=max(values) <= limit_ms * (1 + 1e-9),
    )


def _nearest(limit: float, rows: Sequence[CandidateRow]) -> tuple[str, bool]:
    """The rule for MFLOPs on either side of their budget, and whether all candidates obey it.

    If another bound binds, the MFLOPs are out of reach, and only exceeding them is an error.
    """
    capped = [row for row in rows if row.trial.binding not in (None, "mflops")]
    rule = "nearest on either side"
    if capped:
        rule += f"; {len(capped)} of {len(rows)} end below, at another bound"
    over = any(row.costs.macs > (1 + NEAR) * limit for row in rows)
    under = any(row.costs.macs < (1 - NEAR) * limit for row in rows if row not in capped)
    return rule, not over and not under


def recount(rows: Sequence[CandidateRow], budget: Budget) -> None:
    """Counts every architecture again. Raises StudyError if a stored cost is not what its network needs."""
    for row in rows:
        try:
            counted = count_costs(row.architecture, budget.precision)
        except SpecError as error:
            raise StudyError(f"trial #{row.number}: architecture: {error}") from None
        if counted != row.costs:
            raise StudyError(f"trial #{row.number}: its stored costs are not what its architecture counts")
