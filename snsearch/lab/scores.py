"""Training-free scores ("zero-cost proxies"): what each paper computes on an untrained network.

Conventions of every score:

- Higher means that the paper expects a better network.
- Residual branches do not start at zero: no gradient flows through a branch whose last batch norm is zero, so the
  scores would see only the shortcuts.
- Batch norm uses the statistics of the batch, as in training; synflow leaves batch norm out.
- "Weights" are those of convolutions and fully connected layers. Batch norm and biases, which start at one and zero
  in every network, do not count.
- Functions work on a copy of the network.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from snsearch.errors import DataError, SnsearchError
from snsearch.network import Architecture, Network, OpGraph, build_model, count_costs, count_macs
from snsearch.training import Batches, Dataset

Batch = tuple[Tensor, Tensor]  # normalised images (B, C, H, W) and labels (B,)

_JACOB_COV_K = 1e-5
_NASWOT_RIDGE = 1.0  # the weight of one ReLU; see naswot
_ZEN_ALPHA = 0.01
_ZEN_DRAWS = 16
_ZEN_IMAGES = 16  # per draw: the score varies more with the weights than with the images


class ScoreNotFinite(SnsearchError):
    """A score is infinite or not a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """The input of a score: a network as deployed and as scored, and two batches of images."""

    deployed: Architecture
    scored: Architecture  # at the data set's input
    batches: tuple[Batch, Batch]
    seed: int
    device: torch.device

    def network(self) -> Network:
        """The network to score, newly built from the seed, in training mode."""
        network: Network = build_model(self.scored, self.seed, zero_start=False).to(self.device)
        return network


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreResult:
    """One score of one candidate."""

    name: str
    value: float  # higher: expected better
    cpu_seconds: float  # of this score alone, the building of its network included
    seed: int


