"""Where a full training starts: random weights or those of a file, with frozen parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from snsearch.errors import SpecError
from snsearch.files import is_file
from snsearch.network import AnyNetwork, Network, build_model, in_own_names, network_of
from snsearch.training import load_into, read_weights

CHECKPOINT_SUFFIX = ".pt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A network in training mode on the CPU, and where its weights are from."""

    network: Network
    digest: str = ""  # of the weights file
    remark: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """A trained network whose answers a training learns from, beside the labels."""

    network: nn.Module  # in evaluation mode
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    remark: str


def digest_of(path: Path) -> str:
    """Sixteen hex digits of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def started(arch: AnyNetwork, seed: int, classes: Sequence[str], init_from: Path | None) -> Start:
    """The network with random weights, or with those of a weights file or checkpoint.

    The classifier is new where the file's classes are others. Raises SpecError where any other tensor does not fit.
    """
    network = build_model(arch, seed)
    if init_from is None:
        return Start(network=network)
    where = f"weights {str(init_from)!r}"
    state, theirs = _state_of(init_from)
    state, own = in_own_names(arch, state), network.state_dict()
    head = [name for name in own if name.startswith(f"{network.classifier}.")]
    same = all(name in state and state[name].shape == own[name].shape for name in head)
    new_head = not same or (theirs is not None and theirs != tuple(classes))
    if new_head:
        state = {name: value for name, value in state.items() if name not in head}
        state |= {name: own[name] for name in head}
    load_into(network, state, where)
    words = "a new classifier, because the classes are others" if new_head else "their classifier too"
    return Start(network=network, digest=digest_of(init_from), remark=f"starts from {where}, with {words}")


def check_start(arch: AnyNetwork, frozen: Sequence[str], files: Sequence[Path]) -> None:
    """Raises SpecError for a file that is not there, and a part to be frozen that the network lacks."""
    for path in files:
        if not is_file(path):
            read_weights(path)  # it says what is wrong
    if frozen:
        freeze(build_model(arch), frozen)


def _state_of(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...] | None]:
    """The tensors of a weights file or of a training's checkpoint, and its classes where it says them."""
    if path.suffix == CHECKPOINT_SUFFIX and path.is_file():
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # read_weights says what is wrong with it
            kept = {}
        if isinstance(kept, dict) and isinstance(kept.get("network"), dict) and "plan" in kept:
            average = kept.get("average")
            state = kept["network"] if average is None else average
            return dict(state), tuple(kept["plan"]["classes"])
    state, training = read_weights(path)
    return dict(state), None if training is None or not training.classes else training.classes


def teacher_of(path: Path, classes: Sequence[str], channels: int) -> Teacher:
    """The teacher of a weights file. Raises SpecError where it answers another question."""
    state, training = read_weights(path)
    where = f"teacher {str(path)!r}"
    if training is None:
        raise SpecError(f"{where} does not say which network it is of; expected what snsearch train wrote")
    if training.classes != tuple(classes):
        raise SpecError(f"{where} was trained on other classes; train it on the same data")
    arch = network_of(training.key)
    if arch.input_channels != channels:
        raise SpecError(f"{where} takes {arch.input_channels}-channel images; the data has {channels}-channel ones")
    network = build_model(arch)
    load_into(network, state, where)
    error = "" if training.test_error is None else f", test error {training.test_error:.2%}"
    return Teacher(
        network=network.eval().requires_grad_(False),
        mean=training.mean,
        std=training.std,
        digest=digest_of(path),
        remark=f"learns from {path.name} ({training.key}{error})",
    )


def freeze(network: nn.Module, parts: Sequence[str]) -> list[nn.Module]:
    """Keeps the weights of these parts ("stem", "stage2.0"); returns their modules, to be in evaluation mode.

    Raises SpecError for a name of no part.
    """
    frozen = []
    for part in parts:
        modules = [m for name, m in network.named_modules() if name and (name == part or name.startswith(f"{part}."))]
        if not modules:
            known = ", ".join(name for name, _ in network.named_children())
            raise SpecError(f"--freeze {part!r}: the network has no such part; it has {known}")
        for module in modules:
            module.requires_grad_(False)
        frozen += modules
    return frozen
