"""The formats: what each writes, what it needs, and how it is opened again to be checked.

To add one, write its two functions and list it in FORMATS.
"""

from __future__ import annotations

import json
import runpy
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from snsearch import __version__
from snsearch.codec import encode, suggestion
from snsearch.engine import (
    INPUT,
    NCNN,
    OPSET,
    OUTPUT,
    LitertQuantiser,
    Quantiser,
    Run,
    open_executorch,
    open_litert,
    open_ncnn,
    open_onnx,
)
from snsearch.errors import ExportError, check_installed
from snsearch.exports.converting import convert
from snsearch.exports.format_names import FormatName
from snsearch.exports.subject import Floats, Subject
from snsearch.exports.torch_source import torch_source
from snsearch.files import write_whole
from snsearch.network import Op
from snsearch.training import Training, write_weights

STEM = "model"  # of the files' names


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8Tool:
    """A format's own tool for int8."""

    suffix: str  # of the model's file, and of the int8 one's
    # (operators, float32 model, batches of normalised calibration images)
    quantiser: Callable[[Sequence[Op], bytes, Iterable[Floats]], Quantiser]
    open: Callable[[bytes], Run]
    runtime: str  # the package that runs both

    @property
    def file(self) -> str:
        """The int8 model's file."""
        return f"{STEM}.int8{self.suffix}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One format of files."""

    name: FormatName
    what: str  # in words
    needs: tuple[tuple[str, str], ...]  # Python packages that write and check it, each with snsearch's extra
    # (what to export, an empty folder, whether to keep batch norms as layers) -> files there. Raises SpecError.
    write: Callable[[Subject, Path, bool], None]
    open: Callable[[Path], Run]  # the folder's files, in their own runtime; raises SnsearchError
    inputs: Callable[[Subject], tuple[str, str]]  # the names of the input and the output
    folds: bool = False  # whether batch norm is folded
    may_keep_norms: bool = False
    layout: Literal["NCHW", "NHWC"] = "NCHW"  # of the input
    any_batch: bool = True  # whether it takes any number of images; False: one
    int8: Int8Tool | str  # or why there is none

    def check_norms(self, keep: bool) -> None:
        """Raises ExportError if batch norms shall be kept, and the format gives no choice."""
        if keep and self.folds and not self.may_keep_norms:
            raise ExportError(f"{self.name} has batch norm folded into convolutions; only onnx can keep it")


def format_of(name: str) -> Format:
    """The format of that name, if it can be written here. Raises ExportError, which names a package's extra."""
    if name not in FORMATS:
        raise ExportError(f"format {name!r}{suggestion(name, FORMATS)}")
    for package, extra in FORMATS[name].needs:
        check_installed(package, extra, f"--to {name}", ExportError)
    return FORMATS[name]


def training_of(subject: Subject) -> Training:
    """What goes along with the weights."""
    if subject.training is not None:
        return subject.training
    return Training(
        key=subject.arch.key,
        classes=subject.classes,
        mean=subject.mean,
        std=subject.std,
        versions={"snsearch": __version__, "torch": str(torch.__version__)},
    )


def properties_of(subject: Subject) -> dict[str, str]:
    """The metadata of formats that have some."""
    return {
        "key": subject.arch.key,
        "classes": json.dumps(list(subject.classes)),
        "mean": json.dumps(list(subject.mean)),
        "std": json.dumps(list(subject.std)),
        "normalisation": "(pixel - mean) / std per channel, pixels from 0 to 255, channels RGB or gray",
        "weights": subject.weights,
        "snsearch": __version__,
    }


def _write_onnx(subject: Subject, folder: Path, keep_norms: bool) -> None:
    from snsearch.engine import write_network

    content = write_network(subject.ops, subject.layers, keep_norms=keep_norms, properties=properties_of(subject))
    write_whole(folder / f"{STEM}.onnx", content)


def _onnx_quantiser(ops: Sequence[Op], model: bytes, batches: Iterable[Floats]) -> Quantiser:
    from snsearch.engine import OnnxQuantiser

    return OnnxQuantiser(ops, model, batches)


def _write_ncnn(subject: Subject, folder: Path, _: bool) -> None:
    for suffix, content in NCNN.write_model(subject.ops, subject.layers).files.items():
        write_whole(folder / f"{STEM}{suffix}", content)


def _write_torch(subject: Subject, folder: Path, _: bool) -> None:
    weights = f"{STEM}.safetensors"
    source = torch_source(
        subject.arch,
        weights=weights,
        mean=subject.mean,
        std=subject.std,
        classes=subject.classes,
        version=__version__,
    )
    write_whole(folder / f"{STEM}.py", source)
    write_weights(folder / weights, subject.module.state_dict(), training_of(subject))


