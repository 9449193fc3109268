"""Where what can be made again is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The folder of built runners and written models: $SNSEARCH_HOME/cache, else the platform's cache folder."""
    if given := os.environ.get("SNSEARCH_HOME"):
        return Path(given) / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "snsearch"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snsearch"
