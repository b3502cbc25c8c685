"""Writes small files that only their owner may read, atomically and durably."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from system.sync_path import sync_path


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
    sync_path(path.parent)


def replace_directory(path: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` (name with ``/`` → content) to ``path``, and remove all else in it. Nobody may read it meanwhile. Raises ``OSError``.

    A kill may leave a part of them: the caller writes all of them again before it uses any.
    """
    if path.exists():
        try:
            shutil.rmtree(path)
        except OSError as error:  # it names files without their directory
            raise OSError(error.errno, error.strerror, str(path)) from error
    path.mkdir(parents=True, mode=0o700)
    for name, data in files.items():
        (path / name).parent.mkdir(exist_ok=True, mode=0o700)
        write_private(path / name, data)
