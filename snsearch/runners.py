"""Which runner a device gets: its own, a static binary that was built for its machine, or the one in Python."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from snsearch.board import Runner, RunnerOf
from snsearch.devices.registry import Device
from snsearch.devices.transport import Transport
from snsearch.engine.build import built_runner
from snsearch.errors import DeviceError

_PYTHON = Path(__file__).parent / "engine" / "python_runner.py"
_LOOK_SECONDS = 60.0  # an emulated board imports slowly


def runners_of(device: Device, file: Path | None = None) -> RunnerOf:
    """Chooses a device's runner once it is reached: the given file, else the device's own, else what there is."""

    def choose(transport: Transport, machine: str) -> Runner:
        if own := file or device.own_runner:
            return Runner.of(own)
        if built := built_runner(machine):
            return Runner.of(built)
        return _python_runner(transport, machine)

    return choose


def _python_runner(transport: Transport, machine: str) -> Runner:
    """The runner in Python, where the device has ncnn's wheel. Raises DeviceError."""
    if transport.url == "local":
        if importlib.util.find_spec("ncnn") is not None:
            return Runner.of(_PYTHON, sys.executable)
        advice = 'pip install "snsearch[ncnn]", or snsearch device build-runner --machine native'
    else:
        if transport.run(["python3", "-c", "import ncnn, numpy"], timeout_s=_LOOK_SECONDS).exit_code == 0:
            return Runner.of(_PYTHON)
        advice = f"snsearch device build-runner --machine {machine}, or pip install ncnn on a Linux board"
    raise DeviceError(f"{transport.url}: there is no runner for {machine} yet: {advice}")
