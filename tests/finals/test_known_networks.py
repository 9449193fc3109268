"""The field's mobile networks, trained by name, tested and exported; and a user's own weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import snsearch
from snsearch.errors import SpecError
from snsearch.network.known.catalogue import network_of
from snsearch.network.known.torchvision import torchvision_names
from snsearch.network.torch_model import build_model

MOBILE = (
    "shufflenet-v1-0.5x-g3",
    "shufflenet-v2-0.5x",
    "mobilenet-v1-1x",
    "mobilenet-v2-1x",
    "mobilenet-v3-small",
    "squeezenet-1.1",
    "resnet-18",
    "efficientnet-b0",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of dark and bright images, in a training and a test split."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 8)):
        for name, low in (("bright", 128), ("dark", 0)):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(low, low + 127, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{index}.png")
    return str(folder)


@pytest.mark.long
@pytest.mark.parametrize("name", MOBILE)
def test_a_mobile_network_is_trained_tested_and_exported_by_name(name: str, images: str, tmp_path: Path) -> None:
    made = snsearch.train(
        name, tmp_path / "trained", data=images, resolution=32, epochs=1, batch=16, learning_rate=0.01, threads=1,
        device="cpu",
    )  # fmt: skip
    assert made.result.plan.key.endswith("_3x32x32_c2")
    assert snsearch.evaluate(made.weights, images) == made.result.test
    out = snsearch.export(made.weights, "onnx", tmp_path / "out", data=images)
    assert (out.parity.images, out.parity.argmax_agreement) == (16, 1)
    assert snsearch.evaluate(tmp_path / "out", images).confusion == made.result.test.confusion


def test_any_of_them_may_teach(images: str, tmp_path: Path) -> None:
    options = {"data": images, "epochs": 1, "batch": 16, "learning_rate": 0.01, "threads": 1, "device": "cpu"}
    teacher = snsearch.train("squeezenet-1.1", tmp_path / "teacher", resolution=32, **options)  # type: ignore[arg-type]
    key = "shufflenet.g2.b4.shuffle_stem8s1_16x2s2-32x2s2_1x32x32_c10"
    taught = snsearch.train(key, tmp_path / "taught", teacher=teacher.weights, **options)  # type: ignore[arg-type]
    assert taught.result.plan.teacher


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A network for two classes, and a state dict of it under torchvision's names."""
    network = network_of("mobilenet-v3-small").at_input(channels=3, resolution=(32, 32), classes=2)
    names = torchvision_names(network)
    state = {}
    for key, tensor in build_model(network, seed=3).state_dict().items():
        layer, _, leaf = key.rpartition(".")
        gate = ".se." in key and leaf == "weight"
        state[f"{names[layer]}.{leaf}"] = tensor[:, :, None, None] if gate else tensor
    path = tmp_path_factory.mktemp("own") / "theirs.pt"
    torch.save(state, path)
    return network.key, path


def test_a_user_s_weights_are_tested_exported_and_started_from(
    own: tuple[str, Path], images: str, tmp_path: Path
) -> None:
    key, path = own
    tested = snsearch.evaluate(key, images, weights=path, normalise="imagenet")
    out = snsearch.export(key, "onnx", tmp_path / "out", weights=path, data=images, normalise="imagenet")
    assert out.card["input"]["mean"] == [123.675, 116.28, 103.53]
    assert snsearch.evaluate(tmp_path / "out", images).confusion == tested.confusion
    made = snsearch.train(
        "mobilenet-v3-small", tmp_path / "trained", data=images, resolution=32, epochs=1, batch=16,
        learning_rate=1e-9, init_from=path, threads=1, device="cpu",
    )  # fmt: skip
    assert made.result.plan.started_from


@pytest.mark.parametrize(
    ("normalise", "message"),
    [
        ("imagenett", 'expected "imagenet", or MEAN/STD'),
        ("1/0", 'expected "imagenet"'),
        ("1,2/3", "is for 2-channel images; the network takes 3-channel ones"),
    ],
)
def test_a_wrong_normalisation_is_refused(own: tuple[str, Path], images: str, normalise: str, message: str) -> None:
    key, path = own
    with pytest.raises(SpecError, match=message):
        snsearch.evaluate(key, images, weights=path, normalise=normalise)


def test_weights_that_say_whose_they_are_need_no_name(own: tuple[str, Path], images: str, tmp_path: Path) -> None:
    key, path = own
    out = snsearch.export(key, "torch", tmp_path / "out", weights=path)
    with pytest.raises(SpecError, match="say whose they are: snsearch evaluate"):
        snsearch.evaluate(key, images, weights=out.files[0].parent / "model.safetensors")
    with pytest.raises(SpecError, match="leave --normalise out"):
        snsearch.export(out.files[0].parent / "model.safetensors", "onnx", tmp_path / "b", normalise="imagenet")
    with pytest.raises(SpecError, match="do not say which network they are of"):
        snsearch.export(path, "onnx", tmp_path / "c")
