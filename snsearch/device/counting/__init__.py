"""Counted cost: instructions and cache misses of ARM code under qemu's user-mode emulation."""
