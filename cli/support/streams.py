"""The standard streams of a command: what fails on standard output is told apart from every other fault, standard error never fails.

Without it a full disk behind ``onramp report > file`` looks like a full disk of the data directory, ``2>/dev/full`` ends the command, and a
file that is opened while standard output is closed becomes standard output.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from typing_extensions import Buffer, override

from reports.safe_text import never_fail_to_print
from state.plain_text import plain


class OutputError(Exception):
    """Standard output, or a file that the user named for a result, cannot be written. The text is one sentence for the user."""


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """For the block, which writes to ``path``: turn a fault of its disk into an ``OutputError``. It is not that of the data directory."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{plain(error.filename or path)} cannot be written: {error.strerror or error}; check its name, its rights and the disk."
        ) from error


def interruptible() -> None:
    """Let Ctrl-C end a read or a write that waits. Call it before one, after the imports: polars lets them go on. Not on other threads."""
    if threading.current_thread() is threading.main_thread():
        signal.siginterrupt(signal.SIGINT, True)


class _Descriptor(io.RawIOBase):
    """Writes to a file descriptor, which it never closes. After the first failure everything is dropped."""

    def __init__(self, descriptor: int, *, forgiving: bool) -> None:
        self._descriptor, self._forgiving = descriptor, forgiving
        self.failed = False

    @override
    def writable(self) -> bool:
        return True

    @override
    def fileno(self) -> int:
        return self._descriptor

    @override
    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    @override
    def write(self, data: Buffer, /) -> int:
        size = memoryview(data).nbytes
        while not self.failed:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # a parent made the pipe non-blocking
                writable = select.poll()  # `select` takes no descriptor above 1,023
                writable.register(self._descriptor, select.POLLOUT)
                writable.poll()
            except OSError as error:
                self.failed = True
                if self._forgiving:
                    break
                if isinstance(error, BrokenPipeError):
                    raise ReaderGoneError from None
                raise OutputError(f"standard output cannot be written: {error.strerror}; check where it goes, and its disk.") from error
        return size


class ReaderGoneError(BrokenPipeError):
    """Nobody reads standard output any more, as in ``onramp report | head``."""


def forgiving(descriptor: int) -> TextIO:
    """Return a text stream on ``descriptor`` that never fails and does not close it."""
    raw = _Descriptor(descriptor, forgiving=True)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)


@contextmanager
def standard_streams() -> Iterator[None]:
    """For the block, guard the standard streams of this process. Streams that a caller has replaced only get substitutes for letters."""
    _occupy_closed_descriptors()
    before = sys.stdout, sys.stderr
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, 1, is_error=False)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, 2, is_error=True)
    for stream in (sys.stdout, sys.stderr):
        never_fail_to_print(stream)
    try:
        yield
    finally:
        with suppress(OSError, OutputError):
            sys.stdout.flush()
        sys.stdout, sys.stderr = before


def _guarded(stream: TextIO | None, descriptor: int, *, is_error: bool) -> TextIO:
    encoding = "utf-8" if stream is None else stream.encoding
    raw = _Descriptor(descriptor, forgiving=is_error)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, line_buffering=is_error or raw.isatty())


def _occupy_closed_descriptors() -> None:
    """Open ``/dev/null`` for each standard stream that the caller has closed. Otherwise the next file that is opened takes its place."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
