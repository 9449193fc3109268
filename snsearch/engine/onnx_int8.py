"""A float32 ONNX model -> an int8 one, by ONNX Runtime's own tools, and its error by layer.

Post-training static quantisation: weights per output channel, activations per tensor, both signed, as ARM kernels
like them; ranges are the least and greatest values on calibration images.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import onnx
from onnx import helper

from snsearch.engine.artefact import INPUT, OUTPUT
from snsearch.engine.layer_errors import LAYERS, LayerError, ReadTensors, layer_errors
from snsearch.engine.weights import Floats
from snsearch.network import Op

_READY = ("onnx.quant.pre_process", "onnxruntime.quant")  # tells the tools that batch norms are folded already


class OnnxQuantiser:
    """Quantises an ONNX model of `write_network`."""

    def __init__(self, ops: Sequence[Op], model: bytes, batches: Iterable[Floats]) -> None:
        self._ops = ops
        self._model = model
        self._batches = list(batches)
        self._folder = tempfile.TemporaryDirectory(prefix="snsearch-int8-")
        self._float = Path(self._folder.name, "float.onnx")
        ready = onnx.load_from_string(model)
        ready.metadata_props.add(key=_READY[0], value=_READY[1])
        onnx.save(ready, self._float)

    def close(self) -> None:
        """Removes temporary files."""
        self._folder.cleanup()

    def model(self, keep_float: Collection[str] = ()) -> bytes:
        """The int8 model, with the layers of those names in float32."""
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
            def __init__(self, batches: Sequence[Floats]) -> None:
                self._left = iter(batches)

            def get_next(self) -> dict[str, Floats] | None:
                batch = next(self._left, None)
                return None if batch is None else {INPUT: batch}

        path = Path(self._folder.name, "int8.onnx")
        quantize_static(
            self._float,
            path,
            Reader(self._batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=self._nodes(keep_float),
        )
        made = onnx.load(path)
        kept = [one for one in made.metadata_props if one.key != _READY[0]]
        del made.metadata_props[:]
        made.metadata_props.extend(kept)
        content: bytes = made.SerializeToString(deterministic=True)
        return content

    def _nodes(self, layers: Collection[str]) -> list[str]:
        """The nodes of layers, and of what reads them and is none: it would have their outputs quantised."""
        kept = {index for index, op in enumerate(self._ops) if op.name in layers}
        kept |= {index for index, op in enumerate(self._ops) if op.kind not in LAYERS and kept & {*op.inputs}}
        nodes = onnx.load_from_string(self._model).graph.node
        return [node.name for node in nodes if int(node.name.partition("_")[0]) in kept]

    def errors(self, model: bytes) -> tuple[LayerError, ...]:
        """The error of every convolution and linear layer, on the first calibration images."""
        tensors = [self._tensor(index) for index in range(len(self._ops))]
        exact, rough = _reader(self._model, tensors), _reader(model, tensors)
        return layer_errors(self._ops, exact, rough, self._batches)

    def _tensor(self, index: int) -> str:
        """The name of an operator's tensor behind its activation."""
        op = self._ops[index]
        if op.kind == "input":
            return INPUT
        name = OUTPUT if index == len(self._ops) - 1 else f"t{index}"
        return name if op.activation == "none" else f"{name}_a"


def _reader(content: bytes, tensors: Sequence[str]) -> ReadTensors:
    """A function from images to the values of those tensors; quantised ones as what the next layer reads."""
    import onnxruntime

    model = onnx.load_from_string(content)
    made = {name for node in model.graph.node for name in node.output} | {INPUT}
    names = []
    for tensor in tensors:
        # Where the range says what an activation does, it is left out.
        plain = tensor.removesuffix("_a")
        candidates = (f"{tensor}_DequantizeLinear_Output", f"{plain}_DequantizeLinear_Output", tensor, plain)
        names.append(next(name for name in candidates if name in made))
    outputs = {one.name for one in model.graph.output}
    wanted = dict.fromkeys(name for name in names if name not in outputs and name != INPUT)
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    asked = [name for name in names if name != INPUT]

    def read(images_NCHW: Floats) -> list[Floats]:
        found = iter(session.run(asked, {INPUT: images_NCHW}))
        return [images_NCHW if name == INPUT else next(found) for name in names]

    return read
