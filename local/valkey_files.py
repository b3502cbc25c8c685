"""The append-only files of the embedded Valkey, held for a copy while the server runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from redis.exceptions import RedisError

from local.valkey import EmbeddedValkeyError, published_url
from sinks.redis.client import connect
from system.file_lock import FileLock

_DIRECTORY: Final = "appendonlydir"
_MANIFEST: Final = "appendonly.aof.manifest"
_TRIES: Final = 100
_PAUSE: Final = 0.02
_FLUSH_MS: Final = 4_000  # for one flush to a busy disk; the client waits no longer for an answer


@contextmanager
def open_append_only_files(directory: Path) -> Iterator[dict[str, tuple[IO[bytes], int]]]:
    """Yield name → open file and size of all that makes up the records, with everything that was written before this call.

    The server appends to the last file and now and then begins new ones: open files stay as they are. Empty where no server ran yet.
    Raises ``EmbeddedValkeyError`` and ``OSError``.
    """
    _flush(directory)
    manifest = directory / _DIRECTORY / _MANIFEST
    for _attempt in range(_TRIES):
        with ExitStack() as stack:
            try:
                listed = manifest.read_bytes()
            except FileNotFoundError:
                yield {}
                return
            found: dict[str, tuple[IO[bytes], int]] = {}
            try:
                for name in (_MANIFEST, *_names(listed)):
                    file = stack.enter_context((manifest.parent / name).open("rb"))
                    found[f"{_DIRECTORY}/{name}"] = file, os.fstat(file.fileno()).st_size
            except FileNotFoundError:
                time.sleep(_PAUSE)  # replaced meanwhile
                continue
            if manifest.read_bytes() == listed == found[f"{_DIRECTORY}/{_MANIFEST}"][0].read():
                found[f"{_DIRECTORY}/{_MANIFEST}"][0].seek(0)
                yield found
                return
    raise EmbeddedValkeyError(f"The files of the embedded Valkey in {directory} change all the time; try again.")


def _names(manifest: bytes) -> list[str]:
    """The files of a manifest, whose lines are ``file NAME seq N type T``."""
    return [line.split()[1].decode() for line in manifest.splitlines() if line.startswith(b"file ")]


def _flush(directory: Path) -> None:
    """Let a running server write what it has answered: it may hold that back for two seconds while its disk is busy."""
    url = published_url(directory)
    if url is None:
        return
    client = connect(url)
    try:
        client.set("onramp:backup", b"", px=1)  # the server waits for what this client wrote, and all before it
        flushed = client.waitaof(1, 0, _FLUSH_MS)[0] > 0
    except (RedisError, OSError):
        flushed = not FileLock(directory / "server.lock").is_held()  # it has ended since, and has written all in the end
    finally:
        client.close()
    if not flushed:
        raise EmbeddedValkeyError(f"The embedded Valkey in {directory} did not write its records to disk within some seconds; try again.")
