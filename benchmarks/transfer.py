"""Whether reference sets say something about networks on other data: proxies that learn from other sets, judged.

    python -m benchmarks.transfer

Nothing is trained. A way to score is chosen on fashion-mnist-13 and glyphs-8, each judged with what was learned on
the other; the chosen one is then judged once on letters-5, which neither the default nor this choice has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import rankdata

from snsearch.lab.fidelity import DEFAULT
from snsearch.lab.folders import set_folder
from snsearch.lab.ranking import Array, kendall_tau
from snsearch.lab.reference import REFERENCE, curves_of, read_set
from snsearch.network.arch import Architecture
from snsearch.study.surrogate import WIDTH_WEIGHT, design_matrix, features_of, long_run_ranks, pooled

TUNED, HELD_OUT = ("fashion-mnist-13", "glyphs-8"), "letters-5"
PROXY_SEEDS = (100, 101)
BOOTSTRAPS = 2000


@dataclass(frozen=True, kw_only=True)
class Known:
    """A reference set as arrays: of N members, by the proxy's seeds where there are two axes."""

    features: Array  # (N, F), standardised within the set
    matrix: Array
    archs: list[Architecture]
    params: list[int]
    first: Array  # (seeds, N) errors at half of the proxy training
    last: Array  # at its end
    loss: Array  # at its end
    reference: Array  # (seeds, N) errors of the long trainings


def known(name: str) -> Known:
    """The shipped set of that name."""
    folder = set_folder(name)
    reference, curves = read_set(folder), curves_of(folder)
    members = reference.members
    archs = [member.architecture for member in members]

    def read(recipe: str, seeds: Sequence[int], point: int, field: str) -> Array:
        return np.array([[getattr(curves[m.label, recipe, s][point], field) for m in members] for s in seeds])

    features = np.array([[*features_of(arch), np.log2(arch.stage_channels[0])] for arch in archs])
    return Known(
        features=(features - features.mean(0)) / (features.std(0) + 1e-9),
        matrix=design_matrix(archs),
        archs=archs,
        params=[member.params for member in members],
        first=read(DEFAULT, PROXY_SEEDS, 0, "test_error"),
        last=read(DEFAULT, PROXY_SEEDS, -1, "test_error"),
        loss=read(DEFAULT, PROXY_SEEDS, -1, "test_loss"),
        reference=read(REFERENCE, reference.seeds, -1, "test_error"),
    )


Way = Callable[[Sequence[Known], Known], Array]  # sets to learn from, the set to rank -> (seeds, N); less is better


def _scaled(values: Array) -> Array:
    scaled: Array = (values - values.mean()) / (values.std() + 1e-12)
    return scaled


def _ridge(inputs: Array, outputs: Array, weight: float) -> Array:
    return np.asarray(
        np.linalg.solve(inputs.T @ inputs + weight * np.eye(inputs.shape[1]), inputs.T @ outputs), dtype=np.float64
    )


def _with_params(one: Known, scores: Array) -> Array:
    places = rankdata(scores) + WIDTH_WEIGHT * rankdata([-count for count in one.params])
    return np.asarray(rankdata(places), dtype=np.float64)


def default_now(_: Sequence[Known], one: Known) -> Array:
    """The default of a search."""
    return np.array([long_run_ranks(one.archs, errors, one.params) for errors in one.last])


def of_curve(
    _: Sequence[Known], one: Known, trend: float = 0.0, average: float = 0.0, *, loss: bool = False
) -> Array:
    """Both points of the curve, carried on by its trend or averaged; pooled, with parameters as the default is."""
    ends = one.loss if loss else one.last
    pairs = zip(one.first, ends, strict=True)
    scores = [
        _scaled(last) + trend * (_scaled(last) - _scaled(first)) + average * _scaled(first) for first, last in pairs
    ]
    return np.array([_with_params(one, pooled(one.matrix, row)) for row in scores])


def prior(others: Sequence[Known], one: Known, weight: float) -> Array:
    """By the architecture alone, as a ridge regression on the other sets' long trainings says."""
    inputs = np.vstack([other.features for other in others])
    outputs = np.concatenate([_scaled(other.reference.mean(0)) for other in others])
    return np.array([one.features @ _ridge(inputs, outputs, weight)])


