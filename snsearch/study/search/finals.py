"""The end of a search: its finalists are trained by seeds that did not choose them."""

from __future__ import annotations

from dataclasses import replace

from snsearch.study.finalists import contenders, references_of
from snsearch.study.lengths import Lengths
from snsearch.study.pairs import common_seeds
from snsearch.study.records import StudyRecord, TrialRecord
from snsearch.study.search.pieces import Failed
from snsearch.study.search.trainings import Trainings
from snsearch.study.steps import FULL
from snsearch.study.verdict import verdict_of
from snsearch.training import ProxyResult, Work

_TEST_IMAGES = 10_000  # at most


class Finals:
    """The choice of the finalists, and their trainings."""

    def __init__(self, trainings: Trainings, lengths: Lengths) -> None:
        self._trainings, self._lengths = trainings, lengths

    def settled(self) -> list[int]:
        """The finalists, each trained to the full length by the search's own seed.

        That may show that others should be finalists, so they are chosen again until nothing is left to train. Who is
        chosen thus follows from what is kept, also for a search that is taken up again.
        """
        trainings = self._trainings
        ledger, clock = trainings.ledger, trainings.clock
        tried: set[int] = set()  # each once: memory may be too short for it
        while True:
            finalists, current = self._finalists(), ledger.current()
            short = [n for n in finalists if ledger.share(current[n]) < FULL and n not in tried]
            if not short or clock.late():
                return finalists
            tried.update(short)
            trainings.do(trainings.step(self._lengths, network, FULL) for network in short if not clock.late())

    def compare(self, finalists: list[int], seeds: int) -> None:
        """Trains the finalists by one seed after another, until they are told apart."""
        trainings, recipe = self._trainings, self._lengths.recipe
        clock, first = trainings.clock, trainings.plan.settings.seed + 1
        until = clock.fitting(len(finalists), recipe.curve_points * recipe.epochs)
        to_do = {seed: self._lacking(finalists, seed, until) for seed in range(first, first + seeds)}
        total = seeds * len(finalists)
        if until <= 0 or not any(to_do.values()):
            return
        length = "in full" if until >= FULL else f"to {until:.0%} of the full length"
        trainings.observer.training(
            f"{len(finalists)} finalists, trained {length} by up to {seeds} seeds that did not choose them",
            total - sum(map(len, to_do.values())),
            total,
            trainings.heard,
        )
        for seed, lacking in to_do.items():
            if not lacking:
                continue
            if seed > first and clock.left() < clock.round(len(lacking)):
                return
            trainings.do(self._work(network, seed, until) for network in lacking)
            if self._is_decided():
                return

    def _lacking(self, finalists: list[int], seed: int, until: float) -> list[int]:
        """The finalists that were not trained as far by a seed."""

        def is_done(record: TrialRecord) -> bool:
            far_enough = {one.seed for one in record.finals if one.finished or one.share >= until}
            return seed in far_enough or seed in {lost for lost, _ in record.lost_seeds}

        current = self._trainings.ledger.current()
        return [network for network in finalists if not is_done(current[network])]

    def _finalists(self) -> list[int]:
        """The networks that are trained by further seeds: contenders, and the published designs beside them."""
        trainings, ledger = self._trainings, self._trainings.ledger
        current = {
            network: record
            for network, record in ledger.current().items()
            if record.proxy is not None and record.status != "failed"
        }
        already = [network for network, record in current.items() if record.finals]
        view = ledger.view(self._lengths, {})
        standing = ledger.standing(view, 0, self._lengths, {}, 0.0)
        known = view.space.posterior(standing.observations)
        trainings.study.note_noise(known.noise)
        at = view.positions()
        tried = [at[network] for network in current if network in at]
        margin = trainings.plan.margin / 100
        chosen = [view.numbers[best] for best in contenders(known, tried, standing.costs, margin)]
        published = [network for network in ledger.networks.published if network in current]
        if published:
            groups = [ledger.architecture(network).groups for network in published]
            costs = [ledger.cost(network) for network in published]
            chosen += [published[at] for at in references_of(groups, costs, ledger.cost(chosen[0]))]
        return list(dict.fromkeys([*chosen, *already]))

    def _work(self, network: int, seed: int, until: float) -> Work:
        trainings, plan = self._trainings, self._trainings.plan
        record = trainings.ledger.current()[network]
        before = next((one for one in record.finals if one.seed == seed), None)
        recipe = replace(self._lengths.recipe, test_images=_TEST_IMAGES)
        name = f"#{record.number}, seed {seed}"
        piece = trainings.piece(network, recipe, name, seed, until, "test")
        if seed == plan.settings.seed + 1:
            piece = replace(piece, weights=plan.folder / "weights" / f"{record.number}.safetensors")

        def keep(result: ProxyResult) -> None:
            trainings.ledger.keep_final(record.number, result)
            trainings.clock.took(before, result)
            if result.finished:
                trainings.forget(network, result, "test")
            trainings.observer.report("scored", name, result)

        def fail(failed: Failed) -> None:
            if failed.short_of_memory:
                trainings.observer.report("postponed", name, failed.reason)
            else:
                trainings.ledger.lose_final(record.number, seed, failed.reason)

        return trainings.work(piece, keep, fail)

    def _is_decided(self) -> bool:
        """Whether the finalists are told apart, or shown equal, by two seeds or more."""
        trainings = self._trainings
        record = StudyRecord(
            name=trainings.study.name,
            settings=trainings.plan.settings,
            provenance=(),
            trials=trainings.ledger.records,
            lengths=self._lengths,
            noise=trainings.study.noise,
            attachments={},
        )
        found = verdict_of(record, trainings.plan.margin)
        return found is not None and found.decided and len(common_seeds(record.finals)) > 1
