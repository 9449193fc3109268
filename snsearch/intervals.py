"""95 % intervals of normal and estimated deviations, shares and bootstraps; two-way noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Z95 = 1.959964  # of a normal distribution


def student_95(degrees: float) -> float:
    """Student's t of that many degrees of freedom, where the deviation itself is estimated."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def wilson_95(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, of which `hits` in `count` were seen, after Wilson (1927); 0 to 1 without any."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, Z95**2 / count
    middle = (share + square / 2) / (1 + square)
    half = Z95 / (1 + square) * math.sqrt(share * (1 - share) / count + square / count / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def error_of_share(share: float, count: int) -> float:
    """The standard error of a share that was seen in `count`, after Agresti and Coull (1998).

    Two hits and two misses are added, so that a share of zero in a few is not taken as certain.
    """
    added = (share * count + 2) / (count + 4)
    return math.sqrt(added * (1 - added) / (count + 4))


def percentiles_95(values: npt.ArrayLike) -> tuple[float, float]:
    """The middle 95 % of values, such as those of a bootstrap."""
    import numpy as np

    low, high = np.percentile(np.asarray(values, dtype=np.float64), (2.5, 97.5))
    return float(low), float(high)


def mean_square_of_rest(table: npt.NDArray[np.float64]) -> float:
    """The variance of what neither rows nor columns explain: a two-way layout without replication.

    `table` is (rows, columns), at least two of each.
    """
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    return float((rest**2).sum()) / degrees_of_rest(*table.shape)


def degrees_of_rest(rows: int, columns: int) -> int:
    """The degrees of freedom of mean_square_of_rest."""
    return (rows - 1) * (columns - 1)
