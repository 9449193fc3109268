"""Studies: the one owner of Optuna. What a search asks and tells, and what it leaves behind as plain records.

The study's storage is the single record: the settings stand in its attributes, everything about a candidate in its
trial's. A study is made by one set of settings; other settings need another study.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args

import optuna
from optuna.trial import FrozenTrial, TrialState

from snsearch.codec import Stored, decode, differences, encode
from snsearch.errors import StudyError
from snsearch.network import Architecture, Costs
from snsearch.solver import Budget, Design
from snsearch.study.rungs import Rungs
from snsearch.study.turns import Turn, turn_on_file, turn_on_server
from snsearch.training import CurvePoint, ProxyResult, Recipe

T = TypeVar("T")
Status = Literal["complete", "stopped", "failed", "interrupted", "left out", "running", "waiting"]
Sampler = Literal["surrogate", "tpe", "nsga2", "gp", "random", "quasi-random"]
Attachment = Literal["measured", "counted"]  # on devices; on the caches of cores
EndedBadly = Literal["failed", "left out"]  # left out: the design cannot meet the budget
_OTHER_IMAGES = "the images or their labels changed"
_BEAT = 60.0  # seconds between the signs of life of a worker
_DEAD_AFTER = 900.0  # seconds without one, on another host: clocks differ


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What decides a study's results: kept in it, and compared when it is resumed."""

    STORED: ClassVar = Stored(schema=2)

    space: str
    space_digest: str
    budget: Budget
    tight: bool
    search_shuffle: bool
    data: str
    data_fingerprint: str
    data_description: str
    recipe: Recipe
    seed: int
    cost_name: str
    cost_label: str
    cost_axis: str
    sampler: Sampler
    rungs: Rungs

    def difference(self, other: Settings, images_changed: Callable[[], str] = lambda: _OTHER_IMAGES) -> list[str]:
        """Which settings differ, in words, for a study that cannot be resumed with others.

        How the data is named does not count: its fingerprint decides; `images_changed` says what changed.
        """
        names = ("data", "data_description", "data_fingerprint", "cost_label", "cost_axis")
        lines = differences(encode(other), encode(self), names)
        return lines if self.data_fingerprint == other.data_fingerprint else [*lines, images_changed()]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """One candidate of a study."""

    number: int
    status: Status
    design: Design
    architecture: Architecture | None
    costs: Costs | None
    deviation: float | None
    binding: str | None
    notes: tuple[str, ...]
    cost: float | None  # the second objective
    proxy: ProxyResult | None  # of a candidate that was stopped early, its score there
    curve: tuple[CurvePoint, ...]  # as far as it goes, also while it is trained
    repeats: tuple[ProxyResult, ...]  # trainings with further seeds
    lost_seeds: tuple[tuple[int, str], ...]  # further seeds whose training failed, and why
    reason: str  # why it failed or was interrupted
    duplicate_of: int | None
    finished: datetime | None

    @property
    def results(self) -> tuple[ProxyResult, ...]:
        """Every training of the candidate, one a seed."""
        return () if self.proxy is None else (self.proxy, *self.repeats)

    @property
    def words(self) -> str:
        """The candidate in a few words: "g=3, conv1 12, paper, SE, 120/240/492"."""
        if self.architecture is None:
            return f"g={self.design.groups}, {self.design.depth}"
        words = [f"g={self.architecture.groups}", f"conv1 {self.architecture.stem_channels}"]
        words += [self.design.depth] if self.design.depth else []
        words += ["SE"] if self.architecture.se_reduction else []
        words += ["no shuffle"] if self.design.shuffle is False else []
        return ", ".join([*words, "/".join(map(str, self.architecture.stage_channels))])


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRecord:
    """A study as plain data."""

    name: str
    settings: Settings
    provenance: tuple[dict[str, Any], ...]  # one entry a run: versions, host, command, start
    trials: tuple[TrialRecord, ...]
    attachments: Mapping[Attachment, tuple[dict[str, Any], ...]]  # JSON records that other wings keep in the study
    url: str = field(default="", repr=False, compare=False)  # of the storage that it was read from

    def _repr_html_(self) -> str:
        from snsearch.study.summary import summary_html

        return summary_html(self)

    @property
    def candidates(self) -> tuple[TrialRecord, ...]:
        """The trials that trained a candidate to the end, each architecture once."""
        return trained(self.trials)


