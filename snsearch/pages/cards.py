"""The verdict as cards: a faster, the balanced and the most accurate network, with how to take it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from snsearch.pages.candidate_rows import CandidateRow, not_told_apart, summary
from snsearch.pages.sections import Card, Facts, Section
from snsearch.pages.view import View
from snsearch.study import next_command, why_none
from snsearch.units import format_bytes, format_count, format_mflops, three_digits

_EXTRAPOLATED = "extrapolated: its cost is outside of what the profile was judged on"


def verdict_section(view: View) -> Section:
    """What the study comes to, and the networks to choose among."""
    verdict = view.verdict
    cards = () if verdict is not None and verdict.is_guess else tuple(_cards(view))
    command = next_command(view.study, view.verdict) if view.study.lengths is not None else None
    several = {2: "two", 3: "three"}.get(len(cards))
    if verdict is None:
        lines = (why_none(view.study), *summary(view.rows, view.study.settings.cost_axis))
        lines = (*lines, f"Guessing errs on {view.study.lengths.chance:.1%}.") if view.study.lengths else lines
        lines = (*lines, "For a verdict, run this next.") if command else lines
    else:
        lines = tuple(verdict.lines())
        if command and several and not verdict.separated:
            further = f"{verdict.headline} {verdict.purpose}, run this next; or take one of these {several}."
            lines = (further.strip(), *(line for line in lines if line != verdict.headline))
    return Section(
        name="verdict",
        title="Verdict",
        lines=lines,
        command=command,
        cards=cards,
    )


def _cards(view: View) -> Iterator[Card]:
    """A card for each network to choose, with all that it is in the title."""
    choices = list(_choices(view))
    for number, row in {row.number: row for _, row, _ in choices}.items():
        titles = [title for title, one, _ in choices if one.number == number]
        notes = dict.fromkeys(note for _, one, note in choices if one.number == number and note)
        yield _card(", ".join([titles[0], *map(str.lower, titles[1:])]), row, tuple(notes), view)


def _choices(view: View) -> Iterator[tuple[str, CandidateRow, str]]:
    """What a network is, the network, and how that compares with the balanced one."""
    verdict = view.verdict
    if verdict is None:
        rows = view.rows
        best = min(rows, key=lambda row: (row.score.error, row.cost))
        near = not_told_apart(rows, best)
        tied = f"tied with {len(near) - 1}" if len(near) > 1 else ""
        cheapest = min(rows, key=lambda row: row.cost)
        yield "Fastest" if view.unit == "ms" else "Cheapest", cheapest, "" if cheapest not in near else tied
        yield "Balanced", view.balanced, tied
        yield "Most accurate", best, tied
        return
    tied_with = verdict.tied_with()
    note = f"tied with {', '.join(f'#{one.trial}' for one in tied_with)}" if tied_with else ""
    fastest = verdict.cheaper_tied
    fast = "Fastest" if view.unit == "ms" else "Cheapest"
    if fastest is not None:
        low, high = (-end for end in reversed(fastest.interval_points))
        points = f"{-fastest.difference_points:+.1f} [{low:+.1f}, {high:+.1f}] points"
        compared = f"{points} beside the balanced one: not told apart"
        faster = "Faster" if view.unit == "ms" else "Cheaper"
        yield f"{faster}, undecided", view.row(fastest.trial), compared
    elif all(one.cost_ratio <= 1 for one in (*verdict.against, *verdict.others)):
        yield f"{fast} of the finalists", view.balanced, note
    yield "Balanced", view.balanced, note
    yield "Most accurate", view.row(verdict.most_accurate.trial), ""


def _card(title: str, row: CandidateRow, notes: Sequence[str], view: View) -> Card:
    seeds = row.score.seeds if row.final is None else row.final.seeds
    marks = [
        *notes,
        _EXTRAPOLATED if row.extrapolated and view.verdict is None else "",  # a verdict says it itself
        "one seed: the noise of trainings in the interval is the search's estimate" if seeds == 1 else "",
        "judged by the images that chose it, not on test images" if row.final is None else "",
        "published design" if row.trial.published else "",
    ]
    return Card(
        title=title,
        words=f"#{row.number} ({row.trial.words})",
        trial=row.number,
        figures=_figures(row, view),
        marks=tuple(filter(None, marks)),
        commands=commands_of(row, view),
    )


def error_words(row: CandidateRow) -> str:
    """The error to judge a network by, with its interval."""
    error, (low, high) = (
        (row.score.error, row.error_interval) if row.final is None else (row.final.error, row.final.error_interval)
    )
    of = "" if row.final is None else f", {row.final.seeds} seeds on test images"
    return f"{error:.1%} [{low:.1%}, {high:.1%}]{of}"


def _figures(row: CandidateRow, view: View) -> Facts:
    figures = [("error", error_words(row))]
    name = "latency" if view.unit == "ms" else "cost"
    cost = f"{three_digits(row.cost)} {view.unit}"
    if row.cost_interval is not None:
        cost += " [{}, {}], predicted".format(*map(three_digits, row.cost_interval))
    figures.append((name, cost))
    for device, found in view.measured.items():
        one = found.get(row.architecture.key)
        if one is not None and one.latency_ms is not None:
            stats = one.statistics
            figures.append(
                (f"measured on {device}", f"{stats.median_ms:.3g} ms [{stats.low_ms:.3g}, {stats.high_ms:.3g}]")
            )
    figures += [
        ("peak memory", f"{format_bytes(row.costs.peak_activation_bytes)} of activations"),
        ("size", f"{format_bytes(row.costs.weight_bytes)}, {format_count(row.costs.params)} parameters"),
        ("MFLOPs", format_mflops(row.costs.macs)),
    ]
    return tuple(figures)


def commands_of(row: CandidateRow, view: View) -> Facts:
    """What takes a candidate: its key, Python, and commands."""
    key = row.architecture.key
    trial, trained = shlex.quote(f"{view.study.name}#{row.number}"), f"trained-{row.number}"
    return (
        ("key", key),
        ("Python", f"import snsearch; module = snsearch.build({key!r})"),
        ("train", f"snsearch train {trial} --out {trained} --recipe modern"),
        ("export", f"snsearch export {trained}/weights.safetensors --to onnx --out exported-{row.number}"),
        ("measure", f"snsearch measure {shlex.quote(key)} --device my-phone"),
    )
