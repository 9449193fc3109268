"""Expected memory and time, memory that is free, and manifests of images."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from snsearch.network.arch import Architecture
from snsearch.training.expectation import expect
from snsearch.training.manifest import difference_of, keep_manifest, kept_difference, manifest_of
from snsearch.training.memory import available_memory, ran_out_of_memory

_KEY = "shufflenet.g{}.b4.shuffle_stem24s2p_{}x4s2-{}x8s2-{}x4s2_3x{}x{}_c10"

# Measured on one core of an x86-64 server: what a training of batches of 64 took beyond a process that has loaded
# torch (230 MiB), in MiB, and seconds of CPU time per image.
MEASURED = [
    (3, 240, 32, 374, 0.0049), (3, 240, 64, 421, 0.0060), (3, 240, 96, 697, 0.0143),
    (8, 384, 32, 422, 0.0069), (8, 384, 64, 530, 0.0069), (8, 384, 96, 796, 0.0183),
    (1, 72, 32, 174, 0.0017), (1, 72, 64, 256, 0.0030), (1, 72, 96, 433, 0.0059),
    (3, 480, 32, 547, 0.0146), (3, 480, 64, 617, 0.0155), (3, 480, 96, 1000, 0.0326),
]  # fmt: skip


@pytest.mark.parametrize(("groups", "width", "side", "mib", "seconds"), MEASURED)
def test_expectations_are_near_what_was_measured(
    groups: int, width: int, side: int, mib: float, seconds: float
) -> None:
    key = _KEY.format(groups, width, 2 * width, 4 * width, 224, 224)
    network = Architecture.from_key(key).at_input(channels=3, resolution=(side, side), classes=10)
    one = expect([network], batch_size=64, images_per_training=1000, trainings=3, workers=1, data_bytes=0)
    assert one.memory / 2**20 == pytest.approx(mib + 230, rel=0.35)
    assert one.seconds / 3000 == pytest.approx(seconds, rel=0.45)
    two = expect([network], batch_size=64, images_per_training=1000, trainings=3, workers=2, data_bytes=7)
    assert two.memory == 2 * one.memory + 7
    assert two.seconds == one.seconds / 2


def test_free_memory_is_a_number_of_bytes() -> None:
    assert 2**20 < available_memory() < 2**50


def test_a_manifest_says_what_was_added_removed_and_altered(tmp_path: Path) -> None:
    images = [(f"{number}.png", "cat", bytes([number])) for number in range(5)]
    before = manifest_of(images)
    assert before == manifest_of(reversed(images))
    relabelled = [*images[2:4], ("4.png", "dog", bytes([4])), ("5.png", "cat", b"5")]
    assert difference_of(before, manifest_of(relabelled)) == "the images changed: 1 added, 2 removed, 1 altered"
    assert difference_of(before, before).startswith("the images are the same files")
    assert difference_of(b"", before) == "the images or their labels changed"
    keep_manifest(tmp_path, before)
    keep_manifest(tmp_path, manifest_of(relabelled))  # the first one stays
    assert kept_difference(tmp_path, manifest_of(relabelled)).endswith("1 added, 2 removed, 1 altered")
    assert kept_difference(tmp_path / "nowhere", before) == "the images or their labels changed"


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"), True),
        (RuntimeError("std::bad_alloc"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (RuntimeError("no such kernel"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_that_say_that_memory_ran_out_are_told_from_others(error: Exception, is_memory: bool) -> None:
    assert ran_out_of_memory(error) == is_memory


@pytest.mark.parametrize("allocate", [lambda: np.empty(2**55), lambda: torch.empty(2**55)], ids=["numpy", "torch"])
def test_errors_of_numpy_and_torch_say_that_memory_ran_out(allocate: Callable[[], object]) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as raised:
        allocate()
    assert ran_out_of_memory(raised.value)
