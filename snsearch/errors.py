"""The error tree. Each class carries the exit code that the command line ends with."""

from __future__ import annotations


class SnsearchError(Exception):
    """A problem that the user can act on; the message says what was given, expected, and what to do."""

    exit_code = 1


class SpecError(SnsearchError):
    """A space, budget or architecture description that cannot be used."""

    exit_code = 3


class InfeasibleBudgetError(SnsearchError):
    """No network of the space meets the budget; names the smallest reachable and the bound that fails."""

    exit_code = 4


class DataError(SnsearchError):
    """A data set that cannot be found or read."""

    exit_code = 5


class StudyError(SnsearchError):
    """A study that cannot be opened, resumed or reported."""

    exit_code = 6


class VerificationError(SnsearchError):
    """Two counters that must agree do not."""

    exit_code = 7


class DeviceError(SnsearchError):
    """A device that cannot be reached or used, or a measurement that is refused."""

    exit_code = 8
