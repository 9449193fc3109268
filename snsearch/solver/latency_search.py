"""The widths of most MACs whose predicted latency is within a limit.

A prediction is not monotone in widths, because libraries pack channels. So the whole lattice of `tight` is searched:
window by window of the narrowest stage, and in each stage by stage in arrays. Every cost is a sum over pairs of
neighbouring stages. So the most MACs less a price on a cost, of all widths in a window, are a longest path. They
bound the MACs from above (a Lagrangian bound), and leave little to go through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from snsearch.errors import SpecError
from snsearch.latency import latency_sums, predict_ms, refused_terms, rising_rates
from snsearch.network import BYTES_PER_VALUE, Op, StageArrays, deployed_of, macs_of, params_of, peak_elements
from snsearch.solver.budget import Budget
from snsearch.solver.lattice import Bound, WidthLine, last_at_most
from snsearch.solver.tight import TIGHT_TOLERANCE, Widths, distortion_of, most_distortion

LATENCY_TOLERANCE = 0.02  # how far below the limit the latency may lie, as a share of it

_WINDOW = 0.05  # of the logarithm of widths: how many regions of the lattice are bounded at once
_MOST_AT_ONCE = 1 << 20
_MOST_POINTS = 1 << 24
_NEVER = 1e30  # a cost above any other
_ROUNDING = 1e-9
_PRICES = 12  # prices that are tried for a window

Array = npt.NDArray[np.float64]
Edges = list[Array]  # of the first stage by its width; of each further one by the width before it and its own


@dataclass(frozen=True, slots=True)
class _Load:
    """A cost that is a sum over blocks, with its limit and, of latencies, the least that is looked for."""

    edges: Edges
    limit: float
    is_latency: bool


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Widths of each stage, their logarithms in proportion, and the MACs and other costs of the networks."""

    widths: list[npt.NDArray[np.int64]]
    logs: list[Array]
    gain: Edges
    loads: list[_Load]

    def take(self, chosen: Sequence[Any]) -> _Lattice:
        """A part of it: a slice of each stage's widths, or their places."""

        def edges_of(edges: Edges) -> Edges:
            pairs = zip(edges[1:], chosen, chosen[1:], strict=False)
            return [edges[0][chosen[0]], *(edge[before][:, after] for edge, before, after in pairs)]

        return _Lattice(
            [one[places] for one, places in zip(self.widths, chosen, strict=True)],
            [one[places] for one, places in zip(self.logs, chosen, strict=True)],
            edges_of(self.gain),
            [replace(load, edges=edges_of(load.edges)) for load in self.loads],
        )

    def beyond_ms(self, places: Sequence[int]) -> float:
        """The predicted latency of a network less the limit."""
        return max(_along(load.edges, places) - load.limit for load in self.loads if load.is_latency)

    def near_proportion(self, spread: float) -> _Lattice:
        """Without MACs where neighbouring stages alone spread further than that."""
        pairs = zip(self.gain[1:], self.logs, self.logs[1:], strict=False)
        gain = [np.where(abs(one[:, None] - other) <= spread + 1e-12, edge, -_NEVER) for edge, one, other in pairs]
        return replace(self, gain=[self.gain[0], *gain])

    def window(self, begin: float, end: float) -> _Lattice:
        """The widths between two logarithms in proportion."""
        ends = (begin - _ROUNDING, end + _ROUNDING)
        return self.take([slice(*np.searchsorted(logs, ends).tolist()) for logs in self.logs])


