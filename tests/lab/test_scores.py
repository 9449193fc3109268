"""Training-free scores: against values worked out by hand, on every space, and without a trace left behind."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from snsearch.errors import DataError, SnsearchError
from snsearch.files import bundled_names
from snsearch.lab.scores import (
    SCORES,
    Candidate,
    ScoreNotFinite,
    _Codes,
    _expressivity,
    grad_norm,
    jacob_cov,
    naswot,
    snip,
    synflow,
    without_shortcuts,
    zen,
    zero_cost,
    zico,
    zico_of,
)
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs
from snsearch.network.graph import OpGraph
from snsearch.network.torch_model import build_model
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space
from snsearch.training.data import Dataset
from snsearch.training.sources import load_data
from tests.architectures import shufflenet
from tests.studies import accelerators

CPU = torch.device("cpu")
COSTS = ("params", "macs")
SMALL = shufflenet(2, 16, 32, stem=8, stage_repeats=(2, 2), se_reduction=4, resolution=(96, 96))
RESNET = replace(SMALL, unit="bottleneck", groups=1, shuffle=False, se_reduction=0)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


def at_digits(arch: Architecture) -> Architecture:
    return arch.at_input(channels=1, resolution=(8, 8), classes=10)


def batch(size: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random images of the digits' shape, and labels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 1, 8, 8, generator=generator), torch.arange(size) % 10


def two_layers() -> nn.Sequential:
    """Two fully connected layers whose logits for (1, 1) are both zero."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    first, second = network.parameters()
    first.data = torch.eye(2)
    second.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    return network


ONES = (torch.ones(1, 1, 1, 2), torch.tensor([0]))


# By hand.


def test_the_gradient_norm_adds_the_norms_of_the_layers() -> None:
    # Both classes have probability 1/2, so dL/dlogits = (-1/2, 1/2). In the second layer dL/dW = that times (1, 1):
    # norm 1. dL/dh = (-1, 1), in the first layer that times (1, 1): norm 2.
    assert grad_norm(two_layers(), ONES) == pytest.approx(3)


def test_snip_is_the_sum_of_weights_times_gradients() -> None:
    # First layer: two weights of 1 with gradients of -1 and 1. Second: four of +-1 with +-1/2.
    assert snip(two_layers(), ONES) == pytest.approx(4)


def test_synflow_is_the_flow_through_absolute_weights_summed_over_layers() -> None:
    # R = sum |W2| |W1| (1, 1) = 4 and every layer's sum of theta dR/dtheta is R.
    assert synflow(two_layers(), (1, 1, 2)) == pytest.approx(math.log(8))


def test_synflow_leaves_batch_norm_out() -> None:
    norm = nn.BatchNorm2d(3)
    for tensor, value in ((norm.weight, -7.0), (norm.bias, 5.0), (norm.running_mean, 2.0), (norm.running_var, 9.0)):
        assert tensor is not None
        tensor.data.fill_(value)
    network = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    weights = next(network.parameters())
    weights.data = torch.tensor([[1.0, -2.0], [3.0, -4.0], [-5.0, 6.0]]).view(3, 2, 1, 1)
    assert synflow(network, (2, 4, 4)) == pytest.approx(math.log(21))


def test_synflow_does_not_overflow_where_single_precision_would() -> None:
    network = nn.Sequential(nn.Flatten(), *(nn.Linear(1, 1, bias=False) for _ in range(40)))
    for weight in network.parameters():
        weight.data.fill_(1e5)
    assert synflow(network, (1, 1, 1)) == pytest.approx(200 * math.log(10) + math.log(40))


class Relu(nn.Module):
    """ReLU on flattened pixels, called in one of the ways in which it can be."""

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x.flatten(1).clone())


CALLS = {
    "module": nn.ReLU(),
    "functional": functional.relu,
    "in place": lambda x: functional.relu(x, inplace=True),
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_naswot_is_the_determinant_of_how_many_relus_agree(call: Callable[[Tensor], Tensor]) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [-1.0, -2.0]]).view(3, 1, 1, 2)
    # Codes 11, 10, 00: agreements [[2, 1, 0], [1, 2, 1], [0, 1, 2]], and 1 on the diagonal: determinant 21.
    assert naswot(Relu(call), x) == pytest.approx(math.log(21))


