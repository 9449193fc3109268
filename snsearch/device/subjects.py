"""Networks and blocks as models that a device can measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from snsearch.device.deploy import deploy
from snsearch.device.transports.transport import Transport
from snsearch.engine import NCNN, Engine, Weights, random_weights
from snsearch.files import cache_folder
from snsearch.network import AnyNetwork, Architecture, Op, OpGraph

# ShuffleNet 0.25x with three groups, 13 MMACs: it runs in milliseconds, and has every kind of operator.
REFERENCE = "shufflenet.g3.b4.shuffle_stem12s2p_60x4s2-120x8s2-240x4s2_3x224x224_c1000"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model to measure."""

    name: str  # an architecture's key, or a block's name
    artefact: str  # sha256 of its files
    prefix: Path  # of its files
    files: tuple[Path, ...]  # they have the same names on the device
    deviation: Callable[[Sequence[float], int], float]  # (output, seed of the input) -> largest relative difference

    def put(self, transport: Transport) -> None:
        """Copies its files into the device's work folder. Raises DeviceError."""
        for file in self.files:
            deploy(transport, file, file.name)


def block_subject(
    name: str,
    ops: Sequence[Op],
    engine: Engine = NCNN,
    folder: Path | None = None,
    weights: Weights | None = None,
) -> Subject:
    """The model of some operators, with these weights or random ones from a fixed seed; missing files are written.

    Raises SpecError if an operator cannot be written, DeviceError if a package of the engine is missing here.
    """
    artefact = engine.write_model(ops, random_weights(ops) if weights is None else weights)
    prefix = artefact.save(cache_folder() / "models" if folder is None else folder)

    def deviates(output: Sequence[float], seed: int) -> float:
        # Import torch only once a device has answered.
        from snsearch.engine import deviation, expected_outputs

        return deviation(output, expected_outputs(ops, random_weights(ops) if weights is None else weights, seed))

    files = tuple(prefix.with_name(prefix.name + suffix) for suffix in artefact.files)
    return Subject(name=name, artefact=artefact.key, prefix=prefix, files=files, deviation=deviates)


def network_subject(
    arch: AnyNetwork, engine: Engine = NCNN, folder: Path | None = None, weights: Weights | None = None
) -> Subject:
    """The model of an architecture, named by its key. Raises SpecError and DeviceError."""
    return block_subject(arch.key, OpGraph.of(arch).ops, engine, folder, weights)


def reference_subject(engine: Engine = NCNN, folder: Path | None = None) -> Subject:
    """The model of the reference network, which runs in turn with all others."""
    return network_subject(Architecture.from_key(REFERENCE), engine, folder)
