"""Predicting a candidate's latency: against counting its costs, which a search does anyway.

    python -m benchmarks.predicting

One process, interleaved repeats; ratios with their spread. Writes results/predicting.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from snsearch.latency.profile import load_profile
from snsearch.network import costs
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs, count_macs
from snsearch.solver.budget import mflops_budget, with_input
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space

REPEATS = 7
LOOPS = 3  # over all candidates


def candidates() -> list[Architecture]:
    """Every design of the ShuffleNet space at a few scales and resolutions: some hundred networks."""
    space = load_space("shufflenet-v1")
    inputs = [with_input(mflops_budget(1), resolution=(side, side)) for side in (160, 224)]
    designs = [
        Design(groups=groups, scale=scale, depth=depth, se=se)
        for groups in space.groups
        for scale in space.named_scales
        for depth, _ in space.depths
        for se in (False, True)
    ]
    return [scaled(space, design, at).architecture for design in designs for at in inputs]


def _costs(arch: Architecture) -> object:
    costs._known.clear()  # a candidate whose blocks were not counted before
    return count_costs(arch)


def main() -> None:
    profile = load_profile("snapdragon-820")
    nets = candidates()
    ways: dict[str, Callable[[Architecture], object]] = {
        "count_macs": count_macs,
        "count_costs, with memory": _costs,
        "predict": profile.predict,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            for _ in range(LOOPS):
                for arch in nets:
                    way(arch)
            if repeat:  # the first round warms up
                seconds[name].append((time.perf_counter() - start) / LOOPS / len(nets))
    rows = []
    for name, each in seconds.items():
        ratios = [ours / base for ours, base in zip(each, seconds["count_macs"], strict=True)]
        rows.append(
            {
                "way": name,
                "median_us": statistics.median(each) * 1e6,
                "times_count_macs": statistics.median(ratios),
                "ratio_spread": [min(ratios), max(ratios)],
            }
        )
        print(f"{name:26s} {rows[-1]['median_us']:8.1f} us  x{rows[-1]['times_count_macs']:.2f}")
    result = {
        "what": f"one candidate, mean over {len(nets)} networks of the ShuffleNet space",
        "repeats": REPEATS,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "predicting.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
