"""Captures what native code prints on standard error, and adds it to the details of unexpected errors.

If a step raises, the engine prints a native stack trace in addition to the exception, which the command turns into one sentence.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from cli.support.streams import forgiving
from flows.failures import debugging, explain_failure
from flows.logs import send_logs_to


@contextmanager
def capture_native_stderr() -> Iterator[None]:
    """For the block, redirect native output to a file; Python still writes to standard error. An unexpected error gets it as a note.

    It is a file and not a pipe, because native code may print while it holds the interpreter lock, and then no thread can empty the pipe.
    """
    if debugging():
        yield
        return
    try:
        aside = tempfile.TemporaryFile()  # noqa: SIM115 -- closed below
    except OSError:  # no room for it: what native code prints is shown
        yield
        return
    sys.stderr.flush()
    before, real = sys.stderr, os.dup(2)
    stream = forgiving(real)
    os.dup2(aside.fileno(), 2)
    if _descriptor(before) == 2:
        sys.stderr = stream
        send_logs_to(stream)
    try:
        yield
    except BaseException as error:
        if explain_failure(error) is None and not isinstance(error, KeyboardInterrupt | SystemExit):
            aside.seek(0)
            error.add_note(aside.read().decode(errors="backslashreplace"))
        raise
    finally:
        sys.stderr = before
        send_logs_to(before)
        stream.flush()
        os.dup2(real, 2)
        os.close(real)
        aside.close()


def _descriptor(stream: TextIO) -> int:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return -1
