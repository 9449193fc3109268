"""Predicted latencies, and the device profiles that predict them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snsearch.api.arguments import checked
from snsearch.api.network_calls import architecture_of
from snsearch.device import named_profile, profile_names
from snsearch.errors import SpecError
from snsearch.files import read_given
from snsearch.latency import DEFAULT_PROFILE, NCNN_PROFILE, BenchNcnn, Profile, parse_benchncnn, remarks_as_lines
from snsearch.network import AnyNetwork, Architecture, count_macs
from snsearch.solver import Solution
from snsearch.tables import Column, Table
from snsearch.units import (
    format_mflops,
    format_resolution,
    format_stages,
    plain_number,
    plain_resolution,
    plain_stages,
    three_digits,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A network's predicted latency."""

    architecture: AnyNetwork
    solution: Solution | None  # if the network was given as one
    ms: float
    interval: tuple[float, float]  # 95 %, in milliseconds
    provenance: str  # device, kind of figures, mean error and source
    remark: str  # a warning if the profile knows no network as fast or as slow, else ""

    def __repr__(self) -> str:
        return (
            f"<{self.architecture.key}: {self.ms:.1f} ms [{self.interval[0]:.1f}, {self.interval[1]:.1f}], predicted>"
        )

    def _repr_html_(self) -> str:
        """The prediction as a notebook shows it."""
        return prediction_table([self]).html(wide=True)


def _groups(one: Prediction) -> tuple[int, ...]:
    """The groups of each stage, where the network has stages."""
    return one.architecture.groups if isinstance(one.architecture, Architecture) else ()


COLUMNS: tuple[Column[Prediction], ...] = (
    Column("space", lambda p: "" if p.solution is None else p.solution.space, data=("csv",), place="wide"),
    Column("key", lambda p: p.architecture.key, data=("csv",), place="wide"),
    Column(
        "groups",
        lambda p: plain_stages(groups) if (groups := _groups(p)) else None,
        heading="g",
        align="right",
        text=lambda p: format_stages(groups) if (groups := _groups(p)) else "",
    ),
    Column("scale", lambda p: None if p.solution is None else plain_number(p.solution.scale), align="right", drop=1),
    Column(
        "resolution",
        lambda p: plain_resolution(p.architecture.resolution),
        text=lambda p: format_resolution(p.architecture.resolution),
        align="right",
    ),
    Column(
        "mflops",
        lambda p: round(count_macs(p.architecture) / 1e6, 4),
        heading="MFLOPs",
        text=lambda p: format_mflops(count_macs(p.architecture)),
        align="right",
        data=("csv",),
    ),
    Column("latency_ms", lambda p: round(p.ms, 4), heading="ms", text=lambda p: three_digits(p.ms), align="right"),
    Column(
        "interval_ms",
        lambda p: [round(side, 4) for side in p.interval],
        heading="95 % interval",
        unit="ms",
        text=lambda p: " to ".join(map(three_digits, p.interval)),
        align="right",
        data=("json",),
    ),
    Column("low_ms", lambda p: round(p.interval[0], 4), place="data", data=("csv",)),
    Column("high_ms", lambda p: round(p.interval[1], 4), place="data", data=("csv",)),
    Column("provenance", lambda p: f"{p.provenance}; {p.remark}" if p.remark else p.provenance, place="data"),
)


def prediction_table(predictions: Sequence[Prediction], notes: Sequence[str] = ()) -> Table[Prediction]:
    """One row per prediction, under their common device."""
    provenances = dict.fromkeys(one.provenance for one in predictions)
    titles = " / ".join(dict.fromkeys(p.solution.title for p in predictions if p.solution is not None))
    warnings = remarks_as_lines([one.remark for one in predictions])
    title = f"{titles}{': ' if titles else ''}{' / '.join(provenances)}"
    return Table(columns=COLUMNS, rows=predictions, title=title, notes=[*notes, *warnings])


@checked
def profiles(*names: str) -> tuple[Profile, ...]:
    """The latency profiles: all that are bundled and those of your own devices, or those that are named.

    Args:
        names: bundled names, names or URLs of devices, or paths of TOML files.

    Raises:
        SpecError: there is no such profile, or its file cannot be used.
        DeviceError: the device has no profile yet.

    Example:
        >>> import snsearch
        >>> [profile] = snsearch.profiles("snapdragon-820")
        >>> profile.device, profile.threads, round(profile.by_network.mape, 3)
        ('Snapdragon 820', 1, 0.065)
    """
    return tuple(named_profile(name) for name in names or profile_names())


