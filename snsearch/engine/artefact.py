"""A model's files, and what all writers share: tensor shapes, outputs, folded weights, padding."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snsearch.engine.weights import Floats, Weights, weight_shape
from snsearch.errors import SpecError
from snsearch.files import write_whole
from snsearch.network import Op

Shape = tuple[int, ...]
INPUT, OUTPUT = "image", "logits"  # the names in a network to give away
OPSET = 13  # of ONNX: axes are inputs; runtimes of the last five years read it


@dataclass(frozen=True, kw_only=True, slots=True)
class Artefact:
    """A model in an engine's format; `key` is the hash of its files."""

    files: Mapping[str, bytes]  # by suffix, in the engine's order

    @property
    def key(self) -> str:
        """The SHA-256 of the files' digests, in hexadecimal."""
        digests = [hashlib.sha256(content).digest() for content in self.files.values()]
        return hashlib.sha256(b"".join(digests)).hexdigest()

    def save(self, folder: Path) -> Path:
        """Writes the missing files FOLDER/KEY.SUFFIX, and returns their prefix FOLDER/KEY. Raises OSError."""
        prefix = folder / self.key
        for suffix, content in self.files.items():
            path = prefix.with_name(prefix.name + suffix)
            if not path.is_file() or path.stat().st_size != len(content):
                write_whole(path, content)
        return prefix


def read_indices(ops: Sequence[Op]) -> frozenset[int]:
    """The indices of the operators whose tensors another reads. An input that none reads is not part of the model."""
    return frozenset(source for op in ops for source in op.inputs)


def output_indices(ops: Sequence[Op]) -> tuple[int, ...]:
    """The indices of the operators whose tensors none reads, in order: the model's outputs."""
    read = read_indices(ops)
    return tuple(index for index, op in enumerate(ops) if index not in read and op.kind != "input")


def tensor_shapes(ops: Sequence[Op]) -> tuple[Shape, ...]:
    """The shape of each operator's tensor: (channels,) after global pooling, else (channels, height, width)."""
    readers: dict[int, list[Op]] = {}
    for op in ops:
        for source in op.inputs:
            readers.setdefault(source, []).append(op)
    shapes: list[Shape] = []
    for index, op in enumerate(ops):
        flat = op.kind in ("global_pool", "linear", "flatten")
        if op.kind == "input" and op.height == op.width == 1:
            # Linear layers and gates read vectors; a 1x1 image that a convolution or pooling reads remains an image.
            flat = all(
                reader.kind == "linear" or (reader.kind == "scale" and reader.inputs[1] == index)
                for reader in readers.get(index, ())
            )
        elif op.inputs and all(len(shapes[source]) == 1 for source in op.inputs):
            flat = True
        shapes.append((op.channels,) if flat else (op.channels, op.height, op.width))
    return tuple(shapes)


def folded_weights(ops: Sequence[Op], index: int, weights: Weights) -> tuple[Floats, Floats | None]:
    """An operator's weight and bias with batch norm folded in. Raises SpecError if missing or of a wrong shape."""
    op = ops[index]
    if index not in weights:
        raise SpecError(f"{op.name}: operator {index} has no weights; expected them for every layer")
    weight, bias = weights[index].folded()
    if weight.shape != weight_shape(op):
        raise SpecError(f"{op.name}: the weight has the shape {weight.shape}; expected {weight_shape(op)}")
    return weight, bias


def image_read(ops: Sequence[Op], op: Op, shapes: Sequence[Shape]) -> Op:
    """The operator whose image a convolution or pooling reads. Raises SpecError if it outputs a vector."""
    [source] = op.inputs
    if len(shapes[source]) == 1:
        raise SpecError(f"{op.name}: reads the vector of {ops[source].name}; expected an image with height and width")
    return ops[source]


def check_reads_vector(ops: Sequence[Op], op: Op, shapes: Sequence[Shape]) -> None:
    """Raises SpecError if a linear layer reads an image."""
    [source] = op.inputs
    if len(shapes[source]) != 1:
        raise SpecError(
            f"{op.name}: reads an image of {'x'.join(map(str, shapes[source]))} from {ops[source].name}; a linear "
            "layer needs a vector, as global pooling outputs"
        )


def padding_of(op: Op, read: Op) -> tuple[int, int, int, int]:
    """The pixels left, right, above and below with which an operator makes its output's size from that of `read`.

    The operator's own padding on both sides, as torch modules pad, if that gives the size; else none, if that does;
    else what is missing, with the odd pixel at the end. Raises SpecError if no padding gives the size.
    """
    return *_sides(op, read.width, op.width), *_sides(op, read.height, op.height)


def _sides(op: Op, size_in: int, size_out: int) -> tuple[int, int]:
    for sides in (op.pad, 0):
        if (size_in + 2 * sides - op.kernel) // op.stride + 1 == size_out and size_in + 2 * sides >= op.kernel:
            return sides, sides
    missing = (size_out - 1) * op.stride + op.kernel - size_in
    if op.ceil and missing >= op.pad:
        return op.pad, missing - op.pad
    if not 0 <= missing < 2 * op.kernel:
        raise SpecError(
            f"{op.name}: no padding makes {size_out} of {size_in} pixels with a {op.kernel}x{op.kernel} kernel and "
            f"stride {op.stride}"
        )
    return missing // 2, missing - missing // 2
