"""The inference engines: how each writes a model, and what runs it on a device."""

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
    """One inference engine. Nothing of it is imported before a model is written."""

    @property
    def name(self) -> str:
        """Its name in options, devices' entries and records; also of its Python module, its wheel and our extra."""

    @property
    def has_static_runner(self) -> bool:
        """Whether `snsearch device build-runner` builds a runner for it, which needs no Python on the device."""

    def write_model(self, ops: Sequence[Op], weights: Weights) -> Artefact:
        """The operators as a model of one thread in float32.

        Raises SpecError where an operator cannot be written, DeviceError where a package is missing here.
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
                "models for onnxruntime are written with the package onnx, which is not installed here: "
                f'pip install "snsearch[{self.name}]"'
            )
        from snsearch.engine.onnx_model import write_model

        return write_model(ops, weights)


NCNN: Engine = _Ncnn()
ONNX_RUNTIME: Engine = _OnnxRuntime()
ENGINES: dict[str, Engine] = {engine.name: engine for engine in (NCNN, ONNX_RUNTIME)}


def engine_of(name: str) -> Engine:
    """The engine of that name. Raises DeviceError where there is none."""
    if name not in ENGINES:
        raise DeviceError(f"engine {name!r}: expected {' or '.join(ENGINES)}")
    return ENGINES[name]
