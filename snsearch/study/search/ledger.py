"""What a search knows of its candidates: the study's trials, kept in step with the storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from snsearch.codec import encode
from snsearch.errors import InfeasibleBudgetError
from snsearch.network import Architecture
from snsearch.solver import Candidates
from snsearch.study.lengths import Lengths, errors_that_tell
from snsearch.study.networks import Network, Networks, View
from snsearch.study.posterior import Observation
from snsearch.study.records import Refill, TrialRecord
from snsearch.study.steps import Standing
from snsearch.study.storage import Study
from snsearch.study.thinning import thinned
from snsearch.training import ProxyResult
from snsearch.units import format_stages

Errors = Sequence[tuple[float, float]]  # shares of the full training, and the errors there


class Ledger:
    """The networks of a search by number, and the trial of each; writes through to the study.

    A candidate has one trial at a time. Optuna lets nobody change a finished trial: a network that was left where it
    was, and is taken up again by a longer search, has a new one, which goes on where the old one ended.
    """

    def __init__(self, study: Study, candidates: Candidates) -> None:
        self.study, self.candidates = study, candidates
        self.networks = Networks(candidates, study.settings.seed)
        self.failed_now: set[int] = set()  # in this run; those that ran out of memory are tried again by the next
        self._records: dict[int, TrialRecord] = {}
        self._trials: dict[int, list[int]] = {}  # of every network that has any
        self._current: dict[int, TrialRecord] = {}
        self._errors: dict[int, tuple[ProxyResult, Errors]] = {}
        self._listed: View | None = None
        for record in study.records():
            self._put(record)
        self.networks.restore(study.refills, study.values)
        for record in self.records:
            if record.status != "running":
                continue
            if record.architecture is None:
                study.fail(record.number, "left out", "the search ended as it began this")
                self._reread(record.number)
            elif record.proxy is not None and record.proxy.finished and record.cost is not None:
                study.complete(record.number, record.proxy.error, record.cost)  # it was killed before it did so
                self._reread(record.number)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """The trials so far, by number."""
        return tuple(self._records.values())

    def architecture(self, network: int) -> Architecture:
        """Of a network."""
        return self.networks.all[network].architecture

    def cost(self, network: int) -> float:
        """The second objective of a network."""
        return self.networks.all[network].cost

    def current(self) -> Mapping[int, TrialRecord]:
        """The last trial of every network that has one; a failure of an earlier run for memory does not count."""
        return self._current

    def _put(self, record: TrialRecord) -> None:
        """Keeps a trial, and what it says of its network."""
        self._records[record.number] = record
        network = self._network_of(record)
        if network is None:
            return
        trials = self._trials.setdefault(network, [])
        if record.number not in trials:
            trials.append(record.number)
        counting = [one for one in map(self._records.__getitem__, trials) if self._counts(one, network)]
        if counting:
            self._current[network] = counting[-1]
        else:
            self._current.pop(network, None)

    def _counts(self, record: TrialRecord, network: int) -> bool:
        forgiven = record.fault == "memory" and network not in self.failed_now
        return record.duplicate_of is None and not forgiven and record.status != "left out"

    def _network_of(self, record: TrialRecord) -> int | None:
        """The network of a trial; None where the trial has none yet, or one that is not of the space."""
        if record.architecture is None:
            return None
        known = self.networks.find(record.architecture.key)
        if known is not None or not self.networks.is_drawn or record.costs is None or record.cost is None:
            return known
        return self.networks.add(
            Network(
                values=self.study.values(record.number),
                architecture=record.architecture,
                costs=record.costs,
                cost=record.cost,
                deviation=record.deviation,
                binding=record.binding,
                notes=record.notes,
            )
        )

    def view(self, lengths: Lengths, going: Mapping[int, float]) -> View:
        """The networks that a step chooses among; of very many that were tried, those that say most."""
        if not self.networks.is_drawn:
            if self._listed is None:
                self._listed = self.networks.view(range(len(self.networks.all)))
            return self._listed
        seen = {*self._telling(lengths), *going}
        untried = self.networks.untried(self._tried() | {*going})
        return self.networks.view([*(n for n in self._current if n in seen), *untried])

    def standing(
        self, view: View, start: int, lengths: Lengths, going: Mapping[int, float], total: float
    ) -> Standing:
        """How far the networks of a view are, by their positions in it."""
        at = view.positions()
        done = self.done()
        current, drawn = self._current, self.networks.is_drawn
        unseen = sum(number not in at for number in self._tried()) if drawn else 0
        observations = [
            Observation(network=at[network], share=share, error=error)
            for network in self._telling(lengths)
            for share, error in self._errors_of(network, lengths)
        ]
        return Standing(
            costs=[self.cost(number) for number in view.numbers],
            begin=range(len(view.numbers)) if drawn else self.networks.order,
            start=max(0, start - unseen),
            short=lengths.short,
            done={at[network]: share for network, share in done.items() if network in at},
            going={at[network]: share for network, share in going.items()},
            gone=frozenset(at[n] for n, record in current.items() if record.status == "failed" and n in at),
            observations=tuple(observations),
            left=total - self.spent(going),
        )

    def is_due(self) -> bool:
        """Whether it is time to draw further networks."""
        return self.networks.is_due(len(self._tried()))

    def _tried(self) -> set[int]:
        """The networks whose training came to anything; one that was only begun is begun again."""
        return {n for n, one in self._current.items() if one.proxy is not None or one.status == "failed"}

    def done(self) -> dict[int, float]:
        """The share of the full training that every network is trained to."""
        return {network: self.share(one) for network, one in self._current.items() if one.proxy is not None}

    def spent(self, going: Mapping[int, float]) -> float:
        """Full trainings' worth of work that is done, or under way to the shares of `going`."""
        done = self.done()
        return sum(done.values()) + sum(share - done.get(network, 0.0) for network, share in going.items())

    def share(self, record: TrialRecord) -> float:
        """How much of the full training a trial has."""
        return 0.0 if record.proxy is None else record.proxy.share

    def _telling(self, lengths: Lengths) -> list[int]:
        """The networks whose errors are looked at, of those that have any."""
        last = {network: self._errors_of(network, lengths)[-1] for network in self.done()}
        return thinned(last)

    def _errors_of(self, network: int, lengths: Lengths) -> Errors:
        """The errors of a network where it first was long enough, and where it is."""
        proxy = self._current[network].proxy
        assert proxy is not None, "it is done to some share"
        known = self._errors.get(network)
        if known is not None and known[0] is proxy:
            return known[1]
        found = errors_that_tell(proxy, lengths.short)
        self._errors[network] = proxy, found
        return found

    def refill(self, near: Sequence[int]) -> None:
        """Draws further networks, next to some that were tried, and keeps that they were drawn."""
        trials = tuple(self._current[network].number for network in near)
        self.networks.refill(
            Refill(begun=len(self._tried()), near=trials), [self.networks.all[number].values for number in near]
        )
        self.study.keep_refills(self.networks.refills)

    def begin(self, network: int) -> TrialRecord:
        """The trial in which a network is trained on: the one that runs, else a new one."""
        record = self._current.get(network)
        if record is not None and record.status == "running":
            return record
        kept = self._attributes(network) | (
            {} if record is None or record.proxy is None else {"proxy": encode(record.proxy)}
        )
        values = self.networks.all[network].values
        number = self._reread(self.study.begin(self.candidates.parameters, values, kept)).number
        for result in () if record is None else record.repeats:
            self.keep_final(number, result)
        for seed, reason in () if record is None else record.lost_seeds:
            self.lose_final(number, seed, reason)
        return self._records[number]

    def draw(self) -> tuple[TrialRecord, int | None]:
        """A new trial that Optuna's sampler chooses, and its network where it is one to train."""
        number, values = self.study.ask(self.candidates.parameters)
        try:
            found = self.candidates.source.solved(values)
        except InfeasibleBudgetError as error:
            self.study.fail(number, "left out", str(error))
            return self._reread(number), None
        network = self.networks.add(Network.of(found))
        known = self._current.get(network)
        self.study.note(number, **self._attributes(network))
        record = self._reread(number)
        if known is None:
            return record, network
        if known.status == "complete" and known.proxy is not None:
            self.study.note(number, duplicate_of=known.number)
            self.study.complete(number, known.proxy.error, self.cost(network))
        else:
            self.study.fail(number, "left out", f"the same network as #{known.number}, which is {known.status}")
        return self._reread(number), None

    def _attributes(self, network: int) -> dict[str, Any]:
        return {"published": network in self.networks.published, **self.networks.all[network].attributes()}

    def keep(self, network: int, result: ProxyResult) -> TrialRecord:
        """Keeps how a network does now; at its full length its trial is complete."""
        record = self.begin(network)
        self.study.note(record.number, proxy=encode(result))
        if result.finished:
            self.study.complete(record.number, result.error, self.cost(network))
        return self._reread(record.number)

    def fail(self, network: int, reason: str, *, short_of_memory: bool) -> TrialRecord:
        """Keeps why a network could not be trained."""
        record = self.begin(network)
        self.failed_now.add(network)
        self.study.fail(record.number, "failed", reason, "memory" if short_of_memory else None)
        return self._reread(record.number)

    def lacking(self) -> list[str]:
        """The group counts of the published designs that were not begun."""
        missing = [network for network in self.networks.published if network not in self._current]
        return [format_stages(self.architecture(network).groups) for network in missing]

    def leave(self, but: Sequence[int] = ()) -> None:
        """Ends the trials of networks of which nothing more is trained; finalists that were cut may go on."""
        cut = {self._current[network].number for network in but}
        for record in self.records:
            if record.status != "running" or record.number in cut:
                continue
            if record.proxy is None:
                self.study.fail(record.number, "left out", "the search ended as it began this")
            else:
                reason = f"left at {record.proxy.images_seen:,} images: others promise more"
                self.study.prune(record.number, reason)
            self._reread(record.number)

    def keep_final(self, number: int, result: ProxyResult) -> None:
        """Keeps a finalist's training with a seed that did not choose it, in place of a shorter one."""
        self.study.add_repeat(number, result)
        record = self._records[number]
        by_seed = {one.seed: one for one in (*record.repeats, result)}
        self._put(replace(record, repeats=tuple(by_seed[seed] for seed in sorted(by_seed))))

    def lose_final(self, number: int, seed: int, reason: str) -> None:
        """Keeps why a finalist's training failed."""
        self.study.lose_repeat(number, seed, reason)
        record = self._records[number]
        self._put(replace(record, lost_seeds=(*record.lost_seeds, (seed, reason))))

    def _reread(self, number: int) -> TrialRecord:
        record, known = self.study.record(number), self._records.get(number)
        if known is not None:
            record = replace(record, repeats=known.repeats, lost_seeds=known.lost_seeds)
        self._put(record)
        return record
