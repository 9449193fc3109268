"""Known networks: their counts against printed ones and independent counters, and their torch modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import snsearch
from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs, count_macs
from snsearch.network.counters import count_with_torch
from snsearch.network.graph import OpGraph
from snsearch.network.known.catalogue import KNOWN, named, network_of
from snsearch.network.known.named import NamedNetwork
from snsearch.network.torch_model import build_model

SIDES = {"alexnet": 67, "squeezenet-1.0": 65, "squeezenet-1.1": 65, "googlenet": 65, "xception": 71}
SMALL_ONES = (
    "squeezenet-1.1",
    "resnet-18",
    "se-resnet-50",
    "regnety-400m",
    "xception",
    "mobilenet-v2-1x",
    "mobilenet-v3-small",
    "mnasnet-a1",
    "efficientnet-b0",
    "igcv3-d",
    "shufflenet-v2-0.5x",
    "nasnet-a-mobile",
)


def small(name: str, classes: int = 10) -> Any:
    side = SIDES.get(name, 64)
    return network_of(name).at_input(channels=3, resolution=(side, side + 32), classes=classes)


@pytest.mark.parametrize("one", snsearch.networks(), ids=lambda one: one.known.name)
def test_counts_are_within_one_percent_of_the_printed_ones_or_the_row_says_why(one: snsearch.KnownCount) -> None:
    far = [off for off in (one.mflops_deviation, one.params_deviation) if off is not None and abs(off) > 0.01]
    assert bool(far) == bool(one.reason)


@pytest.mark.parametrize(
    ("name", "params"),
    [  # as torchvision's code has them; Xception's: arXiv:1610.02357, Table 3
        ("vgg-16", 138_357_544),
        ("squeezenet-1.0", 1_248_424),
        ("squeezenet-1.1", 1_235_496),
        ("resnet-18", 11_689_512),
        ("resnet-50", 25_557_032),
        ("resnext-50", 25_028_904),
        ("regnety-400m", 4_344_144),
        ("xception", 22_855_952),
        ("mobilenet-v2-1x", 3_504_872),
        ("mobilenet-v3-large", 5_483_032),
        ("mobilenet-v3-small", 2_542_856),
        ("mnasnet-b1", 4_383_312),
        ("efficientnet-b0", 5_288_548),
        ("shufflenet-v2-0.5x", 1_366_792),
        ("shufflenet-v2-1x", 2_278_604),
        ("shufflenet-v2-1.5x", 3_503_624),
        ("shufflenet-v2-2x", 7_393_996),
        # as pytorchcv's README has them (osmr/imgclsmob); AlexNet's: BVLC's model
        ("alexnet", 60_965_224),
        ("se-resnet-50", 28_088_024),
        ("mobilenet-v1-0.25x", 470_072),
        ("mobilenet-v1-0.5x", 1_331_592),
        ("mobilenet-v1-0.75x", 2_585_560),
        ("mobilenet-v1-1x", 4_231_976),
        ("mnasnet-a1", 3_887_038),
        ("proxylessnas-mobile", 4_080_512),
        ("igcv3-d", 3_491_688),
        ("shufflenet-v1-0.5x-g3", 718_324),
        ("shufflenet-v1-1x-g1", 1_531_936),
        ("shufflenet-v1-1x-g2", 1_733_848),
        ("shufflenet-v1-1x-g3", 1_865_728),
        ("shufflenet-v1-1x-g4", 1_968_344),
        ("shufflenet-v1-1x-g8", 2_434_768),
        ("nasnet-a-mobile", 5_289_978),
    ],
)
def test_parameters_are_those_of_other_implementations_to_the_last_one(name: str, params: int) -> None:
    assert count_costs(named(KNOWN[name])).params == params


@pytest.mark.parametrize("name", SMALL_ONES)
def test_a_module_has_the_counted_operators(name: str) -> None:
    network = small(name)
    module = build_model(network).eval()
    assert sum(p.numel() for p in module.parameters()) == count_costs(network).params
    assert count_with_torch(module) == count_macs(network)


@pytest.mark.parametrize("name", ["mobilenet-v3-small", "shufflenet-v2-0.5x", "squeezenet-1.1"])
def test_a_named_network_is_trained_and_gets_another_classifier(name: str) -> None:
    module = snsearch.build(name, classes=4, resolution=64)
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.nn.functional.cross_entropy(module(x), torch.arange(4)).backward()
    assert all(p.grad is not None for p in module.parameters())
    module.reset_classifier(7)
    assert module.eval()(x).shape == (4, 7)
    assert module.architecture.classes == 7
    assert module.forward_head(module.forward_features(x)).shape == (4, 7)


def test_backbones_of_known_networks_have_four_strides() -> None:
    features = snsearch.build("mobilenet-v3-small", features_only=True).eval()
    info = features.feature_info
    assert (info.reduction(), info.channels()) == ([4, 8, 16, 32], [16, 24, 48, 576])
    assert [one["module"] for one in info.get_dicts()][-1] == "last.0"
    with torch.no_grad():
        assert [x.shape[1:] for x in features(torch.zeros(1, 3, 64, 96))] == [
            (c, 64 // s, 96 // s) for c, s in zip(info.channels(), info.reduction(), strict=True)
        ]


def test_keys_and_names_are_read_back() -> None:
    for known in KNOWN.values():
        network = network_of(known.name)
        assert network_of(network.key) == network
        assert isinstance(network, Architecture) == isinstance(known.network, Architecture)
    assert count_macs(network_of("mobilenet-v2-1x_3x96x96_c10")) < 60e6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobilenet-v2", "no network is named 'mobilenet-v2'; did you mean \"mobilenet-v2-1x\""),
        ("mobile_3x224x224_c10", "no network is named 'mobile'"),
        ("shufflenet-v1-1x-g3_3x32x32_c10", "is an architecture; its key is shufflenet.g3"),
        ("x", "no network is named 'x', and it is no key; expected a name of `snsearch networks`, or a key"),
        ("mobilenet_v2x", 'did you mean "mobilenet-v2-1x"'),
        ("x_stem", "not an architecture key"),
        ("mobilenet-v2-1x_0x224x224_c10", "expected positive numbers"),
    ],
)
def test_what_names_no_network_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        network_of(text)


def test_an_image_that_is_too_small_is_refused() -> None:
    with pytest.raises(SpecError, match="too small for a window of 3x3; the network needs larger images"):
        NamedNetwork(name="alexnet", input_channels=3, resolution=(40, 40), classes=10).blocks()


def test_operators_have_names_of_their_own() -> None:
    for name in KNOWN:
        names = [op.name for op in OpGraph.of(network_of(name)).ops]
        assert len(names) == len(set(names)), name
