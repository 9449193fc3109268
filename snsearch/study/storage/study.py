"""A study in Optuna, asked and told by a search."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Literal

import optuna
from optuna.trial import TrialState

from snsearch.codec import encode
from snsearch.errors import StudyError
from snsearch.solver import Design
from snsearch.study.presence import this_process
from snsearch.study.records import OTHER_IMAGES, Fault, Settings, TrialRecord
from snsearch.study.storage.attributes import (
    LOST,
    REPEAT,
    TAKEN,
    design_of,
    parameters_of,
    records_of,
    runs_of,
    settings_in,
    worker_in,
    worker_of,
)
from snsearch.study.storage.opening import making, open_storage, turn_of
from snsearch.study.storage.samplers import sampler_of
from snsearch.study.turns import Turn
from snsearch.training import ProxyResult

EndedBadly = Literal["failed", "left out"]  # left out: the design cannot meet the budget
_BEAT = 60.0  # seconds between the signs of life of a worker


class Study:
    """An Optuna study of candidates, asked and told by a search."""

    def __init__(
        self, study: optuna.Study, settings: Settings, storage: optuna.storages.BaseStorage, turn: Turn
    ) -> None:
        self._study = study
        self.settings = settings
        self._storage = storage
        self.turn = turn  # held by who acts on what the study holds, so that it holds no more when it acts
        self._work = ""  # what this process is training
        self._seen = 0.0  # when it last gave a sign of life

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
        worker: int = 0,
        workers: int = 1,
        images_changed: Callable[[], str] = lambda: OTHER_IMAGES,
    ) -> Study:
        """The study of that name, made where it does not exist; each of several workers draws differently.

        Raises StudyError where it exists with other settings, naming them, or the storage cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with ExitStack() as opened, making(url):
            storage = open_storage(url, make=True)
            opened.callback(storage.remove_session)
            study = optuna.create_study(
                study_name=name, storage=storage, directions=["minimize", "minimize"], load_if_exists=True
            )
            # The sampler's random state is not stored: a resumed study goes on from its seed and length.
            seed = (settings.seed + len(study.trials) + 1_000_003 * worker) % 2**32
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.sampler = sampler_of(settings.sampler, seed, several=workers > 1)
            _settle(study, settings, images_changed)
            turn = turn_of(url, name, storage)
            opened.pop_all()
        return cls(study, settings, storage, turn)

    def close(self) -> None:
        """Closes the connections to the storage."""
        self._storage.remove_session()

    def add_run(self, entry: dict[str, Any]) -> None:
        """Notes a run's environment in the study's provenance."""
        self._study.set_user_attr("runs", [*runs_of(self._study), entry])

    def recover(self) -> None:
        """Puts the running trials of workers that are gone back, also those that died while they asked."""
        with self.turn:
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                worker = worker_of(trial)
                if worker is None or not worker.may_be_alive():
                    self.put_back(trial.number, "the process that trained it is gone")

    def release(self) -> None:
        """Puts the running trials of this process back."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = worker_of(trial)
            if worker is not None and worker.is_same(this_process()):
                self.put_back(trial.number, "interrupted by the user")

    def put_back(self, number: int, reason: str) -> None:
        """Lets a running trial wait again, before all that were made later, as interrupted by the reason."""
        self.note(number, status="interrupted", reason=reason)
        self._storage.set_trial_state_values(self._identity(number), TrialState.WAITING)

    def enqueue(self, design: Design) -> None:
        """Lets the next ask return this design."""
        self._study.enqueue_trial(parameters_of(design, self.settings.search_shuffle))

    def ask(self, choices: Mapping[str, Sequence[Any]], fixed: Design | None = None) -> tuple[int, Design]:
        """The number and design of a new trial, marked as worked on by this process: what waits, else the fixed one.

        Without either, the sampler draws from the choices.
        """
        with self.turn:
            if fixed is not None:
                self.enqueue(fixed)
            trial = self._study.ask()
            self._begin(f"trial:{trial.number}")
            trial.set_user_attr("worker", encode(this_process()))
            if "status" in trial.user_attrs:  # was interrupted
                self.note(trial.number, status=None, reason="")
            chosen = {name: trial.suggest_categorical(name, list(values)) for name, values in choices.items()}
        return trial.number, design_of(chosen, f"trial {trial.number}")

    def note(self, number: int, **values: Any) -> None:
        """Keeps JSON values with a running trial."""
        identity = self._identity(number)
        for key, value in values.items():
            self._storage.set_trial_user_attr(identity, key, value)

    def _identity(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)

    def complete(self, number: int, error: float, cost: float) -> None:
        """Ends a trial with its two objectives."""
        self._study.tell(number, [error, cost])

    def prune(self, number: int, reason: str) -> None:
        """Ends a trial that was stopped early, with its reason; its score is among its notes."""
        self.note(number, reason=reason)
        self._study.tell(number, state=TrialState.PRUNED)

    def fail(self, number: int, status: EndedBadly, reason: str, fault: Fault | None = None) -> None:
        """Ends a trial without a score, with its reason and, where it has one, the kind of its failure."""
        self.note(number, status=status, reason=reason, **({"fault": fault} if fault else {}))
        self._study.tell(number, state=TrialState.FAIL)

    def take_repeat(self, number: int, seed: int) -> bool:
        """Whether a training with a further seed is this process's to do: neither done, nor lost, nor under way."""
        name = f"{number}:{seed}"
        with self.turn:
            kept, holder = self._study.user_attrs, worker_in(self._study, TAKEN + name)
            if REPEAT + name in kept or LOST + name in kept or (holder is not None and holder.may_be_alive()):
                return False
            self._begin(TAKEN + name)
            self._study.set_user_attr(TAKEN + name, encode(this_process()))
        return True

    def _begin(self, work: str) -> None:
        self._work, self._seen = work, time.monotonic()

    def beat(self) -> None:
        """Gives a sign of life for what this process is training, once a minute; to be called often."""
        if time.monotonic() - self._seen < _BEAT:
            return
        self._seen = time.monotonic()
        kind, _, number = self._work.partition(":")
        if kind == "trial":
            self.note(int(number), worker=encode(this_process()))
        elif self._work:
            self._study.set_user_attr(self._work, encode(this_process()))

    def add_repeat(self, number: int, result: ProxyResult) -> None:
        """Keeps a finished trial's training with a further seed.

        Optuna lets nobody change a finished trial, so it stands in the study's attributes, under a key of its own.
        """
        self._study.set_user_attr(f"{REPEAT}{number}:{result.seed}", encode(result))

    def lose_repeat(self, number: int, seed: int, reason: str) -> None:
        """Keeps why a training with a further seed failed."""
        self._study.set_user_attr(f"{LOST}{number}:{seed}", reason)

    def records(self) -> tuple[TrialRecord, ...]:
        """The study's trials as plain records, by number."""
        return records_of(self._study)


def _settle(study: optuna.Study, settings: Settings, images_changed: Callable[[], str]) -> None:
    """Lets the study have these settings. Raises StudyError where it has others, or is somebody else's."""
    name, stored = study.study_name, settings_in(study)
    if stored is None and study.trials:
        raise StudyError(f"the study {name!r} in this storage was not made by snsearch; name another --study")
    if stored is None:
        study.set_user_attr("settings", encode(settings))
    elif lines := settings.difference(stored, images_changed):
        raise StudyError(
            f"the study {name!r} was made with other settings; name another --study, or repeat these:\n  "
            + "\n  ".join(lines)
        )
