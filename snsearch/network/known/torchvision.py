"""Torchvision's names for the tensors of known networks, to read a user's own weights under them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from snsearch.network.graph import OpGraph
from snsearch.network.known.named import AnyNetwork, NamedNetwork

if TYPE_CHECKING:
    from torch import Tensor

# Where a layer is: the number of its unit, from 1 on; its stage's, and the unit's within that; which part of the unit
# it is, of which squeeze-and-excitation is one; and the layer's name there.
Place = tuple[int, int, int, int, str]
Names = Callable[[Place], tuple[str, str]]  # torchvision's names of the layer and of its batch norm

_EPSILON = 1e-5  # of batch norms here
_V3_EPSILON = 1e-3  # and of torchvision's MobileNet v3


def _pair(layer: str) -> tuple[str, str]:
    return f"{layer}.0", f"{layer}.1"


def _mobilenet_v2(place: Place) -> tuple[str, str]:
    unit, _, _, part, leaf = place
    at = f"features.{unit}.conv"
    return (f"{at}.{part}", f"{at}.{part + 1}") if leaf == "project" else _pair(f"{at}.{part}")


def _block(at: str, place: Place) -> tuple[str, str]:
    *_, part, leaf = place
    gates = {"reduce": "fc1", "expand": "fc2"}
    return (f"{at}.block.{part}.{gates[leaf[3:]]}", "") if leaf.startswith("se.") else _pair(f"{at}.block.{part}")


def _mobilenet_v3(place: Place) -> tuple[str, str]:
    return _block(f"features.{place[0]}", place)


def _efficientnet(place: Place) -> tuple[str, str]:
    return _block(f"features.{place[1] - 1}.{place[2]}", place)


def _shufflenet_v2(place: Place) -> tuple[str, str]:
    branch, first = {
        "passed_depthwise": (1, 0),
        "passed_project": (1, 2),
        "expand": (2, 0),
        "depthwise": (2, 3),
        "project": (2, 5),
    }[place[4]]
    at = f"stage{place[1]}.{place[2]}.branch{branch}"
    return f"{at}.{first}", f"{at}.{first + 1}"


def _resnet(place: Place) -> tuple[str, str]:
    at, leaf = f"layer{place[1] - 1}.{place[2]}", place[4]
    if leaf == "shortcut":
        return _pair(f"{at}.downsample")
    number = {"first": 1, "second": 2}[leaf]
    return f"{at}.conv{number}", f"{at}.bn{number}"


def _squeezenet(*modules: int) -> Names:
    def names(place: Place) -> tuple[str, str]:
        leaf = {"squeeze": "squeeze", "one": "expand1x1", "three": "expand3x3"}[place[4]]
        return f"features.{modules[place[0] - 1]}.{leaf}", ""

    return names


# For each network the names within units, and those of the other layers.
_FEATURES = {"stem.conv": _pair("features.0"), "head.classifier": ("classifier.1", "")}
_V2 = {"stem.conv": _pair("conv1"), "last.0.conv": _pair("conv5"), "head.classifier": ("fc", "")}
_V3 = {"stem.conv": _pair("features.0"), "head.fc": ("classifier.0", ""), "head.classifier": ("classifier.3", "")}
_SQUEEZE = {"stem.conv": ("features.0", ""), "head.conv": ("classifier.1", "")}
_NAMES: dict[str, tuple[Names, dict[str, tuple[str, str]]]] = {
    "mobilenet-v2-1x": (_mobilenet_v2, {**_FEATURES, "last.0.conv": _pair("features.18")}),
    "mobilenet-v3-large": (_mobilenet_v3, {**_V3, "last.0.conv": _pair("features.16")}),
    "mobilenet-v3-small": (_mobilenet_v3, {**_V3, "last.0.conv": _pair("features.12")}),
    "efficientnet-b0": (_efficientnet, {**_FEATURES, "last.0.conv": _pair("features.8")}),
    **{f"shufflenet-v2-{scale}": (_shufflenet_v2, _V2) for scale in ("0.5x", "1x", "1.5x", "2x")},
    "squeezenet-1.0": (_squeezenet(3, 4, 5, 7, 8, 9, 10, 12), _SQUEEZE),
    "squeezenet-1.1": (_squeezenet(3, 4, 6, 7, 9, 10, 11, 12), _SQUEEZE),
    "resnet-18": (_resnet, {"stem.conv": ("conv1", "bn1"), "head.classifier": ("fc", "")}),
}


def torchvision_names(network: AnyNetwork) -> dict[str, str]:
    """Torchvision's name of each layer and batch norm here; none of networks whose names are not known.

    ResNet-50 and ResNeXt-50 are left out: torchvision's carry their strides elsewhere than the papers'.
    """
    if not isinstance(network, NamedNetwork) or network.name not in _NAMES:
        return {}
    within, others = _NAMES[network.name]
    found: dict[str, str] = {}
    unit, part, seen = 0, 0, ""
    for op in OpGraph.of(network).ops:
        if op.kind not in ("conv", "linear"):
            continue
        named = others.get(op.name)
        if named is None:
            stage, index, leaf = op.name.split(".", 2)
            if f"{stage}.{index}" != seen:
                unit, part, seen = unit + 1, 0, f"{stage}.{index}"
            named = within((unit, int(stage.removeprefix("stage")), int(index), part, leaf))
            part += leaf != "se.reduce"
        found[f"{op.name}.{op.kind}"] = named[0]
        if op.norm:
            found[f"{op.name}.norm"] = named[1]
    return found


def in_own_names(network: AnyNetwork, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under this network's own names, where its tensors have torchvision's; else as it is.

    The squeeze-and-excitation of torchvision is of 1x1 convolutions; here it is of linear layers. A batch norm of
    MobileNet v3 adds 1e-3 to the variance, where 1e-5 is added here: the variance makes up for it.
    """
    theirs = torchvision_names(network)
    if not theirs or not any(f"{name}.weight" in state for name in theirs.values()):
        return dict(state)
    own = {name: ours for ours, name in theirs.items()}
    made: dict[str, Tensor] = {}
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        if layer not in own:
            made[name] = tensor  # refused by its name
            continue
        if re.search(r"\.linear$", own[layer]) and tensor.dim() == 4:
            tensor = tensor.flatten(1)
        if leaf == "running_var" and "mobilenet-v3" in network.key:
            tensor = tensor + (_V3_EPSILON - _EPSILON)
        made[f"{own[layer]}.{leaf}"] = tensor
    return made
