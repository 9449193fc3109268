"""Training one network in full: which one, on what, by which recipe, and what to expect of it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from snsearch.api.arguments import check_range, checked, naming
from snsearch.api.network_calls import architecture_of
from snsearch.api.searching import data_options
from snsearch.api.solutions import pixels_of
from snsearch.api.studies import candidate_of
from snsearch.errors import DataError, SpecError
from snsearch.interrupt import resumable
from snsearch.network import AnyNetwork
from snsearch.prose import printable
from snsearch.solver import Solution
from snsearch.study import Observer
from snsearch.training import resolve_data
from snsearch.units import parse_duration

if TYPE_CHECKING:
    from snsearch.finals import Trained


@checked
def train(
    network: AnyNetwork | Solution | str | Path,
    out: str | Path,
    *,
    data: str | None = None,
    recipe: str = "paper",
    split: Sequence[str] = (),
    image_column: str | None = None,
    label_column: str | None = None,
    resolution: str | int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    accumulate: int = 1,
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    init_from: str | Path | None = None,
    freeze: Sequence[str] = (),
    teacher: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    stream: bool | None = None,
    decoders: int = 1,
    save_every: str | float = 600.0,
    tensorboard: bool = False,
    storage: str | None = None,
    force: bool = False,
    observer: Observer | None = None,
) -> Trained:
    """Trains a network in full, and returns its weights file and its error on the test images.

    Epochs are chosen between by validation images; the test images are looked at once, at the end. Ctrl-C ends it at
    the next step with KeyboardInterrupt, and the same call goes on, after a kill from the last checkpoint: with one
    process on the CPU in float32 and the same threads, to the same weights bit for bit.

    Args:
        network: an architecture, a solution, a key, a known network's name, "STUDY#TRIAL", or a study, of which the
            best candidate is taken.
        out: folder of the checkpoint, the log, the weights file and the result.
        data: as for `load_data`, as are the options of reading it; None: the study's.
        recipe: "paper", "modern", or a TOML file.
        split: folders or splits to use.
        image_column: of the images in a table.
        label_column: of the labels in a table.
        resolution: pixels per side to train on; None: the network's.
        epochs: None: the recipe's.
        batch: images of a step, of all processes; None: the recipe's, less on small data.
        learning_rate: the highest; None: the recipe's, scaled to the batch.
        accumulate: parts that a batch is computed in, to save memory; batch norm sees one part.
        precision: of multiplications; "auto": bfloat16 on GPUs that have it, else float32.
        init_from: a weights file or checkpoint to start from; the classifier is new where classes differ.
        freeze: parts that stay as they are, such as "stem" or "stage2.0".
        teacher: a weights file whose answers are learnt too.
        seed: of weights, order and augmentation.
        device: "auto", "cpu", "cuda" or "mps".
        threads: of the CPU; None: the cores, less the decoders of streamed data.
        stream: decode images as they are needed; None: where they would take more than half of the free memory.
        decoders: processes that decode streamed images.
        save_every: seconds between checkpoints within an epoch, or a text such as "10min".
        tensorboard: write events for TensorBoard beside the CSV log.
        storage: URL of the study's storage; None: SQLite in its folder.
        force: train again in a folder that holds another training.
        observer: hears of the progress.

    Raises:
        SpecError: the network, recipe, weights or an option cannot be used.
        StudyError: there is no such study, or the folder holds another training.
        DataError: the data cannot be read, or does not fit the network.

    Example:
        >>> import snsearch, tempfile
        >>> key = "shufflenet.g2.b4.shuffle_stem8s1_16x2s2-32x2s2_1x8x8_c10"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = snsearch.train(key, folder, data="digits", epochs=1, batch=64)
        ...     made.weights.name, made.result.test.images
        ('weights.safetensors', 179)
    """
    given = dict(locals())
    check_range("epochs", epochs, 1, 100_000)
    check_range("batch", batch, 2, 65_536)
    check_range("learning_rate", learning_rate, 0, 100, above=True)
    check_range("accumulate", accumulate, 1, 1024)
    check_range("threads", threads, 1)
    check_range("decoders", decoders, 0, 256)
    check_range("seed", seed, 0, 2**31 - 1)
    seen = observer or Observer()
    text = str(network) if isinstance(network, str | Path) else ""
    # What is wrong with the options is told before torch is loaded.
    reading = data_options(split, image_column, label_column)
    with naming("save_every"):
        seconds = parse_duration(save_every)
    arch, remarks, of_study = _network(network, text, storage)
    data = data or of_study
    if data is None:
        raise SpecError("no data is named; give --data, as snsearch search takes it")
    resolve_data(data)
    side = _side(arch, resolution)
    from snsearch.finals import (
        check_folder,
        check_start,
        check_tensorboard,
        joined,
        load_recipe,
        plan_of,
        run_training,
        started,
        teacher_of,
        what_is_trained,
    )
    from snsearch.training import machine_of, open_feeds

    method = load_recipe(recipe)
    if tensorboard:
        check_tensorboard()
    if epochs is not None:
        method = replace(method, epochs=epochs)
    # What the data does not change is checked before it is read, which may take long.
    files = [Path(path) for path in (init_from, teacher) if path is not None]
    check_start(_fitted(arch, arch.input_channels, arch.classes, side), freeze, files)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of torchrun on this host
    machine = machine_of(device, local, threads, tasks=1)
    with joined(machine.device) as ranks:
        if ranks.first:
            check_folder(Path(out))
        else:
            seen = Observer()
        feeds = open_feeds(data, side, options=reading, stream=stream, workers=decoders, progress=seen.read)
        if feeds.streamed and threads is None:
            machine = machine_of(device, local, max(1, machine.threads - decoders), tasks=1)
        fitted = _fitted(arch, feeds.channels, len(feeds.classes), side)
        if replace(fitted, resolution=arch.resolution) != replace(
            arch, input_channels=feeds.channels, classes=len(feeds.classes)
        ):
            remarks.append(f"  trained as {fitted.key}: its stem reduces less, for {side} pixels")
        arch = fitted
        begin = started(arch, seed, feeds.classes, None if init_from is None else Path(init_from))
        taught = None if teacher is None else teacher_of(Path(teacher), feeds.classes, feeds.channels)
        plan = plan_of(
            arch,
            feeds,
            ranks,
            method,
            data=printable(data),
            batch=batch,
            learning_rate=learning_rate,
            accumulate=accumulate,
            precision=precision,
            seed=seed,
            frozen=tuple(freeze),
            started_from=begin.digest,
            teacher="" if taught is None else taught.digest,
        )
        said = [*remarks, *what_is_trained(plan, feeds, ranks, machine.threads)]
        said += [one for one in (begin.remark, "" if taught is None else taught.remark) if one]
        for line in said:
            seen.said(line)
        with resumable(seen.stopping) as stop:
            return run_training(
                plan,
                feeds,
                begin,
                taught,
                ranks,
                Path(out),
                observer=seen,
                stop=stop,
                command=_command(given),
                save_every=seconds,
                tensorboard=tensorboard,
                force=force,
            )


def _network(
    network: AnyNetwork | Solution | str | Path, text: str, storage: str | None
) -> tuple[AnyNetwork, list[str], str | None]:
    """The architecture that is named, what to say of it, and the data of its study."""
    from snsearch.study import scores_of

    if (named := candidate_of(text, storage)) is None:
        arch = architecture_of(text if text else network, "study")  # type: ignore[arg-type]
        return arch, [f"network {arch.key}"], None
    study, trial, architecture = named
    remarks = [f"network #{trial.number} of {study.name} ({trial.words}): {architecture.key}"]
    if trial.results:
        [score] = scores_of([trial.finals or trial.results])
        recipe = study.settings.recipe if study.lengths is None else study.lengths.recipe
        remarks.append(
            f"  the search trained it by its own recipe ({recipe.describe()}) to an error of {score.error:.2%} on "
            f"{study.settings.data}; no weights of that are used"
        )
    return architecture, remarks, study.settings.data


def _side(arch: AnyNetwork, resolution: str | int | None) -> int:
    height, width = arch.resolution if resolution is None else pixels_of(resolution)
    if height != width:
        raise DataError(
            f"the network takes {height}x{width} pixels; images are brought to squares only: give a --resolution"
        )
    return height


def _fitted(arch: AnyNetwork, channels: int, classes: int, side: int) -> AnyNetwork:
    """The network for these channels and classes; at another resolution than its own as in short trainings."""
    if (side, side) == arch.resolution:
        return replace(arch, input_channels=channels, classes=classes)
    return arch.at_input(channels=channels, resolution=(side, side), classes=classes)


def _command(given: dict[str, Any]) -> list[str]:
    """The command line that asks for the same as these arguments of `train`, without the storage's secrets."""
    from snsearch.study import without_secrets

    network = given["network"]
    named = str(network) if isinstance(network, str | Path) else architecture_of(network).key
    words = ["snsearch", "train", named]
    for name, parameter in inspect.signature(train).parameters.items():
        value, option = given[name], f"--{name.replace('_', '-')}"
        if name in ("network", "observer", "force") or value == parameter.default:
            continue
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        elif name in ("split", "freeze"):
            words += [word for text in value for word in (option, text)]
        else:
            words += [option, without_secrets(value) if name == "storage" else str(value)]
    return [printable(word) for word in words]