def _layers(network: nn.Module) -> list[Tensor]:
    """The weights of convolutions and fully connected layers, one tensor per layer."""
    return [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def _gradients(network: nn.Module, batch: Batch) -> list[Tensor]:
    """The mean cross-entropy's gradient in every layer's weights, in float64. Updates batch norms' statistics."""
    x_NCHW, labels = batch
    loss = functional.cross_entropy(network(x_NCHW), labels)
    return [gradient.cpu().double() for gradient in torch.autograd.grad(loss, _layers(network))]


def _training_copy(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).train()


def synflow(network: nn.Module, shape: Sequence[int]) -> float:
    """log sum |theta dR/dtheta|, R the sum of logits for one image of ones of shape (C, H, W).

    Synaptic flow (arXiv:2006.05467), summed over the network as in arXiv:2101.08134. All weights are
    replaced by their absolute values, and batch norm by the identity, which it nearly is in evaluation mode before
    training. Unnormalised signals grow by orders of magnitude per layer: hence float64 on the CPU (not every device
    has it) and the logarithm, which keeps the order.
    """
    network = copy.deepcopy(network).cpu().double().eval()
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    for name in norms:
        network.set_submodule(name, nn.Identity())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    layers = _layers(network)
    gradients = torch.autograd.grad(network(torch.ones(1, *shape, dtype=torch.float64)).sum(), layers)
    flows = [(layer.detach() * gradient).abs().sum() for layer, gradient in zip(layers, gradients, strict=True)]
    return float(torch.stack(flows).sum().log())


def grad_norm(network: nn.Module, batch: Batch) -> float:
    """The sum over layers of the Euclidean norm of the loss's gradient in the layer's weights, on one batch.

    arXiv:2101.08134, which sums norms rather than take one norm of all gradients.
    """
    return sum(float(gradient.norm()) for gradient in _gradients(_training_copy(network), batch))


def snip(network: nn.Module, batch: Batch) -> float:
    """sum |theta dL/dtheta| over all weights, on one batch.

    The connection sensitivity of arXiv:1810.02340 before it is divided by its sum, added up as in
    arXiv:2101.08134.
    """
    network = _training_copy(network)
    pairs = zip(_layers(network), _gradients(network, batch), strict=True)
    return sum(float((layer.detach().cpu() * gradient).abs().sum()) for layer, gradient in pairs)


class _Codes(TorchFunctionMode):
    """Collects the kernel of the activation codes of every ReLU that runs.

    The networks call ReLU as a function, after batch norms, sums and concatenations, so module hooks would miss some.
    """

    _RELUS = (functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)

    def __init__(self, images: int) -> None:
        super().__init__()
        self.kernel = torch.zeros(images, images, dtype=torch.float64)
        self.units = 0  # ReLUs per image

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in self._RELUS:
            signs = 2 * (result.detach() > 0).flatten(1).cpu().double() - 1
            # Two codes of n units at a Hamming distance of d agree in n - d, and their signs' product sums to n - 2d.
            self.kernel += (signs @ signs.T + signs.shape[1]) / 2
            self.units += signs.shape[1]
        return result


def naswot(network: nn.Module, x_NCHW: Tensor) -> float:
    """log det of the kernel K[i, j]: ReLUs that are on or off alike for images i and j (arXiv:2006.04647, version 3).

    K is singular where two images have the same code, or where there are more images than the codes have
    dimensions; its logarithm would be minus infinity. So 1, the weight of one ReLU, is added to its diagonal: every
    missing dimension counts as the least that a code can differ by, and the score of any network is finite and at
    least 0. Where K is regular and there are thousands of ReLUs this is lost behind the third digit.
    """
    with torch.no_grad(), _Codes(len(x_NCHW)) as codes:
        _training_copy(network)(x_NCHW)
    assert codes.units, "no ReLU was seen"
    ridge = _NASWOT_RIDGE * torch.eye(len(x_NCHW), dtype=torch.float64)
    return float(torch.linalg.slogdet(codes.kernel + ridge).logabsdet)


def jacob_cov(network: nn.Module, x_NCHW: Tensor) -> float:
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the correlations of images' Jacobians, k = 1e-5.

    arXiv:2006.04647, version 1. An image's Jacobian is the gradient, in its pixels, of the sum of the batch's logits.
    An eigenvalue of zero costs 1e5, and as many images as pixels leave one in every network, which shifts all scores
    alike. NaN if an image's Jacobian is constant.
    """
    x_NCHW = x_NCHW.detach().clone().requires_grad_()
    (jacobians,) = torch.autograd.grad(_training_copy(network)(x_NCHW).sum(), x_NCHW)
    correlations = torch.corrcoef(jacobians.flatten(1).cpu().double())
    if not bool(correlations.isfinite().all()):
        return math.nan
    shifted = torch.linalg.eigvalsh(correlations) + _JACOB_COV_K
    return -float((shifted.log() + 1 / shifted).sum())


class _Branch(nn.Module):
    """A sum without its shortcut: the branch, then ReLU."""

    def forward(self, shortcut: Tensor, branch: Tensor) -> Tensor:
        return functional.relu(branch)


def without_shortcuts(network: Network) -> Network:
    """A copy in which every sum is its branch alone; convolutions of a shortcut that only the sum read are gone."""
    network = copy.deepcopy(network)
    ops = OpGraph.of(network.architecture).ops
    readers = [sum(index in op.inputs for op in ops) for index in range(len(ops))]
    for op in ops:
        if op.kind == "add":
            network.set_submodule(op.name, _Branch())
            if readers[op.inputs[0]] == 1:
                network.set_submodule(ops[op.inputs[0]].name, nn.Identity())
    return network


def _expressivity(network: nn.Module, x_NCHW: Tensor, other_NCHW: Tensor) -> float:
    """log of the mean over images of ||f(x) - f(other)||, f the input of the last global pooling, plus
    the sum over batch norms of log sqrt(mean of the channels' variances in the batch x)."""
    maps: list[Tensor] = []
    deviations: list[Tensor] = []

    def measure(module: nn.Module, inputs: tuple[Tensor]) -> None:
        deviations.append(inputs[0].double().var(dim=(0, 2, 3), correction=0).mean().sqrt())

    def keep(module: nn.Module, inputs: tuple[Tensor]) -> None:
        maps.append(inputs[0])

    pools = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    handles = [pool.register_forward_pre_hook(keep) for pool in pools]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    measures = [norm.register_forward_pre_hook(measure) for norm in norms]
    with torch.no_grad():
        network(x_NCHW)
        for handle in measures:
            handle.remove()
        before = maps[-1].double()
        network(other_NCHW)
    for handle in handles:
        handle.remove()
    distance = (before - maps[-1].double()).flatten(1).norm(dim=1).mean()
    return float(distance.log() + sum(deviation.log() for deviation in deviations))


def zen(network: nn.Module, shape: Sequence[int], generator: torch.Generator) -> float:
    """The Zen-score of a network without shortcuts for images of shape (C, H, W) (arXiv:2102.01063, Algorithm 1).

    All weights and the images are drawn from N(0, 1), the images are moved by 0.01 times a further draw, and what
    batch norm divided by is multiplied again. Squeeze-and-excitation, of which the algorithm does not speak, stays as
    it is, and so do shortcuts that are concatenated, since widths hang on them. The mean of 16 draws of 16 images.
    """
    network = _training_copy(network)
    device = next(network.parameters()).device

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    scores = []
    for _ in range(_ZEN_DRAWS):
        for layer in _layers(network):
            layer.data = draw(*layer.shape)
        x_NCHW = draw(_ZEN_IMAGES, *shape)
        scores.append(_expressivity(network, x_NCHW, x_NCHW + _ZEN_ALPHA * draw(*x_NCHW.shape)))
    return sum(scores) / len(scores)


def zico_of(gradients: Sequence[Sequence[Tensor]]) -> float:
    """sum over layers of log sum over weights of mean |g| / deviation of g; `gradients` are by batch, then layer.

    Deviations are those of the batches themselves (divided by their number). Weights whose gradient does not vary
    are left out, and with them a layer that has no others, such as a small squeeze whose ReLUs are all off. NaN if
    no layer has any.
    """
    logarithms = []
    for of_layer in zip(*gradients, strict=True):
        g = torch.stack(of_layer).flatten(1)
        deviation = g.std(dim=0, correction=0)
        varies = deviation > 0
        if bool(varies.any()):
            logarithms.append(float((g.abs().mean(dim=0)[varies] / deviation[varies]).sum().log()))
    return sum(logarithms) if logarithms else math.nan


def zico(network: nn.Module, batches: Sequence[Batch]) -> float:
    """The inverse coefficient of variation of gradients over batches (arXiv:2301.11300, equation 15).

    The deviation is that of the signed gradient, as the authors compute it; the equation prints that of its
    absolute value, which two batches with gradients of opposite signs would make arbitrarily small.
    """
    network = _training_copy(network)
    return zico_of([_gradients(network, batch) for batch in batches])


def _zen_of(candidate: Candidate) -> float:
    generator = torch.Generator().manual_seed(candidate.seed)
    return zen(without_shortcuts(candidate.network()), candidate.batches[0][0].shape[1:], generator)


# Each score by its name; the functions say which paper it is from.
SCORES: dict[str, Callable[[Candidate], float]] = {
    "params": lambda candidate: count_costs(candidate.deployed).params,
    "macs": lambda candidate: count_macs(candidate.deployed),
    "synflow": lambda candidate: synflow(candidate.network(), candidate.batches[0][0].shape[1:]),
    "grad_norm": lambda candidate: grad_norm(candidate.network(), candidate.batches[0]),
    "snip": lambda candidate: snip(candidate.network(), candidate.batches[0]),
    "naswot": lambda candidate: naswot(candidate.network(), candidate.batches[0][0]),
    "jacob_cov": lambda candidate: jacob_cov(candidate.network(), candidate.batches[0][0]),
    "zen": _zen_of,
    "zico": lambda candidate: zico(candidate.network(), candidate.batches),
}


def zero_cost(
    arch: Architecture, dataset: Dataset, *, seed: int, device: torch.device, batch_size: int = 64
) -> tuple[ScoreResult, ...]:
    """Every score of SCORES, in its order, of an architecture as it is trained on the data set's images.

    The seed decides the weights and the images: the first `batch_size`, and for zico as many again, of a shuffled
    training set, normalised as in training and not augmented; half of the training images if there are fewer.
    Global random states are neither read nor changed.

    Raises:
        DataError: there are too few images for two batches of two.
        ScoreNotFinite: a score is infinite or not a number.
    """
    size = min(batch_size, len(dataset.train) // 2)
    if size < 2:
        raise DataError(
            f"scores need two batches of at least 2 images; given were {len(dataset.train)} training images and "
            f"batches of {batch_size}"
        )
    first, second = islice(Batches(dataset.train, "none", batch_size=size, seed=seed), 2)
    candidate = Candidate(
        deployed=arch,
        scored=dataset.network(arch),
        batches=((first[0].to(device), first[1].to(device)), (second[0].to(device), second[1].to(device))),
        seed=seed,
        device=device,
    )
    results = []
    for name, score in SCORES.items():
        started = time.process_time()
        value = float(score(candidate))
        cpu_seconds = time.process_time() - started
        if not math.isfinite(value):
            raise ScoreNotFinite(
                f"score {name!r} of {arch.key} is {value} with seed {seed}; expected a finite number: take another "
                "seed, or leave this candidate out"
            )
        results.append(ScoreResult(name=name, value=value, cpu_seconds=cpu_seconds, seed=seed))
    return tuple(results)
