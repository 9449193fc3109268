"""Studies that exist: read as plain records, and given what other sub-packages keep in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import optuna

from snsearch.errors import MissingStudyError, StudyError
from snsearch.study.records import Attachment, Settings, StudyRecord
from snsearch.study.storage.attributes import (
    attached,
    lacking_in,
    lengths_in,
    noise_in,
    records_of,
    runs_of,
    settings_in,
)
from snsearch.study.storage.opening import open_storage, uncollected


def attach(url: str, name: str, kind: Attachment, key: str, values: dict[str, Any]) -> None:
    """Keeps a JSON record in the study, replacing an earlier one of the same kind and key.

    Optuna lets nobody change a finished trial, so records about candidates are attributes of the study.
    Raises StudyError if there is no such study.
    """
    with _opened(url, name) as (study, _):
        study.set_user_attr(f"{kind}:{key}", values)


def read_study(url: str, name: str | None = None) -> StudyRecord:
    """The study of that name as plain records; without a name, the storage's only one.

    Raises StudyError where there is none, or several, or it was not made by snsearch.
    """
    with uncollected(), _opened(url, name) as (study, settings):
        return StudyRecord(
            name=study.study_name,
            settings=settings,
            provenance=runs_of(study),
            trials=records_of(study),
            lengths=lengths_in(study),
            noise=noise_in(study),
            lacking=lacking_in(study),
            attachments={kind: attached(study, kind) for kind in get_args(Attachment)},
            url=url,
        )


@contextmanager
def _opened(url: str, name: str | None) -> Iterator[tuple[optuna.Study, Settings]]:
    """A study of snsearch's and its settings, until the block ends. Raises StudyError."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(url, make=False)
    try:
        yield _loaded(storage, name)
    finally:
        storage.remove_session()


def _loaded(storage: optuna.storages.BaseStorage, name: str | None) -> tuple[optuna.Study, Settings]:
    names = optuna.get_all_study_names(storage)
    if name is None:
        if len(names) != 1:
            listed = ", ".join(names) or "none"
            raise StudyError(f"the storage holds {len(names)} studies ({listed}); name one")
        [name] = names
    if name not in names:
        raise MissingStudyError(f"the storage has no study {name!r}; it has {', '.join(names) or 'none'}")
    study = optuna.load_study(study_name=name, storage=storage)
    settings = settings_in(study)
    if settings is None:
        is_begun = not study.get_trials(deepcopy=False)  # a search writes its settings next
        raise (MissingStudyError if is_begun else StudyError)(f"the study {name!r} was not made by snsearch")
    return study, settings
