"""Writes small files that only their owner may read, atomically and durably."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from sinks.sync_directory import sync_directory


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` atomically: after a crash at any point it has the old or the new content. Durable on return. Raises ``OSError``."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)  # new, so that it is nobody else's
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
