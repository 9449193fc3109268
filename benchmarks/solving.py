"""Solving the paper's five group counts, designs drawn from an open space, and start-up without torch.

Writes results/solving.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from snsearch.errors import InfeasibleBudgetError
from snsearch.latency import load_profile
from snsearch.network import arrays, costs
from snsearch.solver import solving as solver
from snsearch.solver.budget import Budget, mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.drawing import draw
from snsearch.solver.spec import load_space

GROUPS = (1, 2, 3, 4, 8)
REPEATS = 30
PROCESSES = 9
DRAWN = 1000


def _forget() -> None:
    solver._reference_width.cache_clear()
    solver._budget_scale.cache_clear()
    costs._known.clear()
    costs._known_macs.clear()
    arrays._tables.clear()


def _budgets() -> dict[str, Budget]:
    """The budgets of drawn designs: MFLOPs alone, with further bounds, and a latency."""
    found = {}
    for mflops, milliseconds in ((13, 8.0), (40, 16.0), (140, 40.0)):
        latency = {"latency_ms": milliseconds, "profile": load_profile("snapdragon-820")}
        alone, params = mflops_budget(mflops), round(mflops * 20_000)
        found |= {
            f"{mflops} MFLOPs": alone,
            f"{mflops} MFLOPs, parameters": replace(alone, params=params),
            f"{mflops} MFLOPs, peak memory": replace(alone, peak_activation_bytes=2_000_000),
            f"{mflops} MFLOPs, latency": replace(alone, **latency),
            f"{mflops} MFLOPs, parameters, latency": replace(alone, params=params, **latency),
            f"{milliseconds:g} ms": Budget(name="latency", **latency),
        }
    return found


def _drawn(budget: Budget) -> dict[str, float]:
    """CPU milliseconds of solving one drawn design within 0.1 %, what was counted before remembered."""
    _forget()
    space, random = load_space("shufflenet-free"), Random(0)
    times, near = [], 0
    for _ in range(DRAWN):
        design = draw(space, random)
        start = time.process_time()
        try:
            solution = solver.solve(space, budget, design, tight=budget.macs is not None)
        except InfeasibleBudgetError:
            continue
        times.append((time.process_time() - start) * 1e3)
        near += solution.deviation is not None and abs(solution.deviation) <= 0.001
    quantiles = statistics.quantiles(times, n=20)
    return {
        "solved": len(times),
        "within 0.1 %": near,
        "median": statistics.median(times),
        "least": min(times),
        "95 % below": quantiles[-1],
    }


def _solve(mflops: float, *, tight: bool, packed: bool) -> float:
    """Milliseconds of solving all groups, nothing remembered from before."""
    _forget()
    start = time.perf_counter()
    space = load_space("shufflenet-v1")
    for groups in GROUPS:
        solver.solve(space, mflops_budget(mflops), Design(groups=groups), tight=tight, packed=packed)
    return (time.perf_counter() - start) * 1e3


def _process(*arguments: str) -> float:
    """Seconds of a whole process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def main() -> None:
    rows = {}
    for mflops in (13, 140, 10_000):
        for name, options in (("", (False, False)), (" tight", (True, False)), (" packed", (False, True))):
            times = [_solve(mflops, tight=options[0], packed=options[1]) for _ in range(REPEATS)]
            rows[f"{mflops} MFLOPs{name}"] = _spread(times)
            print(f"{mflops} MFLOPs{name}: {statistics.median(times):.2f} ms [{min(times):.2f}, {max(times):.2f}]")
    drawn = {}
    for name, budget in _budgets().items():
        drawn[name] = _drawn(budget)
        print(f"drawn, {name}: {drawn[name]}", flush=True)
    ours, torch_import, ratios = [], [], []
    for _ in range(PROCESSES):
        ours.append(_process("-m", "snsearch", "solve", "--mflops", "140"))
        torch_import.append(_process("-c", "import torch"))
        ratios.append(ours[-1] / torch_import[-1])
    print(
        f"snsearch solve, whole process: {statistics.median(ours):.3f} s, import torch: "
        f"{statistics.median(torch_import):.3f} s, ratio {statistics.median(ratios):.3f} "
        f"[{min(ratios):.3f}, {max(ratios):.3f}]"
    )
    result = {
        "what": "milliseconds to read the space and solve g = 1, 2, 3, 4, 8, after imports",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "solving_ms": rows,
        "drawn_ms": drawn,
        "process_seconds": {"solve": _spread(ours), "import torch": _spread(torch_import), "ratio": _spread(ratios)},
    }
    path = Path(__file__).parent / "results" / "solving.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
