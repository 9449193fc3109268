"""Weights under torchvision's names: modules that are built as torchvision builds them compute the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from snsearch.network.known.catalogue import network_of
from snsearch.network.known.torchvision import _NAMES, in_own_names, torchvision_names
from snsearch.network.torch_model import build_model
from snsearch.training.weights_file import load_into


def conv_norm(
    channels_in: int, channels: int, kernel: int, stride: int = 1, groups: int = 1, act: nn.Module | None = None,
    eps: float = 1e-5,
) -> nn.Sequential:  # fmt: skip
    layers = [
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels, eps=eps),
    ]
    return nn.Sequential(*layers, *([] if act is None else [act]))


class Basic(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = conv_norm(channels_in, channels, 1, stride) if channels_in != channels else None

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + kept)


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        widths = (64, 64, 128, 256, 512)
        for number, (read, made) in enumerate(pairwise(widths), start=1):
            units = nn.Sequential(Basic(read, made, 1 if number == 1 else 2), Basic(made, made, 1))
            self.add_module(f"layer{number}", units)
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(x.mean((2, 3)))


class Gate(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.hardsigmoid(gate)


class Inverted(nn.Module):
    def __init__(self, read: int, kernel: int, inner: int, made: int, squeezed: int, hard: bool, stride: int) -> None:
        super().__init__()
        act, eps = (nn.Hardswish() if hard else nn.ReLU()), 1e-3
        parts: list[nn.Module] = [] if inner == read else [conv_norm(read, inner, 1, act=act, eps=eps)]
        parts.append(conv_norm(inner, inner, kernel, stride, inner, act, eps))
        parts += [Gate(inner, squeezed)] if squeezed else []
        self.block = nn.Sequential(*parts, conv_norm(inner, made, 1, eps=eps))
        self.adds = stride == 1 and read == made

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x) + x if self.adds else self.block(x)


class MobileNetV3Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        rows = (
            (16, 3, 16, 16, 8, False, 2), (16, 3, 72, 24, 0, False, 2), (24, 3, 88, 24, 0, False, 1),
            (24, 5, 96, 40, 24, True, 2), (40, 5, 240, 40, 64, True, 1), (40, 5, 240, 40, 64, True, 1),
            (40, 5, 120, 48, 32, True, 1), (48, 5, 144, 48, 40, True, 1), (48, 5, 288, 96, 72, True, 2),
            (96, 5, 576, 96, 144, True, 1), (96, 5, 576, 96, 144, True, 1),
        )  # fmt: skip
        stem = conv_norm(3, 16, 3, 2, act=nn.Hardswish(), eps=1e-3)
        last = conv_norm(96, 576, 1, act=nn.Hardswish(), eps=1e-3)
        self.features = nn.Sequential(stem, *(Inverted(*row) for row in rows), last)
        self.classifier = nn.Sequential(nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1024, 1000))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class Split(nn.Module):
    def __init__(self, read: int, made: int, stride: int) -> None:
        super().__init__()
        half, self.stride = made // 2, stride
        act = nn.ReLU()
        self.branch1 = nn.Sequential()
        if stride == 2:
            self.branch1 = nn.Sequential(*conv_norm(read, read, 3, 2, read), *conv_norm(read, half, 1, act=act))
        self.branch2 = nn.Sequential(
            *conv_norm(read if stride == 2 else half, half, 1, act=act),
            *conv_norm(half, half, 3, stride, half),
            *conv_norm(half, half, 1, act=act),
        )

    def forward(self, x: Tensor) -> Tensor:
        one, two = (x, x) if self.stride == 2 else x.chunk(2, 1)
        y = torch.cat([self.branch1(one), self.branch2(two)], 1)
        return nn.functional.channel_shuffle(y, 2)


class ShuffleNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_norm(3, 24, 3, 2, act=nn.ReLU())
        widths = (24, 48, 96, 192)
        for stage, (read, made, units) in enumerate(zip(widths, widths[1:], (4, 8, 4), strict=False), start=2):
            rest = (Split(made, made, 1) for _ in range(units - 1))
            self.add_module(f"stage{stage}", nn.Sequential(Split(read, made, 2), *rest))
        self.conv5, self.fc = conv_norm(192, 1024, 1, act=nn.ReLU()), nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.conv1(x), 3, 2, 1)
        for stage in range(2, 5):
            x = self.get_submodule(f"stage{stage}")(x)
        return self.fc(self.conv5(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("resnet-18", ResNet18), ("mobilenet-v3-small", MobileNetV3Small), ("shufflenet-v2-0.5x", ShuffleNetV2)],
)
def test_a_module_built_as_torchvision_does_computes_the_same(name: str, kind: type[nn.Module]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = kind().eval()
        for part in theirs.modules():
            if isinstance(part, nn.BatchNorm2d):
                assert part.running_var is not None
                assert part.running_mean is not None
                nn.init.uniform_(part.running_var, 0.5, 1.5)
                nn.init.uniform_(part.running_mean, -0.2, 0.2)
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.uniform_(part.bias, -0.2, 0.2)
        images = torch.randn(2, 3, 64, 64)
    network = network_of(name)
    ours = build_model(network)
    load_into(ours, in_own_names(network, theirs.state_dict()), "theirs")
    with torch.no_grad():
        expected, found = theirs(images), ours.eval()(images)
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("name", sorted(_NAMES))
def test_every_layer_has_a_name_and_weights_go_back_and_forth(name: str) -> None:
    network = network_of(name)
    own = build_model(network).state_dict()
    names = torchvision_names(network)
    assert len(set(names.values())) == len(names)
    assert set(names) == {key.rpartition(".")[0] for key in own}
    theirs = {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in own.items()}
    assert set(in_own_names(network, theirs)) == set(own)
    assert in_own_names(network, own).keys() == own.keys()


def test_names_are_those_of_torchvision() -> None:
    for name, theirs in (
        ("mobilenet-v2-1x", ["features.1.conv.0.0", "features.1.conv.1", "features.18.1", "classifier.1"]),
        ("mobilenet-v3-large", ["features.4.block.2.fc2", "features.16.0", "classifier.3"]),
        ("efficientnet-b0", ["features.1.0.block.1.fc1", "features.7.0.block.3.1", "features.8.0", "classifier.1"]),
        ("squeezenet-1.0", ["features.0", "features.5.expand3x3", "features.12.squeeze", "classifier.1"]),
        ("squeezenet-1.1", ["features.3.squeeze", "features.6.expand1x1", "classifier.1"]),
    ):
        assert set(theirs) <= set(torchvision_names(network_of(name)).values())
    assert torchvision_names(network_of("resnet-50")) == {}
