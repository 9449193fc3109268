"""snsearch latency: what a device's profile predicts for the networks of a space."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import click

import snsearch
from snsearch import Prediction, Profile
from snsearch.api import prediction_table
from snsearch.cli.shared.architectures import architectures_of
from snsearch.cli.shared.console import print_table
from snsearch.cli.shared.options import (
    RESOLUTIONS,
    as_asked,
    complete_names,
    complete_networks,
    network_options,
    space_option,
    table_options,
)
from snsearch.device import profile_of_device
from snsearch.latency import DEFAULT_PROFILE, load_profile
from snsearch.tables import Column

_OWN = ("networks", "profile", "device", "form", "wide")


def errors_line(profile: Profile) -> str:
    """The profile's error on held-out networks beside the baselines', in words."""
    return (
        f"mean error on {profile.kept_out} held-out networks: {profile.by_network.mape:.1%}, with all of their "
        f"family held out {profile.by_family.mape:.1%}; baselines: log-log FLOPs {profile.log_log_flops.mape:.1%}, "
        f"pixel scaling {profile.pixel_scaling.mape:.1%}"
    )


@click.command()
@click.argument("networks", nargs=-1, metavar="[NETWORK]...", shell_complete=complete_networks)
@space_option("shufflenet-v1")
@network_options(
    *("params", "peak_memory", "model_size", "precision", "match", "resolution"),
    *("latency", "profile", "device", "confidence"),
)
@click.option(
    "--resolution",
    "resolutions",
    type=RESOLUTIONS,
    default="224",
    show_default=True,
    metavar="PIXELS|HxW[,…]",
    help="Input sizes.",
)
@click.option(
    "--profile",
    metavar="NAME|FILE",
    shell_complete=complete_names("profiles"),
    help=f"The device: a name of `snsearch profiles`, or a profile's file  [default: {DEFAULT_PROFILE}]",
)
@click.option(
    "--device",
    metavar="NAME|URL",
    help="A device of your own, once `snsearch device profile` has made its profile.",
)
@table_options("json", "csv")
def latency(
    networks: tuple[str, ...],
    space: str,
    resolutions: tuple[tuple[int, int], ...],
    profile: str | None,
    device: str | None,
    form: str,
    wide: bool,
    **of: Any,
) -> None:
    """Predict the latency of networks on a device: of every NETWORK, or of a space's networks.

    NETWORK is an architecture key, a name of `snsearch networks`, or a JSON file that `snsearch solve --format json`
    wrote; each has its own input size.
    The figures are predictions of a profile, never measurements; each carries its 95 % interval and says what the
    profile is fitted on.
    """
    if profile is not None and device is not None:
        raise click.UsageError("--profile and --device both name the device; give one of them")
    by = load_profile(profile or DEFAULT_PROFILE) if device is None else profile_of_device(device)
    meant = []
    if networks:
        meant = [(name, network) for name in networks for network in architectures_of(name, of, _OWN)]
        predictions = [snsearch.predict(network, profile=by) for _, network in meant]
    else:
        predictions = _of_space(space, resolutions, by, of)
    threads = f"{by.threads} thread{'s' if by.threads > 1 else ''}"
    conditions = ", ".join(filter(None, (by.core, threads, by.precision)))
    notes = [f"library: {by.library}; {conditions}", errors_line(by)]
    named = [Column[Prediction]("network", lambda one: names[id(one)])] if networks else []
    names = {id(one): name for one, (name, _) in zip(predictions, meant, strict=False)}
    table = prediction_table(predictions, notes)
    print_table(replace(table, columns=[*named, *table.columns]), form, wide=wide)


def _of_space(
    space: str, resolutions: tuple[tuple[int, int], ...], by: Profile, of: dict[str, Any]
) -> list[Prediction]:
    """The predictions for the networks of a space that the options ask for."""
    [known] = snsearch.spaces(space)
    asked = as_asked(of)
    several = product(asked.pop("mflops") or [()], asked.pop("groups") or known.groups, asked.pop("scale") or [()])
    return [
        snsearch.predict(solution, profile=by)
        for mflops, groups, scale in several
        for resolution in resolutions
        for solution in snsearch.solve(
            mflops=mflops, space=known, groups=[groups], scale=scale, resolution=resolution, **asked
        )
    ]
