"""The inference engines."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from snsearch.errors import DeviceError

if TYPE_CHECKING:
    from snsearch.engine.artefact import Artefact
    from snsearch.engine.weights import Weights
    from snsearch.network import Op


class Engine(Protocol):
    """One inference engine. Its packages are imported only when it writes a model."""

    @property
    def name(self) -> str:
        """Its name in options, device entries and records, and that of its Python module, wheel and extra."""

    @property
    def has_static_runner(self) -> bool:
        """Whether `snsearch device build-runner` can build a runner for it that needs no Python on the device."""

    def write_model(self, ops: Sequence[Op], weights: Weights) -> Artefact:
        """The operators as a float32 model.

        Args:
            ops: any operators; those of the kind "input" that are read are the model's inputs.
            weights: of every convolution and linear layer.

        Raises:
            SpecError: the engine has no such operator.
            DeviceError: a Python package is missing on this host.
        """


class _Ncnn:
    name = "ncnn"
    has_static_runner = True

    def write_model(self, ops: Sequence[Op], weights: Weights) -> Artefact:
        from snsearch.engine.ncnn_model import write_model

        return write_model(ops, weights)


class _OnnxRuntime:
    name = "onnxruntime"
    has_static_runner = False

    def write_model(self, ops: Sequence[Op], weights: Weights) -> Artefact:
        if importlib.util.find_spec("onnx") is None:
            raise DeviceError(
                "the Python package onnx, which writes models for onnxruntime, is not installed here: "
                f'pip install "snsearch[{self.name}]"'
            )
        from snsearch.engine.onnx_model import write_model

        return write_model(ops, weights)


NCNN: Engine = _Ncnn()
ONNX_RUNTIME: Engine = _OnnxRuntime()
ENGINES: dict[str, Engine] = {engine.name: engine for engine in (NCNN, ONNX_RUNTIME)}


def engine_of(name: str) -> Engine:
    """The engine of that name. Raises DeviceError for an unknown name."""
    if name not in ENGINES:
        raise DeviceError(f"engine {name!r}: expected {' or '.join(ENGINES)}")
    return ENGINES[name]
