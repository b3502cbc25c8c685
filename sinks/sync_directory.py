"""Makes the names in a directory durable. Shared by all that writes files, also by ``local/``, which may import ``sinks``."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make new, renamed and removed names in the directory durable. Blocks for one fsync. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
