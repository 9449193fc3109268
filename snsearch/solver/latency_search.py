"""The widths of most MACs whose predicted latency is within a limit.

A prediction is not monotone in widths, because libraries pack channels. So the whole lattice of `tight` is searched:
window by window of the narrowest stage, and in each stage by stage in arrays. Every cost is a sum over pairs of
neighbouring stages. So the most MACs less a price on a cost, of all widths in a window, are a longest path. They
bound the MACs from above (a Lagrangian bound), and leave little to go through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snsearch.errors import SpecError
from snsearch.latency import latency_sums, predict_ms, refused_terms, rising_rates
from snsearch.network import BYTES_PER_VALUE, Op, StageArrays, count_costs, deployed_params, op_params, peak_elements
from snsearch.solver.budget import Budget
from snsearch.solver.lattice import Bound, WidthLine, exceeded, last_at_most
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
        self._widths = [
            step * np.arange(1, math.floor(ratio * top * math.exp(self._spread) / step) + 1)
            for step, ratio in zip(line.steps, self._ratios, strict=True)
        ]
        self._logs = [np.log(widths / ratio) for widths, ratio in zip(self._widths, self._ratios, strict=True)]
        self._gain = self._edges(None, -_NEVER)
        self._loads = list(self._all_loads())
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
            self._offer(self._line.widths(point))
        start = self._logs[0][0] if self._best is None else math.log(self._best[2][0])
        begins = np.arange(self._logs[0][0] - self._spread, self._logs[0][-1], _WINDOW)
        for begin in sorted(begins.tolist(), key=lambda at: abs(at + self._spread / 2 - start)):
            if self._best is None or self._best[0] < self._enough:
                self._search(begin)
        return None if self._best is None else self._best[2]

    def _widest(self) -> float:
        """A first width: in every network whose latency is within the limit, some stage is narrower in proportion."""
        rates, line = rising_rates(self._profile), self._line

        def floor_ms(point: int) -> float:
            return predict_ms(rates, self._profile.terms(line.architecture(line.widths(point))))

        if floor_ms(_MOST_POINTS) <= self._limit:
            raise SpecError(
                f'profile "{self._profile.name}": its rates hardly rise with the widths, so that a latency bounds no '
                "network; take another profile"
            )
        return float(line.widths(last_at_most(floor_ms, self._limit, self._first) + 1)[0])

    def _near_the_limit(self) -> Iterator[int]:
        """Points of the line about where its latency passes the limit."""

        rates, line = dict(self._profile.rates), self._line

        def latency(point: int) -> float:  # also of networks that the profile refuses
            return predict_ms(rates, self._profile.terms(line.architecture(line.widths(point))))

        last = last_at_most(latency, self._limit, self._first)
        yield from range(max(self._first, last - 1), last + 3)

    def _latency(self, widths: Sequence[int]) -> float:
        """Predicted milliseconds; infinite where the profile refuses to predict."""
        try:
            return self._profile.predict(self._line.architecture(widths)).ms
        except SpecError:
            return math.inf

    def _offer(self, widths: Widths) -> bool:
        """Whether a network is within all bounds, exactly; it is kept where it is the best so far."""
        if not self._least <= self._latency(widths) <= self._limit:
            return False
        costs = count_costs(self._line.architecture(widths), self._line.input.precision)
        if exceeded(costs, self._caps):
            return False
        mine = (costs.macs, -distortion_of(widths, self._ratios), widths)
        if self._best is None or mine[:2] > self._best[:2]:
            self._best = mine
        return True

    def _all_loads(self) -> Iterator[_Load]:
        arch = self._line.architecture(self._line.widths(self._first))
        for of_block, beside in latency_sums(self._profile, arch):
            yield _Load(self._edges(of_block, _NEVER), self._limit - beside, True)
        size = BYTES_PER_VALUE[self._line.input.precision]
        for cap in self._caps:
            if cap.key == "mflops":
                yield _Load(self._edges(None, _NEVER), cap.limit, False)
            elif cap.key == "params":
                yield _Load(self._edges(lambda ops: sum(map(op_params, ops)), _NEVER), cap.limit, False)
            elif cap.key == "model_size":
                yield _Load(self._edges(lambda ops: sum(map(deployed_params, ops)), _NEVER), cap.limit // size, False)
            else:
                yield _Load(self._edges(_blocks_over(cap.limit // size), _NEVER), 0, False)
        if self._profile.unseen:
            yield _Load(self._edges(refused_terms(self._profile), _NEVER), 0, False)

    def _edges(self, figure: Callable[[Sequence[Op]], Any] | None, where_none: float) -> Edges:
        """A figure of a block, MACs if None, over the pairs of widths; and what stands for it where there is none."""
        line, ratios = self._line, self._ratios
        arch = line.architecture(line.widths(self._first))
        counter = StageArrays(arch) if figure is None else StageArrays(arch, figure)
        firsts = self._widths[0]
        stem: Any = np.array([line.stem(int(width)) for width in firsts])
        edges = [np.broadcast_to(counter.stem(stem) + counter.stage(0, stem, firsts), firsts.shape)]
        for index in range(1, len(ratios)):
            before, after = self._widths[index - 1][:, None], self._widths[index][None, :]
            pairs = np.broadcast_to(counter.stage(index, before, after), (before.size, after.size))
            edges.append(np.where(after >= before + (ratios[index] > ratios[index - 1]), pairs, np.nan))
        edges[-1] = edges[-1] + counter.head(self._widths[-1])
        return [np.nan_to_num(edge, nan=where_none) for edge in edges]

    def _search(self, begin: float) -> None:
        """Goes through the networks whose narrowest stage in proportion begins in a window; the logarithm of it."""
        end = begin + _WINDOW + self._spread + _ROUNDING
        cuts = [slice(*np.searchsorted(logs, (begin - _ROUNDING, end)).tolist()) for logs in self._logs]
        if any(cut.start == cut.stop for cut in cuts):
            return
        window = _Window(self._gain, self._loads, cuts)
        if not window.can_hold(self._least, self._limit):
            return
        for path in window.set_prices(lambda: 0.0 if self._best is None else self._best[0]):
            places = zip(self._widths, cuts, path, strict=True)
            widths = tuple(int(options[cut.start + at]) for options, cut, at in places)
            if distortion_of(widths, self._ratios) <= self._spread / 2 + 1e-12:
                self._offer(widths)
        self._enter(window, _Prefixes.none(len(self._loads)), 0)

    def _enter(self, window: _Window, prefixes: _Prefixes, index: int) -> None:
        """Goes through the networks of a window that begin with those widths; the next stage is `index`."""
        if index == len(self._ratios):
            self._offer_all(window, prefixes)
            return
        logs = self._logs[index][window.cuts[index]]
        at_once = max(1, _MOST_AT_ONCE // len(logs))
        for start in range(0, len(prefixes.gain), at_once):
            part = prefixes.take(slice(start, start + at_once))
            lowest, highest = np.minimum(part.low[:, None], logs), np.maximum(part.high[:, None], logs)
            holds = highest - lowest <= self._spread + 1e-12
            edge = window.gain[index] if not index else window.gain[index][part.columns[-1]]
            gain = part.gain[:, None] + edge
            loads = []
            reaches = np.zeros_like(holds)
            best = 0.0 if self._best is None else self._best[0]
            for load, so_far, priced in zip(window.loads, part.loads, window.priced, strict=True):
                more = so_far[:, None] + (load.edges[index] if not index else load.edges[index][part.columns[-1]])
                loads.append(more)
                holds &= more + priced.least[index] <= load.limit + abs(load.limit) * _ROUNDING
                bound = gain - priced.price * more + priced.value[index] + priced.price * load.limit
                holds &= bound >= best * (1 - _ROUNDING)
                if load.is_latency:
                    below = load.limit - (self._limit - self._least) - self._limit * _ROUNDING
                    reaches |= more + priced.most[index] >= below
            rows, columns = np.nonzero(holds & reaches)
            longer = _Prefixes(
                (*(column[rows] for column in part.columns), columns),
                gain[rows, columns],
                [load[rows, columns] for load in loads],
                lowest[rows, columns],
                highest[rows, columns],
            )
            self._enter(window, longer, index + 1)

    def _offer_all(self, window: _Window, found: _Prefixes) -> None:
        spread = found.high - found.low
        for at in np.lexsort((spread, -found.gain)).tolist():
            if self._best is not None and found.gain[at] < self._best[0]:
                return
            cuts = zip(self._widths, window.cuts, found.columns, strict=True)
            if self._offer(tuple(int(widths[cut.start + column[at]]) for widths, cut, column in cuts)):
                return


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


@dataclass(slots=True)
class _Priced:
    """What the stages after each one can add at least and at most to a load, and to the MACs less its price."""

    least: Edges
    most: Edges
    value: Edges
    price: float = 0.0
    bound: float = math.inf  # on the MACs of the window's networks


class _Window:
    """A part of the lattice: the widths of each stage in a range."""

    def __init__(self, gain: Edges, loads: Sequence[_Load], cuts: Sequence[slice]) -> None:
        self.cuts = cuts
        self.gain = self._cut(gain)
        self.loads = [_Load(self._cut(load.edges), load.limit, load.is_latency) for load in loads]
        self.priced: list[_Priced] = []
        for load in self.loads:
            least = _longest([-edge for edge in load.edges])
            most = _longest([np.where(edge < _NEVER / 2, edge, -_NEVER) for edge in load.edges])
            self.priced.append(_Priced([-one for one in least], most, _longest(self.gain)))

    def _cut(self, edges: Edges) -> Edges:
        pairs = zip(edges[1:], self.cuts, self.cuts[1:], strict=False)
        return [edges[0][self.cuts[0]], *(edge[before, after] for edge, before, after in pairs)]

    def can_hold(self, least_ms: float, limit_ms: float) -> bool:
        """Whether a network of the window may be within the limits, each by itself."""
        reaches = False
        for load, priced in zip(self.loads, self.priced, strict=True):
            if (load.edges[0] + priced.least[0]).min() > load.limit + abs(load.limit) * _ROUNDING:
                return False
            if load.is_latency:
                most = (load.edges[0] + priced.most[0]).max()
                reaches |= bool(most >= load.limit - (limit_ms - least_ms) - limit_ms * _ROUNDING)
        return reaches

    def set_prices(self, best: Callable[[], float]) -> Iterator[list[int]]:
        """Sets for each load the price whose bound is the least; and gives the networks that meet its limit.

        Ends where a bound is below the best network so far.
        """
        for load, priced in zip(self.loads, self.priced, strict=True):
            if load.limit <= 0:
                continue
            low, high = 0.0, math.inf
            price = float((self.gain[0] + priced.value[0]).max()) / load.limit
            for _ in range(_PRICES):
                edges = [gain - price * cost for gain, cost in zip(self.gain, load.edges, strict=True)]
                value = _longest(edges)
                bound = float((edges[0] + value[0]).max()) + price * load.limit
                if bound < priced.bound:
                    priced.bound, priced.price, priced.value = bound, price, value
                if bound < best() * (1 - _ROUNDING):
                    return
                path = _path(edges, value)
                used = load.edges[0][path[0]] + sum(
                    edge[at, after] for edge, at, after in zip(load.edges[1:], path, path[1:], strict=False)
                )
                if used > load.limit:
                    low = price
                    price = price * 2 if high == math.inf else (low + high) / 2
                else:
                    yield path
                    high = price
                    price = (low + high) / 2


def _longest(edges: Edges) -> Edges:
    """The largest sum of the edges behind each width of each stage."""
    values = [np.zeros(edges[-1].shape[-1])]
    for edge in reversed(edges[1:]):
        values.append((edge + values[-1]).max(axis=1))
    return values[::-1]


def _path(edges: Edges, value: Edges) -> list[int]:
    """The places of the widths whose sum of edges is the largest."""
    path = [int((edges[0] + value[0]).argmax())]
    for edge, after in zip(edges[1:], value[1:], strict=True):
        path.append(int((edge[path[-1]] + after).argmax()))
    return path
