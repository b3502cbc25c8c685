"""The number of the layout of all snapshots together, which a data directory notes."""

from __future__ import annotations

from typing import Final

SNAPSHOT_LAYOUT: Final = 2
"""Raise it with every field that is appended to a struct of a snapshot. The structs are decoded as arrays, and an older release would drop
what it does not know, so a job refuses a directory with a higher number (``DataDir.check_layout``). ``tests/flows/test_formats.py`` has the
numbers of fields."""
