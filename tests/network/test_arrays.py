"""Arrays of networks against each network on its own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from snsearch.errors import SpecError
from snsearch.network.arrays import StageArrays, array_block
from snsearch.network.costs import count_macs, peak_elements
from snsearch.network.graph import block_ops, blocks
from tests.architectures import shufflenet

UNITS = ("shufflenet", "bottleneck", "plain", "separable")


def _macs(counter: StageArrays, stems: list[int], widths: list[tuple[int, ...]]) -> list[float]:
    stem, columns = np.array(stems), [np.array(column) for column in zip(*widths, strict=True)]
    total = counter.stem(stem) + counter.head(columns[-1])
    for index, (before, after) in enumerate(zip([stem, *columns], columns, strict=False)):
        total = total + counter.stage(index, before, after)
    return [float(one) for one in total]


@pytest.mark.parametrize(
    ("unit", "strides"),
    [(unit, (2, 2, 2)) for unit in UNITS] + [(unit, (2, 1, 2)) for unit in UNITS if unit != "shufflenet"],
)
def test_macs_of_many_widths_equal_each_networks_own(unit: str, strides: tuple[int, ...]) -> None:
    random = Random(unit)
    arch = shufflenet((2, 1, 4), 48, 96, 192, unit=unit, stage_strides=strides)
    arch = replace(arch, se_reduction=(16, 0, 3), stage_repeats=(1, 3, 2))
    stems = [random.choice((3, 8, 12, 24)) for _ in range(400)]
    # The second stage is often as wide as the first: some units then need no convolution on their shortcut.
    firsts = [random.randrange(4, 80, 4) for _ in stems]
    widths = [(w, random.choice((w, random.randrange(4, 240, 4))), random.randrange(8, 500, 8)) for w in firsts]
    found = _macs(StageArrays(arch), stems, widths)

    buildable = 0
    for stem, stages, macs in zip(stems, widths, found, strict=True):
        try:
            expected = count_macs(replace(arch, stem_channels=stem, stage_channels=stages))
        except SpecError:
            assert np.isnan(macs)
        else:
            buildable += 1
            assert macs == expected
    assert buildable > 20


@pytest.mark.parametrize("unit", UNITS)
def test_peak_memory_of_many_widths_equals_each_ones_own(unit: str) -> None:
    arch = replace(shufflenet(2, 48, 96), unit=unit, se_reduction=8)
    _, first, further, *_ = (placed.spec for placed in blocks(arch))
    for spec in (first, further):
        outs = np.arange(48, 200, 8)
        ins = np.full_like(outs, 24) if spec is first else outs
        ops, valid = array_block(arch, spec._replace(channels_in=ins, channels_out=outs))  # type: ignore[arg-type]
        assert np.all(valid)
        peaks = peak_elements(ops, np.maximum, np.minimum)
        for before, after, peak in zip(ins.tolist(), outs.tolist(), peaks.tolist(), strict=True):
            assert peak == peak_elements(block_ops(arch, spec._replace(channels_in=before, channels_out=after)))
