"""What a search knows of its candidates: the study's trials as records, kept in step with the storage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from snsearch.codec import encode
from snsearch.solver import Candidates, Design, Solution
from snsearch.study.lengths import Lengths
from snsearch.study.posterior import Observation, Space, features_of
from snsearch.study.records import TrialRecord
from snsearch.study.steps import FULL, Standing
from snsearch.study.storage import Study
from snsearch.training import ProxyResult

_DONE = 1e-3  # shares may miss what was asked for by so much: batches are whole


class Ledger:
    """The candidates of a space by number, and the trial of each; writes through to the study.

    A candidate has one trial at a time. Optuna lets nobody change a finished trial: a network that was left where it
    was, and is taken up again by a longer search, has a new one, which goes on where the old one ended.
    """

    def __init__(self, study: Study, candidates: Candidates) -> None:
        self.study, self.candidates = study, candidates
        self.designs = list(candidates.first.values())
        self.solutions: list[Solution] = [candidates.solutions[design] for design in self.designs]
        self.costs = [candidates.cost[design] for design in self.designs]
        self.space = Space(features_of([solution.architecture for solution in self.solutions]))
        self._of_key = {solution.architecture.key: at for at, solution in enumerate(self.solutions)}
        # The networks of the published designs, by group count.
        self.published = [self._of_key[candidates.solutions[d].architecture.key] for d in candidates.published]
        self.failed_now: set[int] = set()  # in this run; those that ran out of memory are tried again by the next
        self._records = {record.number: record for record in study.records()}
        for record in self.records:
            if record.status == "running" and record.architecture is None:
                study.fail(record.number, "left out", "the search ended as it began this")
                self._reread(record.number)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """The trials so far, by number."""
        return tuple(self._records.values())

    def network_of(self, record: TrialRecord) -> int | None:
        """The network of a trial; None where the trial has none yet."""
        return None if record.architecture is None else self._of_key.get(record.architecture.key)

    def current(self) -> dict[int, TrialRecord]:
        """The last trial of every network that has one; a failure of an earlier run for memory does not count."""
        found: dict[int, TrialRecord] = {}
        for record in self._records.values():
            network = self.network_of(record)
            forgiven = record.fault == "memory" and network not in self.failed_now
            if network is not None and record.duplicate_of is None and not forgiven and record.status != "left out":
                found[network] = record
        return found

    def standing(
        self, begin: list[int], start: int, lengths: Lengths, going: dict[int, float], total: float
    ) -> Standing:
        """How far every network is."""
        current = self.current()
        done = {network: self.share(record) for network, record in current.items() if record.proxy is not None}
        spent = sum(done.values()) + sum(share - done.get(network, 0.0) for network, share in going.items())
        return Standing(
            costs=self.costs,
            begin=begin,
            start=start,
            short=lengths.short,
            done=done,
            going=going,
            gone=frozenset(network for network, record in current.items() if record.status == "failed"),
            observations=tuple(self._observations(current, lengths)),
            left=total - spent,
        )

    def share(self, record: TrialRecord) -> float:
        """How much of the full training a trial has."""
        return 0.0 if record.proxy is None else record.proxy.share

    def _observations(self, current: dict[int, TrialRecord], lengths: Lengths) -> Iterator[Observation]:
        """The errors of every network where it first was long enough, and where it is."""
        for network, record in current.items():
            if record.proxy is None:
                continue
            whole = record.proxy.images_seen / record.proxy.share
            points = {round(point.images_seen / whole, 3): point.test_error for point in record.proxy.curve}
            short = min((share for share in points if share >= lengths.short - _DONE), default=FULL)
            for share in sorted({short, max(points)}):
                yield Observation(network=network, share=share, seed=record.proxy.seed, error=points[share])

    def begin(self, network: int) -> TrialRecord:
        """The trial in which a network is trained on: the one that runs, else a new one."""
        record = self.current().get(network)
        if record is not None and record.status == "running":
            return record
        number, design = self.study.ask(self.candidates.choices, self.designs[network])
        return self._opened(number, design, network, None if record is None else record.proxy)

    def draw(self) -> tuple[TrialRecord, int | None]:
        """A new trial that Optuna's sampler chooses, and its network where it is one to train."""
        number, design = self.study.ask(self.candidates.choices)
        solution = self.candidates.solutions.get(design)
        if solution is None:
            self.study.fail(number, "left out", self.candidates.left_out[design])
            return self._reread(number), None
        network = self._of_key[solution.architecture.key]
        known = self.current().get(network)
        record = self._opened(number, design, network, None)
        if known is None:
            return record, network
        if known.status == "complete" and known.proxy is not None:
            self.study.note(number, duplicate_of=known.number)
            self.study.complete(number, known.proxy.error, self.costs[network])
        else:
            self.study.fail(number, "left out", f"the same network as #{known.number}, which is {known.status}")
        return self._reread(number), None

    def _opened(self, number: int, design: Design, network: int, proxy: ProxyResult | None) -> TrialRecord:
        solution = self.candidates.solutions[design]
        self.study.note(
            number,
            costs=encode(solution.costs),
            cost=self.costs[network],
            published=network in self.published,
            deviation=solution.deviation,
            binding=solution.binding,
            notes=list(solution.notes),
            **({} if proxy is None else {"proxy": encode(proxy)}),
            architecture=encode(solution.architecture),  # last: a trial that has one has all
        )
        return self._reread(number)

    def keep(self, network: int, result: ProxyResult) -> TrialRecord:
        """Keeps how a network does now; at its full length its trial is complete."""
        record = self.begin(network)
        self.study.note(record.number, proxy=encode(result))
        if result.finished:
            self.study.complete(record.number, result.error, self.costs[network])
        return self._reread(record.number)

    def fail(self, network: int, reason: str, *, short_of_memory: bool) -> TrialRecord:
        """Keeps why a network could not be trained."""
        record = self.begin(network)
        self.failed_now.add(network)
        self.study.fail(record.number, "failed", reason, "memory" if short_of_memory else None)
        return self._reread(record.number)

    def leave(self) -> None:
        """Ends the trials of networks of which nothing more is trained."""
        for record in self.records:
            if record.status == "running" and record.proxy is not None:
                reason = f"left at {record.proxy.images_seen:,} images: others promise more"
                self.study.prune(record.number, reason)
                self._reread(record.number)

    def keep_final(self, number: int, result: ProxyResult) -> None:
        """Keeps a finalist's training with a seed that did not choose it."""
        self.study.add_repeat(number, result)
        record = self._records[number]
        repeats = tuple(sorted((*record.repeats, result), key=lambda one: one.seed))
        self._records[number] = replace(record, repeats=repeats)

    def lose_final(self, number: int, seed: int, reason: str) -> None:
        """Keeps why a finalist's training failed."""
        self.study.lose_repeat(number, seed, reason)
        record = self._records[number]
        self._records[number] = replace(record, lost_seeds=(*record.lost_seeds, (seed, reason)))

    def _reread(self, number: int) -> TrialRecord:
        record = replace(
            self.study.record(number),
            repeats=self._records[number].repeats if number in self._records else (),
        )
        self._records[number] = record
        return record
