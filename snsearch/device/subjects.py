"""Networks and blocks as models that a device can measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snsearch.device.measuring import Subject
from snsearch.engine import NCNN, Engine, random_weights
from snsearch.files import cache_folder
from snsearch.network import Architecture, Op, OpGraph

# ShuffleNet 0.25x with three groups, 13 MMACs: every device runs it in moments, and it has every kind of operator.
REFERENCE = "shufflenet.g3.b4.shuffle_stem12s2p_60x4s2-120x8s2-240x4s2_3x224x224_c1000"


def models_folder() -> Path:
    """Where the models' files are kept, by the hash of their content."""
    return cache_folder() / "models"


def block_subject(name: str, ops: Sequence[Op], engine: Engine = NCNN, folder: Path | None = None) -> Subject:
    """The model of some operators, with random weights from a fixed seed; its files are written where they lack.

    Raises SpecError where an operator cannot be written, DeviceError where a package of the engine is missing here.
    """
    artefact = engine.write_model(ops, random_weights(ops))
    prefix = artefact.save(models_folder() if folder is None else folder)

    def deviates(output: Sequence[float], seed: int) -> float:
        # torch is loaded only where a device has answered.
        from snsearch.engine import deviation, expected_outputs

        return deviation(output, expected_outputs(ops, random_weights(ops), seed))

    return Subject(
        name=name, artefact=artefact.key, prefix=prefix, suffixes=tuple(artefact.files), deviation=deviates
    )


def network_subject(arch: Architecture, engine: Engine = NCNN, folder: Path | None = None) -> Subject:
    """The model of an architecture, named by its key. Raises SpecError and DeviceError."""
    return block_subject(arch.key, OpGraph.of(arch).ops, engine, folder)


def reference_subject(engine: Engine = NCNN, folder: Path | None = None) -> Subject:
    """The fixed network that is run between all others."""
    return network_subject(Architecture.from_key(REFERENCE), engine, folder)
