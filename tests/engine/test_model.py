"""Models written from operators: an engine computes from them what torch computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.published import networks
from benchmarks.published.samples import NETWORKS_NCNN
from snsearch.device.verdicts import PARITY
from snsearch.engine.artefact import Artefact, output_indices, padding_of, tensor_shapes
from snsearch.engine.engines import ENGINES, NCNN, ONNX_RUNTIME, Engine, engine_of
from snsearch.engine.parity import deviation, expected_outputs
from snsearch.engine.protocol import TimeJob, read_time
from snsearch.engine.python_runner import model_input
from snsearch.engine.weights import LayerWeights, Norm, random_weights, weights_of
from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.network.graph import OpGraph
from snsearch.network.known.builder import ChainBuilder
from snsearch.network.known.catalogue import network_of
from snsearch.network.operators import Activation, Op
from snsearch.network.torch_model import build_model
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space
from tests.architectures import shufflenet
from tests.runners import SUFFIXES, python_runner_of

Ops = tuple[Op, ...]
SMALL = Budget(name="small", macs=1, resolution=(33, 47), classes=5)


def spaces() -> Iterator[tuple[str, Ops]]:
    """A small network of every bundled space, group count and switch, at an odd input size."""
    for name in bundled_names("spaces"):
        space = load_space(name)
        for groups in sorted({*space.groups, *space.search_groups}):
            for se in (False, True) if "se" in space.options else (False,):
                for shuffle in (True, False) if "shuffle" in space.options else (None,):
                    design = Design(groups=groups, scale=0.25, depth="shallow", se=se, shuffle=shuffle)
                    label = "-".join([name, f"g{groups}", *["se"] * se, *["plain"] * (shuffle is False)])
                    yield label, OpGraph.of(scaled(space, design, SMALL).architecture).ops
    for groups, se in (((1, 3, 8), (False, True, True)), ((8, 1, 2), (True, False, False))):
        for name in ("shufflenet-v1", "resnext"):
            design = Design(groups=groups, scale=0.25, depth="shallow", se=se)
            label = f"{name}-g{'-'.join(map(str, groups))}-mixed"
            yield label, OpGraph.of(scaled(load_space(name), design, SMALL).architecture).ops


def built(build: Callable[[networks.Net], object], channels: int = 8, height: int = 9, width: int = 12) -> Ops:
    """The operators that a function adds to an input."""
    net = networks.Net(channels, height, width)
    build(net)
    return tuple(net.ops)


def chained(build: Callable[[ChainBuilder], object]) -> Ops:
    """The operators that a function adds to an input of 8 channels."""
    net = ChainBuilder(8, 10, 12)
    build(net)
    return tuple(net.ops)


def _two_readers(net: networks.Net) -> None:
    conv = net.cbr(0, 8)
    net.join(net.add("add", conv, conv), net.cbr(0, 5, 3), 0)


def _shufflenet_v2(net: networks.Net) -> None:
    """Merged units: each half is an input, and what is split is an output."""
    joined = net.join(net.half(0), net.cbr(net.half(0), 4))
    net.cbr(joined, 6)


SINGLE: dict[str, Ops] = {
    "depthwise, stride 2": built(lambda net: net.dw(0, 2)),
    "grouped 1x1": built(lambda net: net.cbr(0, 12, groups=4)),
    "grouped 1x1, packed": built(lambda net: net.cbr(0, 16, groups=2)),
    "grouped 3x3, stride 2": built(lambda net: net.cbr(0, 12, 3, 2, groups=2)),
    "shuffle in 2": built(lambda net: net.channel_shuffle("s", 0, 2)),
    "shuffle in 3": built(lambda net: net.channel_shuffle("s", 0, 3), channels=24),
    "shuffle in 8": built(lambda net: net.channel_shuffle("s", 0, 8), channels=24),
    "average pool, odd size": built(lambda net: net.pool("p", 0, "avg_pool"), height=7, width=11),
    "average pool, even size": built(lambda net: net.pool("p", 0, "avg_pool"), height=8, width=12),
    "max pool": built(lambda net: net.pool("p", 0, "max_pool")),
    "max pool, rounded up": built(lambda net: net.pool_to(0, (5, 6))),
    "valid convolution": built(lambda net: net.conv_to(0, 6, (3, 4), kernel=5, stride=2)),
    "gate": built(lambda net: net.gate(0, 3)),
    "gate, width as channels": built(lambda net: net.gate(0, 3), channels=12, height=12, width=12),
    "tensors read twice": built(_two_readers),
    "halves as inputs": built(_shufflenet_v2),
    "linear on a vector": built(lambda net: net.linear("fc", 0, 7, "sigmoid"), channels=10, height=1, width=1),
    "one pixel": built(lambda net: net.cbr(net.dw(0, 2), 8, groups=2), height=1, width=1),
    "squeezenet": networks.known("squeezenet-1.1"),
    "slices": chained(lambda net: net.join("j", net.slice("a", 0, 4, 4), net.slice("b", 0, 0, 3), 0)),
    "flattened": chained(lambda net: net.linear("fc", net.flatten("flat", 0), 5)),
    "pool with a part of a window": chained(lambda net: net.window("p", 0, "max_pool", padding=0, ceil=True)),
    "no padding, no norm": chained(lambda net: net.plain("c", 0, 6, 5, 2, padding=0)),
    **{
        f"{activation} of {what}": chained(make)
        for activation in get_args(Activation)
        for what, make in (
            ("a convolution", lambda net, by=activation: net.layer("c", 0, 8, activation=by)),
            ("a sum", lambda net, by=activation: net.add("s", 0, net.activate("a", 0), by)),
            ("its own", lambda net, by=activation: net.layer("c", net.activate("a", 0, by), 8)),
        )
    },
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    return engine_of(request.param)


def run_all(
    engine: Engine, named: Sequence[tuple[str, Sequence[Op]]], folder: Path, seed: int = 7
) -> dict[str, float]:
    """The deviation of each list of operators, computed in one call of the Python runner."""
    runner = python_runner_of(engine)
    weights = [random_weights(ops, seed=3) for _, ops in named]
    prefixes = [engine.write_model(ops, w).save(folder).name for (_, ops), w in zip(named, weights, strict=True)]
    job = TimeJob(
        prefixes=tuple(prefixes), rounds=1, repeats=1, alarm_s=300, warmup_runs=0, warmup_ms=0,
        input_seed=seed, outputs=True,
    )  # fmt: skip
    answer = read_time(runner(job.arguments("n1"), folder).stdout, job, "n1")
    return {
        name: deviation(model.output or (), expected_outputs(ops, w, seed))
        for (name, ops), w, model in zip(named, weights, answer.models, strict=True)
    }


def test_every_space_computes_what_torch_computes(engine: Engine, tmp_path: Path) -> None:
    named = list(spaces())
    assert {name.split("-g")[0] for name, _ in named} == set(bundled_names("spaces"))
    found = run_all(engine, named, tmp_path)
    assert not {name: value for name, value in found.items() if value > PARITY}


def test_every_operator_computes_what_torch_computes(engine: Engine, tmp_path: Path) -> None:
    found = run_all(engine, list(SINGLE.items()), tmp_path)
    assert not {name: value for name, value in found.items() if value > PARITY}


def test_published_networks_compute_what_torch_computes(engine: Engine, tmp_path: Path) -> None:
    names = (
        "mobilenet-v2-1x",
        "mobilenet-v3-small",
        "efficientnet-b0",
        "shufflenet-v2-0.5x",
        "regnety-400m",
        "igcv3-d",
    )
    small = {name: network_of(name).at_input(channels=3, resolution=(64, 96), classes=10) for name in names}
    found = run_all(engine, [(name, OpGraph.of(network).ops) for name, network in small.items()], tmp_path)
    assert not {name: value for name, value in found.items() if value > PARITY}


def needs_writer(engine: Engine) -> None:
    """Skips if the package that writes the engine's models is not installed."""
    if engine is ONNX_RUNTIME:
        pytest.importorskip("onnx", reason="onnx is not installed (pip install 'snsearch[onnxruntime]')")


