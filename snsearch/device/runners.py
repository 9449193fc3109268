"""Which runner a device gets: its own, its machine's static binary, or the one in Python."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from snsearch.device.board import Runner, RunnerOf
from snsearch.device.registry import Device
from snsearch.device.transports.transport import Transport
from snsearch.engine import Engine, built_runner, engine_of
from snsearch.errors import DeviceError

_PYTHON = Path(__file__).parent.parent / "engine" / "python_runner.py"
_LOOK_SECONDS = 60.0  # emulated boards import slowly


def runners_of(device: Device, file: Path | None = None) -> RunnerOf:
    """A function that chooses a device's runner once it is reached: `file`, else its own, else what exists."""

    def choose(transport: Transport, machine: str) -> Runner:
        engine = engine_of(device.engine)
        if own := file or device.own_runner:
            return Runner.of(own, engine=engine.name)
        if engine.has_static_runner and (built := built_runner(machine)):
            return Runner.of(built)
        return _python_runner(transport, machine, engine)

    return choose


def _python_runner(transport: Transport, machine: str, engine: Engine) -> Runner:
    """The runner in Python, if the device has the engine's wheel. Raises DeviceError."""
    here = transport.url == "local"
    if here and importlib.util.find_spec(engine.name) is not None:
        return Runner.of(_PYTHON, engine=engine.name, python=sys.executable)
    if not here:
        looked = transport.run(["python3", "-c", f"import {engine.name}, numpy"], timeout_s=_LOOK_SECONDS)
        if looked.exit_code == 0:
            return Runner.of(_PYTHON, engine=engine.name)
    advice = f'pip install "snsearch[{engine.name}]"' if here else f"pip install {engine.name} numpy there"
    if engine.has_static_runner:
        advice = f"snsearch device build-runner --machine {'native' if here else machine}, or {advice}"
    raise DeviceError(f"{transport.url}: no runner of {engine.name} for {machine} yet: {advice}")
