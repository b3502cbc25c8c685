"""Stores in the data directory which clock decides whether a recommendation has expired.

For a live job it is the wall clock. After a bounded run over old events it is the log time at the end of the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from local.data_dir import DataDir

_NAME: Final = "clock"


def record_bounded_start(data_dir: DataDir) -> None:
    """Record that a bounded run has started: until its end the time is not known. Call it while holding the lock."""
    _write(data_dir, {"bounded": True})


def record_bounded_end(data_dir: DataDir, log_time: int | None) -> None:
    """Record the newest log time of a bounded run, in Unix milliseconds. Call it while holding the lock."""
    _write(data_dir, {"bounded": True, "logTime": log_time})


def record_live_start(data_dir: DataDir) -> None:
    """Record that a live run has started: the wall clock is valid. Call it while holding the lock."""
    _write(data_dir, {"bounded": False})


def now(data_dir: DataDir, wall_clock: int) -> int | None:
    """Return the time that decides expiry in ``data_dir``; None if it is not known."""
    known = data_dir.read_run().get(_NAME)
    if not isinstance(known, dict) or not known.get("bounded"):
        return wall_clock
    log_time = known.get("logTime")
    return log_time if isinstance(log_time, int) else None


def _write(data_dir: DataDir, clock: dict[str, Any]) -> None:
    data_dir.write_run({**data_dir.read_run(), _NAME: clock})
