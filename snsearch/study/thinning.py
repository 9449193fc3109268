"""Which networks a surrogate looks at, where many were tried. Its cost grows with the cube of their number."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)  # of networks

MOST = 150  # networks, each with one error or two
_WHOLE = 0.999  # of a full training


def thinned(last: Mapping[K, tuple[float, float]], most: int = MOST) -> list[K]:
    """Networks that say most of where the best ones are, in the order given; all of them where they are few.

    A third are the best of those that were trained in full, a third the best of the others, which may go on. The rest
    is spread evenly over all others in the order of their errors, so that what makes a network bad stays known.

    Args:
        last: the share of the full training that a network was trained to, and its error there.
        most: networks.
    """
    if len(last) <= most:
        return list(last)
    ranked = sorted(last, key=lambda network: last[network][1])
    full = [network for network in ranked if last[network][0] >= _WHOLE]
    short = [network for network in ranked if last[network][0] < _WHOLE]
    chosen = {*full[: most // 3], *short[: most // 3]}
    others = [network for network in ranked if network not in chosen]
    step = len(others) / (most - len(chosen))
    chosen.update(others[int(at * step)] for at in range(most - len(chosen)))
    return [network for network in last if network in chosen]
