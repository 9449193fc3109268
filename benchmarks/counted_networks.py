"""What is counted: the published networks by the core that ran them, and networks of the ShuffleNet space."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from benchmarks.published import networks as nets
from benchmarks.published.samples import NETWORKS_810 as NETWORKS_V2
from benchmarks.published.samples import NETWORKS_NCNN, rows_of, snapdragon_810
from snsearch.codec import encode
from snsearch.device.counting.counts import Counts
from snsearch.network.arch import Architecture
from snsearch.network.costs import op_macs
from snsearch.network.graph import OpGraph
from snsearch.network.operators import Op
from snsearch.solver.budget import mflops_budget, with_input
from snsearch.solver.candidates import candidates_of, matched_set
from snsearch.solver.spec import load_space
from snsearch.study.objective import OBJECTIVES

COUNTS = Path(__file__).parent / "results" / "counted.csv"
CPUS = ("cortex-a72", "cortex-a53", "cortex-a57", "cortex-a76")
BUDGETS = (10, 20, 40, 80, 140)  # MFLOPs at 224x224
NETWORKS_A_BUDGET = 14
WHOLE_CPU, MACS_LIMIT = "cortex-a72", 700e6  # larger networks, which take minutes each, are counted on one core alone
NOT_COUNTED = ("yolov4-tiny",)  # it upsamples, for which no operator here stands
CHECK_BUDGET, CHECK_RESOLUTION, CHECK_NETWORKS = 55, 160, 16  # which nothing is chosen by
GROUPS_AT_140 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # arXiv:1707.01083, Table 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network to count: its set and name, and, in the space, its budget as the family."""

    set: str  # snapdragon-810, snapdragon-820, ncnn, groups, space or check
    name: str
    family: str
    ops: tuple[Op, ...]

    @property
    def macs(self) -> int:
        return sum(map(op_macs, self.ops))


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of results/counted.csv."""

    cpu: str
    set: str
    name: str
    macs: int
    instructions: int
    loads: int
    stores: int
    l1d_misses: int
    l1i_misses: int
    l2_misses: int

    @classmethod
    def of(cls, cpu: str, network: Network, counts: Counts) -> Row:
        found = encode(counts)
        names = ("instructions", "loads", "stores", "l1d_misses", "l1i_misses", "l2_misses")
        about = {"cpu": cpu, "set": network.set, "name": network.name, "macs": network.macs}
        return cls(**about, **{name: found[name] for name in names})  # type: ignore[arg-type]


@cache
def published() -> tuple[Network, ...]:
    """The networks of the published figures. ShuffleNet v2 shuffles and concatenates apart, as ncnn runs it."""
    used = {sample.name for sample in snapdragon_810() if sample.role != "piece"}
    found = []
    for (model, scale), make in NETWORKS_V2.items():
        name = f"{model} {scale}".strip()
        if name in used:
            found.append(Network(set="snapdragon-810", name=name, family="", ops=make()))
    shapes: dict[str, tuple[Op, ...]] = {}
    for row in rows_of("snapdragon-820-networks.csv"):
        height, width = (480, 640) if row["resolution"] == "480x640" else (224, 224)
        if row["model"] == "ShuffleNet":
            first, stem = {"0.5": (120, 12), "1": (240, 24), "2": (480, 48)}[row["scale"]]
            shapes[f"ShuffleNet {row['scale']}x g=3 @{row['resolution']}"] = nets.shufflenet_v1(3, first, stem)
        elif row["model"] == "MobileNet":
            shapes[f"MobileNet @{row['resolution']}"] = nets.mobilenet_v1(1, height, width)
    found += [Network(set="snapdragon-820", name=name, family="", ops=ops) for name, ops in shapes.items()]
    found += [
        Network(set="ncnn", name=name, family="", ops=make())
        for name, (_, make) in NETWORKS_NCNN.items()
        if name not in NOT_COUNTED
    ]
    found += [
        Network(set="groups", name=f"ShuffleNet 1x g={groups}", family="", ops=nets.shufflenet_v1(groups, first))
        for groups, first in GROUPS_AT_140.items()
    ]
    return tuple(found)


def _drawn(mflops: float, resolution: int, count: int) -> Iterator[Architecture]:
    space = load_space("shufflenet-v1")
    budget = with_input(mflops_budget(mflops), resolution=(resolution, resolution))
    candidates = candidates_of(space, budget, tight=True, search_shuffle=True, cost=OBJECTIVES["counted"].of)
    for design in matched_set(candidates, count):
        yield candidates.solutions[design].architecture


@cache
def space_networks() -> tuple[Network, ...]:
    """Candidates of several budgets, every choice of the search as evenly present as may be; and the check."""
    found = []
    for mflops in BUDGETS:
        for arch in _drawn(mflops, 224, NETWORKS_A_BUDGET):
            found.append(
                Network(set="space", name=arch.key, family=f"{mflops} MFLOPs", ops=tuple(OpGraph.of(arch).ops))
            )
    for arch in _drawn(CHECK_BUDGET, CHECK_RESOLUTION, CHECK_NETWORKS):
        found.append(Network(set="check", name=arch.key, family="check", ops=tuple(OpGraph.of(arch).ops)))
    return tuple(found)


def networks_for(cpu: str) -> tuple[Network, ...]:
    """What is counted on a core: the figures that its kind made, and the space where a model is fitted."""
    sets = {
        "cortex-a72": ("groups", "space", "check", "ncnn", "snapdragon-820"),
        "cortex-a53": ("groups", "space", "check", "ncnn"),
        "cortex-a57": ("groups", "snapdragon-810"),
        "cortex-a76": ("groups", "ncnn"),
    }[cpu]
    listed = (*published(), *space_networks())
    limit = math.inf if cpu == WHOLE_CPU else MACS_LIMIT
    return tuple(network for name in sets for network in listed if network.set == name and network.macs <= limit)


def read_rows() -> list[Row]:
    """All that was counted."""
    if not COUNTS.is_file():
        return []
    with COUNTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = ("cpu", "set", "name")
    return [Row(**{key: value if key in texts else int(value) for key, value in row.items()}) for row in rows]  # type: ignore[arg-type]


def write_rows(rows: Sequence[Row]) -> None:
    """Writes the table anew, in the order of cores, sets and networks."""
    order = {(cpu, n.set, n.name): i for i, (cpu, n) in enumerate((c, n) for c in CPUS for n in networks_for(c))}
    kept = sorted(
        (row for row in rows if (row.cpu, row.set, row.name) in order),
        key=lambda row: order[row.cpu, row.set, row.name],
    )
    COUNTS.parent.mkdir(exist_ok=True)
    partial = COUNTS.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in kept)
    partial.replace(COUNTS)