def test_naswot_of_images_with_one_code_is_finite_and_low() -> None:
    # Agreements are 2 everywhere; with 1 on the diagonal the determinant is 1 + 3 x 2.
    assert naswot(Relu(torch.relu), torch.ones(3, 1, 1, 2)) == pytest.approx(math.log(7))


class Square(nn.Module):
    """Half the square of every pixel: an image's Jacobian is the image itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).square() / 2


def test_jacob_cov_of_uncorrelated_jacobians_is_the_best_that_there_is() -> None:
    x = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]]).view(2, 1, 2, 2)
    best = -2 * (math.log(1 + 1e-5) + 1 / (1 + 1e-5))
    assert jacob_cov(Square(), x) == pytest.approx(best)
    assert jacob_cov(Square(), x + 0.5 * x.flip(0)) < best


def test_jacob_cov_of_a_linear_network_has_one_eigenvalue_that_is_not_zero() -> None:
    x, k = batch(3)[0][:, :, :1, :2], 1e-5
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
    network[1].weight.data = torch.tensor([[1.0, 3.0]])
    expected = -(math.log(3 + k) + 1 / (3 + k)) - 2 * (math.log(k) + 1 / k)
    assert jacob_cov(network, x) == pytest.approx(expected, rel=1e-6)


def test_jacob_cov_of_constant_jacobians_is_not_a_number() -> None:
    assert math.isnan(jacob_cov(nn.Flatten(), batch(3)[0]))


def test_zico_is_the_mean_over_the_deviation_of_gradients_that_vary() -> None:
    first = [torch.tensor([1.0, -1.0]), torch.tensor([[2.0, 5.0]]), torch.tensor([6.0])]
    second = [torch.tensor([3.0, 1.0]), torch.tensor([[4.0, 5.0]]), torch.tensor([6.0])]
    # 2/1 + 1/1 in the first layer; 3/1 in the second, whose other gradient does not vary; nothing in the third.
    assert zico_of([first, second]) == pytest.approx(2 * math.log(3))
    assert math.isnan(zico_of([first, first]))


def test_zico_takes_a_gradient_of_every_batch_at_the_same_weights() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    network[1].weight.data.zero_()
    other = torch.tensor([3.0, -1.0]).view(1, 1, 1, 2), torch.tensor([0])
    # Gradients of the first class's weights: (-1/2, -1/2) and (-3/2, 1/2); of the second's: the negative ones.
    assert zico(network, [ONES, other]) == pytest.approx(math.log(2 * (2 + 1)))


@pytest.mark.parametrize("weight", [1.0, -3.0, 100.0])
def test_the_zen_score_multiplies_by_what_batch_norm_divided_by(weight: float) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1), nn.AdaptiveAvgPool2d(1))
    network[0].weight.data.fill_(weight)
    x = torch.tensor([[1.0, -1.0], [3.0, -3.0]]).view(2, 1, 1, 2)
    # Without batch norm f(x) - f(-x) = 2 w x, of norm 2 w sqrt 2 and 6 w sqrt 2: a mean of 4 w sqrt 2.
    assert _expressivity(network, x, -x) == pytest.approx(math.log(4 * abs(weight) * 2**0.5), abs=1e-5)


def test_the_zen_score_is_that_of_gaussian_weights_whatever_the_networks_own() -> None:
    one, other = (without_shortcuts(build_model(at_digits(SMALL), seed)) for seed in (0, 1))
    values = [zen(network, (1, 8, 8), torch.Generator().manual_seed(7)) for network in (one, other)]
    assert values[0] == values[1]


def test_the_zen_score_measures_a_perturbation_of_a_hundredth() -> None:
    # Batch norm alone: 64 Gaussian pixels, moved by 0.01 each, differ by a norm of 0.08.
    network = nn.Sequential(nn.BatchNorm2d(1), nn.AdaptiveAvgPool2d(1))
    assert zen(network, (1, 8, 8), torch.Generator().manual_seed(0)) == pytest.approx(math.log(0.08), abs=0.05)


# On the package's networks.


@pytest.mark.parametrize("space", bundled_names("spaces"))
def test_naswots_codes_are_those_of_every_operator_that_ends_in_a_relu(space: str) -> None:
    design = Design(groups=load_space(space).groups[-1], scale=0.25, se=space == "shufflenet-v1")
    arch = at_digits(scaled(load_space(space), design, Budget(name="small", macs=1)).architecture)
    network, x = build_model(arch, zero_start=False), batch(4)[0]
    codes: list[Tensor] = []
    for op in OpGraph.of(arch).ops:
        if op.activation == "relu":
            network.get_submodule(op.name).register_forward_hook(
                lambda module, inputs, output: codes.append((output > 0).flatten(1))
            )
    with torch.no_grad(), _Codes(4) as seen:
        network(x)
    expected = torch.cat(codes, dim=1)
    assert seen.units == expected.shape[1]
    assert torch.equal(seen.kernel, (expected[:, None] == expected[None]).sum(dim=2).double())
    exact = torch.linalg.slogdet(seen.kernel).logabsdet
    assert exact.isfinite()
    assert naswot(network, x) == pytest.approx(float(exact), rel=1e-3)


@pytest.mark.parametrize("arch", [SMALL, RESNET], ids=["shufflenet", "resnet"])
def test_without_shortcuts_a_sum_is_its_branch_and_projections_are_gone(arch: Architecture) -> None:
    network = build_model(at_digits(arch), zero_start=False)
    before = network.state_dict().keys()
    cut = without_shortcuts(network)
    gone = {name.rsplit(".", 2)[0] for name in before - cut.state_dict().keys()}
    projections = {f"stage{stage}.0.shortcut" for stage in (2, 3)} if arch is RESNET else set()
    assert gone == projections
    assert network.state_dict().keys() == before
    ops = OpGraph.of(network.architecture).ops
    sums = {op.name: ops[op.inputs[1]].name for op in ops if op.kind == "add"}
    assert len(sums) == (4 if arch is RESNET else 2)
    made: dict[str, Tensor] = {}
    for name in {*sums, *sums.values()}:
        cut.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: made.__setitem__(name, output.clone())
        )
    cut(batch()[0])
    assert all(torch.equal(made[name], functional.relu(made[branch])) for name, branch in sums.items())


def test_synflow_grows_with_width_and_depth() -> None:
    small = at_digits(replace(SMALL, se_reduction=0))
    wide = replace(small, stage_channels=(32, 64), stem_channels=16)
    deep = replace(small, stage_repeats=(4, 4))
    values = [synflow(build_model(arch, zero_start=False), (1, 8, 8)) for arch in (small, wide, deep)]
    assert values[0] < min(values[1:])


@pytest.mark.long
@pytest.mark.parametrize("name", bundled_names("spaces"))
def test_every_score_of_a_deep_network_of_every_space_is_finite(name: str, digits: Dataset) -> None:
    space = load_space(name)
    design = Design(groups=space.groups[-1], scale=0.25, se="se" in space.options)
    arch = scaled(space, design, Budget(name="small", macs=1)).architecture
    if name == "shufflenet-v1":
        assert (arch.groups, arch.stage_repeats, all(arch.se_reduction)) == ((8, 8, 8), (4, 8, 4), True)
    results = zero_cost(arch, digits, seed=0, device=CPU, batch_size=8)
    assert [result.name for result in results] == list(SCORES)
    assert all(math.isfinite(result.value) and result.cpu_seconds >= 0 for result in results)


def test_parameters_and_multiply_adds_are_those_of_the_deployed_network(digits: Dataset) -> None:
    values = {result.name: result.value for result in zero_cost(SMALL, digits, seed=0, device=CPU, batch_size=8)}
    costs = count_costs(SMALL)
    assert [values[name] for name in COSTS] == [costs.params, costs.macs]
    assert costs != count_costs(at_digits(SMALL))


def test_scores_depend_on_the_seed_and_on_nothing_else(digits: Dataset) -> None:
    def values(seed: int) -> dict[str, float]:
        results = zero_cost(SMALL, digits, seed=seed, device=CPU, batch_size=8)
        assert {result.seed for result in results} == {seed}
        return {result.name: result.value for result in results}

    torch.manual_seed(1)
    first = values(3)
    torch.manual_seed(2)
    again, other = values(3), values(4)
    assert first == again
    assert {name for name in SCORES if first[name] == other[name]} == set(COSTS)


def test_scoring_leaves_random_states_and_data_alone(digits: Dataset) -> None:
    def state() -> tuple[object, ...]:
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    before, fingerprint = state(), digits.fingerprint()
    zero_cost(SMALL, digits, seed=0, device=CPU, batch_size=8)
    assert state() == before
    assert digits.fingerprint() == fingerprint


FUNCTIONS: dict[str, Callable[[nn.Module], object]] = {
    "synflow": lambda network: synflow(network, (1, 8, 8)),
    "grad_norm": lambda network: grad_norm(network, batch()),
    "snip": lambda network: snip(network, batch()),
    "naswot": lambda network: naswot(network, batch()[0]),
    "jacob_cov": lambda network: jacob_cov(network, batch()[0]),
    "zen": lambda network: zen(network, (1, 8, 8), torch.Generator().manual_seed(0)),
    "zico": lambda network: zico(network, [batch(), batch(seed=1)]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_score_leaves_the_network_as_it_was(name: str) -> None:
    network = build_model(at_digits(SMALL), zero_start=False).eval()
    before = copy.deepcopy(network.state_dict())
    FUNCTIONS[name](network)
    assert not network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_neither_the_mode_nor_running_statistics_reach_a_score(name: str) -> None:
    fresh = build_model(at_digits(SMALL), zero_start=False)
    used = copy.deepcopy(fresh).eval()
    for norm in (module for module in used.modules() if isinstance(module, nn.BatchNorm2d)):
        assert norm.running_mean is not None
        norm.running_mean.fill_(100)
    assert FUNCTIONS[name](used) == FUNCTIONS[name](fresh)


def test_a_score_leaves_the_images_as_they_were() -> None:
    x, labels = batch()
    kept = x.clone()
    network = build_model(at_digits(SMALL), zero_start=False)
    values = (snip(network, (x, labels)), naswot(network, x), jacob_cov(network, x))
    assert all(map(math.isfinite, values))
    assert torch.equal(x, kept)
    assert not x.requires_grad


def _looking(monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """What the functions are given; the scores themselves are zero."""
    seen: list[Candidate] = []
    for name in SCORES:
        monkeypatch.setitem(SCORES, name, lambda candidate: seen.append(candidate) or 0.0)
    return seen


def test_images_are_the_first_of_a_shuffled_training_set_normalised_as_in_training(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _looking(monkeypatch)
    zero_cost(SMALL, digits, seed=5, device=CPU, batch_size=16)
    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(5))
    pixels = digits.train.pixels.double()
    for number, (x, labels) in enumerate(seen[0].batches):
        indices = order[16 * number : 16 * (number + 1)]
        assert torch.equal(labels, digits.train.labels[indices])
        expected = (pixels[indices] - pixels.mean()) / pixels.std(correction=0)
        torch.testing.assert_close(x, expected.float(), rtol=1e-4, atol=1e-4)


def test_networks_to_score_have_no_branch_that_starts_at_zero(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _looking(monkeypatch)
    zero_cost(SMALL, digits, seed=0, device=CPU)
    network = seen[0].network()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(bool((norm.weight == 1).all()) for norm in norms)
    assert network.training
    assert network.architecture == at_digits(SMALL)


def test_fewer_images_than_two_batches_are_halved_and_fewer_than_four_refused(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _looking(monkeypatch)
    few = replace(digits, train=digits.train.take(torch.arange(9)))
    zero_cost(SMALL, few, seed=0, device=CPU)
    assert [len(labels) for _, labels in seen[0].batches] == [4, 4]
    for images, size in ((3, 64), (9, 1)):
        with pytest.raises(DataError, match=f"given were {images} training images and batches of {size}"):
            zero_cost(
                SMALL,
                replace(digits, train=digits.train.take(torch.arange(images))),
                seed=0,
                device=CPU,
                batch_size=size,
            )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_raises_and_names_the_candidate(
    value: float, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _looking(monkeypatch)
    monkeypatch.setitem(SCORES, "zico", lambda candidate: value)
    with pytest.raises(ScoreNotFinite, match=rf"'zico' of {SMALL.key} is {value} with seed 8") as raised:
        zero_cost(SMALL, digits, seed=8, device=CPU)
    assert isinstance(raised.value, SnsearchError)


@pytest.mark.parametrize("device", ["cpu", *accelerators()])
def test_scores_are_nearly_the_same_on_every_device(digits: Dataset, device: str) -> None:
    def values(device: torch.device) -> list[float]:
        results = zero_cost(SMALL, digits, seed=0, device=device, batch_size=8)
        return [result.value for result in results if result.name not in ("jacob_cov", "zico")]

    assert values(torch.device(device)) == pytest.approx(values(CPU), rel=0.02)
