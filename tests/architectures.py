"""Architectures for the tests: hypothesis strategies for every structure unit, and the paper's networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from snsearch.network.arch import Architecture

UNIT_KINDS = ("shufflenet", "bottleneck", "plain", "separable")


def shufflenet(groups: int, *stage_channels: int, stem: int = 24, **changes: Any) -> Architecture:
    """ShuffleNet as Table 1 of arXiv:1707.01083 lays it out, with the changes asked for."""
    arch = Architecture(
        unit="shufflenet",
        groups=groups,
        bottleneck=4,
        shuffle=True,
        se_reduction=0,
        stem_channels=stem,
        stem_stride=2,
        stem_pool=True,
        stage_channels=stage_channels,
        stage_repeats=(4, 8, 4)[: len(stage_channels)],
        stage_strides=(2,) * len(stage_channels),
        input_channels=3,
        resolution=(224, 224),
        classes=1000,
    )
    return replace(arch, **changes)


@st.composite
def architectures(
    draw: st.DrawFn, units: tuple[str, ...] = UNIT_KINDS, least_side: int = 1, most_repeats: int = 6
) -> Architecture:
    """Architectures that can be built, of any unit, width, depth and input."""
    unit = draw(st.sampled_from(units))
    groups = draw(st.integers(1, 16))
    bottleneck = draw(st.integers(1, 6))
    stages = draw(st.integers(1, 4))
    if unit == "shufflenet":
        step = groups * bottleneck
        stem = groups * draw(st.integers(1, 12))
        widths: list[int] = []
        strides: list[int] = []
        for index in range(stages):
            # A unit of stride 1 adds its shortcut and keeps its width; one of stride 2 concatenates and widens.
            stride = draw(st.sampled_from((2, 2, 2, 1))) if index else 2
            before = widths[-1] if widths else stem
            widths.append(before if stride == 1 else (before // step + draw(st.integers(1, 8))) * step)
            strides.append(stride)
    else:
        stem = draw(st.integers(1, 64))
        widths = draw(st.lists(st.integers(1, 300), min_size=stages, max_size=stages))
        strides = draw(st.lists(st.integers(1, 3), min_size=stages, max_size=stages))
    return Architecture(
        unit=unit,
        groups=groups,
        bottleneck=bottleneck,
        shuffle=draw(st.booleans()),
        se_reduction=draw(st.sampled_from((0, 0, 4, 16))),
        stem_channels=stem,
        stem_stride=draw(st.integers(1, 2)),
        stem_pool=draw(st.booleans()),
        stage_channels=tuple(widths),
        stage_repeats=tuple(draw(st.lists(st.integers(1, most_repeats), min_size=stages, max_size=stages))),
        stage_strides=tuple(strides),
        input_channels=draw(st.integers(1, 4)),
        resolution=draw(st.tuples(st.integers(least_side, 1280), st.integers(least_side, 1280))),
        classes=draw(st.integers(1, 100_000)),
    )
