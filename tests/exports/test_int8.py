"""Int8 exports: what is quantised, what it costs, and which layers stay in float32."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import snsearch
from snsearch.engine.layer_errors import LayerError
from snsearch.errors import ExportError
from snsearch.exports import int8
from snsearch.exports.exporting import Export
from snsearch.network.graph import OpGraph
from snsearch.training.data import Dataset
from snsearch.training.weights_file import read_weights, write_weights
from tests.exports.networks import SMALL, trained_on


@pytest.fixture(autouse=True)
def latencies(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the two models are said to take, in the place of a measurement: it depends on how busy the machine is."""
    taken = [2.0, 1.0]
    monkeypatch.setattr(int8, "host_latency", lambda runs, image: taken)
    return taken


@pytest.fixture(scope="module")
def spoilt(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of depthwise separable units, with one channel of a tensor scaled up, which the next layer undoes."""
    arch = replace(SMALL, unit="separable", groups=(1, 1, 1), se_reduction=(0, 0, 0), shuffle=False)
    path = trained_on(digits, arch, tmp_path_factory.mktemp("weights") / "spoilt.safetensors")
    state, training = read_weights(path)
    for part in ("weight", "bias"):
        state[f"stage3.1.depthwise.norm.{part}"][0] *= 5000
    state["stage3.1.pointwise.conv.weight"][:, 0] /= 5000
    write_weights(path, state, training)
    return path


def exported(weights: Path, folder: Path, **options: Any) -> Export:
    return snsearch.export(weights, "onnx", folder, data="digits", int8=True, **options)


def layer_of(made: Export, name: str) -> LayerError:
    assert made.int8 is not None
    return next(one for one in made.int8.layers if one.layer == name)


def test_a_trained_network_is_quantised_per_channel_and_keeps_its_accuracy(trained: Path, tmp_path: Path) -> None:
    made = exported(trained, tmp_path / "out", max_drop=5)
    found = made.int8
    assert found is not None
    assert [file.name for file in made.files] == ["model.onnx", "model.int8.onnx", "card.json", "card.md"]
    assert abs(found.accuracy.float32 - found.accuracy.int8) <= 0.05
    assert found.accuracy.float32 == made.accuracy.exported  # type: ignore[union-attr]
    assert (found.calibration_images, found.kept_float, found.warnings) == (512, (), ())
    assert 0 < found.parity.max_difference < 0.5
    assert found.layers[0].layer == "stem.conv"
    assert all(0 <= one.added <= one.error < 0.5 for one in found.layers)
    model = onnx.load(tmp_path / "out" / "model.int8.onnx")
    onnx.checker.check_model(model)
    scales = {one.name: one.dims for one in model.graph.initializer if one.name.endswith("weight_scale")}
    assert scales["1_stem.conv_weight_scale"] == [8]
    assert {one.key for one in model.metadata_props} >= {"key", "mean", "std"}
    assert not any(one.key.startswith("onnx.quant") for one in model.metadata_props)


def test_layers_that_are_kept_are_exact(trained: Path, tmp_path: Path) -> None:
    made = exported(trained, tmp_path / "out", keep_float=("stem", "stage2.0"))
    assert made.int8 is not None
    assert made.int8.kept_float == ("stem.conv", "stage2.0.expand", "stage2.0.depthwise", "stage2.0.project")
    assert layer_of(made, "stage2.0.depthwise").error == 0
    assert layer_of(made, "head.classifier").error > 0
    with pytest.raises(ExportError, match=r"the network has no layer 'stem\.cov'; did you mean \"stem\.conv\""):
        exported(trained, tmp_path / "other", keep_float=("stem.cov",))


@pytest.fixture(scope="module")
def litert(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The trained network for LiteRT, with an int8 model whose first layer is in float32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8, "host_latency", lambda runs, image: [2.0, 1.0])
        return snsearch.export(
            trained, "litert", tmp_path_factory.mktemp("litert") / "out", data="digits", int8=True,
            keep_float=("stem", "stage2.0.expand"), max_drop=5,
        )  # fmt: skip


def steps_of(model: Path) -> list[tuple[str, int, int]]:
    """The operators of a LiteRT model: kind, type of the output's values, and the output channels of one group."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator, ModelT

    names = {value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)}
    read = ModelT.InitFromPackedBuf(model.read_bytes(), 0)
    [graph] = read.subgraphs
    found = []
    for step in graph.operators:
        code = read.operatorCodes[step.opcodeIndex]
        kind = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        groups = 1
        if kind == "CONV_2D":
            groups = graph.tensors[step.inputs[0]].shape[3] // graph.tensors[step.inputs[1]].shape[3]
        found.append((kind, int(graph.tensors[step.outputs[0]].type), int(groups)))
    return found


