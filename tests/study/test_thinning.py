"""Thinning: which networks a surrogate looks at, and how little is lost by the others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from snsearch.study.posterior import Observation, Space
from snsearch.study.thinning import MOST, thinned

SHORT = 0.25


def test_few_networks_are_all_looked_at() -> None:
    last = {network: (1.0, 0.1 * network) for network in range(MOST)}
    assert thinned(last) == [*last]


def test_the_best_of_each_length_and_an_even_share_of_the_others_are_looked_at() -> None:
    last = {network: (1.0 if network % 4 == 0 else SHORT, network / 1000) for network in range(1000)}
    chosen = thinned(last, 30)
    assert len(chosen) == 30
    assert chosen == sorted(chosen), "in their order"
    full, short = [n for n in last if n % 4 == 0], [n for n in last if n % 4]
    assert {*full[:10]} | {*short[:10]} <= {*chosen}
    rest = [network for network in chosen if network not in {*full[:10], *short[:10]}]
    gaps = np.diff(rest)
    assert max(gaps) <= 2 * min(gaps), "spread over all of them"


def test_one_length_alone_leaves_its_place_to_the_others() -> None:
    last = {network: (SHORT, network / 1000) for network in range(1000)}
    chosen = thinned(last, 30)
    assert len(chosen) == 30
    assert {*range(10)} <= {*chosen}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_of_new_networks_is_nearly_as_good_as_from_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    tried, new = 450, 150
    features = random.normal(size=(tried + new, 6))
    quality = features @ random.normal(size=6) + np.sin(2 * features[:, 0]) + 0.3 * random.normal(size=tried + new)
    truth = 0.3 + 0.01 * quality
    misled = 0.005 * features @ random.normal(size=6)
    full = {*np.argsort(truth[:tried] + 0.01 * random.normal(size=tried))[:120].tolist()}
    seen = {
        network: [
            Observation(
                network=network,
                share=share,
                error=float(truth[network] + (1 - share) * (0.2 + misled[network]) + 0.003 * random.normal()),
            )
            for share in ((SHORT, 1.0) if network in full else (SHORT,))
        ]
        for network in range(tried)
    }
    space = Space((features - features.mean(0)) / features.std(0))
    last = {network: (errors[-1].share, errors[-1].error) for network, errors in seen.items()}
    kept = thinned(last)
    assert len(kept) == MOST

    def told(networks: list[int]) -> tuple[float, float]:
        """Kendall's tau of the untried networks, and how far the best by the mean lies behind the best."""
        mean = space.posterior([one for network in networks for one in seen[network]]).mean[tried:]
        behind = truth[tried:][np.argsort(mean)[:3]].min() - truth[tried:].min()
        return float(kendalltau(mean, truth[tried:]).statistic), float(behind / truth.std())

    best, thin = told([*seen]), told(kept)
    by_chance = told(sorted(random.choice(tried, MOST, replace=False).tolist()))
    assert thin[0] > best[0] - 0.1
    assert thin[1] <= max(best[1], by_chance[1]) + 0.1
