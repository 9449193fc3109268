"""Data sets, and what a study is good for after its search: a page, and measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snsearch.api.arguments import checked
from snsearch.api.places import check_trial, names_a_study, place_of, split_trial, study_names
from snsearch.api.searching import data_options
from snsearch.errors import DeviceError, StudyError
from snsearch.files import is_file
from snsearch.network import AnyNetwork
from snsearch.study import Observer
from snsearch.training import resolve_data

if TYPE_CHECKING:
    from snsearch.api.measuring import Outcome
    from snsearch.network import Architecture
    from snsearch.study import StudyRecord, TrialRecord
    from snsearch.training import Dataset


@checked
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
        observer: hears of the reading's progress and of skipped images.

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

    options = data_options(split, image_column, label_column)
    return read_dataset(data, side, observer or Observer(), options=options)


@checked
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
    from snsearch.study import read_study

    return read_study(place.url, place.name)


@checked
def report(study: StudyRecord | str | Path, path: str | Path | None = None) -> Path | str:
    """The page of a study: its HTML, or with a path the file that it was written to.

    Args:
        study: a record, or what `load_study` takes.
        path: file to write; a page that is there is replaced in one step, and folders that are missing are made.

    Raises:
        StudyError: no candidate is trained yet, or the page cannot be written.

    Example:
        >>> import snsearch
        >>> page = snsearch.report("reports/sample")
        >>> page[:15], "<script src" in page
        ('<!DOCTYPE html>', False)
    """
    record = load_study(study) if isinstance(study, str | Path) else study
    from snsearch.pages import render, report_data, write_report

    data = report_data(record)
    if path is None:
        return render(data)
    write_report(data, Path(path))
    return Path(path)


def trial_of(text: str, storage: str | None) -> tuple[StudyRecord, TrialRecord, Architecture] | None:
    """The study, the trial and its network that "STUDY#TRIAL" names; None for another text. Raises StudyError."""
    named = split_trial(text)
    if named is None:
        check_trial(text, Path("reports"))
        return None
    name, number = named
    study = load_study(name, storage=storage)
    trial = next((one for one in study.trials if one.number == number), None)
    if trial is None:
        raise StudyError(f"{study.name} has no trial #{number}; its trials are #0 to #{len(study.trials) - 1}")
    if trial.architecture is None:
        raise StudyError(f"#{number} of {study.name} has no network: it is {trial.status} ({trial.reason})")
    return study, trial, trial.architecture


def candidate_of(text: str, storage: str | None) -> tuple[StudyRecord, TrialRecord, Architecture] | None:
    """As trial_of, and for "STUDY" its best candidate. Raises StudyError."""
    from snsearch.study import best_candidate

    named, path = trial_of(text, storage), Path(text)
    if path.name != text and path.suffix in ("", ".db") and named is None and not is_file(path):
        place_of(text, storage, Path("reports"))  # no network's name is a path: raises where it is no study either
    if named is not None or not text or not names_a_study(text, storage, Path("reports")):
        return named
    study = load_study(text, storage=storage)
    trial = best_candidate(study)
    assert trial.architecture is not None, "the best candidate was trained"
    return study, trial, trial.architecture


@checked
def measure(
    what: StudyRecord | str | Path | AnyNetwork | Sequence[AnyNetwork],
    device: str,
    *,
    everything: bool = False,
    again: bool = False,
    core: int | None = None,
    sustained: float | None = None,
    runner: str | Path | None = None,
    observer: Observer | None = None,
) -> tuple[Outcome, ...]:
    """Measures networks on a device, or counts them if the device is "counted://CORE".

    What was measured there before is not measured again. A study keeps what is measured of its candidates.

    Args:
        what: a study (a record, name, folder or study.db), a network, its key or known name, or several networks.
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
    from snsearch.device import Conditions, device_of

    found = device_of(device)
    from snsearch.api.measuring import outcomes_of, study_outcomes
    from snsearch.network import Architecture, NamedNetwork, network_of
    from snsearch.study import StudyRecord

    asked = Conditions(core=core, sustained_minutes=sustained)
    if found.is_counted and asked != Conditions():
        raise DeviceError(f"{found.url} is counted, and has no time: it takes no core and no minutes")
    own = None if runner is None else Path(runner)
    observer = observer or Observer()
    if isinstance(what, str | Path):
        named = names_a_study(str(what), None, Path("reports"))
        what = load_study(what) if named else network_of(str(what), {"study": study_names(Path("reports"))})
    if isinstance(what, StudyRecord):
        return study_outcomes(what, found, observer, everything=everything, again=again, conditions=asked, runner=own)
    archs = [what] if isinstance(what, Architecture | NamedNetwork) else what
    return outcomes_of(archs, found, observer, again=again, conditions=asked, runner=own)
