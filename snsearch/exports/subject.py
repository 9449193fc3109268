"""What is exported: a network with its weights, and what a user of it must know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from snsearch.engine import Weights, random_weights, state_of, weights_of
from snsearch.errors import DataError, SpecError
from snsearch.network import AnyNetwork, Network, Op, OpGraph, build_model, in_own_names, network_of
from snsearch.study import StudyRecord, TrialRecord
from snsearch.training import Dataset, Training, load_into, normalisation_of, read_weights

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A network with its weights, and what it was trained and chosen on."""

    arch: AnyNetwork
    module: Network  # in evaluation mode, on the CPU
    weights: str  # where they are from, in words
    trained: bool  # False: random weights
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of pixels from 0 to 255
    std: tuple[float, ...]
    normalised_by: str  # where mean and std are from, in words
    normalised: bool = False  # mean and std are known, by the weights file or the user
    training: Training | None = None  # what the weights file says
    study: StudyRecord | None = None
    trial: TrialRecord | None = None  # of the study

    @property
    def ops(self) -> tuple[Op, ...]:
        """The network's operators."""
        return OpGraph.of(self.arch).ops

    @property
    def layers(self) -> Weights:
        """The weights by operator."""
        return weights_of(self.ops, {name: tensor.numpy() for name, tensor in self.module.state_dict().items()})

    def normalise(self, pixels_NCHW: NDArray[np.uint8]) -> Floats:
        """What the network takes, from pixels."""
        mean, std = (np.array(one, np.float32).reshape(1, -1, 1, 1) for one in (self.mean, self.std))
        return np.ascontiguousarray((pixels_NCHW.astype(np.float32) - mean) / std)

    def logits(self, images_NCHW: Floats) -> Floats:
        """The module's outputs."""
        with torch.inference_mode():
            found: Floats = self.module(torch.from_numpy(images_NCHW)).numpy()
        return found

    def on(self, dataset: Dataset) -> Subject:
        """The same with what it lacks from a data set: names of classes, and the normalisation."""
        channels, classes = self.arch.input_channels, self.arch.classes
        if dataset.channels != channels:
            raise DataError(
                f"{dataset.name} has {dataset.channels}-channel images; the network takes {channels} channels"
            )
        if len(dataset.classes) != classes:
            raise DataError(f"{dataset.name} has {len(dataset.classes)} classes; the network has {classes}")
        if self.training is not None:
            if self.training.classes and self.training.classes != dataset.classes:
                other = _first_other(dataset.classes, self.classes)
                raise DataError(f"{dataset.name} has other classes than the weights: {other}")
            return self
        if self.normalised:
            return replace(self, classes=dataset.classes)
        mean, std = dataset.statistics
        by = f"the training images of {dataset.name}"
        return replace(self, classes=dataset.classes, mean=mean, std=std, normalised_by=by)


def _first_other(ours: Sequence[str], theirs: Sequence[str]) -> str:
    return next(f"{one!r} where they have {other!r}" for one, other in zip(ours, theirs, strict=True) if one != other)


def subject_of(
    arch: AnyNetwork,
    weights: Path | None,
    *,
    seed: int = 0,
    normalise: str | None = None,
    study: StudyRecord | None = None,
    trial: TrialRecord | None = None,
) -> Subject:
    """An architecture with the weights of a file, or with random ones from the seed.

    Raises SpecError where the file holds no weights, or those of another network, or says another normalisation.
    """
    module, training = build_model(arch), None
    if weights is None:
        ops = OpGraph.of(arch).ops
        state = {name: torch.from_numpy(array) for name, array in state_of(ops, random_weights(ops, seed)).items()}
        module.load_state_dict({**module.state_dict(), **state})
        words = f"random, from seed {seed}: the network is not trained"
    else:
        where = f"weights {str(weights)!r}"
        state, training = read_weights(weights)
        load_into(module, in_own_names(arch, state), where)
        if training is not None:
            _check_network(arch, training, where)
            if normalise is not None:
                raise SpecError(f"{where} say how images are normalised; leave --normalise out")
        words = f"{weights.name}, sha256 {hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}"
    channels = arch.input_channels
    mean, std, by = (0.0,) * channels, (255.0,) * channels, "nothing known: 0 to 255 becomes 0 to 1"
    if training is not None:
        mean, std, by = training.mean, training.std, "the weights file"
    elif normalise is not None:
        (mean, std), by = normalisation_of(normalise, channels), f"--normalise {normalise}"
    named = training.classes if training is not None else ()
    return Subject(
        arch=arch,
        module=module.eval(),
        weights=words,
        trained=weights is not None,
        classes=named or tuple(map(str, range(arch.classes))),
        mean=mean,
        std=std,
        normalised_by=by,
        normalised=training is not None or normalise is not None,
        training=training,
        study=study,
        trial=trial,
    )


def _check_network(arch: AnyNetwork, training: Training, where: str) -> None:
    """Raises SpecError if a training's network computes something else, although its tensors have the same shapes."""
    theirs = network_of(training.key)
    if replace(theirs, resolution=arch.resolution) != arch:
        raise SpecError(
            f"{where} are of {training.key}, which computes something else than "
            f"{arch.key}; export the weights file itself, or give weights of this network"
        )
    for name, values, count in (
        ("mean", training.mean, arch.input_channels),
        ("std", training.std, arch.input_channels),
        ("classes", training.classes or (None,) * arch.classes, arch.classes),
    ):
        if len(values) != count:
            raise SpecError(f"{where}: {name} has {len(values)} entries; expected {count}")
    if not all(one > 0 for one in training.std):
        raise SpecError(f"{where}: std is {list(training.std)}; expected positive numbers")
