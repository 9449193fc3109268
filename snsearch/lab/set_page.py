"""SetFidelity -> the page of a reference set, which says whether its ranking can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snsearch.lab.fidelity import Fidelity, SetFidelity, notable
from snsearch.lab.proxies import proxy_table, set_document
from snsearch.lab.reference import Member
from snsearch.pages import Chart, Page, Section, by_number, legend_of, render_page, write_page
from snsearch.tables import Column, Table

KINDS = ("training", "reference cut short", "zero-cost", "combination")
_Member = tuple[Member, float, tuple[float, ...]]  # with its mean error and those by seed


def _trust(found: SetFidelity) -> tuple[str, ...]:
    """Whether the default's ranking can be trusted, no more than the intervals allow."""
    ceiling = f"the noise of the reference itself leaves room for {found.ceiling.mean:.2f}"
    default = _default(found)
    if default is None:
        return (f"Nothing can be said of the default proxy of this version: it is not in the set; {ceiling}.",)
    how = default.agreement
    low, high = how.interval
    answer = "No" if low <= 0 else "As far as this set can tell" if high >= found.ceiling.mean else "In part"
    pairs = [f"{(1 + tau) / 2:.0%}" for tau in (how.kendall_tau, low, high)]
    lines = [
        f"{answer}: the default proxy ranks {pairs[0]} of the pairs of candidates as long training does (95 % from "
        f"{pairs[1]} to {pairs[2]}; a coin, 50%).",
        f"The default proxy reaches Kendall tau {how.kendall_tau:.2f} (95 % from {low:.2f} to "
        f"{high:.2f}) at 1/{1 / default.cost_ratio:.0f} of one long training; {ceiling}.",
    ]
    if found.ceiling.mean < 0.8:
        lines.append("With a ceiling below 0.8 no proxy's rank correlation means much on this set.")
    rivals = [row for row in found.rows if row.kind == "zero-cost"]
    if rivals:
        best = max(rivals, key=lambda row: row.agreement.kendall_tau)
        apart = low > best.agreement.interval[1]
        lines.append(
            f"The best training-free score is {best.proxy}, {best.agreement.kendall_tau:.2f}; the default "
            + ("is better." if apart else "cannot be told apart from it on so few candidates.")
        )
    return tuple(lines)


def _default(found: SetFidelity) -> Fidelity | None:
    return next((row for row in found.rows if row.default), None)


def _chart(found: SetFidelity) -> Chart:
    """Kendall's tau against the cost of a candidate, with the noise ceiling."""
    points = [
        {
            "proxy": row.proxy,
            "label": "default" if row.default else row.proxy if row.kind == "zero-cost" else "",
            "default": row.default,
            "kind": KINDS.index(row.kind),
            "seconds": max(row.cost_seconds, 1e-4),
            "tau": row.agreement.kendall_tau,
            "low": row.agreement.interval[0],
            "high": row.agreement.interval[1],
        }
        for row in notable(found)
    ]
    x = {
        "field": "seconds",
        "type": "quantitative",
        "title": "CPU seconds of a candidate",
        "scale": {"type": "log"},
        "axis": {"tickCount": 6, "format": "~g"},
    }
    y = {"type": "quantitative", "title": "Kendall tau with long training"}
    color = by_number("kind")
    return Chart(
        name="fidelity-chart",
        label="Kendall tau of each proxy against its cost; the table of proxies holds the values",
        legend=legend_of(KINDS),
        spec={
            "width": "container",
            "height": 420,
            "data": {"values": points},
            "layer": [
                {
                    "data": {"values": [{"tau": found.ceiling.mean, "label": "noise ceiling"}]},
                    "layer": [
                        {
                            "mark": {
                                "type": "rule",
                                "color": "var(--good)",
                                "strokeDash": [6, 4],
                                "strokeWidth": 1.5,
                            },
                            "encoding": {"y": {"field": "tau", **y}},
                        },
                        {
                            "mark": {"type": "text", "align": "left", "dy": -8, "color": "var(--good)"},
                            "encoding": {"y": {"field": "tau", **y}, "x": {"value": 4}, "text": {"field": "label"}},
                        },
                    ],
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 1.3},
                    "encoding": {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}, "color": color},
                },
                {
                    "mark": {"type": "circle", "opacity": 1, "tooltip": {"content": "data"}},
                    "encoding": {
                        "x": x,
                        "y": {"field": "tau", **y},
                        "color": color,
                        "size": {"condition": {"test": "datum.default", "value": 190}, "value": 70},
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 10, "dy": -7},
                    "encoding": {"x": x, "y": {"field": "tau", **y}, "text": {"field": "label"}},
                },
            ],
        },
    )


_MEMBERS: tuple[Column[_Member], ...] = (
    Column("candidate", lambda one: one[0].label),
    Column("channels", lambda one: "/".join(map(str, one[0].architecture.stage_channels))),
    Column("MFLOPs", lambda one: one[0].macs / 1e6, text=lambda one: f"{one[0].macs / 1e6:.2f}", align="right"),
    Column("parameters", lambda one: one[0].params, text=lambda one: f"{one[0].params:,}", align="right"),
    Column("mean error", lambda one: one[1], text=lambda one: f"{one[1]:.2%}", align="right"),
    Column("by seed, %", lambda one: one[2], text=lambda one: " ".join(f"{100 * e:.2f}" for e in one[2])),
)


def set_sections(found: SetFidelity) -> Iterator[Section]:
    """The sections of the page: the answer, and what it rests on."""
    reference = found.reference
    yield Section(name="trust", title="Can I trust the ranking?", lines=_trust(found), charts=(_chart(found),))
    proxies = proxy_table([found], lambda one: sorted(one.rows, key=lambda row: -row.agreement.kendall_tau))
    yield Section(name="proxies", title="Proxies", tables=(proxies,))
    by_seed = zip(*found.seed_errors.values(), strict=True)
    members = sorted(zip(reference.members, found.errors, by_seed, strict=True), key=lambda row: row[1])
    yield Section(
        name="members",
        title="Candidates and their reference error",
        tables=(Table(columns=_MEMBERS, rows=members),),
    )
    yield Section(
        name="meaning",
        title="What the figures mean, and where they come from",
        facts=(
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
            *(("Made by", _command(run)) for run in reference.runs),
        ),
    )


def _command(run: Mapping[str, Any]) -> str:
    return " ".join(map(str, run.get("command", ())))


def write_fidelity_page(found: SetFidelity, path: Path) -> None:
    """Writes the page of a set in one step. Raises StudyError if it cannot be written."""
    reference = found.reference
    page = Page(
        title=f"Fidelity of proxies: {reference.name}",
        subtitle=f"{found.members} candidates of {reference.budget.describe()}, {reference.space}; "
        f"{reference.data_description}",
        sections=tuple(set_sections(found)),
        document={"proxies": set_document(found)},
    )
    write_page(render_page(page), path)