@checked
def predict(network: AnyNetwork | Solution | str, *, profile: str | Profile = DEFAULT_PROFILE) -> Prediction:
    """A network's latency on a device, predicted by the device's profile.

    Args:
        network: an architecture, a solution, an architecture's key or the name of a known network.
        profile: a record, a bundled name, the name or URL of your own device, or the path of a TOML file.

    Raises:
        SpecError: there is no such profile, the key is invalid, or the profile has no rate of one of its terms.
        DeviceError: the device has no profile yet.

    Example:
        >>> import snsearch
        >>> [found] = snsearch.solve(mflops=140, groups=3)
        >>> predicted = snsearch.predict(found, profile="snapdragon-820")
        >>> print(f"{predicted.ms:.1f} ms, {predicted.interval[0]:.1f} to {predicted.interval[1]:.1f}")
        38.0 ms, 28.9 to 50.0
        >>> print(predicted.provenance)
        predicted, Snapdragon 820, fitted on published figures, ±6 % (... arXiv:1707.01083)
    """
    known = named_profile(profile) if isinstance(profile, str) else profile
    arch = architecture_of(network)
    latency = known.predict(arch)
    return Prediction(
        architecture=arch,
        solution=network if isinstance(network, Solution) else None,
        ms=latency.ms,
        interval=(latency.low_ms, latency.high_ms),
        provenance=known.provenance,
        remark=known.remark(latency.ms),
    )


def _measured(path: Path) -> list[tuple[str, str, float]]:
    """(architecture key, family, milliseconds) of each line of a CSV file. Raises SpecError."""
    where = f'figures "{path.name}"'
    try:
        reader = csv.DictReader(io.StringIO(read_given(path, 2**23), newline=""))
        fields = tuple(reader.fieldnames or ())
        rows = list(reader)
    except FileNotFoundError:
        raise SpecError(f"{where}: {str(path)!r} does not exist") from None
    except (OSError, ValueError, csv.Error) as error:
        raise SpecError(f"{where}: cannot be read: {error}") from None
    if not {"key", "latency_ms"} <= set(fields):
        raise SpecError(
            f"{where}: has the columns {', '.join(fields) or 'none'}; expected key, as `snsearch solve --format csv` "
            "prints it, and latency_ms; and family where several networks are alike"
        )
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            ms = float(row["latency_ms"])
        except (TypeError, ValueError):
            ms = 0.0
        if not 0 < ms < float("inf"):
            raise SpecError(f"{where}, line {number}: latency_ms is {row['latency_ms']!r}; expected milliseconds")
        key = row["key"] or ""
        found.append((key, row.get("family") or key, ms))
    return found


@checked
def read_benchncnn(path: str | Path) -> BenchNcnn:
    """What ncnn's benchncnn printed, saved to a file: latencies of known networks, for `calibrate`.

    Args:
        path: of the file.

    Raises:
        SpecError: the file cannot be read, or is not of one run on one thread.

    Example:
        >>> import snsearch, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "run.txt")
        ...     _ = file.write_text("resnet18  min = 83.4  max = 84.0  avg = 83.6")
        ...     snsearch.read_benchncnn(file).measured
        (('resnet-18', 'ResNet', 83.6),)
    """
    path = Path(path)
    where = f'benchncnn "{path.name}"'
    try:
        lines = read_given(path, 2**20).splitlines()
    except FileNotFoundError:
        raise SpecError(f"{where}: {str(path)!r} does not exist") from None
    except (OSError, ValueError) as error:
        raise SpecError(f"{where}: cannot be read: {error}") from None
    return parse_benchncnn(lines, where)


@checked
def calibrate(
    figures: str | Path | Mapping[str, float] | BenchNcnn,
    *,
    name: str,
    device: str,
    library: str,
    core: str = "",
    threads: int = 1,
    precision: str = "float32",
    source: str = "own figures",
    prior: str | Profile | None = None,
) -> Profile:
    """A profile of your own device, fitted on latencies that you measured on it.

    Args:
        figures: milliseconds by key or name of the network, or a CSV file with the columns key and latency_ms, and
            family where several networks are alike; or what `read_benchncnn` read. All are measured with one
            library, thread count and precision.
        name: of the profile.
        device: as every prediction names it.
        library: that ran the networks, with its version.
        core: of the processor.
        threads: that the library used.
        precision: of the networks.
        source: of the figures.
        prior: the profile that the rates are drawn to, the more the fewer figures there are; best one of the same
            library. None: that of the Snapdragon 820, or for benchncnn of a board that runs ncnn.

    Returns:
        The profile; its `to_toml()` is the text of a file that `predict` and `snsearch latency --profile` read.

    Raises:
        SpecError: figures of fewer than three networks, figures that cannot be read, or an invalid key.

    Example:
        >>> import snsearch
        >>> networks = snsearch.solve(groups=(1, 3), scale=(0.5, 1, 2))
        >>> figures = {one.architecture.key: 3 * snsearch.predict(one).ms for one in networks}
        >>> own = snsearch.calibrate(figures, name="mine", device="My board", library="ncnn 1")
        >>> round(snsearch.predict(networks[0], profile=own).ms / snsearch.predict(networks[0]).ms, 1)
        3.0
    """
    from snsearch.latency import calibrate_own  # loads numpy and scipy

    measured: Sequence[tuple[str, str, float]]
    if isinstance(figures, BenchNcnn):
        measured, prior = figures.measured, prior or NCNN_PROFILE
    elif isinstance(figures, Mapping):
        measured = [(key, key, ms) for key, ms in figures.items()]
    else:
        measured = _measured(Path(figures))
    prior = prior or DEFAULT_PROFILE
    return calibrate_own(
        measured,
        named_profile(prior) if isinstance(prior, str) else prior,
        name=name,
        device=device,
        library=library,
        core=core,
        threads=threads,
        precision=precision,
        figures="measured",
        source=source,
    )
