"""The inference engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snsearch.errors import DeviceError, check_installed

if TYPE_CHECKING:
    from snsearch.engine.artefact import Artefact
    from snsearch.engine.weights import Weights
    from snsearch.network import Op


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """One inference engine. Its packages are imported only when it writes a model."""

    name: str  # in options, device entries and records, and of its Python module, wheel and extra
    has_static_runner: bool  # whether `snsearch device build-runner` builds one that needs no Python on the device
    # (operators, weights of every convolution and linear layer) -> a float32 model, whose inputs are the operators of
    # the kind "input" that are read. Raises SpecError if the engine has no such operator, DeviceError if a Python
    # package is missing on this host.
    write_model: Callable[[Sequence[Op], Weights], Artefact]


def _write_ncnn(ops: Sequence[Op], weights: Weights) -> Artefact:
    from snsearch.engine.ncnn_model import write_model

    return write_model(ops, weights)


def _write_onnx(ops: Sequence[Op], weights: Weights) -> Artefact:
    check_installed("onnx", "onnxruntime", "a model for onnxruntime", DeviceError)
    from snsearch.engine.onnx_model import write_model

    return write_model(ops, weights)


NCNN = Engine(name="ncnn", has_static_runner=True, write_model=_write_ncnn)
ONNX_RUNTIME = Engine(name="onnxruntime", has_static_runner=False, write_model=_write_onnx)
ENGINES: dict[str, Engine] = {engine.name: engine for engine in (NCNN, ONNX_RUNTIME)}


def engine_of(name: str) -> Engine:
    """The engine of that name. Raises DeviceError for an unknown name."""
    if name not in ENGINES:
        raise DeviceError(f"engine {name!r}: expected {' or '.join(ENGINES)}")
    return ENGINES[name]
