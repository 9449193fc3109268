"""SetFidelity -> plain page data -> the HTML page of a reference set."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

from snsearch import __version__
from snsearch.lab.fidelity import SetFidelity, notable
from snsearch.lab.proxies import COLUMNS, set_document
from snsearch.pages import Axis, Frame, Mark, Scatter, render_template, write_page

KINDS = ("training", "reference cut short", "zero-cost", "combination")
SHOWN = tuple(column for column in COLUMNS if column.place != "data")


def _scatter(found: SetFidelity) -> tuple[Scatter, float]:
    frame = Frame(width=960, height=460)
    shown = notable(found)
    logs = [math.log10(max(row.cost_seconds, 1e-4)) for row in shown]
    ends = [end for row in shown for end in row.agreement.interval]
    x = Axis.over(logs, *frame.x_range)
    y = Axis.over([*ends, found.ceiling.mean], *frame.y_range)
    marks = tuple(
        Mark(
            number=index,
            x=x.at(log),
            y=y.at(row.agreement.kendall_tau),
            y_low=y.at(row.agreement.interval[0]),
            y_high=y.at(row.agreement.interval[1]),
            color=KINDS.index(row.kind),
            square=False,
            on_front=row.default,
            label="default" if row.default else row.proxy if row.kind == "zero-cost" else "",
            title=f"{row.proxy}: tau {row.agreement.kendall_tau:.2f} "
            f"[{row.agreement.interval[0]:.2f}, {row.agreement.interval[1]:.2f}], {row.cost_seconds:.2f} CPU seconds",
        )
        for index, (row, log) in enumerate(zip(shown, logs, strict=True))
    )
    return Scatter(frame=frame, x=x, y=y, marks=marks, front=""), y.at(found.ceiling.mean)


def _summary(found: SetFidelity) -> tuple[str, ...]:
    """What the set says of the default, no more than the intervals allow."""
    ceiling = f"the noise of the reference itself leaves room for {found.ceiling.mean:.2f}"
    default = next((row for row in found.rows if row.default), None)
    if default is None:
        return (f"The default proxy of this version is not in the set; {ceiling}.",)
    how = default.agreement
    lines = [
        f"The default proxy reaches Kendall tau {how.kendall_tau:.2f} (95 % from {how.interval[0]:.2f} to "
        f"{how.interval[1]:.2f}) at 1/{1 / default.cost_ratio:.0f} of one long training; {ceiling}."
    ]
    if found.ceiling.mean < 0.8:
        lines.append("With a ceiling below 0.8 no proxy's rank correlation means much on this set.")
    rivals = [row for row in found.rows if row.kind == "zero-cost"]
    if rivals:
        best = max(rivals, key=lambda row: row.agreement.kendall_tau)
        apart = how.interval[0] > best.agreement.interval[1]
        lines.append(
            f"The best training-free score is {best.proxy}, {best.agreement.kendall_tau:.2f}; the default "
            + ("is better." if apart else "cannot be told apart from it on so few candidates.")
        )
    return tuple(lines)


def fidelity_page(found: SetFidelity) -> dict[str, Any]:
    """Everything that the page of a set shows, under the names that its template has."""
    reference = found.reference
    scatter, ceiling_at = _scatter(found)
    rows = sorted(found.rows, key=lambda row: -row.agreement.kendall_tau)
    by_seed = zip(*found.seed_errors.values(), strict=True)
    order = sorted(zip(reference.members, found.errors, by_seed, strict=True), key=lambda row: row[1])
    return {
        "title": f"Fidelity of proxies: {reference.name}",
        "subtitle": f"{found.members} candidates of {reference.budget.describe()}, {reference.space}; "
        f"{reference.data_description}",
        "summary": _summary(found),
        "scatter": scatter,
        "ceiling_at": ceiling_at,
        "kinds": KINDS,
        "head": tuple(column.head for column in SHOWN),
        "rows": tuple(
            {"cells": [column.cell((found, row)) for column in SHOWN], "default": row.default} for row in rows
        ),
        "member_head": ("candidate", "channels", "MFLOPs", "parameters", "mean error", "by seed, %"),
        "members": tuple(
            (
                member.label,
                "/".join(map(str, member.architecture.stage_channels)),
                f"{member.macs / 1e6:.2f}",
                f"{member.params:,}",
                f"{error:.2%}",
                " ".join(f"{100 * one:.2f}" for one in seeds),
            )
            for member, error, seeds in order
        ),
        "facts": (
            (
                "Reference",
                f"{reference.recipes['reference'].describe()}; {found.seeds} seeds, "
                f"{found.reference_seconds:.0f} CPU seconds a training",
            ),
            ("Kendall tau", "tau-b of the proxy's order with the order of the reference's mean error"),
            ("Interval", "95 %, bootstrap over candidates, the proxy's seed and the reference's seeds"),
            (
                "Noise ceiling",
                f"tau of the reference with itself under as many other seeds, {found.ceiling.mean:.2f} (simulated "
                f"from its noise); one seed with another, as seen: {found.ceiling.one_seed:.2f}",
            ),
            (
                "Regret",
                "reference error of the proxy's first choice, or the best of its first three, less the best's",
            ),
            ("Cost", "CPU seconds of one candidate, evaluations among them; the ratio is to one long training"),
            ("Used to choose the default", "yes" if reference.tuned_on else "no"),
            ("Remark", reference.remark),
            ("Space and data", f"digest {reference.space_digest}; fingerprint {reference.data_fingerprint}"),
            *(("Made by", " ".join(map(str, run.get("command", ())))) for run in reference.runs),
        ),
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "version": __version__,
    }


def write_fidelity_page(found: SetFidelity, path: Path) -> None:
    """Writes the page of a set in one step. Raises StudyError if it cannot be written."""
    write_page(render_template("fidelity.html.j2", fidelity_page(found), set_document(found)), path)