@pytest.mark.long
def test_litert_has_grouped_convolutions_and_shuffles_as_they_are(litert: Export) -> None:
    ops = OpGraph.of(SMALL).ops
    for name in ("model.tflite", "model.int8.tflite"):
        steps = steps_of(litert.files[0].parent / name)
        convolved = [groups for kind, _, groups in steps if kind == "CONV_2D"]
        depthwise = sum(kind == "DEPTHWISE_CONV_2D" for kind, _, _ in steps)
        assert len(convolved) + depthwise == sum(op.kind == "conv" for op in ops)
        assert {2, 4} <= set(convolved)
        assert sum(kind == "TRANSPOSE" for kind, _, _ in steps) == sum(op.kind == "channel_shuffle" for op in ops)
        assert not {kind for kind, _, _ in steps} & {"SPLIT", "SPLIT_V"}


@pytest.mark.long
def test_litert_s_own_quantiser_keeps_the_accuracy_and_the_layers_that_are_named(litert: Export) -> None:
    found = litert.int8
    assert found is not None
    assert [file.name for file in litert.files] == ["model.tflite", "model.int8.tflite", "card.json", "card.md"]
    assert abs(found.accuracy.float32 - found.accuracy.int8) <= 0.05
    assert (found.kept_float, found.warnings) == (("stem.conv", "stage2.0.expand"), ())
    assert found.bytes.int8 < found.bytes.float32
    assert [one.layer for one in found.layers][:2] == ["stem.conv", "stage2.0.expand"]
    assert found.layers[0].error == 0  # what the next layer reads is in float32 too
    assert all(0 <= one.added <= one.error < 0.5 for one in found.layers)
    assert found.layers[-1].error > 0
    folder = litert.files[0].parent
    kinds = [(kind, type_) for kind, type_, _ in steps_of(folder / "model.int8.tflite") if "CONV" in kind]
    float32, int8_type = 0, 9  # LiteRT's numbers of types
    assert [type_ for _, type_ in kinds] == [float32] * 2 + [int8_type] * (len(kinds) - 2)
    tested = snsearch.evaluate(folder / "model.int8.tflite", "digits")
    assert 1 - tested.error == pytest.approx(found.accuracy.int8)


def test_auto_keeps_the_few_layers_that_matter(spoilt: Path, tmp_path: Path) -> None:
    plain = exported(spoilt, tmp_path / "plain", max_drop=5)
    assert plain.int8 is not None
    assert "points of accuracy; at most 5 were to be lost" in plain.int8.warnings[0]
    assert not {*plain.lines} & {*plain.int8.warnings}  # the command prints them on stderr
    assert f"- {plain.int8.warnings[0]}" in plain.files[0].with_name("card.md").read_text("utf-8")
    worst = max(plain.int8.layers, key=lambda one: one.added)
    assert worst.layer == "stage3.1.depthwise"
    auto = exported(spoilt, tmp_path / "auto", keep_float="auto", max_drop=5)
    assert auto.int8 is not None
    assert {"stage3.1.depthwise", "stage3.1.pointwise"} <= set(auto.int8.kept_float)
    assert len(auto.int8.kept_float) <= 4
    assert auto.int8.accuracy.int8 > plain.int8.accuracy.int8
    assert auto.int8.warnings == ()


def test_the_command_ends_with_10_where_int8_is_slower_and_writes_the_files(
    trained: Path, tmp_path: Path, run: Callable[..., Any], latencies: list[float]
) -> None:
    command = [
        "export",
        str(trained),
        "--to",
        "onnx",
        "--data",
        "digits",
        "--int8",
        "--max-drop",
        "5",
        "--format",
        "json",
        "--out",
    ]
    assert run(*command, str(tmp_path / "quick")).code == 0
    latencies.reverse()
    outcome = run(*command, str(tmp_path / "slow"))
    assert outcome.code == 10
    assert "int8 is slower: 2 ms where float32 takes 1 ms" in outcome.err
    document = json.loads(outcome.out)
    assert document["int8"]["latency_ms"] == {"float32": 1.0, "int8": 2.0}
    assert (tmp_path / "slow" / "model.int8.onnx").is_file()
    assert "## Int8" in (tmp_path / "slow" / "card.md").read_text("utf-8")


def test_what_has_no_int8_is_refused(trained: Path, tmp_path: Path, run: Callable[..., Any]) -> None:
    for to, message in (("ncnn", "come neither with its Python package nor with apt"), ("pt2", "torchao")):
        with pytest.raises(ExportError, match=message):
            snsearch.export(trained, to, tmp_path / "out", data="digits", int8=True)
    with pytest.raises(ExportError, match="calibrated on training images"):
        snsearch.export(trained, "onnx", tmp_path / "out", int8=True)
    with pytest.raises(ExportError, match="needs batch norms folded"):
        exported(trained, tmp_path / "out", keep_batch_norm=True)
    assert run("export", SMALL.key, "--to", "onnx", "--out", str(tmp_path / "out"), "--keep-float", "auto").code == 2
    assert list(tmp_path.iterdir()) == []


def test_two_models_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    order: list[str] = []

    def run(name: str) -> Callable[[Any], Any]:
        return lambda image: order.append(name)

    assert len(int8.host_latency([run("a"), run("b")], np.zeros(1, np.float32))) == 2
    assert order[:4] == ["a", "b", "a", "b"]
