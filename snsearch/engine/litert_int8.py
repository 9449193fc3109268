"""A float32 LiteRT model -> an int8 one, by LiteRT's own quantiser, and its error by layer.

Post-training static quantisation: weights per output channel and symmetric, activations per tensor; ranges are those
that the quantiser finds on calibration images. Input and output stay float32. Tensors are found by their names, which
the converter makes of the submodules of `exports.converting.ChannelsLast`: "op" and the operator's index.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from snsearch.engine.layer_errors import LAYERS, LayerError, ReadTensors, layer_errors
from snsearch.engine.opened import litert_interpreter, quiet
from snsearch.engine.weights import Floats
from snsearch.network import Op

_FIRST = r"^[^;]*_op({})[/;]"  # a tensor's name lists what was fused into its operator, the last step first


class LitertQuantiser:
    """Quantises a LiteRT model that `exports.converting` wrote."""

    def __init__(self, ops: Sequence[Op], model: bytes, batches: Iterable[Floats]) -> None:
        self._ops = ops
        self._model = model
        self._batches = list(batches)
        self._ranges: Any = None  # what calibration found

    def close(self) -> None:
        """There is nothing to remove."""

    def model(self, keep_float: Collection[str] = ()) -> bytes:
        """The int8 model, with the layers of those names in float32."""
        with quiet():
            from ai_edge_quantizer import quantizer, recipe
            from ai_edge_quantizer.algorithm_manager import AlgorithmName
            from ai_edge_quantizer.qtyping import TFLOperationName

            made = quantizer.Quantizer(self._model, recipe.static_wi8_ai8())
            exempt = [(".*", TFLOperationName.INPUT), (".*", TFLOperationName.OUTPUT)]
            if kept := self._kept(keep_float):
                names = [_FIRST.format("|".join(map(str, sorted(kept))))]
                if len(self._ops) - 1 in kept:  # its tensor is the model's output
                    names.append(self._outputs()[-1])
                exempt += [(name, TFLOperationName.ALL_SUPPORTED) for name in names]
            for name, operation in exempt:
                made.update_quantization_recipe(name, operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
            if self._ranges is None:
                [(signature, ends)] = litert_interpreter(self._model).get_signature_list().items()
                [given] = ends["inputs"]
                images = (image.transpose(1, 2, 0)[None] for batch in self._batches for image in batch)
                self._ranges = made.calibrate({signature: [{given: image} for image in images]}, num_threads=1)
            found = made.quantize(self._ranges, enable_progress_report=False).quantized_model
        assert found is not None
        return bytes(found)

    def _outputs(self) -> list[str]:
        """The names of the float model's outputs."""
        return [one["name"] for one in litert_interpreter(self._model).get_output_details()]

    def _kept(self, layers: Collection[str]) -> set[int]:
        """The layers, and what reads them and is none: it would have their outputs quantised."""
        kept = {index for index, op in enumerate(self._ops) if op.name in layers}
        return kept | {index for index, op in enumerate(self._ops) if op.kind not in LAYERS and kept & {*op.inputs}}

    def errors(self, model: bytes) -> tuple[LayerError, ...]:
        """The error of every convolution and linear layer, on the first calibration images."""
        exact, rough = _reader(self._model, self._ops), _reader(model, self._ops)
        return layer_errors(self._ops, exact, rough, self._batches)


def _reader(model: bytes, ops: Sequence[Op]) -> ReadTensors:
    """A function from images to the values of the operators' tensors, quantised ones as floats."""
    with quiet():
        from ai_edge_litert.interpreter import OpResolverType
        from ai_edge_litert.schema_py_generated import ModelT

        # A delegate would not keep the tensors inside of what it runs.
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = litert_interpreter(
            model, experimental_preserve_all_tensors=True, experimental_op_resolver_type=resolver
        )
        graph = ModelT.InitFromPackedBuf(model, 0).subgraphs[0]
    [given], [made] = graph.inputs, graph.outputs
    found = {0: given}  # the tensor of each operator; of several steps that of the last
    for step in graph.operators:
        for tensor in step.outputs:
            if (named := re.match(_FIRST.format(r"(\d+)"), graph.tensors[tensor].name.decode())) is not None:
                found[int(named.group(1))] = tensor
    found[len(ops) - 1] = made
    for index, op in enumerate(ops):  # what only views another tensor may have none of its own
        if index not in found:
            found[index] = found[op.inputs[0]]
    scales = {one["index"]: one["quantization"] for one in interpreter.get_tensor_details()}

    def values(tensor: int) -> Floats:
        scale, zero = scales[tensor]
        value = interpreter.get_tensor(tensor)[0].astype(np.float32)
        exact = (value - zero) * np.float32(scale) if scale else value
        return np.moveaxis(exact, -1, 0)

    def read(images_NCHW: Floats) -> list[Floats]:
        rows = []
        for image in images_NCHW:
            interpreter.set_tensor(given, np.ascontiguousarray(image.transpose(1, 2, 0)[None]))
            interpreter.invoke()
            rows.append([values(found[index]) for index in range(len(ops))])
        return [np.stack(column) for column in zip(*rows, strict=True)]

    return read
