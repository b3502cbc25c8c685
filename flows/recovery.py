"""Where Bytewax keeps its snapshots: the recovery store of the data directory."""

from __future__ import annotations

import shutil

from bytewax.recovery import RecoveryConfig, init_db_dir

from local.data_dir import DataDir, DataDirError
from local.private_files import sync_directory


def recovery_config(data_dir: DataDir, partitions: int) -> RecoveryConfig:
    """Return the recovery store, created on first use with ``partitions``; an existing store keeps the partitions it has.

    Call it while holding the data directory's lock. Raises ``DataDirError``.
    """
    if not data_dir.state.exists():
        building = data_dir.path / ".state.tmp"  # a crash in between leaves this, never half a store
        shutil.rmtree(building, ignore_errors=True)
        try:
            building.mkdir(mode=0o700)
            init_db_dir(building, partitions)  # type: ignore[no-untyped-call]
            building.rename(data_dir.state)
            sync_directory(data_dir.path)
        except OSError as error:
            raise DataDirError(f"The recovery store cannot be created in {data_dir.path}: {error.strerror or error}.") from error
    return RecoveryConfig(str(data_dir.state))  # type: ignore[no-untyped-call]
