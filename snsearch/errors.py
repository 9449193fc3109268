"""The errors of snsearch, each with the exit code of the command line."""

from __future__ import annotations

import importlib.util


class SnsearchError(Exception):
    """A problem that the user can solve. The message says what was given, what was expected and what to do."""

    exit_code = 1


class SpecError(SnsearchError):
    """An invalid space, budget, profile or architecture."""

    exit_code = 3


class InfeasibleBudgetError(SnsearchError):
    """No network of the space meets the budget. The message names the smallest reachable cost and the bound."""

    exit_code = 4


class DataError(SnsearchError):
    """A data set that cannot be found or read."""

    exit_code = 5


class StudyError(SnsearchError):
    """A study that cannot be opened, resumed or reported."""

    exit_code = 6


class MissingStudyError(StudyError):
    """A study that is not there, or not yet."""


class VerificationError(SnsearchError):
    """Two counters disagree that must agree."""

    exit_code = 7


class DeviceError(SnsearchError):
    """A device that cannot be reached or used, or a refused measurement."""

    exit_code = 8


class ExportError(SnsearchError):
    """A network that cannot be exported: a format that is missing, a folder that is in use, a check that failed."""

    exit_code = 9


class LossyExportError(SnsearchError):
    """An int8 export that was written, and is slower than float32 or loses more accuracy than it may."""

    exit_code = 10


def check_installed(package: str, extra: str, what: str, kind: type[SnsearchError]) -> None:
    """Raises an error of that kind where a Python package is missing; `what` needs it, the extra installs it."""
    if importlib.util.find_spec(package) is None:
        raise kind(
            f'{what} needs the Python package {package}, which is not installed here: pip install "snsearch[{extra}]"'
        )
