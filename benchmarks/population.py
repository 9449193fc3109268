"""Counting a million designs at once: seconds of one core, and whether checked ones equal the exact report.

    python -m benchmarks.population

Writes results/population.json.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from snsearch.latency.population import predict_population
from snsearch.latency.profile import load_profile, read_profile
from snsearch.network.costs import count_costs
from snsearch.network.population import Population, count_population
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space

DESIGNS = 1_000_000
CHECKED = 3_000
REPEATS = 3
OWN_DEVICE = Path(__file__).parents[1] / "tests" / "fixtures" / "v0" / "own_profile.toml"  # of kernel terms


def designs(count: int) -> Population:
    """Random ShuffleNets as shufflenet-free has them: groups, SE and units per stage, widths of any growth."""
    random = np.random.default_rng(0)
    groups = random.choice([1, 2, 3, 4, 8], (count, 3))
    after = np.concatenate([groups[:, 1:], np.ones((count, 1), np.int64)], axis=1)
    steps = np.lcm(4 * groups, after)
    stem = random.integers(2, 12, count) * groups[:, 0]
    widths, before, aim = np.empty((count, 3), np.int64), stem, random.uniform(60, 200, count)
    for stage in range(3):
        step = steps[:, stage]
        widths[:, stage] = np.maximum(np.ceil(aim / step), before // step + 1) * step
        before, aim = widths[:, stage], aim * random.uniform(1.2, 2.8, count)
    return Population(
        like=scaled(load_space("shufflenet-free"), Design(groups=1), mflops_budget(1)).architecture,
        stem_channels=stem,
        stage_channels=widths,
        stage_repeats=np.stack([random.integers(1, most, count) for most in (6, 11, 7)], axis=1),
        groups=groups,
        se_reduction=random.choice([0, 16], (count, 3)),
        shuffle=random.random(count) < 0.5,
    )


def main() -> None:
    population = designs(DESIGNS)
    profiles = (load_profile("snapdragon-820"), replace(read_profile(OWN_DEVICE), unseen=()))
    seconds: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        start = time.process_time()
        costs = count_population(population)
        seconds.setdefault("MACs, parameters, bytes, peak memory", []).append(time.process_time() - start)
        for profile in profiles:
            start = time.process_time()
            latencies = predict_population(profile, population)
            seconds.setdefault(f"latency, {profile.counting}", []).append(time.process_time() - start)
            checked = np.random.default_rng(1).choice(DESIGNS, CHECKED, replace=False).tolist()
            for index in checked:
                arch = population.network(index)
                own = count_costs(arch)
                assert latencies[index] == profile.predict(arch).ms, arch.key
                for name in ("macs", "params", "weight_bytes", "bytes_moved", "peak_activation_bytes"):
                    assert getattr(costs, name)[index] == getattr(own, name), arch.key
    rows = [{"what": what, "cpu_seconds": sorted(each)} for what, each in seconds.items()]
    for row in rows:
        print(f"{row['what']}: {row['cpu_seconds']}")
    print(f"{CHECKED:,} of {DESIGNS:,} designs checked in each repeat: all equal")
    result = {
        "what": f"CPU seconds of one process for {DESIGNS:,} designs; {CHECKED:,} checked in each repeat, all equal",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "population.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
