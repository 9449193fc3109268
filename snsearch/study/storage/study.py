"""A study in Optuna, asked and told by the one search that owns it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Literal

import optuna
from optuna.trial import TrialState

from snsearch.codec import encode
from snsearch.errors import SnsearchError, StudyError
from snsearch.solver import Parameter, Values
from snsearch.study.lengths import Lengths
from snsearch.study.presence import this_process
from snsearch.study.records import OTHER_IMAGES, Fault, Refill, Settings, TrialRecord
from snsearch.study.storage.attributes import (
    LOST,
    REPEAT,
    holder_of,
    lengths_in,
    noise_in,
    record_of,
    records_of,
    refills_in,
    runs_of,
    settings_in,
)
from snsearch.study.storage.distributions import distributions_of, suggested
from snsearch.study.storage.opening import open_storage, searching, uncollected
from snsearch.study.storage.samplers import sampler_of
from snsearch.training import ProxyResult

EndedBadly = Literal["failed", "left out"]  # left out: the design cannot meet the budget


class Study:
    """An Optuna study of candidates, asked and told by the one search that has it open."""

    def __init__(
        self, study: optuna.Study, settings: Settings, storage: optuna.storages.BaseStorage, opened: ExitStack
    ) -> None:
        self._study = study
        self.settings = settings
        self._storage = storage
        self._opened = opened

    @property
    def name(self) -> str:
        """The study's name in its storage."""
        return self._study.study_name

    @classmethod
    def open(
        cls,
        url: str,
        name: str,
        settings: Settings,
        *,
        several: bool = False,
        images_changed: Callable[[], str] = lambda: OTHER_IMAGES,
    ) -> Study:
        """The study of that name, made where it does not exist, for this process alone until it is closed.

        Args:
            several: whether several of its trials are trained at once.
            images_changed: says what changed where the images are not those of the study.

        Raises:
            StudyError: it exists with other settings, which are named, another search is at work on it, or the
                storage cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with ExitStack() as opened:
            opened.enter_context(searching(url, name, lambda: _holder_in(url)))
            storage = open_storage(url, make=True)
            opened.callback(storage.remove_session)
            study = optuna.create_study(
                study_name=name, storage=storage, directions=["minimize", "minimize"], load_if_exists=True
            )
            _settle(study, settings, images_changed)
            # The sampler's random state is not stored: a resumed study goes on from its seed and length.
            with uncollected():
                seed = (settings.seed + len(study.get_trials(deepcopy=False))) % 2**32
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.sampler = sampler_of(settings.sampler, seed, several=several)
                study.set_metric_names(["error on validation images", settings.cost_axis])
            study.set_user_attr("holder", encode(this_process()))
            return cls(study, settings, storage, opened.pop_all())
        raise AssertionError("an exit stack lets no error through")

    def close(self) -> None:
        """Closes the connections to the storage, and lets others search on the study."""
        self._opened.close()

    def add_run(self, entry: dict[str, Any]) -> None:
        """Notes a run's environment in the study's provenance."""
        self._study.set_user_attr("runs", [*runs_of(self._study), entry])

    def leave_note(self, text: str) -> None:
        """Keeps a text in Markdown that optuna-dashboard shows beside the study."""
        for key, value in (("dashboard:note_ver", 1), ("dashboard:note_str:0", text)):
            self._storage.set_study_system_attr(self._study._study_id, key, value)

    @property
    def lengths(self) -> Lengths | None:
        """The lengths of the study's trainings; None before the pilot is over."""
        return lengths_in(self._study)

    def settle_lengths(self, lengths: Lengths) -> None:
        """Keeps what the pilot found."""
        self._study.set_user_attr("lengths", encode(lengths))

    @property
    def refills(self) -> tuple[Refill, ...]:
        """When the search last drew further networks, and next to which trials."""
        return refills_in(self._study)

    def keep_refills(self, refills: Sequence[Refill]) -> None:
        """Keeps when further networks were drawn."""
        self._study.set_user_attr("refills", [encode(one) for one in refills])

    @property
    def noise(self) -> float | None:
        """The noise of a full training, as the search's trainings tell; None before there are finalists."""
        return noise_in(self._study)

    def note_noise(self, noise: float) -> None:
        """Keeps the noise of a full training."""
        self._study.set_user_attr("noise", noise)

    def note_lacking(self, groups: Sequence[str]) -> None:
        """Keeps the group counts of the published designs that the search did not come to."""
        self._study.set_user_attr("lacking", list(groups))

    def ask(self, parameters: Sequence[Parameter]) -> tuple[int, dict[str, Any]]:
        """The number and the parameters' values of a new trial that the sampler chooses."""
        trial = self._study.ask()
        return trial.number, {one.name: suggested(trial, one) for one in parameters}

    def begin(self, parameters: Sequence[Parameter], values: Values, kept: Mapping[str, Any]) -> int:
        """The number of a new trial with these values of parameters that keeps these JSON values, written at once."""
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=dict(values),
            distributions=distributions_of(parameters),
            user_attrs=dict(kept),
        )
        identity = self._storage.create_new_trial(self._study._study_id, template_trial=trial)
        return int(self._storage.get_trial_number_from_id(identity))

    def values(self, number: int) -> Values:
        """The parameters' values of a trial."""
        identity = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        return self._storage.get_trial(identity).params

    def note(self, number: int, **values: Any) -> None:
        """Keeps JSON values with a running trial."""
        identity = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        for key, value in values.items():
            self._storage.set_trial_user_attr(identity, key, value)

    def complete(self, number: int, error: float, cost: float) -> None:
        """Ends a trial with its two objectives."""
        self._study.tell(number, [error, cost])

    def prune(self, number: int, reason: str) -> None:
        """Ends a trial that is not trained to the end, with its reason; its score is among its notes."""
        self.note(number, reason=reason)
        self._study.tell(number, state=TrialState.PRUNED)

    def fail(self, number: int, status: EndedBadly, reason: str, fault: Fault | None = None) -> None:
        """Ends a trial without a score, with its reason and, where it has one, the kind of its failure."""
        self.note(number, status=status, reason=reason, **({"fault": fault} if fault else {}))
        self._study.tell(number, state=TrialState.FAIL)

    def add_repeat(self, number: int, result: ProxyResult) -> None:
        """Keeps a finished trial's training with a further seed.

        Optuna lets nobody change a finished trial, so it stands in the study's attributes, under a key of its own.
        """
        self._study.set_user_attr(f"{REPEAT}{number}:{result.seed}", encode(result))

    def lose_repeat(self, number: int, seed: int, reason: str) -> None:
        """Keeps why a training with a further seed failed."""
        self._study.set_user_attr(f"{LOST}{number}:{seed}", reason)

    def record(self, number: int) -> TrialRecord:
        """One trial as a plain record, without its trainings with further seeds."""
        identity = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        return record_of(self._storage.get_trial(identity))

    def records(self) -> tuple[TrialRecord, ...]:
        """The study's trials as plain records, by number."""
        with uncollected():
            return records_of(self._study)


