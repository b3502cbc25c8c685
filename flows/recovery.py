"""Opens the recovery store of the data directory, in which Bytewax keeps its snapshots."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Final

from bytewax.recovery import RecoveryConfig, init_db_dir

from local.data_dir import DataDir, DataDirError
from local.recovery_fault import check_store
from system.sync_path import sync_path

BACKUP_INTERVAL: Final = timedelta(seconds=10**12)
"""How long Bytewax itself keeps old snapshots: for ever. It divides this by the length of an epoch, which may be hours.
``local/old_snapshots.py`` removes them instead; ``python -m benchmarks.recovery_files`` compares both ways."""


def recovery_config(data_dir: DataDir, partitions: int, *, keeps: bool = True) -> RecoveryConfig:
    """Return the recovery store. The first call creates it with ``partitions``; an existing store keeps its number of partitions.

    A directory in which a job has read its input has a store: without it, or without a file of it, this raises.

    A process that keeps none of it (``flows/processes.py``) has an empty directory: its snapshots go to the first process.
    Call it while holding the lock of the data directory. Raises ``DataDirError``.
    """
    _check_place(data_dir, keeps=keeps)
    if keeps:
        check_store(data_dir)
    if not data_dir.state.exists():
        building = data_dir.path / ".state.tmp"  # a crash leaves this directory, never a partial store
        shutil.rmtree(building, ignore_errors=True)
        try:
            building.mkdir(mode=0o700)
            if keeps:
                init_db_dir(building, partitions)  # type: ignore[no-untyped-call]
            building.rename(data_dir.state)
            sync_path(data_dir.path)
        except OSError as error:
            raise DataDirError(
                f"The recovery store cannot be created in {data_dir.path}: {error.strerror or error}; "
                "check the rights of the directory and its disk, and run the same command again."
            ) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # the engine's native code panics, which is no Exception
                raise
            raise DataDirError(
                f"The recovery store cannot be created in {data_dir.path}: its disk is full or failing. Free space and run the same "
                "command again."
            ) from error
    if not data_dir.state.is_dir():
        raise DataDirError(f"{data_dir.state} is not a directory; move it away, or choose another directory with --data-dir.")
    return RecoveryConfig(str(data_dir.state), BACKUP_INTERVAL)  # type: ignore[no-untyped-call]


def _check_place(data_dir: DataDir, *, keeps: bool) -> None:
    """Raise ``DataDirError`` for the directory of another process: with it the job would begin anew, or have two stores."""
    if not data_dir.state.is_dir():
        return
    filled = any(data_dir.state.glob("part-*.sqlite3"))
    if keeps and not filled:
        raise DataDirError(
            f"The data directory {data_dir.path} has no recovery store, so it belongs to another process of a job: start the first process "
            "with its own directory, or choose an empty one with ONRAMP_DATA_DIR. If the files of the store were removed, restore all of "
            "the directory from a backup."
        )
    if filled and not keeps:
        raise DataDirError(
            f"The data directory {data_dir.path} holds a recovery store, which is the first process's (ONRAMP_PROCESS=0): give this "
            "process another directory with ONRAMP_DATA_DIR."
        )
