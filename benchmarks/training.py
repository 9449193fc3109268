"""Images a second of proxy training against a plain loop over a hand-written ShuffleNet with a torch DataLoader.

Same networks, data, batch size and optimiser rule; one process, interleaved repeats; one thread and two. The plain
loop is what one would write first: a module of the paper's units in torch's default layout, a channel shuffle by
view and transpose, images decoded from uint8 in the data set's __getitem__, AdamW as it comes. Writes
results/training.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space
from snsearch.training.data import Images
from snsearch.training.proxy import ProxyTraining
from snsearch.training.recipe import Recipe
from snsearch.training.sources import load_data

IMAGES = 3200
BATCH = 64
REPEATS = 5
NETS = {"0.25x g=8": (0.25, 8), "0.5x g=3": (0.5, 3), "1x g=3": (1.0, 3)}


class PlainUnit(nn.Module):
    """The paper's unit, written out."""

    def __init__(self, channels_in: int, channels_out: int, groups: int, stride: int, first_groups: int) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        inner = channels_out // 4
        branch_out = channels_out - channels_in if stride == 2 else channels_out
        self.expand = nn.Sequential(
            nn.Conv2d(channels_in, inner, 1, groups=first_groups, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
        )
        self.rest = nn.Sequential(
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, branch_out, 1, groups=groups, bias=False),
            nn.BatchNorm2d(branch_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        branch = self.expand(x)
        n, c, h, w = branch.shape
        branch = branch.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        branch = self.rest(branch)
        if self.stride == 2:
            return functional.relu(torch.cat((functional.avg_pool2d(x, 3, 2, 1), branch), 1))
        return functional.relu(x + branch)


def plain_network(arch: Architecture) -> nn.Module:
    """The architecture as a hand-written nn.Sequential."""
    layers: list[nn.Module] = [
        nn.Conv2d(arch.input_channels, arch.stem_channels, 3, arch.stem_stride, 1, bias=False),
        nn.BatchNorm2d(arch.stem_channels),
        nn.ReLU(),
    ]
    width = arch.stem_channels
    for stage, (channels, repeats) in enumerate(zip(arch.stage_channels, arch.stage_repeats, strict=True)):
        for unit in range(repeats):
            first = 1 if stage == unit == 0 else arch.groups[stage]
            layers.append(PlainUnit(width, channels, arch.groups[stage], 1 if unit else 2, first))
            width = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, arch.classes))


class PlainImages(Dataset[tuple[Tensor, Tensor]]):
    """Images one by one, as a DataLoader takes them."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return (self.images.pixels[index].float() / 255 - 0.28) / 0.35, self.images.labels[index]


def train_plain(arch: Architecture, images: Images) -> float:
    """Images a second of the plain loop."""
    network = plain_network(arch).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.02)
    loader = DataLoader(PlainImages(images), batch_size=BATCH, shuffle=True, drop_last=True)
    start = time.perf_counter()
    for x, labels in loader:
        optimizer.zero_grad()
        functional.cross_entropy(network(x), labels).backward()
        optimizer.step()
    return len(images) / (time.perf_counter() - start)


def main() -> None:
    dataset = load_data("fashion-mnist")
    images = dataset.train.take(torch.arange(IMAGES))
    space = load_space("shufflenet-v1")
    recipe = Recipe(images=IMAGES, batch_size=BATCH, test_images=1, curve_points=1)
    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name, (scale, groups) in NETS.items():
            deployed = scaled(space, Design(groups=groups, scale=scale), mflops_budget(1)).architecture
            arch = deployed.at_input(channels=1, resolution=(32, 32), classes=10)
            weights = sum(parameter.numel() for parameter in plain_network(arch).parameters())
            assert weights == count_costs(arch).params, "the plain network is the same network"
            ours, plain, ratios = [], [], []
            for repeat in range(REPEATS + 1):
                training = ProxyTraining(deployed, dataset, recipe, seed=0, device=torch.device("cpu"))
                start = time.perf_counter()
                training.advance()
                fast = IMAGES / (time.perf_counter() - start)
                slow = train_plain(arch, images)
                if repeat:  # the first round warms up
                    ours.append(fast)
                    plain.append(slow)
                    ratios.append(fast / slow)
            rows.append(
                {
                    "network": name,
                    "threads": threads,
                    "images_per_second": ours,
                    "plain_images_per_second": plain,
                    "ratio": statistics.median(ratios),
                    "ratio_spread": [min(ratios), max(ratios)],
                }
            )
            print(
                f"{name}, {threads} threads: {statistics.median(ours):,.0f} images/s against "
                f"{statistics.median(plain):,.0f}, x{statistics.median(ratios):.2f} "
                f"[{min(ratios):.2f}, {max(ratios):.2f}]",
                flush=True,
            )
    result = {
        "what": "images a second of a training epoch of 32x32 images, batch 64, against a plain loop",
        "repeats": REPEATS,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cores": os.cpu_count(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "training.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
