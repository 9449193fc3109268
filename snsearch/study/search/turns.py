"""Turns: results of trainings at once count in the order in which the trainings were begun.

So what is trained next does not depend on which training was faster: the same seed and the same number of workers
give the same search.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from snsearch.training import Work


class Turns:
    """Trainings whose results do not count yet, in their order.

    Args:
        at_once: trainings; None lets every result count as it comes, for machines of unequal speed.
    """

    def __init__(self, at_once: int | None) -> None:
        # One free worker need not wait for the slowest: as many results again may be there before their turn.
        self._most = 0 if at_once is None else 1 if at_once == 1 else 2 * at_once
        self._waiting: deque[list[Callable[[], None]]] = deque()  # each empty until its training ends

    @property
    def full(self) -> bool:
        """Whether a result has to count before the next training is chosen."""
        return 0 < self._most <= len(self._waiting)

    def put(self, work: Work) -> Work:
        """The work, whose end counts when its turn comes."""
        if not self._most:
            return work
        end: list[Callable[[], None]] = []
        self._waiting.append(end)
        return replace(
            work,
            done=lambda outcome: end.append(lambda: work.done(outcome)),
            lost=lambda reason: end.append(lambda: work.lost(reason)),
        )

    def count(self) -> bool:
        """Lets the first result count; returns False where it is not there yet."""
        if not self._waiting or not self._waiting[0]:
            return False
        [end] = self._waiting.popleft()
        end()
        return True

    def count_all(self) -> None:
        """Lets every result count that is there; of trainings that were stopped there is none."""
        while self._waiting:
            for end in self._waiting.popleft():
                end()
