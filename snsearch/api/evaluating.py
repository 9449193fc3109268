"""Testing a network that was trained, or what was exported of it, on images that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from snsearch.api.arguments import checked
from snsearch.api.places import names_a_study, study_names
from snsearch.api.searching import data_options
from snsearch.codec import near
from snsearch.errors import DataError, SpecError
from snsearch.files import exists
from snsearch.interrupt import stop_on_signals
from snsearch.network import KNOWN, AnyNetwork, network_of
from snsearch.prose import counted
from snsearch.study import Observer
from snsearch.training import WEIGHTS_SUFFIX, normalisation_of, resolve_data

if TYPE_CHECKING:
    from snsearch.exports import Exported
    from snsearch.finals import Evaluation
    from snsearch.training import Feeds, Normalisation


@checked
def evaluate(
    model: str | Path,
    data: str,
    *,
    weights: str | Path | None = None,
    normalise: str | None = None,
    on: Literal["test", "validation", "train"] = "test",
    split: Sequence[str] = (),
    image_column: str | None = None,
    label_column: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    stream: bool | None = None,
    decoders: int = 1,
    observer: Observer | None = None,
) -> Evaluation:
    """What a trained network does on the images of a split: its errors with 95 % intervals, by class and confused.

    Images are brought to the network's resolution, and normalised as in its training. Nothing in a file is executed,
    except by the runtimes of exported files.

    Args:
        model: a weights file, or the folder or model file that `export` wrote; it runs in its format's own runtime,
            but for the format "torch", whose weights are put into the module that is built here.
        data: as for `load_data`, as are the options of reading it.
        weights: of a user, a plain state dict; `model` is the network's key or name then.
        normalise: of these weights: "imagenet" or "MEAN/STD", as for `export`; None: by the training images.
        on: which images.
        split: folders or splits to use.
        image_column: of the images in a table.
        label_column: of the labels in a table.
        device: "auto", "cpu", "cuda" or "mps"; exported files run on the CPU.
        threads: of the CPU; None: one per core.
        stream: decode images as they are needed; None: where they would take more than half of the free memory.
        decoders: processes that decode streamed images.
        observer: hears of the progress.

    Raises:
        SpecError: there is no such model, or it does not say what it takes.
        DataError: the data cannot be read, or has other classes or channels.

    Example:
        >>> import snsearch, tempfile
        >>> key = "shufflenet.g2.b4.shuffle_stem8s1_16x2s2-32x2s2_1x8x8_c10"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = snsearch.train(key, folder, data="digits", epochs=1, batch=64)
        ...     tested = snsearch.evaluate(made.weights, "digits")
        >>> tested == made.result.test, len(tested.per_class)
        (True, 10)
    """
    seen = observer or Observer()
    reading = data_options(split, image_column, label_column)
    resolve_data(data)
    from snsearch.finals import Ranks, tallied
    from snsearch.training import machine_of, open_feeds

    machine = machine_of(device, 1, threads, tasks=1)
    opened = _Model(model, None if weights is None else Path(weights), normalise)
    height, width = opened.arch.resolution
    if height != width:
        raise DataError(f"the network takes {height}x{width} pixels; images are brought to squares only")
    seen.said(f"{model}: {opened.arch.key} ({opened.what})")
    feeds = open_feeds(data, height, options=reading, stream=stream, workers=decoders, progress=seen.read)
    opened.check(feeds)
    images_to_logits = opened.run_on(feeds, machine.device)
    feed = getattr(feeds, on)
    if feed is None:
        raise DataError(f"{feeds.name} has no {on} images")
    seen.said(f"{counted(len(feed.labels), f'{on} image')} of {feeds.name}")
    done = 0
    with stop_on_signals(seen.stopping) as stop:

        def run(pixels_NCHW: Any) -> Any:
            nonlocal done
            if stop():
                raise KeyboardInterrupt
            logits = images_to_logits(pixels_NCHW)
            done += len(pixels_NCHW)
            seen.read("checks", done, len(feed.labels))
            return logits

        tally = tallied(run, feed, opened.arch.classes, Ranks(device=machine.device))
    if not tally.confusion.sum():
        raise DataError(f"{feeds.name}: no {on} image can be decoded")
    return tally.evaluation(feeds.classes)


def _check_is_there(text: str) -> None:
    """Raises SpecError for a text that names a study, a network without weights, or nothing."""
    study = text.partition("#")[0]
    if names_a_study(study, None, Path("reports")):
        raise SpecError(
            f"{text!r} is of a study, which keeps no weights of full trainings; snsearch train {text} makes a "
            "weights file"
        )
    if exists(Path(text)):
        return
    try:
        network = network_of(text)
    except SpecError:
        meant = near(text, (*KNOWN, *study_names(Path("reports"))))
        raise SpecError(
            f"no file, folder, study or network is named {text!r}{meant}; expected a weights file, or the folder or "
            "model file that snsearch export wrote; or a network's name or key, and its --weights"
        ) from None
    raise SpecError(f"{network.key} is a network without weights; give --weights, or a weights file that names it")


class _Model:
    """A network that takes pixels, whatever it was kept as."""

    def __init__(self, model: str | Path, weights: Path | None, normalise: str | None) -> None:
        from snsearch.exports import open_exported, weights_in

        path = Path(model)
        if weights is None:
            _check_is_there(str(model))
        kept = path if path.suffix == WEIGHTS_SUFFIX else weights_in(path)
        self.arch: AnyNetwork
        self._exported: Exported | None = None
        self._normalisation: Normalisation | None = None
        if weights is None and normalise is not None:
            raise SpecError("--normalise is for --weights; trained and exported networks say how they normalise")
        if weights is not None:
            self._of_weights(weights, network_of(str(model)))
            if normalise is not None:
                self._normalisation = normalisation_of(normalise, self.arch.input_channels)
        elif kept is not None:
            self._of_weights(kept, None)
        else:
            found = self._exported = open_exported(path)
            self.arch, self.what, self.classes = network_of(found.key), found.what, found.classes

    def _of_weights(self, path: Path, arch: AnyNetwork | None) -> None:
        from snsearch.network import build_model, in_own_names
        from snsearch.training import load_into, read_weights

        state, training = read_weights(path)
        if training is None and arch is None:
            raise SpecError(
                f"weights {str(path)!r} do not say which network they are of; give what snsearch train or export "
                "wrote, or name the network, and them by --weights"
            )
        if training is not None and arch is not None:
            raise SpecError(f"weights {str(path)!r} say whose they are: snsearch evaluate {path}")
        self.what, self.classes = "weights of unknown data", ()
        if training is not None:
            arch, self.classes = network_of(training.key), training.classes
            self.what = f"weights of {training.data or 'unknown data'}"
            self._normalisation = training.mean, training.std
        assert arch is not None
        self.arch, self._module = arch, build_model(arch)
        load_into(self._module, in_own_names(arch, state), f"weights {str(path)!r}")

    def run_on(self, feeds: Feeds, device: Any) -> Callable[[Any], Any]:
        """A function from pixels to logits; it normalises by these training images where nothing else is known."""
        from snsearch.finals import Normaliser, run_of

        if (found := self._exported) is None:
            mean, std = self._normalisation or (feeds.mean, feeds.std)
            return run_of(self._module.to(device), Normaliser(mean, std, device))
        shift, scale = (np.array(one, np.float32).reshape(1, -1, 1, 1) for one in (found.mean, found.std))
        return lambda pixels: found.run(np.ascontiguousarray((pixels.numpy().astype(np.float32) - shift) / scale))

    def check(self, feeds: Feeds) -> None:
        """Raises DataError where the data asks another question."""
        if feeds.channels != self.arch.input_channels:
            raise DataError(
                f"{feeds.name} has images of {feeds.channels} channels; the network takes {self.arch.input_channels}"
            )
        if feeds.classes != (self.classes or feeds.classes) or len(feeds.classes) != self.arch.classes:
            strange = sorted({*feeds.classes} ^ {*self.classes})[:3]
            raise DataError(f"{feeds.name} has other classes than the network was trained on: {', '.join(strange)}")
