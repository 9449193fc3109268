"""Counting a candidate, build and count: snsearch's closed forms against profilers of the built module.

Same networks, one process, interleaved repeats; ratios with their spread. Writes results/counting.json.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from snsearch.network import costs
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs, count_macs
from snsearch.network.counters import count_with_torch
from snsearch.network.torch_model import build_model
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space

REPEATS = 7
CLOSED_FORM_LOOPS = 200  # a closed form is too short to be timed alone


def _input(arch: Architecture) -> torch.Tensor:
    return torch.zeros(1, arch.input_channels, *arch.resolution)


def _thop(arch: Architecture) -> int:
    import thop

    macs, _ = thop.profile(build_model(arch).eval(), inputs=(_input(arch),), verbose=False)
    return int(macs)


def _fvcore(arch: Architecture) -> int:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(build_model(arch).eval(), _input(arch))
    return int(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def _ptflops(arch: Architecture) -> int:
    from ptflops import get_model_complexity_info

    macs, _ = get_model_complexity_info(
        build_model(arch),
        (arch.input_channels, *arch.resolution),
        as_strings=False,
        print_per_layer_stat=False,
        backend="pytorch",
    )
    return int(macs)


def _torchinfo(arch: Architecture) -> int:
    from torchinfo import summary

    return int(summary(build_model(arch), input_data=_input(arch), verbose=0).total_mult_adds)


def _costs(arch: Architecture) -> int:
    costs._known.clear()  # a candidate whose blocks were not counted before
    return count_costs(arch).macs


COUNTERS: dict[str, Callable[[Architecture], int]] = {
    "snsearch count_macs": count_macs,
    "snsearch count_costs (with memory)": _costs,
    "thop": _thop,
    "fvcore": _fvcore,
    "ptflops": _ptflops,
    "torchinfo": _torchinfo,
    "torch FlopCounterMode / 2": lambda arch: count_with_torch(build_model(arch)),
}


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    space = load_space("shufflenet-v1")
    nets = {g: solve(space, mflops_budget(140), Design(groups=g)).architecture for g in (1, 3, 8)}
    seconds: dict[str, dict[int, list[float]]] = {name: {g: [] for g in nets} for name in COUNTERS}
    counts: dict[str, dict[int, int]] = {name: {} for name in COUNTERS}
    for repeat in range(REPEATS + 1):
        for groups, arch in nets.items():
            for name, counter in COUNTERS.items():
                loops = CLOSED_FORM_LOOPS if name.startswith("snsearch") else 1
                start = time.perf_counter()
                for _ in range(loops):
                    counts[name][groups] = counter(arch)
                if repeat:  # the first round warms up
                    seconds[name][groups].append((time.perf_counter() - start) / loops)
    rows = []
    for name in COUNTERS:
        each = [value for times in seconds[name].values() for value in times]
        ratios = [
            ours / theirs
            for g in nets
            for theirs, ours in zip(seconds["snsearch count_macs"][g], seconds[name][g], strict=True)
        ]
        rows.append(
            {
                "counter": name,
                "median_us": statistics.median(each) * 1e6,
                "least_us": min(each) * 1e6,
                "most_us": max(each) * 1e6,
                "times_slower_than_count_macs": statistics.median(ratios),
                "ratio_spread": [min(ratios), max(ratios)],
                "counts": {f"g={g}": counts[name][g] for g in nets},
                "equals_flopcountermode": counts[name] == counts["torch FlopCounterMode / 2"],
            }
        )
        print(
            f"{name:36s} {rows[-1]['median_us']:12,.1f} us  x{rows[-1]['times_slower_than_count_macs']:10,.1f} "
            f"[{min(ratios):,.0f}, {max(ratios):,.0f}]  g=3: {counts[name][3]:,}"
        )
    result = {
        "what": "build + count of ShuffleNet 1x, g = 1, 3, 8, at 224x224; one thread; seconds of one candidate",
        "repeats": REPEATS,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cores": os.cpu_count(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "counting.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
