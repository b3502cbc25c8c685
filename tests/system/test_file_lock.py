"""A lock is held by one at a time, and by nobody whose attempt failed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from system.file_lock import FileLock


def full(*_arguments: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["ftruncate", "write"])
def test_a_lock_that_could_not_be_taken_on_a_full_disk_can_be_taken_when_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    with monkeypatch.context() as patched:
        patched.setattr(os, step, full)
        with pytest.raises(OSError, match="No space left"):
            lock.acquire("mine", 0)
    assert (lock.is_mine, other.is_held()) == (False, False)
    assert lock.acquire("mine", 0)
    assert not other.acquire("another's", 0)
    assert other.note() == "mine"
    lock.release()
    assert other.acquire("another's", 0)


def test_a_lock_whose_note_cannot_be_removed_is_released_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire("mine", 0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", full)
        with pytest.raises(OSError, match="No space left"):
            lock.release()
    assert (lock.is_mine, lock.is_held()) == (False, False)
