"""Blocks of a pipe are read only when there is something to read."""

from __future__ import annotations

import os

import pytest

from sources.files import blocks
from sources.files.blocks import FileBlocks


def test_a_signal_right_before_a_read_is_noticed_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its handler runs between two turns of waiting; a read that had begun would have to end first."""
    turns = []

    def interrupted(_descriptor: int, *, timeout_s: float) -> bool:
        turns.append(timeout_s)
        if len(turns) > 1:
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(blocks, "has_data", interrupted)
    ours, theirs = os.pipe()
    try:
        with pytest.raises(KeyboardInterrupt):
            FileBlocks(ours, waits=False).read()
    finally:
        os.close(ours)
        os.close(theirs)
    assert len(turns) == 2
    assert max(turns) <= 1


def test_a_pipe_is_read_to_its_end() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as writer:
        writer.write(b"a\n")
    try:
        read = FileBlocks(ours, waits=False)
        assert (read.read(), read.read(), read.raw_read) == (b"a\n", b"", 2)
    finally:
        os.close(ours)