def write(engine: Engine, ops: Sequence[Op], seed: int = 0) -> Artefact:
    """The model with weights of a seed."""
    needs_writer(engine)
    return engine.write_model(ops, random_weights(ops, seed=seed))


def test_what_no_layer_does_is_not_written(engine: Engine) -> None:
    with pytest.raises(SpecError, match="upsample: no padding makes 26 of 13 pixels with a 1x1 kernel and stride 1"):
        write(engine, NETWORKS_NCNN["yolov4-tiny"][1]())


def test_a_wrong_order_of_channels_would_be_seen(tmp_path: Path) -> None:
    right = built(lambda net: net.channel_shuffle("s", 0, 2), channels=24)
    wrong = (right[0], right[1]._replace(groups=12))  # the inverse shuffle
    weights = random_weights(right)
    assert deviation(expected_outputs(wrong, weights)[0].ravel().tolist(), expected_outputs(right, weights)) > 0.1


@pytest.mark.parametrize("se_reduction", [0, 16])
def test_a_module_s_weights_give_the_module_s_output(se_reduction: int, tmp_path: Path) -> None:
    arch = shufflenet(2, 32, 64, stem=8, se_reduction=se_reduction, resolution=(40, 33), classes=7)
    network = build_model(arch, seed=5)
    with torch.no_grad():  # statistics of its own, so that folding matters
        network(torch.from_numpy(model_input((4, 3, 40, 33), seed=1)))
    network.eval()
    ops = OpGraph.of(arch).ops
    weights = weights_of(ops, arrays_of(network))
    with torch.no_grad():
        logits = network(torch.from_numpy(model_input((1, 3, 40, 33), seed=9)))
    assert deviation(logits[0].tolist(), expected_outputs(ops, weights, input_seed=9)) < 1e-5
    for engine in ENGINES.values():
        needs_writer(engine)
        artefact = engine.write_model(ops, weights)
        assert artefact.key != write(engine, ops).key


