"""Search, and what a study is good for afterwards: a page, and measurements."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from snsearch.api.places import Place, names_a_study, place_of
from snsearch.api.searching import SearchOptions, data_options, run_search
from snsearch.study import Observer
from snsearch.training import resolve_data
from snsearch.units import parse_duration, parse_resolution

if TYPE_CHECKING:
    from snsearch.api.measuring import Outcome
    from snsearch.network import Architecture
    from snsearch.study import StudyRecord
    from snsearch.training import Dataset, ProxyResult

Augment = Literal["none", "flip", "crop", "crop+flip", "data"]
Sampler = Literal["surrogate", "tpe", "nsga2", "gp", "random", "quasi-random"]


def load_data(
    data: str,
    *,
    side: int | None = None,
    split: Sequence[str] = (),
    image_column: str | None = None,
    label_column: str | None = None,
    observer: Observer | None = None,
) -> Dataset:
    """The data set that a text names, decoded to pixels; images that cannot be read are skipped and listed in it.

    Args:
        data: "fashion-mnist", "digits", an image folder, a .parquet file, or a Hugging Face "owner/name".
        side: pixels per side that images are brought to; None: chosen from the images.
        split: folders or splits to use, such as "test=holdout"; empty: by their names.
        image_column: of the images in a table; None: image, or as typed.
        label_column: of the labels in a table; None: label, or as typed.
        observer: hears how the reading goes on, and of skipped images.

    Raises:
        DataError: there is no such data, or nothing in it can be read.

    Example:
        >>> import snsearch
        >>> digits = snsearch.load_data("digits")
        >>> digits.side, len(digits.classes)
        (8, 10)
    """
    resolve_data(data)
    from snsearch.study import read_dataset

    options = data_options(tuple(split), image_column, label_column)
    return read_dataset(data, side, observer or Observer(), options=options)


def search(
    budget: str | float,
    *,
    space: str = "shufflenet-v1",
    data: str = "fashion-mnist",
    split: Sequence[str] = (),
    image_column: str | None = None,
    label_column: str | None = None,
    resolution: str | int | tuple[int, int] | None = None,
    classes: int | None = None,
    trials: int = 24,
    time_limit: str | float | None = None,
    seed: int = 0,
    finalists: int = 3,
    seeds: int = 3,
    objective: str = "latency",
    profile: str | None = None,
    device: str | None = None,
    search_shuffle: bool = False,
    tight: bool = True,
    study: str | None = None,
    storage: str | None = None,
    out: str | Path = "reports",
    proxy_images: int | None = None,
    proxy_epochs: int | None = None,
    proxy_resolution: int | None = None,
    augment: Augment = "none",
    sampler: Sampler = "surrogate",
    early_stop: bool = True,
    stop_when_stable: bool = False,
    go_ahead: bool = False,
    workers: int | None = None,
    threads: int | None = None,
    proxy_device: str = "auto",
    observer: Observer | None = None,
    train: Callable[..., ProxyResult] | None = None,
) -> StudyRecord:
    """Trains candidates that meet a budget briefly, and returns the study; the same call goes on where it stopped.

    Ctrl-C ends it at the next safe point with KeyboardInterrupt: what is trained is in the study. With one worker,
    the same seed gives the same study.

    Args:
        budget: MFLOPs at the deployed resolution, a named budget, or a TOML file.
        space: a named space, or a TOML file.
        data: as for `load_data`, as are `split`, `image_column` and `label_column`.
        split: folders or splits to use.
        image_column: of the images in a table.
        label_column: of the labels in a table.
        resolution: deployed input size, such as 224 or "480x640"; None: the budget's.
        classes: deployed classes; None: the budget's, or the data's.
        trials: candidates in all.
        time_limit: seconds, or a text such as "15min"; no candidate begins that would end later.
        seed: of everything random.
        finalists: candidates given more seeds at the end.
        seeds: of each finalist.
        objective: what is weighed against the error: "latency", "params", "peak-memory" or "counted".
        profile: latency profile; None: the device's own, else the default one.
        device: measure the front and the finalists on this device at the end.
        search_shuffle: search networks without channel shuffle too.
        tight: match the MFLOPs within 0.1 %.
        study: name of the study; None: from space, budget and data.
        storage: URL of an Optuna storage; None: SQLite in the study's folder.
        out: folder of the studies' folders.
        proxy_images: training images per epoch; None: the recipe's.
        proxy_epochs: None: 1, more on small data.
        proxy_resolution: pixels per side of the proxy images; None: 32 to 64, by the data.
        augment: augmentation of the short trainings; "data" takes the data set's own.
        sampler: what proposes candidates; the others than "surrogate" are Optuna's.
        early_stop: stop candidates that others beat halfway.
        stop_when_stable: end when the front no longer moves beyond the noise.
        go_ahead: start also where memory is expected not to suffice.
        workers: candidates trained at once, each in a process; None: one per core.
        threads: CPU threads of a worker; None: its share of the cores.
        proxy_device: "auto", "cpu", "cuda" or "mps".
        observer: hears how the search goes on.
        train: in the place of `train_proxy`; with several workers, importable by its module and name.

    Raises:
        SpecError: the space, budget, objective or profile cannot be used.
        InfeasibleBudgetError: no design of the space meets the budget.
        DataError: the data cannot be read.
        StudyError: the study was made with other settings, or several candidates in a row failed.
        DeviceError: the device cannot be used.

    Example:
        >>> import snsearch
        >>> import tempfile
        >>> small = dict(data="digits", resolution=96, trials=2, finalists=0, proxy_images=64, workers=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = snsearch.search(3, objective="params", out=folder, **small)
        >>> [trial.words for trial in found.candidates]
        ['g=1, conv1 12, paper, 48/96/176', 'g=2, conv1 12, paper, 72/112/304']
    """
    options = SearchOptions(
        budget=budget if isinstance(budget, str) else f"{budget:g}",
        space=space,
        data=data,
        split=tuple(split),
        image_column=image_column,
        label_column=label_column,
        resolution=_pixels(resolution),
        classes=classes,
        trials=trials,
        time_limit=None if time_limit is None else parse_duration(time_limit),
        seed=seed,
        finalists=finalists,
        seeds=seeds,
        objective=objective,
        profile=profile,
        device=device,
        search_shuffle=search_shuffle,
        tight=tight,
        study=study,
        storage=storage,
        out=Path(out),
        proxy_images=proxy_images,
        proxy_epochs=proxy_epochs,
        proxy_resolution=proxy_resolution,
        augment=augment,
        sampler=sampler,
        early_stop=early_stop,
        stop_when_stable=stop_when_stable,
        go_ahead=go_ahead,
        workers=workers,
        threads=threads,
        proxy_device=proxy_device,
    )
    defaults = {name: parameter.default for name, parameter in inspect.signature(search).parameters.items()}
    return run_search(options, defaults | {"out": Path(defaults["out"])}, observer or Observer(), train)


def _pixels(resolution: str | int | tuple[int, int] | None) -> tuple[int, int] | None:
    return parse_resolution(resolution) if isinstance(resolution, str | int) else resolution


def load_study(
    study: str | Path | None = None, *, storage: str | None = None, out: str | Path = "reports"
) -> StudyRecord:
    """A study as plain records: settings, trials with their scores, and what was measured.

    Args:
        study: a name, a folder or a study.db; None: the only one in `out`, or in the storage.
        storage: URL of an Optuna storage; None: SQLite in the study's folder.
        out: folder of the studies' folders.

    Raises:
        StudyError: there is no such study, or there are several.

    Example:
        >>> import snsearch
        >>> record = snsearch.load_study("reports/sample")
        >>> record.settings.space, len(record.candidates) > 5
        ('shufflenet-v1', True)
    """
    place = place_of(None if study is None else str(study), storage, Path(out))
    return _read(place)


def _read(place: Place) -> StudyRecord:
    from snsearch.study import read_study

    return read_study(place.url, place.name)


def report(study: StudyRecord | str | Path, path: str | Path | None = None) -> Path | str:
    """The page of a study: its HTML, or with a path the file that it was written to.

    Args:
        study: a record, or what `load_study` takes.
        path: file to write; a page that is there is replaced in one step.

    Raises:
        StudyError: no candidate is trained yet, or the page cannot be written.

    Example:
        >>> import snsearch
        >>> page = snsearch.report("reports/sample")
        >>> page[:15], "http://" in page
        ('<!DOCTYPE html>', False)
    """
    record = load_study(study) if isinstance(study, str | Path) else study
    from snsearch.pages import render, report_data, write_report

    data = report_data(record)
    if path is None:
        return render(data)
    write_report(data, Path(path))
    return Path(path)


def measure(
    what: StudyRecord | str | Path | Architecture | Sequence[Architecture],
    device: str,
    *,
    everything: bool = False,
    again: bool = False,
    core: int | None = None,
    sustained: float | None = None,
    runner: str | Path | None = None,
    observer: Observer | None = None,
) -> tuple[Outcome, ...]:
    """Measures networks on a device, or counts them where the device is "counted://CORE".

    What was measured there before is not measured again. A study keeps what is measured of its candidates.

    Args:
        what: a study (a record, name, folder or study.db), an architecture, its key, or several architectures.
        device: a device that was added, "local", "ssh://[user@]host[:port]", "adb://SERIAL" or "counted://CORE".
        everything: of a study, all candidates and not only the front, ties and finalists.
        again: measure also what was measured before.
        core: to pin to; None: the device's, or its fastest.
        sustained: minutes to run each network before its last minute is timed.
        runner: a runner of your own.
        observer: hears of every outcome.

    Returns:
        For each network a Measurement, an Unmeasured with the reason, or a CountedNetwork.

    Raises:
        DeviceError: the device cannot be used.
        StudyError: the study has no trained candidate.

    Example:
        >>> import snsearch
        >>> snsearch.measure("reports/sample", "no-such-board")
        Traceback (most recent call last):
        ...
        snsearch.errors.DeviceError: no device is named 'no-such-board'...
    """
    from snsearch.device import device_of

    found = device_of(device)
    from snsearch.api.measuring import Asked, outcomes_of, study_outcomes
    from snsearch.network import Architecture
    from snsearch.study import StudyRecord

    asked = Asked(
        device=found,
        again=again,
        core=core,
        sustained_minutes=sustained,
        runner=None if runner is None else Path(runner),
    )
    observer = observer or Observer()
    if isinstance(what, str | Path):
        named = names_a_study(str(what), None, Path("reports"))
        what = load_study(what) if named else Architecture.from_key(str(what))
    if isinstance(what, StudyRecord):
        return study_outcomes(what, asked, observer, everything=everything)
    return outcomes_of([what] if isinstance(what, Architecture) else what, asked, observer)
