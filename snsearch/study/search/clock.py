"""What a search's time limit has room for, by how long its trainings took so far."""

from __future__ import annotations

import math
import time

from snsearch.training import ProxyResult


class Clock:
    """The time of a search.

    Args:
        started: when the command began, of the monotonic clock.
        limit: seconds from then; None for no limit.
        workers: trainings at once.
    """

    def __init__(self, *, started: float, limit: float | None, workers: int) -> None:
        self._started, self._limit, self._workers = started, math.inf if limit is None else limit, workers
        self._shares = self._seconds = 0.0

    def took(self, before: ProxyResult | None, result: ProxyResult) -> None:
        """Hears how long a training took that went on from where it was before."""
        share, seconds = (0.0, 0.0) if before is None else (before.share, before.seconds)
        self._shares += result.share - share
        self._seconds += result.seconds - seconds

    def restart(self) -> None:
        """Forgets how long trainings took: they are of another length now."""
        self._shares = self._seconds = 0.0

    def left(self, share: float = 1.0) -> float:
        """Seconds until that share of the limit is over."""
        return share * self._limit - (time.monotonic() - self._started)

    def late(self, share: float = 1.0) -> bool:
        """Whether that share of the limit is over, or would be with another full training."""
        return self.left(share) < self._typical()

    def round(self, networks: int) -> float:
        """Seconds that a full training of each of `networks` networks takes."""
        return -(-networks // self._workers) * self._typical()

    def fitting(self, networks: int, points: int) -> float:
        """The share of a full training, in whole points of its curve, that there is time for in each network."""
        left, needed = self.left(), self.round(networks)
        if needed <= 0 or left >= needed:
            return 1.0
        return int(max(0.0, left / needed) * points) / points

    def _typical(self) -> float:
        """Seconds of a full training."""
        return self._seconds / self._shares if self._shares else 0.0
