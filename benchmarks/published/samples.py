"""The published figures as samples: one list for each library on one device. Sources are never pooled."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path

from benchmarks.published import networks as nets
from snsearch.latency.fitting import Role, Sample
from snsearch.latency.forms import CACHES
from snsearch.latency.terms import Terms, ops_terms
from snsearch.network.costs import op_macs
from snsearch.network.known.builder import rounded
from snsearch.network.known.catalogue import KNOWN
from snsearch.network.operators import Op

FOLDER = Path(__file__).parent
PIECE_WEIGHT = 0.5  # of a microbenchmark, where a network has 1: there are more of them, and what counts is networks
MFLOPS_TOLERANCE = 0.03  # of a network's counted to its printed MFLOPs; beyond, its structure is not known

Make = Callable[[], tuple[Op, ...]]


def rows_of(name: str) -> Iterator[dict[str, str]]:
    """The rows of one of the folder's tables."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def sample(
    name: str, family: str, ops: Sequence[Op], ms: float, *, role: Role = "judged", weight: float = 1.0
) -> Sample:
    """A sample of the operators, with the terms for every cache size."""
    return Sample(
        name=name,
        family=family,
        role=role,
        macs=sum(map(op_macs, ops)),
        pixels=ops[0].height * ops[0].width,
        ms=ms,
        terms=ops_terms(ops),
        far_terms=tuple((size, ops_terms(ops, size)) for size in CACHES),
        weight=weight,
    )


# Snapdragon 810, ShuffleNet v2 (arXiv:1807.11164).

NETWORKS_810: dict[tuple[str, str], Make] = {
    ("ShuffleNet v2", "0.5"): lambda: nets.shufflenet_v2((48, 96, 192)),
    ("ShuffleNet v2", "1"): lambda: nets.shufflenet_v2((116, 232, 464)),
    ("ShuffleNet v2", "1.5"): lambda: nets.shufflenet_v2((176, 352, 704)),
    ("ShuffleNet v2", "2"): lambda: nets.shufflenet_v2((244, 488, 976), 2048),
    ("ShuffleNet v2 + SE", "2"): lambda: nets.shufflenet_v2((244, 488, 976), 2048, se=True),
    ("MobileNet v1", "0.25"): lambda: nets.mobilenet_v1(0.25),
    ("MobileNet v1", "0.5"): lambda: nets.mobilenet_v1(0.5),
    ("MobileNet v1", "0.75"): lambda: nets.mobilenet_v1(0.75),
    ("MobileNet v1", "1"): lambda: nets.mobilenet_v1(1),
    ("MobileNet v2", "0.15"): lambda: nets.mobilenet_v2(0.15),
    ("MobileNet v2", "0.4"): lambda: nets.mobilenet_v2(0.4, 160),
    ("MobileNet v2", "0.6"): lambda: nets.mobilenet_v2(0.6),
    ("MobileNet v2", "0.75"): lambda: nets.mobilenet_v2(0.75, 192),
    ("MobileNet v2", "1"): lambda: nets.mobilenet_v2(1),
    ("MobileNet v2", "1.4"): lambda: nets.mobilenet_v2(1.4),
    ("Xception", "0.5"): lambda: nets.xception_like(72, 12),
    ("Xception", "1"): lambda: nets.xception_like(144, 24),
    ("Xception", "1.5"): lambda: nets.xception_like(216, 24),
    ("Xception", "2"): lambda: nets.xception_like(288, 24),
    ("IGCV3-D (0.7)", ""): lambda: nets.igcv3(0.7),
    ("IGCV3-D", ""): lambda: nets.igcv3(1),
    ("IGCV3-D (1.4)", ""): lambda: nets.igcv3(1.4),
}

# Why a printed network is not among the samples; those that NETWORKS_810 builds are left out by their MFLOPs.
LEFT_OUT_810 = {
    "DenseNet": "the paper's own variant, whose layers it does not print",
    "IGCV2-0.25": "interleaved sparse kernels, whose partition is not printed",
    "IGCV2-0.5": "interleaved sparse kernels, whose partition is not printed",
    "IGCV2-1.0": "interleaved sparse kernels, whose partition is not printed",
    "MobileNet v2 (our impl.)": "the same figures as MobileNet v2",
    "NASNet-A (4@1056)": "cells of many branches, which no space here makes",
    "PNASNet-5": "cells of many branches, which no space here makes",
}