def default_and_prior(others: Sequence[Known], one: Known, share: float) -> Array:
    """The default's places, and so much of a place for every place in the prior's order."""
    [learned] = prior(others, one, 16)
    return np.array([rankdata(places) + share * rankdata(learned) for places in default_now(others, one)])


def corrected(
    others: Sequence[Known], one: Known, weight: float, *, pool: bool, trend: bool = False, loss: bool = False
) -> Array:
    """The short training's score, less the bias that such networks had in the other sets."""

    def rows(known: Known) -> list[tuple[Array, Array]]:
        found = []
        for first, last in zip(known.first, known.loss if loss else known.last, strict=True):
            more = (_scaled(first) - _scaled(last))[:, None]
            inputs = np.hstack([known.features, more]) if trend else known.features
            found.append((inputs, _scaled(pooled(known.matrix, last) if pool else last)))
        return found

    pairs = [(inputs, _scaled(other.reference.mean(0)) - s) for other in others for inputs, s in rows(other)]
    learned = _ridge(np.vstack([x for x, _ in pairs]), np.concatenate([y for _, y in pairs]), weight)
    return np.array([scores + inputs @ learned for inputs, scores in rows(one)])


WAYS: dict[str, Way] = {
    "default": default_now,
    "default, loss for error": partial(of_curve, loss=True),
    **{f"default, trend carried on {k:g} times": partial(of_curve, trend=k) for k in (0.5, 1, 2)},
    **{f"default, error at half added {k:g} times": partial(of_curve, average=k) for k in (0.5, 1, 2)},
    **{f"prior alone, ridge {w}": partial(prior, weight=w) for w in (4, 16, 64)},
    **{f"default and {k:g} of the prior": partial(default_and_prior, share=k) for k in (0.5, 1)},
    **{f"bias taken off, ridge {w}": partial(corrected, weight=w, pool=False) for w in (4, 16, 64)},
    **{f"bias taken off, pooled, ridge {w}": partial(corrected, weight=w, pool=True) for w in (4, 16, 64)},
    **{
        f"the same with the trend, ridge {w}": partial(corrected, weight=w, pool=True, trend=True)
        for w in (4, 16, 64)
    },
    **{f"the same of the loss, ridge {w}": partial(corrected, weight=w, pool=True, loss=True) for w in (4, 16, 64)},
}


def tau(scores: Array, one: Known) -> float:
    """The mean Kendall tau of the proxy's seeds with the reference."""
    return float(np.mean([kendall_tau(row, one.reference.mean(0)) for row in scores]))


def gain(scores: Array, base: Array, one: Known) -> tuple[float, float]:
    """95 % interval of the difference in tau, by a bootstrap of members and of both kinds of seeds."""
    random = np.random.default_rng(0)
    seeds, members = one.reference.shape
    differences = []
    for _ in range(BOOTSTRAPS):
        drawn = random.integers(members, size=members)
        truth = one.reference[random.integers(seeds, size=seeds)].mean(0)[drawn]
        seed = random.integers(len(base))
        row = scores[seed % len(scores)]
        differences.append(kendall_tau(row[drawn], truth) - kendall_tau(base[seed][drawn], truth))
    low, high = np.percentile(differences, (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    """Prints every way's tau on the two sets, and that of the best on the one held out."""
    sets = {name: known(name) for name in (*TUNED, HELD_OUT)}
    one, other = (sets[name] for name in TUNED)
    found = {way: (tau(score([other], one), one), tau(score([one], other), other)) for way, score in WAYS.items()}
    print(f"{len(WAYS) - 1} ways beside the default; Kendall tau on {TUNED[0]}, {TUNED[1]}")
    for way, taus in sorted(found.items(), key=lambda item: -sum(item[1])):
        print(f"{taus[0]:6.2f} {taus[1]:6.2f}  {way}")
    best = max(found, key=lambda way: sum(found[way]))
    for name, judged in sets.items():
        others = [sets[o] for o in sets if o != name]
        scores, base = WAYS[best](others, judged), default_now(others, judged)
        low, high = gain(scores, base, judged)
        print(
            f"{name}, learned on the other two: {best} {tau(scores, judged):.2f}, default {tau(base, judged):.2f}, "
            f"difference [{low:+.2f}, {high:+.2f}]"
        )


if __name__ == "__main__":
    main()