def arrays_of(network: torch.nn.Module) -> dict[str, Any]:
    """The arrays of a module's state_dict()."""
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def test_weights_of_another_network_are_refused(engine: Engine) -> None:
    needs_writer(engine)
    ops = OpGraph.of(shufflenet(2, 32, 64, stem=8)).ops
    other = shufflenet(2, 48, 96, stem=8)
    weights = weights_of(OpGraph.of(other).ops, arrays_of(build_model(other)))
    with pytest.raises(SpecError, match=r"expand: the weight has the shape .*; expected"):
        engine.write_model(ops, weights)
    with pytest.raises(SpecError, match="operator 1 has no weights"):
        engine.write_model(ops, {})


def test_a_fold_is_the_norm_of_the_convolution() -> None:
    vector = np.array([1.0, -2.0], np.float32)
    norm = Norm(scale=vector, shift=vector + 1, mean=vector * 3, variance=np.array([4.0, 0.25], np.float32))
    weight = np.array([[[[2.0]]], [[[3.0]]]], np.float32)
    folded, bias = LayerWeights(weight=weight, norm=norm).folded()
    assert folded.ravel() == pytest.approx([2 * 1 / 2, 3 * -2 / 0.5], rel=1e-4)
    assert bias == pytest.approx([2 - 3 * 1 / 2, -1 - -6 * -2 / 0.5], rel=1e-4)


def test_torch_s_padding_is_that_of_the_sizes() -> None:
    read = Op("input", "input", (), 8, 8, 9, 12)
    same = Op("conv", "conv", (0,), 8, 8, 5, 6, kernel=3, stride=2)
    assert padding_of(same, read) == (1, 1, 1, 1)
    assert padding_of(same._replace(height=4, width=5), read) == (0, 0, 0, 0)
    assert padding_of(same._replace(height=6, width=7), read) == (1, 2, 2, 2)
    with pytest.raises(SpecError, match="no padding makes 20 of 12 pixels with a 3x3 kernel and stride 2"):
        padding_of(same._replace(width=20), read)


