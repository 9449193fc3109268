"""Written models, opened in this process: functions from a batch of images to logits, to check and compare them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snsearch.engine.weights import Floats
from snsearch.errors import SnsearchError

Run = Callable[[Floats], Floats]  # images (N, C, H, W) -> logits (N, classes)


def open_onnx(model: Path | bytes) -> Run:
    """An ONNX model in ONNX Runtime, on one thread. Raises SnsearchError if it cannot be loaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's exceptions have no common class
        raise SnsearchError(f"ONNX Runtime cannot load the model: {error}") from None
    [given], [made] = session.get_inputs(), session.get_outputs()

    def run(images_NCHW: Floats) -> Floats:
        [logits] = session.run([made.name], {given.name: images_NCHW})
        found: Floats = logits
        return found

    return run


def open_ncnn(param: Path, binary: Path) -> Run:
    """An ncnn model in float32, on one thread, an image at a time. Raises SnsearchError if it cannot be loaded."""
    import ncnn

    net: Any = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(param)) or net.load_model(str(binary)):
        raise SnsearchError("ncnn cannot load the model")
    [given], [made] = net.input_indexes(), net.output_indexes()

    def one(image_CHW: Floats) -> Floats:
        extractor = net.create_extractor()
        extractor.input(given, ncnn.Mat(np.ascontiguousarray(image_CHW)).clone())
        code, logits = extractor.extract(made)
        if code:
            raise SnsearchError(f"ncnn cannot run the model: {code}")
        return np.array(logits, dtype=np.float32)

    return lambda images_NCHW: np.stack([one(image) for image in images_NCHW])
