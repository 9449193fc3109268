"""Counted cost: instructions and cache misses of real ARM code under qemu's user-mode emulation, without a board.

Nothing here knows of networks: a program is run twice with different repeats, and the difference is counted.
"""