def test_an_average_counts_its_padding() -> None:
    ops = SINGLE["average pool, odd size"]
    [found] = expected_outputs(ops, {})
    image = torch.from_numpy(model_input((8, 7, 11), seed=0))[None]
    assert torch.equal(torch.from_numpy(found), functional.avg_pool2d(image, 3, 2, padding=1)[0])


def test_a_key_is_that_of_the_content_and_files_are_written_once(engine: Engine, tmp_path: Path) -> None:
    ops = SINGLE["gate"]
    one = write(engine, ops, seed=1)
    assert one.key == write(engine, ops, seed=1).key
    assert one.key != write(engine, ops, seed=2).key
    prefix = one.save(tmp_path / "models")
    last = SUFFIXES[engine.name][-1]
    written = prefix.with_suffix(last).stat().st_mtime_ns
    assert one.save(tmp_path / "models") == prefix
    assert prefix.with_suffix(last).stat().st_mtime_ns == written
    prefix.with_suffix(last).write_bytes(b"half")
    one.save(tmp_path / "models")
    assert prefix.with_suffix(last).read_bytes() == one.files[last]
    assert {path.suffix for path in (tmp_path / "models").iterdir()} == set(SUFFIXES[engine.name]) == set(one.files)


def test_a_model_s_head_counts_its_layers_and_blobs() -> None:
    for ops in SINGLE.values():
        _, counts, *layers = write(NCNN, ops).files[".param"].decode().splitlines()
        made = sum(int(line.split()[3]) for line in layers)
        assert counts == f"{len(layers)} {made}"


def test_an_onnx_model_is_valid_and_has_the_operators_shapes() -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install 'snsearch[onnxruntime]')")
    for name, ops in {**SINGLE, **dict(list(spaces())[:6])}.items():
        artefact = write(ONNX_RUNTIME, ops)
        model = onnx.load_model_from_string(artefact.files[".onnx"])
        onnx.checker.check_model(model, full_check=True)
        assert [opset.version for opset in model.opset_import] == [13]
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
        found = {value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim) for value in
                 (*inferred.input, *inferred.output, *inferred.value_info)}  # fmt: skip
        shapes = tensor_shapes(ops)
        told = {index: found[f"t{index}"] for index in range(len(ops)) if f"t{index}" in found}
        assert len(told) >= len(ops) - sum(op.kind == "input" for op in ops), name
        assert told == {index: (1, *shapes[index]) for index in told}, name


def test_outputs_are_what_no_operator_reads() -> None:
    ops = SINGLE["halves as inputs"]
    assert [ops[index].kind for index in output_indices(ops)] == ["conv"]
    assert tensor_shapes(SINGLE["gate"])[-1] == (8, 9, 12)


def test_what_the_engine_could_not_run_is_not_written(engine: Engine) -> None:
    vector = built(lambda net: net.conv("c", net.global_pool("pool", 0), 4))
    with pytest.raises(SpecError, match="c: reads the vector of pool; expected an image"):
        write(engine, vector)
    image = built(lambda net: net.linear("fc", 0, 4))
    with pytest.raises(SpecError, match="fc: reads an image of 8x9x12 from input; a linear layer needs a vector"):
        write(engine, image)


def test_a_deviation_is_relative_to_the_largest_output() -> None:
    expected = (np.array([1.0, -4.0], np.float32), np.array([[0.5]], np.float32))
    assert deviation([1.0, -4.0, 0.5], expected) == 0
    assert deviation([1.2, -4.0, 0.5], expected) == pytest.approx(0.05)
    assert deviation([1.0, -4.0, 0.6], expected) == pytest.approx(0.2)  # each output by itself
    assert deviation([1.0, -4.0], expected) == float("inf")
    assert deviation([1.0, -4.0, float("nan")], expected) == float("inf")
    assert deviation([0.0], (np.zeros(1, np.float32),)) == 0
    assert deviation([1e-9], (np.zeros(1, np.float32),)) == float("inf")
