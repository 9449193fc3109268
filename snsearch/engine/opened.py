"""Written models, opened here to be checked and compared: functions from images to logits."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def open_litert(model: Path | bytes) -> Run:
    """A LiteRT model that takes (1, H, W, C), on one thread, an image at a time. Raises SnsearchError."""
    interpreter = litert_interpreter(model)
    [given], [made] = interpreter.get_input_details(), interpreter.get_output_details()

    def one(image_CHW: Floats) -> Floats:
        interpreter.set_tensor(given["index"], np.ascontiguousarray(image_CHW.transpose(1, 2, 0)[None]))
        interpreter.invoke()
        found: Floats = interpreter.get_tensor(made["index"])[0]
        return found

    return lambda images_NCHW: np.stack([one(image) for image in images_NCHW])


def litert_interpreter(model: Path | bytes, **options: Any) -> Any:
    """LiteRT's interpreter with a model, on one thread. Raises SnsearchError if it cannot be loaded."""
    content = model if isinstance(model, bytes) else model.read_bytes()
    with quiet():
        from ai_edge_litert.interpreter import Interpreter

        try:
            interpreter = Interpreter(model_content=content, num_threads=1, **options)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise SnsearchError(f"LiteRT cannot load the model: {error}") from None
    return interpreter


def open_executorch(program: Path) -> Run:
    """An ExecuTorch program, an image at a time. Raises SnsearchError if it cannot be loaded."""
    import torch

    with quiet():
        from executorch.runtime import Runtime

        try:
            loaded = Runtime.get().load_program(program)
            method = loaded.load_method("forward")
        except RuntimeError as error:
            raise SnsearchError(f"ExecuTorch cannot load the program: {error}") from None

    def one(image_CHW: Floats) -> Floats:
        assert loaded is not None, "the method reads its program"
        [logits] = method.execute([torch.from_numpy(np.ascontiguousarray(image_CHW))[None]])
        found: Floats = logits[0].numpy().copy()
        return found

    return lambda images_NCHW: np.stack([one(image) for image in images_NCHW])


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what C++ libraries write to stderr, and warnings of packages that are imported, from the terminal."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