def _open_torch(folder: Path) -> Run:
    return _run_of(runpy.run_path(str(folder / f"{STEM}.py"), run_name="exported")["load"]())


def _write_pt2(subject: Subject, folder: Path, _: bool) -> None:
    arch = subject.arch
    example = torch.zeros(2, arch.input_channels, *arch.resolution)
    batch = {0: torch.export.Dim("batch", min=1)}
    with torch.no_grad():
        program = torch.export.export(subject.module, (example,), dynamic_shapes={"x_NCHW": batch})
    extra = {"snsearch.json": json.dumps(encode(training_of(subject)))}
    torch.export.save(program, folder / f"{STEM}.pt2", extra_files=extra)


def _open_pt2(folder: Path) -> Run:
    return _run_of(torch.export.load(folder / f"{STEM}.pt2").module())


def _write_converted(to: str, suffix: str) -> Callable[[Subject, Path, bool], None]:
    def write(subject: Subject, folder: Path, _: bool) -> None:
        with tempfile.TemporaryDirectory(prefix="snsearch-export-") as place:
            weights = Path(place, f"{STEM}.safetensors")
            write_weights(weights, subject.module.state_dict(), replace(training_of(subject), key=subject.arch.key))
            convert(to, weights, folder / f"{STEM}{suffix}")

    return write


def _run_of(module: torch.nn.Module) -> Run:
    def run(images_NCHW: Floats) -> Floats:
        with torch.no_grad():
            found: Floats = module(torch.from_numpy(images_NCHW)).numpy()
        return found

    return run


def _torch_names(subject: Subject) -> tuple[str, str]:
    return "x", "the returned tensor"


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            name="onnx",
            what=f"ONNX, opset {OPSET}, any number of images",
            needs=(("onnx", "onnxruntime"), ("onnxruntime", "onnxruntime")),
            write=_write_onnx,
            open=lambda folder: open_onnx(folder / f"{STEM}.onnx"),
            inputs=lambda subject: (INPUT, OUTPUT),
            folds=True,
            may_keep_norms=True,
            int8=Int8Tool(suffix=".onnx", quantiser=_onnx_quantiser, open=open_onnx, runtime="onnxruntime"),
        ),
        Format(
            name="ncnn",
            what="ncnn's param and bin, one image",
            needs=(("ncnn", "ncnn"),),
            write=_write_ncnn,
            open=lambda folder: open_ncnn(folder / f"{STEM}.param", folder / f"{STEM}.bin"),
            inputs=lambda subject: ("b0", f"b{len(subject.ops) - 1}"),
            folds=True,
            any_batch=False,
            int8="ncnn's tools for int8 (ncnn2table, ncnn2int8) come neither with its Python package nor with apt",
        ),
        Format(
            name="torch",
            what="a Python file that needs torch and safetensors only, and its weights",
            needs=(),
            write=_write_torch,
            open=_open_torch,
            inputs=_torch_names,
            int8="the torch file is the network as it is trained",
        ),
        Format(
            name="pt2",
            what="torch.export, any number of images",
            needs=(),
            write=_write_pt2,
            open=_open_pt2,
            inputs=_torch_names,
            int8="torch.export's int8 needs another package (torchao)",
        ),
        Format(
            name="litert",
            what="LiteRT (TensorFlow Lite), channels last, one image",
            needs=(("litert_torch", "litert"), ("ai_edge_litert", "litert"), ("ai_edge_quantizer", "litert")),
            write=_write_converted("litert", ".tflite"),
            open=lambda folder: open_litert(folder / f"{STEM}.tflite"),
            inputs=lambda subject: (INPUT, OUTPUT),
            folds=True,
            layout="NHWC",
            any_batch=False,
            int8=Int8Tool(suffix=".tflite", quantiser=LitertQuantiser, open=open_litert, runtime="ai-edge-litert"),
        ),
        Format(
            name="executorch",
            what="ExecuTorch, for XNNPACK on the CPU, one image",
            needs=(("executorch", "executorch"),),
            write=_write_converted("executorch", ".pte"),
            open=lambda folder: open_executorch(folder / f"{STEM}.pte"),
            inputs=lambda subject: ("the first argument", "the first result"),
            folds=True,
            any_batch=False,
            int8="ExecuTorch's int8 needs another package (torchao) and a network that is quantised before export",
        ),
    )
}
