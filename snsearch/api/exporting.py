"""Exporting a network: whose it is, what it is checked on, and the files that leave snsearch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from snsearch.api.arguments import check_range, checked
from snsearch.api.network_calls import architecture_of
from snsearch.api.searching import data_options
from snsearch.api.studies import candidate_of
from snsearch.device import Device, device_of
from snsearch.errors import DataError, DeviceError, SpecError
from snsearch.files import names_a_file
from snsearch.interrupt import stop_on_signals
from snsearch.network import AnyNetwork, network_of
from snsearch.prose import printable
from snsearch.solver import Solution
from snsearch.study import Observer
from snsearch.training import WEIGHTS_SUFFIX, resolve_data

if TYPE_CHECKING:
    from snsearch.device import Measurement
    from snsearch.exports import Export, Subject
    from snsearch.training import Dataset


@checked
def export(
    network: AnyNetwork | Solution | str | Path,
    to: str,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    data: str | None = None,
    split: Sequence[str] = (),
    image_column: str | None = None,
    label_column: str | None = None,
    images: int = 1000,
    device: str | None = None,
    keep_batch_norm: bool = False,
    int8: bool = False,
    keep_float: Sequence[str] | Literal["auto"] = (),
    max_drop: float = 1.0,
    calibration_images: int = 512,
    seed: int = 0,
    normalise: str | None = None,
    storage: str | None = None,
    force: bool = False,
    observer: Observer | None = None,
) -> Export:
    """Writes a network as files for a phone or another program, checked against torch, with a model card.

    The folder appears whole, or not at all.

    Args:
        network: an architecture, a solution, a key, a known network's name, "STUDY#TRIAL", or a weights file that
            names its network.
        to: "onnx", "ncnn", "torch" (a Python file and its weights), "pt2" (torch.export), "litert" or "executorch".
        out: folder of the files; it is missing or empty.
        weights: a weights file (.safetensors), or a state dict that torch.save wrote; None: random ones.
        data: whose test images check the export, as for `load_data`, as are the next three.
        split: folders or splits to use.
        image_column: of the images in a table.
        label_column: of the labels in a table.
        images: test images at most.
        device: measure the latency on this device.
        keep_batch_norm: keep batch norms as layers, which only ONNX can choose.
        int8: write an int8 model (onnx, litert) beside the float32 one, and compare them; it needs data.
        keep_float: layers that stay float32 in it, by the names' beginnings; "auto": the few that matter.
        max_drop: points of accuracy that int8 may lose without a warning, and by which "auto" chooses.
        calibration_images: training images at most that int8 is calibrated on.
        seed: of random weights.
        normalise: how images are normalised, where the weights do not say it: "imagenet", as torchvision's weights
            want it, or "MEAN/STD" of pixels from 0 to 255, per channel; None: by the training images of the data.
        storage: URL of the study's storage; None: SQLite in its folder.
        force: overwrite files in the folder.
        observer: hears of the progress.

    Raises:
        SpecError: the network, its weights or a number cannot be used.
        StudyError: there is no such study or trial.
        DataError: the data cannot be read, or does not fit the network.
        DeviceError: the device cannot be used.
        ExportError: the format is unknown or not installed, the folder is in use, or the check failed.

    Example:
        >>> import snsearch, tempfile
        >>> key = "shufflenet.g2.b4.shuffle_stem8s1_16x2s2-32x2s2_1x8x8_c10"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = snsearch.export(key, "pt2", folder, data="digits")
        ...     [file.name for file in made.files], made.parity.images
        (['model.pt2', 'card.json', 'card.md'], 179)
    """
    given = dict(locals())
    check_range("images", images, 1)
    check_range("max_drop", max_drop, 0, 100)
    check_range("calibration_images", calibration_images, 1)
    check_range("seed", seed, 0, 2**31 - 1)
    target = None if device is None else device_of(device)
    if target is not None and target.is_counted:
        raise DeviceError(f"{target.url} is counted, and has no latency; name a device that runs networks")
    if data is not None:
        resolve_data(data)
    reading, seen = data_options(split, image_column, label_column), observer or Observer()
    from snsearch.exports import Int8Options, check_folder, check_int8, format_of, write_export

    form = format_of(to)
    folder = Path(out)
    check_folder(folder, force=force)
    form.check_norms(keep_batch_norm)
    kept = keep_float if keep_float == "auto" else tuple(keep_float)
    options = Int8Options(keep_float=kept, max_drop=max_drop, calibration_images=calibration_images) if int8 else None
    subject = _subject(network, None if weights is None else Path(weights), seed, normalise, storage)
    if options is not None:
        check_int8(form, data, subject.ops, options, norms_kept=keep_batch_norm)
    if not subject.trained:
        seen.said(f"the weights are {subject.weights}")
    dataset: Dataset | None = None
    if data is not None:
        from snsearch.training import load_sample

        dataset = load_sample(
            data,
            _side(subject.arch),
            train=calibration_images,
            test=images,
            options=reading,
            progress=seen.read,
        )
        subject = subject.on(dataset)
        seen.said(f"checking on {len(dataset.test):,} test images of {dataset.name}")
    return write_export(
        subject,
        form,
        folder,
        keep_norms=keep_batch_norm,
        dataset=dataset,
        data=data,
        int8=options,
        measure=lambda: () if target is None else (_measured(subject, target, seen),),
        command=_command(given),
        force=force,
        progress=lambda done, total: seen.read("checks", done, total),
        say=seen.said,
    )


def _side(arch: AnyNetwork) -> int:
    height, width = arch.resolution
    if height != width:
        raise DataError(
            f"the network takes {height}x{width} pixels; images are brought to squares only: leave data out"
        )
    return height


def _subject(
    network: AnyNetwork | Solution | str | Path,
    weights: Path | None,
    seed: int,
    normalise: str | None,
    storage: str | None,
) -> Subject:
    """What is to be exported, from all the ways to name it."""
    from snsearch.exports import subject_of

    text = str(network) if isinstance(network, str | Path) else ""
    if (found := candidate_of(text, storage)) is not None:
        study, trial, architecture = found
        return subject_of(architecture, weights, seed=seed, normalise=normalise, study=study, trial=trial)
    if Path(text).suffix == WEIGHTS_SUFFIX or (text and names_a_file(text)):
        if weights is not None:
            raise SpecError(f"{text!r} is a weights file already; name the network, or give no other weights")
        from snsearch.training import read_weights

        training = read_weights(Path(text))[1]
        if training is None:
            raise SpecError(
                f"weights {text!r} do not say which network they are of; give its key, and them as weights"
            )
        return subject_of(network_of(training.key), Path(text), normalise=normalise)
    arch = architecture_of(text if text else network, "weights file", "study")  # type: ignore[arg-type]
    return subject_of(arch, weights, seed=seed, normalise=normalise)


def _measured(subject: Subject, device: Device, observer: Observer) -> Measurement:
    """The network's latency on a device, with these weights and one image at a time. Raises DeviceError."""
    from snsearch.device import Unmeasured, measure_once, network_subject, reference_subject, runners_of
    from snsearch.engine import engine_of

    engine = engine_of(device.engine)
    with stop_on_signals(observer.stopping) as stop:
        [outcome] = measure_once(
            device,
            [network_subject(subject.arch, engine, weights=subject.layers)],
            reference_subject(engine),
            runners_of(device, None),
            say=observer.said,
            stop=stop,
        )
    observer.measured(outcome, 1, 1)
    if isinstance(outcome, Unmeasured):
        raise DeviceError(f"the network cannot be measured on {device.name}: {outcome.reason}")
    return outcome


def _command(given: dict[str, Any]) -> list[str]:
    """The command line that asks for the same as these arguments of `export`, without the storage's secrets."""
    from snsearch.study import without_secrets

    network = given["network"]
    words = ["snsearch", "export", str(network) if isinstance(network, str | Path) else architecture_of(network).key]
    for name, usual in _OPTIONS.items():
        value, option = given[name], f"--{name.replace('_', '-')}"
        if value == usual:
            continue
        if value is True:
            words.append(option)
        elif name == "keep_float" and value != "auto":
            words += [option, ",".join(value)]
        elif name == "split":
            words += [word for text in value for word in (option, text)]
        else:
            words += [option, without_secrets(value) if name == "storage" else str(value)]
    return [printable(word) for word in words]


_OPTIONS: dict[str, Any] = {
    "to": None,
    "out": None,
    "weights": None,
    "data": None,
    "split": (),
    "image_column": None,
    "label_column": None,
    "images": 1000,
    "device": None,
    "keep_batch_norm": False,
    "int8": False,
    "keep_float": (),
    "max_drop": 1.0,
    "calibration_images": 512,
    "seed": 0,
    "normalise": None,
    "storage": None,
    "force": False,
}
