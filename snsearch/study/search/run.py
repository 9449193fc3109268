"""One run of a search on its study, which it begins or takes up again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from snsearch.errors import StudyError
from snsearch.files import faults_as
from snsearch.study.objective import unit_of
from snsearch.study.observer import Observer
from snsearch.study.search.exploration import Exploration
from snsearch.study.search.finals import Finals
from snsearch.study.search.pieces import Job
from snsearch.study.search.pilot import Pilot
from snsearch.study.search.plan import Plan
from snsearch.study.search.trainings import Trainings
from snsearch.study.storage import Study
from snsearch.training import Stop, Workers, keep_manifest, kept_difference


def run_plan(plan: Plan, run: Mapping[str, Any], observer: Observer, stop: Stop) -> str:
    """Makes the plan's study or goes on with it; returns why it ended.

    `run` is kept in the study's provenance. Raises KeyboardInterrupt where `stop` said so, and StudyError; what is
    done by then is kept.
    """
    manifest = plan.dataset.manifest
    study = Study.open(
        plan.url,
        plan.name,
        plan.settings,
        several=plan.workers > 1,
        images_changed=lambda: kept_difference(plan.folder, manifest),
    )
    try:
        keep_manifest(plan.folder, manifest)
        with faults_as(StudyError, f"the folder {str(plan.folder)!r} cannot be written"):
            plan.checkpoints.mkdir(parents=True, exist_ok=True)
        study.add_run(dict(run))
        study.leave_note(
            f"The page of this search: `{plan.folder / 'report.html'}`. Its front is that of finished trainings; the "
            "finalists' further trainings, on test images, are on the page only."
        )
        job = Job(dataset=plan.dataset, device=plan.device, checkpoints=plan.checkpoints, train=plan.train)
        with Workers(
            job,
            count=plan.workers,
            threads=plan.threads,
            hear=observer.hear,
            stop=stop,
            executor=plan.executor,
            folder=plan.folder,
        ) as workers:
            return _search(Trainings(plan, study, workers, observer))
    finally:
        study.close()
        with suppress(OSError):  # an empty folder may stay
            plan.checkpoints.rmdir()


def _search(trainings: Trainings) -> str:
    """Does what is left to do; returns why it ended."""
    plan, ledger, study = trainings.plan, trainings.ledger, trainings.study
    trainings.observer.searching(
        f"study {study.name}: {_choice(plan)}, {len(ledger.current())} tried before",
        lambda: ledger.records,
        lambda: ledger.spent({}),
        plan.effort.trainings,
        trainings.heard,
        unit_of(plan.settings.cost_axis),
    )
    lengths = study.lengths
    if lengths is None:
        pilot = Pilot(trainings)
        lengths = pilot.run()
        if lengths is None:
            return pilot.no_room()
    effort = plan.effort.settled(plan.trials, lengths.short)
    reason = Exploration(trainings, lengths, effort).run()
    study.note_lacking(ledger.lacking())
    finals = Finals(trainings, lengths)
    finalists = finals.settled()
    ledger.leave(but=finalists)
    if plan.settings.sampler == "surrogate" or len(finalists) > 1:
        finals.compare(finalists, effort.seeds)
    return reason


def _choice(plan: Plan) -> str:
    """What there is to choose among, in words."""
    candidates = plan.candidates
    if candidates.source.is_drawn:
        return f"{candidates.count} networks that meet the budget to begin with, and further ones as it learns"
    return f"{candidates.count} networks meet the budget ({len(candidates.left_out)} designs left out)"
