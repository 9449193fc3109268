"""How well rates predict networks that they were not fitted on: held-out errors, and baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from snsearch.intervals import student_95
from snsearch.latency.fitting import Sample, fit
from snsearch.latency.forms import Form
from snsearch.latency.profile import PredictionErrors
from snsearch.latency.terms import predict_ms

Predict = Callable[[Sample], float]  # milliseconds
Predictor = Callable[[Sequence[Sample]], Predict]  # from the samples that it may know
Fold = Callable[[Sample], str]  # samples of one fold are held out together
Devices = Mapping[str, Sequence[Sample]]  # of one library, by the device's name


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """Measured and predicted latencies of networks, each predicted without having been seen."""

    names: tuple[str, ...]
    measured_ms: tuple[float, ...]
    predicted_ms: tuple[float, ...]

    def without(self, names: Iterable[str]) -> HeldOut:
        """All but the named networks."""
        left = set(names)
        rows = zip(self.names, self.measured_ms, self.predicted_ms, strict=True)
        kept_names, measured, predicted = zip(*(row for row in rows if row[0] not in left), strict=True)
        return HeldOut(names=kept_names, measured_ms=measured, predicted_ms=predicted)

    def errors(self) -> PredictionErrors:
        """The errors over all of these networks."""
        measured, predicted = np.array(self.measured_ms), np.array(self.predicted_ms)
        constant = len(set(self.measured_ms)) < 2 or len(set(self.predicted_ms)) < 2
        return PredictionErrors(
            mape=float(np.mean(np.abs(predicted / measured - 1))),
            spearman=0.0 if constant else float(spearmanr(measured, predicted)[0]),
        )

    def interval_factor(self) -> float:
        """A prediction times and over this factor is its 95 % interval.

        Student's interval for one more logarithmic error, with mean zero.
        """
        errors = np.log(np.array(self.predicted_ms) / np.array(self.measured_ms))
        count = len(errors)
        spread = math.sqrt(float(np.mean(errors**2)) * (1 + 1 / count))
        return math.exp(student_95(count) * spread)


def network_fold(sample: Sample) -> str:
    """Folds by network: all resolutions of a network are held out together."""
    return sample.name.partition(" @")[0]


def family_fold(sample: Sample) -> str:
    """Folds by family of networks."""
    return sample.family


def fold_count(samples: Sequence[Sample], fold_of: Fold) -> int:
    """The number of folds of the judged networks."""
    return len({fold_of(sample) for sample in samples if sample.role == "judged"})


def hold_out(
    devices: Devices, predictors: Callable[[Devices], Mapping[str, Predict]], fold_of: Fold
) -> dict[str, HeldOut]:
    """Every judged network of every device, predicted from the other folds of all devices.

    Args:
        devices: samples per device.
        predictors: makes each device's prediction from the samples of the other folds.
        fold_of: the fold of a sample.
    """
    judged = {name: [s for s in samples if s.role == "judged"] for name, samples in devices.items()}
    predicted = {name: [0.0] * len(samples) for name, samples in judged.items()}
    for fold in dict.fromkeys(fold_of(sample) for samples in judged.values() for sample in samples):
        known = {
            name: [s for s in samples if s.role != "judged" or fold_of(s) != fold]
            for name, samples in devices.items()
        }
        predict = predictors(known)
        for name, samples in judged.items():
            for index, sample in enumerate(samples):
                if fold_of(sample) == fold:
                    predicted[name][index] = predict[name](sample)
    return {
        name: HeldOut(
            names=tuple(sample.name for sample in samples),
            measured_ms=tuple(sample.ms for sample in samples),
            predicted_ms=tuple(predicted[name]),
        )
        for name, samples in judged.items()
    }


def hold_out_one(samples: Sequence[Sample], predictor: Predictor, fold_of: Fold) -> HeldOut:
    """Every judged network of one device, predicted from the other folds."""
    return hold_out({"": samples}, lambda known: {"": predictor(known[""])}, fold_of)[""]


def fixed_form(form: Form) -> Predictor:
    """The predictor that fits one form."""

    def predictor(samples: Sequence[Sample]) -> Predict:
        rates = fit(form, samples)
        return lambda sample: predict_ms(rates, sample.under(form))

    return predictor


def best_form(forms: Sequence[Form], devices: Devices, fold_of: Fold) -> Form:
    """The form with the least error on held-out networks, as a mean over devices; the earlier one on a tie.

    Rates belong to a device. A form may belong to a library, and is then chosen over all devices of the library
    together. The first form, if a device has a single network to judge by.
    """
    if len(forms) == 1 or any(fold_count(samples, fold_of) < 2 for samples in devices.values()):
        return forms[0]

    def error(form: Form) -> float:
        mapes = [hold_out_one(samples, fixed_form(form), fold_of).errors().mape for samples in devices.values()]
        return round(sum(mapes) / len(mapes), 6)

    return min(forms, key=error)


def hold_out_twice(forms: Sequence[Form], devices: Devices, fold_of: Fold, inner: Fold) -> dict[str, HeldOut]:
    """Held-out predictions for which both form and rates are chosen without the fold, on every device.

    Args:
        forms: to choose from.
        devices: samples per device of one library.
        fold_of: the folds that are predicted.
        inner: the folds by which a form is chosen among the others.
    """

    def predictors(known: Devices) -> Mapping[str, Predict]:
        predictor = fixed_form(best_form(forms, known, inner))
        return {name: predictor(samples) for name, samples in known.items()}

    return hold_out(devices, predictors, fold_of)


def log_log_flops(samples: Sequence[Sample]) -> Predict:
    """The first baseline: a straight line of log latency over log MACs, through the networks alone."""
    networks = [sample for sample in samples if sample.role != "piece"]
    x = np.log([sample.macs for sample in networks])
    y = np.log([sample.ms for sample in networks])
    spread = float(np.sum((x - x.mean()) ** 2))
    slope = float(np.sum((x - x.mean()) * (y - y.mean()))) / spread if spread else 1.0
    return lambda sample: math.exp(float(y.mean()) + slope * (math.log(sample.macs) - float(x.mean())))


def pixel_scaling(samples: Sequence[Sample]) -> Predict:
    """The second baseline: the known network with the most similar MACs per pixel, its latency scaled by pixels."""
    networks = [sample for sample in samples if sample.role != "piece"]

    def predict(sample: Sample) -> float:
        density = math.log(sample.macs / sample.pixels)
        near = min(networks, key=lambda known: abs(math.log(known.macs / known.pixels) - density))
        return near.ms * sample.pixels / near.pixels

    return predict
