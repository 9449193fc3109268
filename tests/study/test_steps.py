"""Steps: what a search trains next, and that it comes to the best network by few trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from snsearch.study.posterior import Observation, Space
from snsearch.study.steps import FULL, Standing, Step, next_step

NETWORKS = 30
FEATURES = np.random.default_rng(0).normal(size=(NETWORKS, 3))
SPACE = Space((FEATURES - FEATURES.mean(0)) / FEATURES.std(0))


def standing(done: Mapping[int, float] | None = None, **options: Any) -> Standing:
    done = done or {}
    given: dict[str, Any] = {
        "costs": [1.0] * NETWORKS,
        "begin": list(range(NETWORKS)),
        "start": 4,
        "short": 0.25,
        "done": done,
        "going": {},
        "gone": frozenset(),
        "observations": [Observation(network=n, share=s, error=0.5 - 0.01 * n) for n, s in done.items()],
        "left": 10.0,
    }
    return Standing(**given | options)


def test_the_first_networks_are_begun_in_their_order_however_little_is_left() -> None:
    assert next_step(standing(), SPACE, 0) == Step(network=0, share=0.25)
    assert next_step(standing({0: 0.25}, left=0.0), SPACE, 0) == Step(network=1, share=0.25)
    assert next_step(standing({0: 0.25}, going={1: 0.25}), SPACE, 0) == Step(network=2, share=0.25)
    assert next_step(standing({0: 0.25}, gone=frozenset({1})), SPACE, 0) == Step(network=2, share=0.25)


def test_a_step_doubles_what_came_before() -> None:
    def share(done: float) -> float:
        return standing({3: done}).next_share(3)

    assert standing(short=0.1).next_share(3) == 0.1
    assert share(done=0.1) == pytest.approx(0.2, abs=0.002)
    assert share(done=0.4) == pytest.approx(0.8, abs=0.002)
    assert share(done=0.5) == share(done=0.8) == FULL
    assert standing({3: 0.25}).cost_of(Step(network=3, share=FULL)) == 0.75


def test_the_best_short_training_goes_on_to_the_full_length_before_the_choice_is_left_to_what_is_known() -> None:
    begun = dict.fromkeys(range(4), 0.25)
    assert next_step(standing(begun), SPACE, 0) == Step(network=3, share=FULL)
    further = Observation(network=0, share=0.5, error=0.1)  # lower, but of a longer training
    seen = (further, *standing(begun).observations)
    assert next_step(standing(begun | {0: 0.5}, observations=seen), SPACE, 0) == Step(network=3, share=FULL)
    assert next_step(standing(begun, going=dict.fromkeys(range(4), FULL)), SPACE, 0) is not None


def test_nothing_is_left_to_do_where_nothing_may_be_spent_or_trained() -> None:
    begun = dict.fromkeys(range(4), 0.25)
    assert next_step(standing(begun, left=0.2), SPACE, 0) is None
    everything = dict.fromkeys(range(NETWORKS), FULL)
    assert next_step(standing(everything), SPACE, 0) is None


def test_a_network_under_way_or_gone_is_not_chosen() -> None:
    done = dict.fromkeys(range(4), FULL)
    for seed in range(20):
        step = next_step(standing(done, going={5: 0.25}, gone=frozenset({6})), SPACE, seed)
        assert step is not None
        assert step.network not in {0, 1, 2, 3, 5, 6}
        assert step.share == 0.25


def regrets(seed: int, effort: float) -> tuple[float, float]:
    """How far the picks of a made-up search, and of as many random full trainings, lie behind the best network.

    True errors are linear in the features, with a small rest; in standard deviations of them.
    """
    random = np.random.default_rng(seed)
    truth = 0.3 + SPACE.linear[:, 0] * 0.02 + random.normal(size=NETWORKS) * 0.0005
    misled = random.normal(size=3) * 0.003
    noises = random.normal(size=NETWORKS) * 0.002
    done: dict[int, float] = {}
    seen: list[Observation] = []
    left = effort
    while (
        step := next_step(now := standing(done, observations=tuple(seen), left=left), SPACE, len(seen))
    ) is not None:
        left -= now.cost_of(step)
        done[step.network] = step.share
        bias = 0.2 + FEATURES[step.network] @ misled
        error = truth[step.network] + noises[step.network] + (1 - step.share) * bias
        seen.append(Observation(network=step.network, share=step.share, error=float(error)))
    known = SPACE.posterior(seen)
    pick = min((network for network, share in done.items() if share >= FULL), key=lambda network: known.mean[network])
    chosen = np.random.default_rng(seed).permutation(NETWORKS)[: int(effort)]
    lucky = chosen[np.argmin((truth + noises)[chosen])]
    found, drawn = ((truth[network] - truth.min()) / truth.std() for network in (pick, lucky))
    return float(found), float(drawn)


def test_short_trainings_that_mislead_are_corrected_by_those_in_full() -> None:
    found, drawn = np.array([regrets(seed, effort=8.0) for seed in range(10)]).mean(0)
    assert found < 0.7 * drawn, "better than the best of as many random full trainings"


def test_half_of_the_draws_look_for_networks_on_the_front() -> None:
    # One network costs little and is worse; on the front of error and cost it has a place of its own.
    done = dict.fromkeys(range(8), FULL)
    seen = [Observation(network=n, share=FULL, error=0.2) for n in done]
    costs = [10.0] * NETWORKS
    costs[20] = 1.0
    chosen = [next_step(standing(done, observations=seen, costs=costs), SPACE, seed) for seed in range(60)]
    often = sum(step is not None and step.network == 20 for step in chosen)
    assert often > 60 / 22 * 2


@pytest.mark.parametrize("seed", range(3))
def test_the_posterior_is_near_what_was_seen_and_unsure_of_what_was_not(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = 0.3 + 0.02 * SPACE.linear[:, seed] + random.normal(size=NETWORKS) * 0.002
    seen = [Observation(network=n, share=FULL, error=float(truth[n])) for n in range(0, NETWORKS, 2)]
    known = SPACE.posterior(seen)
    assert np.corrcoef(known.mean[::2], truth[::2])[0, 1] > 0.95
    assert np.corrcoef(known.mean[1::2], truth[1::2])[0, 1] > 0.8
    deviation = np.sqrt(np.diag(known.covariance))
    assert deviation[1::2].mean() > deviation[::2].mean()
    drawn = known.draws(2000, seed)
    assert drawn.mean(0) == pytest.approx(known.mean, abs=4 * deviation.max() / 2000**0.5)
