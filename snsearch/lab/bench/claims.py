"""Verdicts replayed on a table: whether their 95 % intervals hold what other seeds and images say.

A verdict is given on four networks, as a search gives it: by all seeds but one, and on half of the test images. The
seed that was left out judges it, on the other half. Its difference has noise of its own, which counts: a claim holds
where the two lie no further apart than both noises allow, and 95 % of all claims should.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snsearch.intervals import wilson_95
from snsearch.lab.bench.files import RESULTS, read_correct, read_frozen
from snsearch.lab.bench.reliability import components
from snsearch.study import FINALISTS, MARGIN, Noise, difference, error_of, noise_of
from snsearch.training import Bits, ProxyResult, text_of

_SEEDS = 3  # of a network: two for a verdict, one to judge it
Rights = Mapping[str, Mapping[int, Bits]]  # right answers by network and seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """How many claims of replayed verdicts hold."""

    table: str
    members: int  # with enough seeds
    verdicts: int
    claims: int
    held: int

    @property
    def share(self) -> float:
        """Of the claims that hold."""
        return self.held / self.claims

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share, as if claims were independent of each other, which they are not quite."""
        return wilson_95(self.held, self.claims)


def claims_on(table: str, *, verdicts: int = 200, results: Path = RESULTS) -> Claims | None:
    """The claims of `verdicts` verdicts on a table; None where too few networks have three seeds."""
    frozen = read_frozen(results / "recipe.json")[0][table]
    path = results / table / "correct.csv"
    rights: dict[str, dict[int, Bits]] = {}
    for (label, recipe, seed), bits in (read_correct(path) if path.is_file() else {}).items():
        if recipe == frozen.digest:
            rights.setdefault(label, {})[seed] = bits
    whole = {label: own for label, own in rights.items() if len(own) >= _SEEDS}
    seeds = set.intersection(*(set(own) for own in whole.values())) if whole else set()
    if len(whole) < FINALISTS or len(seeds) < _SEEDS:
        return None
    held = [one for draw in range(verdicts) for one in _verdict(whole, sorted(seeds), np.random.default_rng(draw))]
    return Claims(table=table, members=len(whole), verdicts=verdicts, claims=len(held), held=sum(held))


def _verdict(rights: Rights, seeds: Sequence[int], random: np.random.Generator) -> list[bool]:
    """Whether each claim of a verdict on some networks holds."""
    labels = [sorted(rights)[at] for at in random.permutation(len(rights))[:FINALISTS]]
    judge, *own = (seeds[at] for at in random.permutation(len(seeds)))
    images = random.permutation(len(rights[labels[0]][judge]))
    shown, hidden = np.array_split(images, 2)
    finals = {at: [_result(rights[label][seed][shown], seed) for seed in own] for at, label in enumerate(labels)}
    judged = [_result(rights[label][judge][hidden], judge) for label in labels]
    noise = noise_of(finals, otherwise=0.0)
    errors = [error_of(finals[at], noise)[0] for at in finals]
    best = int(np.argmin(errors))
    equal = [at for at in finals if at == best or difference(finals[at], finals[best], noise).no_worse(MARGIN / 100)]
    pick = equal[int(random.integers(len(equal)))]  # the cheapest of the equal ones, whose cost says nothing of them
    of_seed = Noise(deviation=_noise(rights, seeds), degrees=math.inf)
    held = []
    for other in finals:
        if other != pick:
            claim = difference(finals[pick], finals[other], noise)
            seen = difference([judged[pick]], [judged[other]], of_seed)
            held.append(abs(claim.mean - seen.mean) <= math.hypot(claim.half, seen.half))
    return held


def _noise(rights: Rights, seeds: Sequence[int]) -> float:
    """The standard deviation of one training's error, by all networks."""
    return components(np.array([[1 - own[seed].mean() for seed in seeds] for own in rights.values()])).noise


def _result(bits: Bits, seed: int) -> ProxyResult:
    """A full training's score on some images."""
    return ProxyResult(
        error=float(1 - bits.mean()), loss=0.0, test_images=len(bits), train_images=0, curve=(), seconds=0.0,
        seed=seed, device="", threads=1, torch_version="", correct=text_of(bits),
    )  # fmt: skip
