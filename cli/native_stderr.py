"""Captures what native code prints on standard error, and shows it only for unexpected errors.

If a step raises, the engine prints a native stack trace in addition to the exception, which the command turns into one sentence.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cli.failures import explain_failure
from flows.logs import send_logs_to


@contextmanager
def capture_native_stderr() -> Iterator[None]:
    """For the block, redirect native output to a file; Python still writes to standard error. Unexpected errors show the file.

    It is a file and not a pipe, because native code may print while it holds the interpreter lock, and then no thread can empty the pipe.
    """
    if os.environ.get("ONRAMP_LOG_LEVEL", "").lower() == "debug":
        yield
        return
    sys.stderr.flush()
    before, real = sys.stderr, os.dup(2)
    show = True
    with tempfile.TemporaryFile() as aside, os.fdopen(real, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as stream:
        os.dup2(aside.fileno(), 2)
        if before.fileno() == 2:
            sys.stderr = stream
            send_logs_to(stream)
        try:
            yield
            show = False
        except BaseException as error:
            show = explain_failure(error) is None and not isinstance(error, KeyboardInterrupt)
            raise
        finally:
            sys.stderr = before
            send_logs_to(before)
            with suppress(OSError):
                stream.flush()
            os.dup2(real, 2)
            if show:
                aside.seek(0)
                os.write(2, aside.read())
