"""The model card: what an exported network is, what was measured, and how to make and use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snsearch.codec import encode
from snsearch.device import Measurement
from snsearch.engine import OPSET
from snsearch.exports.checking import Accuracy, Parity
from snsearch.exports.examples import RESIZING
from snsearch.exports.formats import Format
from snsearch.exports.int8 import Int8
from snsearch.exports.subject import Subject
from snsearch.network import OpGraph, cost_report, count_conventions
from snsearch.pages import measurements_of
from snsearch.study import environment, scores_of

_LICENCES = {"fashion-mnist": "MIT", "digits": "CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)"}


def card_of(
    subject: Subject,
    format: Format,
    *,
    files: dict[str, dict[str, Any]],
    norms_kept: bool,
    parity: Parity,
    accuracy: Accuracy | None,
    data: str | None,
    int8: Int8 | None,
    measured: Sequence[Measurement],
    command: Sequence[str],
) -> dict[str, Any]:
    """The card as JSON values."""
    arch = subject.arch
    given, made = format.inputs(subject)
    return {
        "schema": 1,
        "key": arch.key,
        "format": {
            "name": format.name,
            "what": format.what,
            "opset": OPSET if format.name == "onnx" else None,
            "batch_norm": "folded" if format.folds and not norms_kept else "kept",
        },
        "files": files,
        "weights": subject.weights,
        "trained": subject.trained,
        "input": {
            "name": given,
            "shape": ["N" if format.any_batch else 1, *_image_shape(subject, format)],
            "layout": f"{format.layout}, float32{', channels RGB' if arch.input_channels == 3 else ''}",
            "mean": list(subject.mean),
            "std": list(subject.std),
            "normalisation": "(pixel - mean) / std per channel, pixels from 0 to 255",
            "normalised_by": subject.normalised_by,
            "resizing": RESIZING,
        },
        "output": {"name": made, "what": "logits, one per class", "classes": list(subject.classes)},
        "counts": _counts(subject),
        "search": _search(subject),
        "training": None if subject.training is None else encode(subject.training),
        "parity": encode(parity),
        "accuracy": None if accuracy is None else encode(accuracy),
        "int8": None if int8 is None else encode(int8),
        "data": _data(subject, data),
        "latency": [_latency(one) for one in (*_of_study(subject), *measured)],
        "commands": _commands(subject, command),
        "versions": environment(command),
    }


def _image_shape(subject: Subject, format: Format) -> tuple[int, ...]:
    channels, (height, width) = subject.arch.input_channels, subject.arch.resolution
    return (channels, height, width) if format.layout == "NCHW" else (height, width, channels)


def _counts(subject: Subject) -> dict[str, Any]:
    graph = OpGraph.of(subject.arch)
    totals = cost_report(graph).totals
    return {
        "macs": totals.macs,
        "parameters": totals.params,
        "weight_bytes": totals.weight_bytes,
        "peak_activation_bytes": totals.peak_activation_bytes,
        "conventions": {one.convention: one.total for one in count_conventions(graph)},
    }


def _search(subject: Subject) -> dict[str, Any] | None:
    """What a study says of the candidate: none of it is of the exported weights."""
    study, trial = subject.study, subject.trial
    if study is None or trial is None:
        return None
    settings, candidates = study.settings, study.candidates
    scores = dict(zip((one.number for one in candidates), scores_of([t.results for t in candidates]), strict=True))
    score = scores.get(trial.number if trial.duplicate_of is None else trial.duplicate_of)
    return {
        "study": study.name,
        "trial": trial.number,
        "space": settings.space,
        "budget": settings.budget.describe(),
        "from_budget": trial.deviation,
        "error": None
        if score is None
        else {
            "value": score.error,
            "interval": list(score.interval),
            "seeds": score.seeds,
            "test_images": candidates[0].results[0].test_images,
            "of": "short trainings of this network in the search, whose weights were not kept",
        },
        "objective": {"name": settings.cost_label, "value": trial.cost},
        "recipe": settings.recipe.describe(),
        "data": settings.data_description,
    }


def _data(subject: Subject, checked_on: str | None) -> dict[str, Any] | None:
    """The data that the network was searched, trained and checked on."""
    named = {
        "searched_on": None if subject.study is None else subject.study.settings.data,
        "trained_on": None if subject.training is None else subject.training.data or None,
        "checked_on": checked_on,
    }
    given = [spec for spec in named.values() if spec]
    licences = {spec: _LICENCES[name] for spec in given if (name := spec.partition(":")[0]) in _LICENCES}
    return {**named, "licences": licences} if given else None


def _of_study(subject: Subject) -> list[Measurement]:
    if subject.study is None:
        return []
    return [one for one in measurements_of(subject.study) if one.subject == subject.arch.key]


def _latency(one: Measurement) -> dict[str, Any]:
    return {
        "ms": one.latency_ms,
        "interval_ms": None if one.latency_ms is None else [one.statistics.low_ms, one.statistics.high_ms],
        "provenance": one.provenance,
        "measured": one.measured,
    }


def _commands(subject: Subject, command: Sequence[str]) -> list[list[str]]:
    """The commands that made the network: the search, the training, the export."""
    made: list[list[str]] = []
    if subject.study is not None:
        made += [list(run["command"]) for run in subject.study.provenance[:1] if run.get("command")]
    if subject.training is not None and subject.training.command:
        made.append(list(subject.training.command))
    return [*made, list(command)]
