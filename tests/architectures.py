"""Architectures for the tests: hypothesis strategies for every structure unit, and the paper's networks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from snsearch.network.arch import Architecture

UNIT_KINDS = ("shufflenet", "bottleneck", "plain", "separable", "interleaved")


def shufflenet(groups: int | tuple[int, ...], *stage_channels: int, stem: int = 24, **changes: Any) -> Architecture:
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
    bottleneck = draw(st.integers(1, 6))
    stages = draw(st.integers(1, 4))

    def per_stage(alike: st.SearchStrategy[int], mixed: st.SearchStrategy[int]) -> list[int]:
        each = st.lists(mixed, min_size=stages, max_size=stages)
        return draw(st.one_of(alike.map(lambda one: [one] * stages), each))

    groups = per_stage(st.integers(1, 16), st.sampled_from((1, 2, 3, 4, 8)))
    if unit == "shufflenet":
        stem = groups[0] * draw(st.integers(1, 12))
        # A unit of stride 1 adds its shortcut and keeps its width; one of stride 2 concatenates and widens.
        strides = [2, *(draw(st.sampled_from((2, 2, 2, 1))) for _ in range(stages - 1))]
        widths: list[int] = []
        for index, stride in enumerate(strides):
            if stride == 1:
                widths.append(widths[-1])
                continue
            # What the stage's own convolutions divide by, those of stages with its width, and the first one after.
            end = next((i for i in range(index + 1, stages) if strides[i] == 2), stages)
            step = math.lcm(*(bottleneck * count for count in groups[index:end]), *groups[end : end + 1])
            before = widths[-1] if widths else stem
            widths.append((before // step + draw(st.integers(1, 8))) * step)
    elif unit == "interleaved":
        stem = groups[0] * draw(st.integers(1, 12))
        # A stage's own convolutions divide its width, and so does the first one of the next stage.
        steps = [math.lcm(*groups[index : index + 2]) for index in range(stages)]
        widths = [step * draw(st.integers(1, 8)) for step in steps]
        strides = draw(st.lists(st.integers(1, 3), min_size=stages, max_size=stages))
    else:
        stem = draw(st.integers(1, 64))
        widths = draw(st.lists(st.integers(1, 300), min_size=stages, max_size=stages))
        strides = draw(st.lists(st.integers(1, 3), min_size=stages, max_size=stages))
    return Architecture(
        unit=unit,
        groups=tuple(groups),
        bottleneck=bottleneck,
        shuffle=draw(st.booleans()),
        se_reduction=tuple(per_stage(st.sampled_from((0, 0, 4, 16)), st.sampled_from((0, 4, 16)))),
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
