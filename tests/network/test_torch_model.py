"""The torch module: the graph's own shapes and parameters, the paper's network, and its use in torch."""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from torch import Tensor, nn
from torch.nn import functional

from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.network.arch import Architecture
from snsearch.network.costs import cost_report
from snsearch.network.graph import OpGraph
from snsearch.network.torch_model import Network, build_model
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space
from tests.architectures import architectures, shufflenet
from tests.studies import accelerators

SMALL = Budget(name="small", macs=1, resolution=(33, 47), classes=5)


def _designs() -> Iterator[tuple[str, Design]]:
    """Every bundled space with its group counts and every setting of its switches."""
    for name in bundled_names("spaces"):
        space = load_space(name)
        for groups in sorted({*space.groups, *space.search_groups}):
            for se in (False, True) if "se" in space.options else (False,):
                for shuffle in (True, False) if "shuffle" in space.options else (None,):
                    yield name, Design(groups=groups, scale=0.25, depth="shallow", se=se, shuffle=shuffle)


def _name(name: str, design: Design) -> str:
    marks = [name, f"g{design.groups}"] + ["se"] * design.se + ["no-shuffle"] * (design.shuffle is False)
    return "-".join(marks)


DESIGNS = [pytest.param(name, design, id=_name(name, design)) for name, design in _designs()]


def tiny(groups: int = 2, **changes: Any) -> Architecture:
    """A ShuffleNet of two stages that runs in a millisecond."""
    settings: dict[str, Any] = {
        "stem": 8,
        "stem_pool": False,
        "stage_repeats": (2, 2),
        "resolution": (24, 24),
        "classes": 5,
    } | changes
    return shufflenet(groups, 16 * groups, 32 * groups, **settings)


def bottleneck(**changes: Any) -> Architecture:
    """A small ResNet whose first unit projects its shortcut and whose second does not."""
    return tiny(1, shuffle=False, **{"unit": "bottleneck"} | changes)


def image(*shape: int, seed: int = 0) -> Tensor:
    """A random input from its own generator."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shake(network: Network, seed: int = 0) -> Network:
    """The network with random batch norms, so that no scale of one and no mean of zero hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low, high in (
                (norm.weight, 0.5, 1.5),
                (norm.bias, -0.5, 0.5),
                (norm.running_mean, -0.5, 0.5),
                (norm.running_var, 0.5, 2.0),
            ):
                assert tensor is not None
                tensor.data = torch.rand(tensor.shape, generator=generator) * (high - low) + low
    return network


def outputs_by_operator(network: Network, x: Tensor) -> dict[str, Tensor]:
    """Every operator's output tensor, by the operator's name."""
    found: dict[str, Tensor] = {}
    handles = [
        network.get_submodule(op.name).register_forward_hook(
            lambda module, inputs, output, name=op.name: found.__setitem__(name, output)
        )
        for op in OpGraph.of(network.architecture).ops[1:]
    ]
    network(x)
    for handle in handles:
        handle.remove()
    return found


def check_shapes(network: Network) -> None:
    """Compares every operator's output shape and parameters with the graph's and the cost report's."""
    arch = network.architecture
    graph = OpGraph.of(arch)
    report = cost_report(graph)
    with torch.no_grad():
        tensors = outputs_by_operator(network.eval(), image(2, arch.input_channels, *arch.resolution))
    shapes = {name: (*tensor.shape[1:], 1, 1)[:3] for name, tensor in tensors.items()}
    params = {op.name: sum(p.numel() for p in network.get_submodule(op.name).parameters()) for op in graph.ops[1:]}
    assert shapes == {op.name: (op.channels, op.height, op.width) for op in graph.ops[1:]}
    assert shapes == {op.name: op.output for op in report.operators}
    assert params == {op.name: op.params for op in report.operators}
    assert sum(p.numel() for p in network.parameters()) == report.totals.params


@pytest.mark.parametrize(("name", "design"), DESIGNS)
def test_parameters_and_every_shape_are_those_of_the_graph(name: str, design: Design) -> None:
    check_shapes(build_model(scaled(load_space(name), design, SMALL).architecture))


@given(arch=architectures(most_repeats=2))
@limits(max_examples=15)
def test_parameters_and_shapes_are_the_graphs_for_any_architecture(arch: Architecture) -> None:
    height, width = arch.resolution
    check_shapes(build_model(replace(arch, resolution=(height % 40 + 1, width % 40 + 1), classes=7)))


@pytest.mark.parametrize("size", [(1, 1), (5, 5), (33, 33), (65, 97), (1, 64)])
@pytest.mark.parametrize("name", bundled_names("spaces"))
def test_odd_and_tiny_inputs_run_and_have_the_graphs_shapes(name: str, size: tuple[int, int]) -> None:
    space = load_space(name)
    design = Design(groups=space.groups[-1], scale=0.25, depth="shallow")
    check_shapes(build_model(scaled(space, design, replace(SMALL, resolution=size)).architecture))


