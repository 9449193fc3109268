"""Weights files: what is written is read again, and what is no weights file is refused by name."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from snsearch.errors import SpecError
from snsearch.network.torch_model import build_model
from snsearch.training.weights_file import Training, load_into, read_weights, write_weights
from tests.architectures import shufflenet

ARCH = shufflenet(2, 16, 32, stem=8, resolution=(32, 32), classes=3, input_channels=1)
TRAINING = Training(
    key=ARCH.key, classes=("a", "b", "c"), mean=(70.5,), std=(80.25,), data="folder", recipe="AdamW", seed=3,
    test_error=0.25, test_images=40, command=("snsearch", "train"), versions={"torch": "2"},
)  # fmt: skip


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    state = build_model(ARCH, seed=1).state_dict()
    write_weights(tmp_path / "w.safetensors", state, TRAINING)
    found, training = read_weights(tmp_path / "w.safetensors")
    assert training == TRAINING
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    other = build_model(ARCH, seed=2)
    load_into(other, found, "weights")
    assert torch.equal(other.state_dict()["head.classifier.linear.weight"], state["head.classifier.linear.weight"])


def test_a_plain_state_dict_is_read(tmp_path: Path) -> None:
    state = build_model(ARCH, seed=1).state_dict()
    torch.save(state, tmp_path / "w.pt")
    write_weights(tmp_path / "w.safetensors", state)
    for name in ("w.pt", "w.safetensors"):
        found, training = read_weights(tmp_path / name)
        assert training is None
        assert found.keys() == state.keys()


def test_what_is_no_weights_file_is_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "touched",)  # type: ignore[return-value]

    (tmp_path / "text.safetensors").write_text("no tensors")
    (tmp_path / "text.pt").write_text("no tensors")
    (tmp_path / "harmful.pt").write_bytes(pickle.dumps(Harmful()))
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "nested.pt")
    for name, message in {
        "text.safetensors": "no weights file .*expected a .safetensors file, or a state dict",
        "text.pt": "no weights file",
        "harmful.pt": "no weights file",
        "nested.pt": r"holds more than a state dict; save module.state_dict\(\) alone",
        "missing.pt": "No such file",
        ".": "folder: not a regular file",
    }.items():
        with pytest.raises(SpecError, match=message):
            read_weights(tmp_path / name)
    assert not (tmp_path / "touched").exists()


def test_the_first_tensor_that_differs_is_named() -> None:
    module = build_model(ARCH)
    state = dict(module.state_dict())
    name = "stage2.0.expand.conv.weight"
    shape = "x".join(map(str, state[name].shape))
    for changed, message in (
        ({**state, name: torch.zeros(5, 8, 1, 1)}, f"{name} is 5x8x1x1, the network's is {shape}"),
        (
            {key: value for key, value in state.items() if key != name},
            f"there is no tensor {name}; .* one of {shape}",
        ),
        ({**state, "extra": torch.zeros(1)}, "the network has no tensor extra"),
        ({**state, name: state[name].to_sparse()}, f"{name} is sparse, quantised, complex or empty"),
        ({**state, name: state[name].to("meta")}, "expected plain numbers"),
        ({**state, name: state[name] * 1j}, "expected plain numbers"),
        ({**state, name: state[name] * float("nan")}, f"{name} has values that are not finite"),
    ):
        with pytest.raises(SpecError, match=message):
            load_into(module, changed, "weights 'w.pt'")
    load_into(module, {key: value for key, value in state.items() if "num_batches" not in key}, "weights")


def test_metadata_that_cannot_be_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for text, message in (("{", "no JSON"), ('{"schema": 9}', "schema"), ("{}", "schema is missing")):
        save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", {"snsearch": text})
        with pytest.raises(SpecError, match=message):
            read_weights(tmp_path / "w.safetensors")
