"""What a device's core did while it measured: its frequency, temperature, and what else ran on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from snsearch.device import Measurement
from snsearch.pages.sections import Chart, Spec
from snsearch.pages.view import View

QUANTITIES = {"GHz": "frequency", "°C": "temperature", "preemptions per s": "load", "load average": "load"}


def log_charts(view: View) -> tuple[Chart, ...]:
    """A chart for each device that reported something while it measured."""
    logs = {name: list(device_log(found.values())) for name, found in view.measured.items()}
    return tuple(_chart(name, at, log) for at, (name, log) in enumerate(logs.items()) if log)


def device_log(measurements: Iterable[Measurement]) -> Iterator[dict[str, Any]]:
    """The values that a device reported, at the seconds of its runs laid end to end.

    Networks that shared rounds share a run. What a device does not report is left out, and so is emulation, whose
    states are the host's. The load average is known from before a run only, and stands for it where preemptions are
    not counted.
    """
    told = [one for one in measurements if one.verdict != "emulated"]
    runs = {one.states: one for one in sorted(told, key=lambda one: one.measured) if one.states}
    before = 0.0
    for run, (states, one) in enumerate(runs.items(), start=1):
        seconds = [(state.at_ns - states[0].at_ns) / 1e9 for state in states]
        found: list[tuple[str, float, float]] = []
        for at, state in zip(seconds, states, strict=True):
            found += [("GHz", at, state.khz / 1e6)] if state.khz is not None else []
            found += [("°C", at, state.temperature_mc / 1000)] if state.temperature_mc is not None else []
        if states[0].preemptions is None and one.loadavg:
            found.append(("load average", 0.0, one.loadavg[0]))
        for (start, first), (end, second) in pairwise(zip(seconds, states, strict=True)):
            if first.preemptions is not None and second.preemptions is not None and end > start:
                found.append(("preemptions per s", end, (second.preemptions - first.preemptions) / (end - start)))
        for unit, at, value in found:
            yield {"unit": unit, "run": run, "seconds": round(before + at, 2), "value": round(value, 3)}
        before += seconds[-1]


def _chart(name: str, at: int, log: list[dict[str, Any]]) -> Chart:
    units = [unit for unit in QUANTITIES if any(one["unit"] == unit for one in log)]
    words = list(dict.fromkeys(QUANTITIES[unit] for unit in units))
    ranges = [
        f"{min(values):.3g} to {max(values):.3g} {unit}"
        for unit in units
        for values in [[one["value"] for one in log if one["unit"] == unit]]
    ]
    return Chart(
        name=f"log-{at}-chart",
        title=f"{name}: {', '.join(words)} of the core while it measured, runs end to end",
        spec=_spec(log, units),
        label=f"What {name} reported while it measured: {', '.join(ranges)}",
    )


def _spec(log: list[dict[str, Any]], units: list[str]) -> Spec:
    line = {"type": "line", "color": "var(--c0)", "strokeWidth": 1.6}
    return {
        "data": {"values": log},
        "facet": {
            "row": {"field": "unit", "sort": units, "title": None, "header": {"labelAngle": 0, "labelAlign": "left"}}
        },
        "resolve": {"scale": {"y": "independent"}},
        "spacing": 10,
        "spec": {
            "width": 760,
            "height": 60,
            "mark": {**line, "point": {"color": "var(--c0)", "size": 18}, "tooltip": {"content": "data"}},
            "encoding": {
                "x": {"field": "seconds", "type": "quantitative", "title": "seconds of measuring"},
                "y": {
                    "field": "value",
                    "type": "quantitative",
                    "title": None,
                    "scale": {"zero": False},
                    "axis": {"tickCount": 3},
                },
                "detail": {"field": "run"},
            },
        },
    }
