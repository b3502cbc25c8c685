"""Remembers in the data directory how time passes there, so that a reader can tell whether a recommendation has expired.

Live, the wall clock says so. After a bounded run over old events it does not: what was current at the end of the input still is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from local.data_dir import DataDir

_NAME: Final = "clock"


def record_bounded_start(data_dir: DataDir) -> None:
    """Until its end nobody can say what time it is in there. Call it while holding the lock."""
    _write(data_dir, {"bounded": True})


def record_bounded_end(data_dir: DataDir, log_time: int | None) -> None:
    """``log_time``: the newest the run has seen, in Unix milliseconds. Call it while holding the lock."""
    _write(data_dir, {"bounded": True, "logTime": log_time})


def record_live_start(data_dir: DataDir) -> None:
    """From now on the wall clock is right. Call it while holding the lock."""
    _write(data_dir, {"bounded": False})


def now(data_dir: DataDir, wall_clock: int) -> int | None:
    """Return the time by which to judge expiry in ``data_dir``; None where that cannot be known."""
    known = data_dir.read_run().get(_NAME)
    if not isinstance(known, dict) or not known.get("bounded"):
        return wall_clock
    log_time = known.get("logTime")
    return log_time if isinstance(log_time, int) else None


def _write(data_dir: DataDir, clock: dict[str, Any]) -> None:
    data_dir.write_run({**data_dir.read_run(), _NAME: clock})
