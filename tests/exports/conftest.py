"""Fixtures of the tests of exports: digits, and a network that is trained on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from snsearch.training.data import Dataset
from snsearch.training.sources import load_data
from tests.exports.networks import SMALL, trained_on


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_data("digits", side=16)


@pytest.fixture(scope="session")
def trained(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file of the small network after three epochs on digits."""
    return trained_on(digits, SMALL, tmp_path_factory.mktemp("weights") / "digits.safetensors")
