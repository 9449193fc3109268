"""snsearch: networks that fit a compute budget, with evidence."""

__version__ = "0.1.0"