def snapdragon_810_pieces() -> list[Sample]:
    """Tables 1, 2 and 4; table 3 does not print the widths of its fragments."""
    found: list[Sample] = []
    with_sum: dict[tuple[str, str], float] = {}
    for row in rows_of("snapdragon-810-pieces.csv"):
        first, second, groups = (int(row[key]) for key in ("channels_first", "channels_second", "groups"))
        ms = 1000 / float(row["images_per_s"])
        name = f"table {row['table']}: {first}"
        if row["table"] == "1":
            ops = nets.pointwise_pairs(first, second)
            name += f" and {second} channels"
        elif row["table"] == "2":
            # The printed 180 channels are no multiple of 8; 184 are run in their place.
            ops = nets.grouped_pointwise(-(-first // groups) * groups, groups)
            name += f" channels in {groups} groups"
        else:
            shortcut, relu = row["shortcut"] == "yes", row["relu"] == "yes"
            ops = nets.bottlenecks(first, shortcut=shortcut, relu=relu)
            name += f" channels, {'with' if shortcut else 'no'} shortcut, {'with' if relu else 'no'} ReLU"
            if shortcut:
                with_sum[row["channels_first"], row["relu"]] = ms
            else:
                with_sum[row["channels_first"], row["relu"]] -= ms
        found.append(sample(name, "pieces", ops, ms, role="piece", weight=PIECE_WEIGHT))
    for channels in sorted({int(channels) for channels, _ in with_sum}):
        # What the sums alone take, as the mean difference with and without ReLU.
        ms = (with_sum[str(channels), "yes"] + with_sum[str(channels), "no"]) / 2
        ops = nets.shortcuts(channels)
        found.append(sample(f"table 4: sums of {channels}", "pieces", ops, ms, role="piece", weight=PIECE_WEIGHT))
    return found


def networks_810() -> list[tuple[str, float, Sample]]:
    """Every network of table 8 that can be built, with its printed MFLOPs' ratio to the counted ones."""
    found = []
    for row in rows_of("snapdragon-810-networks.csv"):
        if row["model"] in LEFT_OUT_810:
            continue
        ops = NETWORKS_810[row["model"], row["scale"]]()
        name = f"{row['model']} {row['scale']}".strip()
        # The one network with SE says what SE costs; without it there is nothing to predict it from.
        role: Role = "known" if row["model"].endswith("SE") else "judged"
        family = row["model"].partition(" + ")[0].partition(" (")[0]
        one = sample(name, family, ops, 1000 / float(row["images_per_s"]), role=role)
        found.append((name, one.macs / 1e6 / float(row["mflops"]), one))
    return found


@cache
def snapdragon_810() -> tuple[Sample, ...]:
    """Tables 1, 2, 4 and 8, without the networks whose counted MFLOPs are not the printed ones."""
    networks = [one for _, ratio, one in networks_810() if abs(ratio - 1) <= MFLOPS_TOLERANCE]
    return (*snapdragon_810_pieces(), *networks)


# Snapdragon 820, ShuffleNet (arXiv:1707.01083, Table 8).


@cache
def snapdragon_820() -> tuple[Sample, ...]:
    """Table 8. AlexNet is built without its classifier, which does not fit an image of 480x640."""
    found = []
    for row in rows_of("snapdragon-820-networks.csv"):
        height, width = (480, 640) if row["resolution"] == "480x640" else (224, 224)
        if row["model"] == "ShuffleNet":
            first, stem = {"0.5": (120, 12), "1": (240, 24), "2": (480, 48)}[row["scale"]]
            ops, name = nets.shufflenet_v1(3, first, stem), f"ShuffleNet {row['scale']}x g=3"
        elif row["model"] == "MobileNet":
            ops, name = nets.mobilenet_v1(1, height, width), "MobileNet"
        else:
            # 224 in the paper; its 55x55 first output needs 227, or padding.
            ops, name = nets.alexnet_features(max(height, 227), max(width, 227)), "AlexNet"
        # The one network whose layers are larger than 1x1 says what those cost.
        role: Role = "known" if row["model"] == "AlexNet" else "judged"
        found.append(sample(f"{name} @{row['resolution']}", row["model"], ops, float(row["ms"]), role=role))
    return tuple(found)


# ncnn's published benchmark list, one thread.

# In the table and not among the samples: dominated by classifiers of 60 to 120 million weights, as no space here has.
LEFT_OUT_NCNN = ("alexnet", "vgg16")

NETWORKS_NCNN: dict[str, tuple[str, Make]] = {
    **{one.benchncnn: (one.family, partial(nets.known, one.name)) for one in KNOWN.values() if one.benchncnn},
    "mobilenet_ssd": ("MobileNet", nets.mobilenet_ssd),
    "yolov4-tiny": ("YOLO", nets.yolov4_tiny),
}

# Device and core as the list prints them -> name of the profile.
NCNN_DEVICES = {
    ("Khadas VIM3", "Cortex-A73"): "ncnn-khadas-vim3",
    ("Kirin 970 phone", "Cortex-A73"): "ncnn-kirin-970",
    ("Raspberry Pi 4B (1.8GHz)", "Cortex-A72"): "ncnn-raspberry-pi-4",
    ("Raspberry Pi Zero 2 W", "Cortex-A53"): "ncnn-raspberry-pi-zero-2",
    ("Redmi Note 7", "Cortex-A73(Kryo260)"): "ncnn-redmi-note-7",
    ("Nexus 6P", "Cortex-A57"): "ncnn-nexus-6p",
    ("NanoPC-T4 / RK3399", "Cortex-A72"): "ncnn-rk3399-a72",
    ("NanoPC-T4 / RK3399", "Cortex-A53"): "ncnn-rk3399-a53",
    ("Jetson Nano", "Cortex-A57"): "ncnn-jetson-nano",
    ("OnePlus 7T", "Cortex-A76(Kryo485)"): "ncnn-oneplus-7t",
    ("Station-M2", "Cortex-A55"): "ncnn-station-m2",
    ("Jetson AGX Orin", "Cortex-A78AE"): "ncnn-jetson-agx-orin",
    ("ROCK 5B", "Cortex-A76"): "ncnn-rock-5b",
}


@cache
def _ncnn_network(model: str) -> tuple[Op, ...]:
    return NETWORKS_NCNN[model][1]()


@cache
def ncnn(device: str, core: str) -> tuple[Sample, ...]:
    """One device's networks, each at its average over the loops."""
    return tuple(
        sample(row["model"], NETWORKS_NCNN[row["model"]][0], _ncnn_network(row["model"]), float(row["avg_ms"]))
        for row in rows_of("ncnn-devices.csv")
        if (row["device"], row["core"]) == (device, core) and row["model"] in NETWORKS_NCNN
    )


# Blocks of other searches' tables: no profile is made of them, but the forms are tried on them.


def _difference(block: Sequence[Op], skip: Sequence[Op], cache_bytes: int | None) -> Terms:
    without = ops_terms(skip, cache_bytes)
    return {term: value - without[term] for term, value in ops_terms(block, cache_bytes).items()}


@cache
def raspberry_pi_4_blocks() -> tuple[Sample, ...]:
    """HW-NAS-Bench's FBNet blocks: what each takes beyond the one that skips, which is a 1x1 convolution or nothing.

    All blocks of a shape are held out together.
    """
    found = []
    for row in rows_of("raspberry-pi-4-blocks.csv"):
        side, read, made, stride, expansion, kernel, groups = (
            int(row[key])
            for key in ("side", "channels_in", "channels_out", "stride", "expansion", "kernel", "groups")
        )
        block, skip = (
            nets.inverted_residual(
                read, read * expansion, made, side, kernel=kernel, stride=stride, groups=groups, expands=True
            ),
            nets.skip(read, made, side, stride),
        )
        shape = f"{side}x{side}, {read} to {made}"
        found.append(
            Sample(
                name=f"{shape}, k={kernel} e={expansion} g={groups}",
                family=shape,
                role="judged",
                macs=sum(map(op_macs, block)),
                pixels=side * side,
                ms=float(row["ms_beyond_skip"]),
                terms=_difference(block, skip, None),
                far_terms=tuple((size, _difference(block, skip, size)) for size in CACHES),
            )
        )
    return tuple(found)


@cache
def note_10_blocks() -> tuple[Sample, ...]:
    """Once-for-all's blocks on a Galaxy Note 10; none is grouped. All blocks of a shape are held out together."""
    found = []
    for row in rows_of("note-10-blocks.csv"):
        side, read, inner, made, kernel, stride = (
            int(row[key]) for key in ("side", "channels_in", "channels_inner", "channels_out", "kernel", "stride")
        )
        gated = rounded(inner / 4, 8) if row["se"] == "1" else 0
        block = nets.inverted_residual(read, inner, made, side, kernel=kernel, stride=stride, squeezed=gated)
        shape = f"{side}x{side}, {read} to {made}"
        found.append(sample(f"{shape}, k={kernel} of {inner}", shape, block, float(row["ms"])))
    return tuple(found)
