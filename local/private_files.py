"""Writes small files that only their owner may read, atomically and durably."""

from __future__ import annotations

import os
from pathlib import Path

from sinks.sync_directory import sync_directory


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` atomically: after a crash at any point it has the old or the new content. Durable on return. Raises ``OSError``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)