class LatencySearch:
    """Searches all widths whose distortion is at most the limit of `tight`.

    Args:
        line: the space, design and input.
        budget: it has a latency, and a profile that predicts.
        caps: its other upper bounds.
    """

    def __init__(self, line: WidthLine, budget: Budget, caps: Sequence[Bound]) -> None:
        self._line, self._caps = line, caps
        self._profile, self._limit = budget.latency_profile, budget.latency_limit_ms
        self._ratios = line.ratios
        self._spread = 2 * most_distortion(line)
        self._first = line.first()
        top = self._widest()
        most = [ratio * line.widths(top)[0] * math.exp(self._spread) for ratio in self._ratios]
        # The line's networks about the limit are tried however far they are from proportion.
        ends = [max(*pair) for pair in zip(most, line.widths(top + 1), strict=True)]
        widths = [step * np.arange(1, math.floor(end / step) + 1) for step, end in zip(line.steps, ends, strict=True)]
        logs = [np.log(one / ratio) for one, ratio in zip(widths, self._ratios, strict=True)]
        loads = self._all_loads(widths)
        self._lattice = _Lattice(widths, logs, self._edges(widths, macs_of, -_NEVER), list(loads))
        self._enough = min((cap.limit * (1 - TIGHT_TOLERANCE) for cap in caps if cap.key == "mflops"), default=_NEVER)
        self._best: tuple[float, float, Widths] | None = None  # MACs, less distortion, widths
        self._least = 0.0  # milliseconds

    def best(self, least_ms: float) -> Widths | None:
        """The widths of most MACs, least distorted of these; None where no network is within the bounds.

        Where MFLOPs are bounded, the first widths that are found within 0.1 % of them.

        Args:
            least_ms: no network of a lower predicted latency is looked for.
        """
        self._least, self._best = least_ms, None
        for point in self._near_the_limit():
            self._offer(self._lattice, self._places(point))
        lattice, first = self._lattice.near_proportion(self._spread), self._best
        self._search(lattice)
        if self._most_macs >= self._enough:
            self._best = first
            start = lattice.logs[0][0] if first is None else math.log(first[2][0])
            begins = np.arange(lattice.logs[0][0] - self._spread, lattice.logs[0][-1], _WINDOW)
            for begin in sorted(begins.tolist(), key=lambda at: abs(at + self._spread / 2 - start)):
                if self._most_macs < self._enough:
                    self._search(lattice.window(begin, begin + _WINDOW + self._spread))
        return None if self._best is None else self._best[2]

    @property
    def _most_macs(self) -> float:
        return 0.0 if self._best is None else self._best[0]

    def _line_ms(self, rates: Mapping[str, float], point: int) -> float:
        return predict_ms(rates, self._profile.terms(self._line.architecture(self._line.widths(point))))

    def _widest(self) -> int:
        """A point: in every network whose latency is within the limit, some stage is narrower in proportion."""
        rates = rising_rates(self._profile)

        def floor_ms(point: int) -> float:
            found = self._line_ms(rates, point)
            if found <= self._limit and point >= _MOST_POINTS:
                raise SpecError(
                    f'profile "{self._profile.name}": its rates hardly rise with the widths, so that a latency '
                    "bounds no network; take another profile"
                )
            return found

        return last_at_most(floor_ms, self._limit, self._first) + 1

    def _places(self, point: int) -> list[int]:
        """Where the widths of a point of the line are in the lattice."""
        return [width // step - 1 for width, step in zip(self._line.widths(point), self._line.steps, strict=True)]

    def _near_the_limit(self) -> Iterator[int]:
        """Points of the line about where its latency passes the limit."""
        rates, lattice = dict(self._profile.rates), self._lattice

        def latency(point: int) -> float:  # also of networks that the profile refuses
            places = self._places(point)
            if any(at >= len(widths) for at, widths in zip(places, lattice.widths, strict=True)):
                return self._line_ms(rates, point)
            return self._limit + lattice.beyond_ms(places)

        last = last_at_most(latency, self._limit, self._first)
        yield from range(max(self._first, last - 1), last + 3)

    def _offer(self, lattice: _Lattice, places: Sequence[int]) -> bool:
        """Whether a network is within all bounds, exactly; it is kept where it is the best so far."""
        if any(_along(load.edges, places) > load.limit for load in lattice.loads if not load.is_latency):
            return False
        beyond, slack = lattice.beyond_ms(places), self._limit * _ROUNDING
        if not self._least - self._limit - slack <= beyond <= slack:
            return False
        widths = tuple(int(options[at]) for options, at in zip(lattice.widths, places, strict=True))
        if not self._least - self._limit + slack <= beyond <= -slack:  # so near that rounding may decide
            latency = self._profile.predict(self._line.architecture(widths)).ms
            if not self._least <= latency <= self._limit:
                return False
        mine = (_along(lattice.gain, places), -distortion_of(widths, self._ratios), widths)
        if self._best is None or mine[:2] > self._best[:2]:
            self._best = mine
        return True

    def _all_loads(self, widths: Sequence[npt.NDArray[np.int64]]) -> Iterator[_Load]:
        arch = self._line.architecture(self._line.widths(self._first))
        for of_block, beside in latency_sums(self._profile, arch):
            yield _Load(self._edges(widths, of_block, _NEVER), self._limit - beside, True)
        size = BYTES_PER_VALUE[self._line.input.precision]
        for cap in self._caps:
            if cap.key == "mflops":
                yield _Load(self._edges(widths, macs_of, _NEVER), cap.limit, False)
            elif cap.key == "params":
                yield _Load(self._edges(widths, params_of, _NEVER), cap.limit, False)
            elif cap.key == "model_size":
                yield _Load(self._edges(widths, deployed_of, _NEVER), cap.limit // size, False)
            else:
                yield _Load(self._edges(widths, _blocks_over(cap.limit // size), _NEVER), 0, False)
        if self._profile.unseen:
            yield _Load(self._edges(widths, refused_terms(self._profile), _NEVER), 0, False)

    def _edges(
        self, widths: Sequence[npt.NDArray[np.int64]], figure: Callable[[Sequence[Op]], Any], where_none: float
    ) -> Edges:
        """A figure of a block over the pairs of widths, and what stands for it where there is none."""
        line, ratios = self._line, self._ratios
        counter = StageArrays(line.architecture(line.widths(self._first)), figure)
        stem: Any = line.stem_of_scale or np.array([line.stem(width) for width in widths[0].tolist()])
        edges = [np.broadcast_to(counter.stem(stem) + counter.stage(0, stem, widths[0]), widths[0].shape)]
        for index in range(1, len(ratios)):
            before, after = widths[index - 1][:, None], widths[index][None, :]
            pairs = np.broadcast_to(counter.stage(index, before, after), (before.size, after.size))
            edges.append(np.where(after >= before + (ratios[index] > ratios[index - 1]), pairs, np.nan))
        edges[-1] = edges[-1] + counter.head(widths[-1])
        return [np.nan_to_num(edge, nan=where_none) for edge in edges]

    def _search(self, lattice: _Lattice) -> None:
        """Goes through the networks of a part of the lattice."""
        if not all(map(len, lattice.widths)):
            return
        priced = [_Priced(load) for load in lattice.loads]
        if not self._can_hold(priced):
            return
        for one in priced:
            self._set_price(lattice, one)
            if one.bound < self._most_macs * (1 - _ROUNDING):
                return
        self._enter(lattice, priced, _Prefixes.none(len(priced)), 0)

    def _can_hold(self, priced: Sequence[_Priced]) -> bool:
        """Whether a network may be within the limits, each by itself."""
        reaches = False
        for one in priced:
            load = one.load
            if (load.edges[0] + one.least[0]).min() > load.limit + abs(load.limit) * _ROUNDING:
                return False
            if load.is_latency:
                most = (load.edges[0] + one.most[0]).max()
                reaches |= bool(most >= load.limit - (self._limit - self._least) - self._limit * _ROUNDING)
        return reaches

    def _set_price(self, lattice: _Lattice, priced: _Priced) -> None:
        """Sets the price whose bound is the least, or one whose bound is below the best network so far.

        The bound is convex in the price, and every network is a line below it: the next price is where the lines of
        the last network beyond the limit and of the last one within it meet.
        """
        load = priced.load
        price = (self._most_macs or 1.0) / load.limit if load.limit > 0 else 0.0
        beyond = within = None
        for _ in range(_PRICES):
            edges = [gain - price * cost for gain, cost in zip(lattice.gain, load.edges, strict=True)]
            value = _longest(edges)
            bound = float((edges[0] + value[0]).max()) + price * load.limit
            if bound < priced.bound:
                priced.price, priced.value, priced.bound = price, value, bound
            if load.limit <= 0 or bound < self._most_macs * (1 - _ROUNDING):
                break
            path = _path(edges, value)
            logs = [logs[place] for logs, place in zip(lattice.logs, path, strict=True)]
            gain, over = _along(lattice.gain, path), _along(load.edges, path) - load.limit
            if max(logs) - min(logs) <= self._spread + 1e-12 and gain > self._most_macs:
                self._offer(lattice, path)
            if over > 0:
                beyond = gain, over
            else:
                within = gain, over
            if beyond is None or within is None:
                price *= 2 if within is None else 0.5
                continue
            price = (beyond[0] - within[0]) / (beyond[1] - within[1])
            if within[0] - price * within[1] >= priced.bound * (1 - _ROUNDING):
                break

    def _enter(self, lattice: _Lattice, priced: Sequence[_Priced], prefixes: _Prefixes, index: int) -> None:
        """Goes through the networks that begin with those widths; the next stage is `index`."""
        if index == len(self._ratios):
            self._offer_all(lattice, prefixes)
            return
        logs = lattice.logs[index]
        at_once = max(1, _MOST_AT_ONCE // len(logs))
        for start in range(0, len(prefixes.gain), at_once):
            part = prefixes.take(slice(start, start + at_once))
            chosen = part.columns[-1] if index else np.newaxis
            lowest, highest = np.minimum(part.low[:, None], logs), np.maximum(part.high[:, None], logs)
            holds = highest - lowest <= self._spread + 1e-12
            gain = part.gain[:, None] + lattice.gain[index][chosen]
            loads = []
            reaches = np.zeros_like(holds)
            best = self._most_macs
            for one, so_far in zip(priced, part.loads, strict=True):
                load = one.load
                more = so_far[:, None] + load.edges[index][chosen]
                loads.append(more)
                holds &= more + one.least[index] <= load.limit + abs(load.limit) * _ROUNDING
                bound = gain - one.price * more + one.value[index] + one.price * load.limit
                holds &= bound >= best * (1 - _ROUNDING)
                if load.is_latency:
                    below = load.limit - (self._limit - self._least) - self._limit * _ROUNDING
                    reaches |= more + one.most[index] >= below
            rows, columns = np.nonzero(holds & reaches)
            longer = _Prefixes(
                (*(column[rows] for column in part.columns), columns),
                gain[rows, columns],
                [load[rows, columns] for load in loads],
                lowest[rows, columns],
                highest[rows, columns],
            )
            self._enter(lattice, priced, longer, index + 1)

    def _offer_all(self, lattice: _Lattice, found: _Prefixes) -> None:
        spread = found.high - found.low
        for at in np.lexsort((spread, -found.gain)).tolist():
            if found.gain[at] < self._most_macs:
                return
            if self._offer(lattice, [column[at] for column in found.columns]):
                return


@lru_cache(maxsize=64)
def _blocks_over(limit: int) -> Callable[[Sequence[Op]], Any]:
    """How many blocks need more live elements than that: no network within the limit has one."""
    return lambda ops: np.greater(peak_elements(ops, np.maximum, np.minimum), limit).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Prefixes:
    """Widths of the first stages, for many networks at once."""

    columns: tuple[npt.NDArray[np.intp], ...]  # places in the window, one array per stage
    gain: Array
    loads: list[Array]
    low: Array  # log(width / ratio)
    high: Array

    @classmethod
    def none(cls, loads: int) -> _Prefixes:
        """One network of which no stage is chosen."""
        return cls((), np.zeros(1), [np.zeros(1)] * loads, np.full(1, np.inf), np.full(1, -np.inf))

    def take(self, part: slice) -> _Prefixes:
        """Some of them."""
        columns = tuple(column[part] for column in self.columns)
        return _Prefixes(
            columns, self.gain[part], [load[part] for load in self.loads], self.low[part], self.high[part]
        )


class _Priced:
    """A load with a price, and what the stages after each one can add."""

    def __init__(self, load: _Load) -> None:
        self.load = load
        self.price, self.bound = 0.0, math.inf  # the bound is on the MACs of all networks
        self.value: Edges = []  # the most MACs less the price
        self.least = [-one for one in _longest([-edge for edge in load.edges])]  # of the load
        self.most = _longest([np.where(edge < _NEVER / 2, edge, -_NEVER) for edge in load.edges])


def _longest(edges: Edges) -> Edges:
    """The largest sum of the edges behind each width of each stage."""
    values = [np.zeros(edges[-1].shape[-1])]
    for edge in reversed(edges[1:]):
        values.append((edge + values[-1]).max(axis=1))
    return values[::-1]


def _along(edges: Edges, path: Sequence[int]) -> float:
    """The sum of a path's edges."""
    return float(edges[0][path[0]]) + sum(
        float(edge[at, after]) for edge, at, after in zip(edges[1:], path, path[1:], strict=False)
    )


def _path(edges: Edges, value: Edges) -> list[int]:
    """The places of the widths whose sum of edges is the largest."""
    path = [int((edges[0] + value[0]).argmax())]
    for edge, after in zip(edges[1:], value[1:], strict=True):
        path.append(int((edge[path[-1]] + after).argmax()))
    return path