def test_one_network_takes_inputs_of_any_size() -> None:
    network = build_model(tiny(2)).eval()
    with torch.no_grad():
        assert [network(image(1, 3, *size)).shape for size in ((1, 1), (5, 7), (65, 97))] == [(1, 5)] * 3


def test_channels_that_do_not_divide_are_refused() -> None:
    with pytest.raises(SpecError, match=r"stage2\S* .*3 groups|3 groups"):
        build_model(shufflenet(3, 100))


# The paper's network, written down again from Figures 1 and 2 and Table 1 without a graph.


class PaperUnit(nn.Module):
    def __init__(self, before: int, after: int, stride: int, groups: int, first: bool, reduction: int) -> None:
        super().__init__()
        inner = after // 4
        self.groups, self.stride, self.reduction = groups, stride, reduction
        self.gconv1 = nn.Conv2d(before, inner, 1, groups=1 if first else groups, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.dwconv = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        made = after - before if stride == 2 else after
        self.gconv3 = nn.Conv2d(inner, made, 1, groups=groups, bias=False)
        self.norm3 = nn.BatchNorm2d(made)
        if reduction:
            self.squeeze = nn.Linear(after, after // reduction)
            self.excite = nn.Linear(after // reduction, after)

    def shuffled(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.reshape(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)

    def gated(self, x: Tensor) -> Tensor:
        if not self.reduction:
            return x
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(x.mean(dim=(2, 3))))))
        return x * gate.reshape(*gate.shape, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        branch = functional.relu(self.norm1(self.gconv1(x)))
        branch = self.norm2(self.dwconv(self.shuffled(branch)))
        branch = self.norm3(self.gconv3(branch))
        if self.stride == 2:
            pooled = functional.avg_pool2d(x, 3, stride=2, padding=1)
            return self.gated(functional.relu(torch.cat([pooled, branch], dim=1)))
        return functional.relu(x + self.gated(branch))


class PaperNetwork(nn.Module):
    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, arch.stem_channels, 3, 2, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(arch.stem_channels)
        units: list[nn.Module] = []
        before = arch.stem_channels
        stages = zip(arch.stage_channels, arch.stage_repeats, arch.groups, arch.se_reduction, strict=True)
        for width, repeats, groups, reduction in stages:
            for number in range(repeats):
                stride = 1 if number else 2
                units.append(PaperUnit(before, width, stride, groups, not units, reduction))
                before = width
        self.units = nn.Sequential(*units)
        self.classifier = nn.Linear(before, arch.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm1(self.conv1(x)))
        x = self.units(functional.max_pool2d(x, 3, stride=2, padding=1))
        return self.classifier(x.mean(dim=(2, 3)))


def with_weights_of(network: Network) -> PaperNetwork:
    """The independent network with the same weights; both register their layers in running order."""
    paper = PaperNetwork(network.architecture)
    pairs = zip(paper.state_dict().values(), network.state_dict().values(), strict=True)
    for target, source in pairs:
        assert target.shape == source.shape
        target.copy_(source)
    return paper


@pytest.mark.parametrize("se", [0, 4, "mixed"], ids=["plain", "se", "se-mixed"])
@pytest.mark.parametrize(
    ("groups", "widths"),
    [
        (1, (32, 64)),
        (2, (32, 64)),
        (3, (48, 96)),
        (4, (64, 128, 256)),
        (8, (128, 256)),
        ((1, 3, 8), (48, 120, 256)),
        ((8, 1, 2), (64, 68, 136)),
    ],
    ids=["g1", "g2", "g3", "g4", "g8", "g1-3-8", "g8-1-2"],
)
def test_outputs_are_those_of_an_independent_shufflenet(
    groups: int | tuple[int, ...], widths: tuple[int, ...], se: int | str
) -> None:
    gates = (0, 4, 16)[: len(widths)] if se == "mixed" else se
    arch = shufflenet(groups, *widths, stage_repeats=(3,) * len(widths), se_reduction=gates, classes=7)
    network = shake(build_model(arch, seed=3, zero_start=False)).double().eval()
    paper = with_weights_of(network).double().eval()
    x = image(2, 3, 65, 97).double()
    with torch.no_grad():
        expected = paper(x)
        assert expected.std() > 1e-6
        torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize(
    ("groups", "channels", "order"),
    [
        (2, 4, [0, 2, 1, 3]),
        (2, 8, [0, 4, 1, 5, 2, 6, 3, 7]),
        (3, 6, [0, 2, 4, 1, 3, 5]),
        (4, 8, [0, 2, 4, 6, 1, 3, 5, 7]),
    ],
)
def test_the_shuffle_has_the_papers_order(groups: int, channels: int, order: list[int]) -> None:
    # Viewed as (g, C/g), transposed and flattened (section 3.1): the first channels of all groups come first.
    network = build_model(shufflenet(groups, channels * 4, stem=groups, stage_repeats=(2,), classes=2))
    numbers = torch.arange(channels, dtype=torch.float32).view(1, channels, 1, 1).expand(2, channels, 3, 5)
    shuffled = network.get_submodule("stage2.1.shuffle")(numbers)
    assert shuffled[:, :, 2, 4].tolist() == [order, order]
    assert torch.equal(shuffled, shuffled[:, :, :1, :1].expand_as(shuffled))


@pytest.mark.parametrize("groups", [2, 3, 4, 8])
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_group_reads_from_every_group_only_where_channels_are_shuffled(groups: int, shuffle: bool) -> None:
    arch = tiny(groups, stem=groups, shuffle=shuffle)
    network = build_model(replace(arch, stage_channels=(4 * groups * groups, 8 * groups * groups))).eval()
    unit = network.get_submodule("stage2.1")
    layers = ["expand"] + ["shuffle"] * shuffle + ["depthwise", "project"]
    width = network.architecture.stage_channels[0]
    for group in range(groups):
        x = image(4, width, 6, 6).requires_grad_()
        branch = x
        for layer in layers:
            norm = getattr(unit.get_submodule(layer), "norm", None)
            if norm is not None:
                nn.init.ones_(norm.weight)
            branch = unit.get_submodule(layer)(branch)
        branch[:, group * width // groups].square().sum().backward()
        assert x.grad is not None
        touched = x.grad.view(4, groups, -1).abs().sum(dim=(0, 2)) > 0
        assert touched.tolist() == [shuffle or other == group for other in range(groups)]


def test_only_the_first_pointwise_convolution_of_the_network_is_not_grouped() -> None:
    network = build_model(tiny(4))
    pointwise = {
        name.removesuffix(".conv"): conv.groups
        for name, conv in network.named_modules()
        if isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1)
    }
    units = [
        f"stage{stage}.{number}.{layer}" for stage in (2, 3) for number in (0, 1) for layer in ("expand", "project")
    ]
    assert pointwise == {unit: 1 if unit == "stage2.0.expand" else 4 for unit in units}


# Weights.


@pytest.mark.parametrize(
    "arch", [tiny(2), tiny(3, se_reduction=4, stem=6), bottleneck()], ids=["shufflenet", "se", "bottleneck"]
)
@pytest.mark.parametrize("training", [True, False])
def test_a_zero_start_begins_every_added_unit_as_its_shortcut(arch: Architecture, training: bool) -> None:
    adds = [op.name for op in OpGraph.of(arch).ops if op.kind == "add"]
    assert adds
    for zero_start in (True, False):
        network = build_model(arch, zero_start=zero_start).train(training)
        read: dict[str, tuple[Tensor, Tensor]] = {}
        for name in adds:
            network.get_submodule(name).register_forward_pre_hook(
                lambda module, inputs, name=name, read=read: read.__setitem__(name, inputs)
            )
        made = outputs_by_operator(network, image(2, 3, 24, 24))
        for name in adds:
            shortcut, branch = read[name]
            assert torch.equal(made[name], functional.relu(shortcut)) == zero_start
            assert bool((branch == 0).all()) == zero_start


def test_a_unit_of_stride_2_is_not_silenced_by_a_zero_start() -> None:
    network = build_model(tiny(2)).eval()
    made = outputs_by_operator(network, image(2, 3, 24, 24))
    assert made["stage2.0.project"].abs().sum() > 0


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = build_model(tiny(2), seed=5).state_dict()
    torch.manual_seed(2)
    two, other = build_model(tiny(2), seed=5).state_dict(), build_model(tiny(2), seed=6).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    weights = [key for key in one if key.endswith(("conv.weight", "linear.weight"))]
    assert len(weights) == 14
    assert not any(torch.equal(one[key], other[key]) for key in weights)


def test_building_leaves_the_global_random_states_alone() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    build_model(tiny(2), seed=3)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_convolutions_start_by_hes_rule_on_the_inputs_of_a_group() -> None:
    network = build_model(shufflenet(4, 256, stage_repeats=(2,), classes=500))
    convolutions = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    fan_in = {"stem.conv.conv": 3 * 9, "stage2.1.expand.conv": 64, "stage2.1.project.conv": 16}
    for name, inputs in fan_in.items():
        assert convolutions[name].weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.1)
    classifier = network.get_submodule("head.classifier.linear")
    assert isinstance(classifier, nn.Linear)
    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert classifier.bias.count_nonzero() == 0


# What torch does with it.


def test_evaluation_treats_images_one_by_one_and_changes_nothing() -> None:
    network = shake(build_model(tiny(2, se_reduction=4), zero_start=False)).eval()
    before = copy.deepcopy(network.state_dict())
    x = image(4, 3, 24, 24)
    with torch.no_grad():
        together, alone = network(x), torch.cat([network(one[None]) for one in x])
    torch.testing.assert_close(together, alone)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_a_built_network_trains_and_updates_its_batch_norms() -> None:
    network = build_model(tiny(2))
    assert network.training
    x = image(4, 3, 24, 24)
    original = x.clone()
    network(x)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [int(norm.num_batches_tracked or 0) for norm in norms] == [1] * len(norms)
    assert all(norm.running_var is not None and bool((norm.running_var != 1).any()) for norm in norms)
    assert torch.equal(x, original)  # nothing that works in place reaches the caller's tensor


@pytest.mark.parametrize("zero_start", [True, False])
@pytest.mark.parametrize(
    "arch",
    [
        tiny(3, stem=6, se_reduction=4),
        tiny(2, shuffle=False),
        bottleneck(se_reduction=4),
        bottleneck(unit="plain"),
        bottleneck(unit="separable"),
    ],
    ids=lambda arch: arch.key.partition("_")[0],
)
def test_a_backward_pass_reaches_every_parameter_with_finite_gradients(arch: Architecture, zero_start: bool) -> None:
    network = build_model(arch, zero_start=zero_start)
    functional.cross_entropy(network(image(8, 3, 24, 24)), torch.arange(8) % 5).backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert all(grad is not None and bool(grad.isfinite().all()) for grad in gradients.values())
    if not zero_start:
        assert all(grad is not None and bool(grad.count_nonzero()) for grad in gradients.values())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("arch", [tiny(3, stem=6, se_reduction=4), bottleneck()], ids=["shufflenet", "bottleneck"])
def test_the_memory_format_does_not_change_the_output(arch: Architecture, training: bool) -> None:
    network = shake(build_model(arch, zero_start=False)).double().train(training)
    x = image(4, 3, 25, 31).double()
    other = copy.deepcopy(network).to(memory_format=torch.channels_last)
    torch.testing.assert_close(other(x.contiguous(memory_format=torch.channels_last)), network(x))


def test_a_copy_gives_the_same_output_and_shares_no_weights() -> None:
    network = shake(build_model(tiny(2))).eval()
    twin = copy.deepcopy(network)
    x = image(2, 3, 24, 24)
    expected = network(x)
    assert torch.equal(twin(x), expected)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(network(x), expected)
    assert twin.architecture == network.architecture


def test_weights_survive_a_file(tmp_path: Path) -> None:
    network = shake(build_model(tiny(2, se_reduction=4), seed=1, zero_start=False)).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    other = build_model(network.architecture, seed=2).eval()
    x = image(2, 3, 24, 24)
    assert not torch.equal(other(x), network(x))
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other(x), network(x))


