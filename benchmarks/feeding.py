"""How much of a step a training waits for streamed JPEGs. Writes results/feeding.json.

python -m benchmarks.feeding    # one trainer on one thread, and one decoder, on two cores that are free

The JPEGs have 64 pixels a side, as the training has; the network is a ShuffleNet of some 40 MFLOPs at 224 pixels.
"""

from __future__ import annotations

import io
import json
import os
import platform
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from snsearch.finals.loop import FinalTraining
from snsearch.finals.planning import plan_of
from snsearch.finals.ranks import Ranks
from snsearch.finals.recipe import load_recipe
from snsearch.finals.starting import started
from snsearch.network import Architecture
from snsearch.training.feeds import Feeds, Order, StreamedFeed, open_feeds

KEY = "shufflenet.g3.b4.shuffle_stem12s2p_120x4s2-240x8s2-480x4s2_3x224x224_c1000"
SIDE, IMAGES, CLASSES = 64, 3000, 10


def make_images(folder: Path) -> None:
    """JPEGs with the spectrum of photographs, roughly: noise at several scales."""
    for number in range(IMAGES):
        rng = np.random.default_rng(number)
        values = np.full((SIDE, SIDE, 3), 128.0)
        for side in (2, 4, 8, 16, 32, 64):
            noise = rng.normal(0, 300 / side**0.7, (side, side, 3)).clip(-128, 127).astype(np.int8)
            values += noise.repeat(SIDE // side, 0).repeat(SIDE // side, 1)
        path = folder / str(number % CLASSES) / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        file = io.BytesIO()
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        path.write_bytes(file.getvalue())


class Timed:
    """A feed that notes how long each batch was waited for."""

    def __init__(self, feed: StreamedFeed) -> None:
        self.labels = feed.labels
        self.waits: list[float] = []
        self._feed = feed

    def batches(self, order: Order) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The feed's batches."""
        inner = self._feed.batches(order)
        while True:
            before = time.perf_counter()
            batch = next(inner, None)
            self.waits.append(time.perf_counter() - before)
            if batch is None:
                return
            yield batch


def measured(feeds: Feeds) -> dict[str, float]:
    """The share of an epoch's time that it waited, without its first step, in which the decoder starts.

    The trainer's CPU time does not depend on other work of the machine: without a decoder it holds the decoding too.
    """
    assert isinstance(feeds.train, StreamedFeed)
    timed = Timed(feeds.train)
    ranks = Ranks(device=torch.device("cpu"))
    arch = Architecture.from_key(KEY).at_input(channels=3, resolution=(SIDE, SIDE), classes=CLASSES)
    plan = plan_of(
        arch, feeds, ranks, replace(load_recipe("paper"), epochs=1), batch=64, learning_rate=None, accumulate=1,
        precision="float32", data="made", seed=0,
    )  # fmt: skip
    training = FinalTraining(plan, replace(feeds, train=timed), started(arch, 0, feeds.classes, None), ranks, None)
    ends: list[float] = []
    used: list[float] = []

    def after_step(loss: float | None) -> bool:
        ends.append(time.perf_counter())
        used.append(time.process_time())
        return len(ends) < plan.steps

    training.advance(after_step)
    whole, waited = ends[-1] - ends[0], sum(timed.waits[1 : len(ends)])
    steps = len(ends) - 1
    return {
        "steps": steps,
        "ms_per_step": 1e3 * whole / steps,
        "cpu_ms_per_step": 1e3 * (used[-1] - used[0]) / steps,
        "waiting": waited / whole,
    }


def main() -> None:
    """Prints and writes the shares of one decoder, and of none."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "feeding.json")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    found: dict[str, object] = {"host": platform.processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder))
        for decoders in (1, 0):
            feeds = open_feeds(folder, SIDE, stream=True, workers=decoders)
            found[f"decoders_{decoders}"] = measured(feeds)
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
