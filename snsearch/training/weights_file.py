"""Weights files: the weights of a network's torch module, and what they were trained on.

A weights file is a safetensors file. Its tensors are the module's state_dict(); its metadata has one entry,
"snsearch", with the JSON of a Training. A plain state dict, as .safetensors or as torch.save writes it, can be read
too. Nothing in a file is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from snsearch.codec import Share, Stored, Text, Whole, decode, encode, parse_json
from snsearch.errors import SpecError
from snsearch.files import MAX_FILE_BYTES, unfit, write_whole
from snsearch.network import network_of
from snsearch.prose import excerpt

if TYPE_CHECKING:
    import torch
    from torch import nn

    State = dict[str, torch.Tensor]

WEIGHTS_SUFFIX = ".safetensors"
_ENTRY = "snsearch"  # of the metadata
_OURS = "expected a .safetensors file, or a state dict that torch.save wrote"


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What a network's weights were trained on, and what they reached."""

    STORED: ClassVar = Stored(
        schema=1,
        derived={"resolution": lambda one: list(network_of(one.key).resolution)},
    )

    key: Text  # of the architecture, at the resolution of the training
    classes: tuple[str, ...]  # in the order of the outputs
    mean: tuple[float, ...]  # per channel, of pixels from 0 to 255; (pixel - mean) / std is what the network takes
    std: tuple[float, ...]
    data: str = ""
    recipe: str = ""
    seed: int | None = None
    test_error: Share | None = None
    test_images: Whole | None = None
    command: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


def write_weights(path: Path, state: Mapping[str, torch.Tensor], training: Training | None = None) -> None:
    """Writes a weights file in one step. Raises OSError where it cannot be written."""
    from safetensors.torch import save

    metadata = {} if training is None else {_ENTRY: json.dumps(encode(training), allow_nan=False)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_whole(path, save(tensors, metadata))


def read_weights(path: Path) -> tuple[State, Training | None]:
    """The tensors of a weights file, and its Training; None for a plain state dict.

    Raises SpecError for a file that cannot be read, or is none.
    """
    where = f"weights {str(path)!r}"
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise SpecError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
    if reason := unfit(status, 8 * MAX_FILE_BYTES):
        raise SpecError(f"{where}: {reason}; {_OURS}")
    return _safetensors(path, where) if path.suffix == WEIGHTS_SUFFIX else (_pickled(path, where), None)


def load_into(module: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Loads a state dict into a network's module.

    Counters of batch norm may be missing. Raises SpecError that names the first tensor which is missing, of another
    shape, not finite, or unknown.
    """
    expected = module.state_dict()
    for name, tensor in expected.items():
        if name not in state:
            if name.endswith("num_batches_tracked"):
                continue
            raise SpecError(f"{where}: there is no tensor {name}; the network has one of {_shape(tensor)}")
        if state[name].shape != tensor.shape:
            raise SpecError(
                f"{where}: {name} is {_shape(state[name])}, the network's is {_shape(tensor)}; "
                "the weights are of another network"
            )
        if not _is_plain(state[name]):
            raise SpecError(f"{where}: {name} is sparse, quantised, complex or empty; expected plain numbers")
        if not bool(state[name].isfinite().all()):
            raise SpecError(f"{where}: {name} has values that are not finite")
    if odd := next((name for name in state if name not in expected), None):
        raise SpecError(f"{where}: the network has no tensor {excerpt(odd)}; the weights are of another network")
    module.load_state_dict({**expected, **state})


def _is_plain(tensor: torch.Tensor) -> bool:
    odd = tensor.is_sparse or tensor.is_sparse_csr or tensor.is_mkldnn or tensor.is_quantized or tensor.is_meta
    return not (odd or tensor.is_complex())


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _safetensors(path: Path, where: str) -> tuple[State, Training | None]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (SafetensorError, OSError) as error:
        raise SpecError(f"{where}: no weights file ({excerpt(str(error))}); {_OURS}") from None
    if _ENTRY not in metadata:
        return state, None
    try:
        values = parse_json(metadata[_ENTRY])
    except ValueError as error:
        raise SpecError(f"{where}: the metadata is no JSON: {error}") from None
    return state, decode(Training, values, where)


def _pickled(path: Path, where: str) -> State:
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SpecError(f"{where}: no weights file ({excerpt(reason)}); {_OURS}") from None
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in loaded.items()
    ):
        raise SpecError(f"{where}: holds more than a state dict; save module.state_dict() alone")
    return loaded