@pytest.mark.parametrize("arch", [tiny(2, se_reduction=4), bottleneck()], ids=["shufflenet", "bottleneck"])
def test_an_export_with_a_dynamic_batch_gives_the_same_output(arch: Architecture) -> None:
    network = shake(build_model(arch, zero_start=False)).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (image(3, 3, 24, 24),), dynamic_shapes=({0: batch},))
    exported = program.module()
    for count in (1, 2, 7):
        x = image(count, 3, 24, 24, seed=count)
        torch.testing.assert_close(exported(x), network(x))


def test_the_whole_network_is_one_graph_to_the_compiler() -> None:
    network = shake(build_model(tiny(2, se_reduction=4), zero_start=False)).eval()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    x = image(2, 3, 24, 24)
    assert torch.equal(compiled(x), network(x))


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # inductor's own imports
def test_compiled_code_gives_the_same_output() -> None:
    # The first run on a machine compiles for a quarter of a minute; later ones find torch's own cache.
    arch = shufflenet(2, 16, stem=4, stem_pool=False, stage_repeats=(2,), resolution=(9, 9), classes=3)
    network = shake(build_model(arch, zero_start=False)).eval()
    x = image(2, 3, 9, 9)
    with torch.no_grad():
        compiled = torch.compile(network, fullgraph=True, options={"compile_threads": 1})
        torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.parametrize("device", ["cpu", *accelerators()])
def test_every_device_of_this_machine_gives_the_same_output(device: str) -> None:
    network = shake(build_model(tiny(2, se_reduction=4), zero_start=False)).eval()
    x = image(2, 3, 24, 24)
    expected = network(x)
    torch.testing.assert_close(network.to(device)(x.to(device)).cpu(), expected, rtol=1e-3, atol=1e-4)