def trained(trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Of some trials those that trained a candidate to the end, each architecture once."""
    return tuple(trial for trial in trials if trial.status == "complete" and trial.duplicate_of is None)


def explored(trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Of some trials those that trained a candidate to the end, or until others beat it, each architecture once."""
    return tuple(t for t in trials if t.status in ("complete", "stopped") and t.duplicate_of is None)


def environment(command: Sequence[str]) -> dict[str, Any]:
    """Versions, host and start of a run, for provenance."""
    import torch

    from snsearch import __version__

    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": list(command),
        "snsearch": __version__,
        "torch": str(torch.__version__),
        "optuna": optuna.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """The processor's name where Linux tells it, else what Python knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _host() -> str:
    """This host by a digest of its name: studies are shared, names of machines need not be."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]


def _worker() -> dict[str, Any]:
    return {"host": _host(), "pid": os.getpid(), "started": _start_of(os.getpid())}


def _signed(worker: dict[str, Any]) -> dict[str, Any]:
    """A worker with a sign of life of now."""
    return worker | {"seen": time.time()}


def _start_of(pid: int) -> str | None:
    """When a process of this host started, in kernel ticks; None where that cannot be known or it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _alive(worker: dict[str, Any]) -> bool:
    """Whether the worker of a running trial may still be at work; of one of another host, by its signs of life."""
    if worker.get("host") != _host():
        return time.time() - float(worker.get("seen", 0.0)) < _DEAD_AFTER
    if worker.get("pid") == os.getpid():
        return False  # an earlier run of this very process
    if Path("/proc/self/stat").exists():
        return worker.get("started") is not None and _start_of(worker["pid"]) == worker["started"]
    try:
        os.kill(worker["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for other databases. Raises StudyError for one that is in memory only."""
    if not url.startswith("sqlite"):
        return None
    path = url.partition(":///")[2].partition("?")[0]
    if path in ("", ":memory:"):
        raise StudyError(f"the storage {url!r} keeps nothing; name a file, such as sqlite:///study.db")
    return Path(path)


def _storage(url: str, *, make: bool = True) -> optuna.storages.RDBStorage:
    """The storage of that URL; its tables are made where `make` says so, and they are missing."""
    file = _sqlite_file(url)
    options: dict[str, Any] = {"skip_table_creation": not make}
    try:
        if file is not None:
            # A second process may hold the file for a moment; a search must not end because of that.
            file.parent.mkdir(parents=True, exist_ok=True)
            options["engine_kwargs"] = {"connect_args": {"timeout": 60}}
        return optuna.storages.RDBStorage(url, **options)
    except Exception as error:  # whatever the database's driver raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StudyError(f"the storage {without_password(url)!r} cannot be opened: {reason}") from None


def _close(storage: optuna.storages.RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def sampler_of(name: Sampler, seed: int, *, several: bool = False) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of that name; `several` processes ask at once."""
    match name:
        case "tpe":
            return optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=10, multivariate=True, constant_liar=several
            )
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=10)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=10, deterministic_objective=False)
        case "quasi-random":
            return optuna.samplers.QMCSampler(seed=seed, scramble=True)
        case _:  # the surrogate's proposals are asked for by name
            return optuna.samplers.RandomSampler(seed=seed)


def without_password(url: str) -> str:
    """A storage URL that may be shown."""
    head, at, tail = url.rpartition("@")
    scheme, colon, rest = head.partition("://")
    return f"{scheme}://{rest.partition(':')[0]}:…@{tail}" if at and colon else url


class Study:
    """An Optuna study of candidates, asked and told by a search."""

    def __init__(
        self,
        study: optuna.Study,
        settings: Settings,
        storage: optuna.storages.RDBStorage,
        turn: Turn,
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
        images_changed: Callable[[], str] = lambda: _OTHER_IMAGES,
    ) -> Study:
        """The study of that name, made where it does not exist; each of several workers draws differently.

        Raises StudyError where it exists with other settings, naming them, or the storage cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = _storage(url)
            study = optuna.create_study(
                study_name=name, storage=storage, directions=["minimize", "minimize"], load_if_exists=True
            )
            # The sampler's random state is not stored: a resumed study goes on from its seed and length.
            seed = (settings.seed + len(study.trials) + 1_000_003 * worker) % 2**32
            study.sampler = sampler_of(settings.sampler, seed, several=workers > 1)
        stored = study.user_attrs.get("settings")
        if stored is None:
            if study.trials:
                raise StudyError(f"the study {name!r} in this storage was not made by snsearch; name another --study")
            study.set_user_attr("settings", encode(settings))
        elif lines := settings.difference(_settings(stored), images_changed):
            raise StudyError(
                f"the study {name!r} was made with other settings; name another --study, or repeat these:\n  "
                + "\n  ".join(lines)
            )
        file = _sqlite_file(url)
        turn = turn_on_server(storage.engine, name) if file is None else turn_on_file(file)
        return cls(study, settings, storage, turn)

    def close(self) -> None:
        """Closes the connections to the storage."""
        _close(self._storage)

    def add_run(self, entry: dict[str, Any]) -> None:
        """Notes a run's environment in the study's provenance."""
        runs = self._study.user_attrs.get("runs", [])
        self._study.set_user_attr("runs", [*runs, entry])

    def recover(self) -> None:
        """Puts the running trials of workers that are gone back, also those that died while they asked."""
        with self.turn:
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                worker = trial.user_attrs.get("worker")
                if worker is None or not _alive(worker):
                    self.put_back(trial.number, "the process that trained it is gone")

    def release(self) -> None:
        """Puts the running trials of this process back."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if _worker().items() <= trial.user_attrs.get("worker", {}).items():
                self.put_back(trial.number, "interrupted by the user")

    def put_back(self, number: int, reason: str) -> None:
        """Lets a running trial wait again, before all that were made later, as interrupted by the reason."""
        self.note(number, status="interrupted", reason=reason)
        self._storage.set_trial_state_values(self._identity(number), TrialState.WAITING)

    def enqueue(self, design: Design) -> None:
        """Lets the next ask return this design."""
        self._study.enqueue_trial(_parameters(design, self.settings.search_shuffle))

    def ask(self, choices: Mapping[str, Sequence[Any]], fixed: Design | None = None) -> tuple[int, Design]:
        """The number and design of a new trial, marked as worked on by this process: what waits, else the fixed one.

        Without either, the sampler draws from the choices.
        """
        with self.turn:
            if fixed is not None:
                self.enqueue(fixed)
            trial = self._study.ask()
            self._begin(f"trial:{trial.number}")
            trial.set_user_attr("worker", _signed(_worker()))
            if "status" in trial.user_attrs:  # was interrupted
                self.note(trial.number, status=None, reason="")
            chosen = {name: trial.suggest_categorical(name, list(values)) for name, values in choices.items()}
        return trial.number, design_of(chosen)

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

    def fail(self, number: int, status: EndedBadly, reason: str) -> None:
        """Ends a trial without a score, with its reason."""
        self.note(number, status=status, reason=reason)
        self._study.tell(number, state=TrialState.FAIL)

    def take_repeat(self, number: int, seed: int) -> bool:
        """Whether a training with a further seed is this process's to do: neither done, nor lost, nor under way."""
        name = f"{number}:{seed}"
        with self.turn:
            kept = self._study.user_attrs
            holder = kept.get(_TAKEN + name)
            if _REPEAT + name in kept or _LOST + name in kept or (holder is not None and _alive(holder)):
                return False
            self._begin(_TAKEN + name)
            self._study.set_user_attr(_TAKEN + name, _signed(_worker()))
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
            self.note(int(number), worker=_signed(_worker()))
        elif self._work:
            self._study.set_user_attr(self._work, _signed(_worker()))

    def add_repeat(self, number: int, result: ProxyResult) -> None:
        """Keeps a finished trial's training with a further seed.

        Optuna lets nobody change a finished trial, so it stands in the study's attributes, under a key of its own.
        """
        self._study.set_user_attr(f"{_REPEAT}{number}:{result.seed}", encode(result))

    def lose_repeat(self, number: int, seed: int, reason: str) -> None:
        """Keeps why a training with a further seed failed."""
        self._study.set_user_attr(f"{_LOST}{number}:{seed}", reason)

    def records(self) -> tuple[TrialRecord, ...]:
        """The study's trials as plain records, by number."""
        return _records(self._study)


def _parameters(design: Design, with_shuffle: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"groups": design.groups, "depth": design.depth, "se": design.se}
    if design.scale is not None:
        values["scale"] = design.scale
    if with_shuffle:
        values["shuffle"] = design.shuffle
    return values


def design_of(parameters: dict[str, Any]) -> Design:
    """The design of a trial's parameters."""
    return Design(
        groups=parameters["groups"],
        scale=parameters.get("scale"),
        depth=parameters["depth"],
        se=parameters["se"],
        shuffle=parameters.get("shuffle"),
    )


_REPEAT = "repeat:"  # trial number:seed
_LOST = "lost repeat:"
_TAKEN = "taken repeat:"


def _attached(study: optuna.Study, kind: Attachment) -> tuple[dict[str, Any], ...]:
    return tuple(value for key, value in study.user_attrs.items() if key.startswith(f"{kind}:"))


def _settings(stored: Any) -> Settings:
    """The settings of a study's attribute. Raises StudyError for another schema."""
    return decode(Settings, stored, "the study's settings", error=StudyError)


def _kept(kind: type[T], trial: FrozenTrial, key: str) -> T | None:
    """A trial's record of that kind; None where it has none."""
    if key not in trial.user_attrs:
        return None
    return decode(kind, trial.user_attrs[key], f"trial {trial.number}: {key}", error=StudyError)


def _records(study: optuna.Study) -> tuple[TrialRecord, ...]:
    repeats: dict[int, list[ProxyResult]] = {}
    lost: dict[int, list[tuple[int, str]]] = {}
    for key, value in study.user_attrs.items():
        if key.startswith(_REPEAT):
            repeats.setdefault(int(key.split(":")[1]), []).append(decode(ProxyResult, value, key, error=StudyError))
        elif key.startswith(_LOST):
            number, seed = map(int, key.split(":")[1:])
            lost.setdefault(number, []).append((seed, value))
    return tuple(
        _record(
            trial,
            tuple(sorted(repeats.get(trial.number, ()), key=lambda result: result.seed)),
            tuple(sorted(lost.get(trial.number, ()))),
        )
        for trial in study.get_trials(deepcopy=False)
    )


def _record(
    trial: FrozenTrial, repeats: tuple[ProxyResult, ...], lost_seeds: tuple[tuple[int, str], ...]
) -> TrialRecord:
    kept = trial.user_attrs
    parameters = trial.params or trial.system_attrs.get("fixed_params", {})
    status: Status
    match trial.state:
        case TrialState.COMPLETE:
            status = "complete"
        case TrialState.RUNNING:
            status = "running"
        case TrialState.PRUNED:
            status = "stopped"
        case TrialState.WAITING:
            status = "interrupted" if kept.get("status") == "interrupted" else "waiting"
        case _:
            status = "left out" if kept.get("status") == "left out" else "failed"
    proxy = _kept(ProxyResult, trial, "proxy")
    curve = proxy.curve if proxy else _kept(tuple[CurvePoint, ...], trial, "curve") or ()
    complete = {"groups": 0, "depth": None, "se": False} | parameters  # a worker may have died while asking
    return TrialRecord(
        number=trial.number,
        status=status,
        design=design_of(complete),
        architecture=_kept(Architecture, trial, "architecture"),
        costs=_kept(Costs, trial, "costs"),
        deviation=kept.get("deviation"),
        binding=kept.get("binding"),
        notes=tuple(kept.get("notes", ())),
        cost=kept.get("cost"),
        proxy=proxy,
        curve=curve,
        repeats=repeats,
        lost_seeds=lost_seeds,
        reason=kept.get("reason", ""),
        duplicate_of=kept.get("duplicate_of"),
        finished=trial.datetime_complete,
    )


def attach(url: str, name: str, kind: Attachment, key: str, values: dict[str, Any]) -> None:
    """Keeps a JSON record in the study, replacing an earlier one of the same kind and key.

    Optuna lets nobody change a finished trial, so records about candidates are attributes of the study.
    Raises StudyError if there is no such study.
    """
    with _opened(url, name) as study:
        study.set_user_attr(f"{kind}:{key}", values)


def read_study(url: str, name: str | None = None) -> StudyRecord:
    """The study of that name as plain records; without a name, the storage's only one.

    Raises StudyError where there is none, or several, or it was not made by snsearch.
    """
    with _opened(url, name) as study:
        return StudyRecord(
            name=study.study_name,
            settings=_settings(study.user_attrs["settings"]),
            provenance=tuple(study.user_attrs.get("runs", ())),
            trials=_records(study),
            attachments={kind: _attached(study, kind) for kind in get_args(Attachment)},
            url=url,
        )


@contextmanager
def _opened(url: str, name: str | None) -> Iterator[optuna.Study]:
    """A study of snsearch's, until the block ends. Raises StudyError."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = _sqlite_file(url)
    if file is not None and not file.is_file():
        raise StudyError(f"there is no study at {str(file)!r}")
    storage = _storage(url, make=False)
    try:
        yield _loaded(storage, name)
    finally:
        _close(storage)


def _loaded(storage: optuna.storages.RDBStorage, name: str | None) -> optuna.Study:
    names = optuna.get_all_study_names(storage)
    if name is None:
        if len(names) != 1:
            listed = ", ".join(names) or "none"
            raise StudyError(f"the storage holds {len(names)} studies ({listed}); name one")
        [name] = names
    if name not in names:
        raise StudyError(f"the storage has no study {name!r}; it has {', '.join(names) or 'none'}")
    study = optuna.load_study(study_name=name, storage=storage)
    if study.user_attrs.get("settings") is None:
        raise StudyError(f"the study {name!r} was not made by snsearch")
    return study