def _holder_in(url: str) -> str:
    """Who searches on a storage: the last that began, as far as it is said."""
    try:
        storage = open_storage(url, make=False)
        try:
            studies = [optuna.load_study(study_name=n, storage=storage) for n in optuna.get_all_study_names(storage)]
            found = [holder for study in studies if (holder := holder_of(study)) is not None]
        finally:
            storage.remove_session()
    except SnsearchError:  # it has just begun
        return ""
    return f" ({max(found, key=lambda one: one.since).describe()})" if found else ""


def _settle(study: optuna.Study, settings: Settings, images_changed: Callable[[], str]) -> None:
    """Lets the study have these settings. Raises StudyError where it has others, or is somebody else's."""
    name, stored = study.study_name, settings_in(study)
    if stored is None and (study.get_trials(deepcopy=False) or len(study.directions) != 2):
        raise StudyError(f"the study {name!r} in this storage was not made by snsearch; name another --study")
    if stored is None:
        study.set_user_attr("settings", encode(settings))
    elif study.user_attrs["settings"]["schema"] != Settings.STORED.schema:
        raise StudyError(
            f"the study {name!r} is of an earlier version: it can be reported, but not gone on with; name another "
            "--study"
        )
    elif lines := settings.difference(stored, images_changed):
        raise StudyError(
            f"the study {name!r} was made with other settings; name another --study, or repeat these:\n  "
            + "\n  ".join(lines)
        )
