"""The plan of a full training from the data and processes at hand, and what to expect of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

import torch

from snsearch.finals.plan import FinalPlan, Precision, batch_of, class_weights, rate_of
from snsearch.finals.ranks import Ranks
from snsearch.finals.recipe import FinalRecipe
from snsearch.network import AnyNetwork, network_of
from snsearch.training import Feeds, expect, half_precision_of
from snsearch.units import format_bytes, format_duration


def plan_of(
    arch: AnyNetwork,
    feeds: Feeds,
    ranks: Ranks,
    recipe: FinalRecipe,
    *,
    batch: int | None,
    learning_rate: float | None,
    accumulate: int,
    precision: Precision | Literal["auto"],
    **others: Any,
) -> FinalPlan:
    """The plan of these choices; None and "auto" follow the recipe, the data and the device. Raises SpecError."""
    labels = feeds.train.labels
    size = batch_of(recipe, len(labels), batch, ranks.count * accumulate)
    if precision == "auto":
        precision = "float32" if half_precision_of(ranks.device) is None else "bfloat16"
    counts = torch.bincount(labels, minlength=len(feeds.classes)).tolist()
    return FinalPlan(
        key=arch.key,
        recipe=recipe,
        fingerprint=feeds.fingerprint,
        classes=feeds.classes,
        train_images=len(labels),
        epochs=recipe.epochs,
        batch_size=size,
        learning_rate=rate_of(recipe, size) if learning_rate is None else learning_rate,
        accumulate=accumulate,
        processes=ranks.count,
        precision=precision,
        class_weights=class_weights(counts, recipe.balance),
        **others,
    )


def what_is_trained(plan: FinalPlan, feeds: Feeds, ranks: Ranks, threads: int) -> Iterator[str]:
    """Data, splits, recipe and what to expect, in lines."""
    if feeds.description is not None:
        yield from feeds.description.lines()
    if feeds.streamed:
        yield "  images are decoded as they are needed"
    yield "  epochs are chosen between by validation images; the test images are looked at once, at the end"
    yield from plan.lines()
    where = f"  trained at {feeds.channels}x{feeds.side}x{feeds.side} on {ranks.device}"
    if ranks.device.type != "cpu":
        yield f"{where}; the time left is told after the first epoch"
        return
    expected = expect(
        [network_of(plan.key)],
        batch_size=plan.batch_size // plan.accumulate // plan.processes,
        images_per_training=plan.steps * plan.batch_size,
        trainings=1,
        workers=1,
        data_bytes=0 if feeds.streamed else len(feeds.train.labels) * feeds.channels * feeds.side**2,
    )
    cores = threads * plan.processes
    yield (
        f"{where} with {cores} thread{'s' if cores > 1 else ''}; expected: about "
        f"{format_duration(expected.seconds / cores)} on idle cores, and {format_bytes(expected.memory)} of memory; "
        "the time left is told after each epoch"
    )
    processors, load = os.cpu_count() or 1, os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if threads > 1 and load > processors:
        yield (
            f"  remark: other processes keep this machine busy (load {load:.1f}, {processors} processors); threads "
            "that wait for each other can take many times as long then: --threads 1 may be faster"
        )
