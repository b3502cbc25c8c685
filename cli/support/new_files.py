"""Files that a command writes for the user: plain, gzipped by their name, or standard output."""

from __future__ import annotations

import gzip
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from cli.support.streams import interruptible, writing


@contextmanager
def writable(target: str, *, like: str | None = None, new: bool = False) -> Iterator[BinaryIO]:
    """Open ``target`` for writing, ``-`` for standard output; gzipped if its name, or ``like``, ends in .gz. Raises ``OutputError``.

    With ``new`` it must not exist, not even as a link.
    """
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with writing(target), Path(target).open("xb" if new else "wb") as plain:
        file: BinaryIO = plain
        if (like or target).endswith(".gz"):  # no name and no time in the header: the same content gives the same bytes
            file = cast(BinaryIO, gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0, compresslevel=5))
        interruptible()
        try:
            yield file
        except KeyboardInterrupt:
            os.set_blocking(plain.fileno(), False)  # else what is buffered waits for whoever has stopped reading a pipe
            for each in (file, plain):
                with suppress(BlockingIOError):
                    each.close()
            raise
        finally:
            file.close()


@contextmanager
def whole_file(target: str, *, keep_empty: bool) -> Iterator[BinaryIO]:
    """Like ``writable``, but the file has its name once it is whole: a command that fails leaves the old one.

    Without ``keep_empty`` an empty one is not kept, and an old one of the name is deleted.
    """
    path = Path(target)
    if target == "-" or (path.exists() and not path.is_file()):
        with writable(target) as file:
            yield file
        return
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        written = False
        with writable(str(part), like=target, new=True) as file:
            yield file
            written = file.tell() > 0
        with writing(target):
            if written or keep_empty:
                part.replace(path)
            else:
                path.unlink(missing_ok=True)
    finally:
        part.unlink(missing_ok=True)
