"""Keeps what the engine's native part prints about a failing step off the screen, until it is known whether anybody needs it.

A step that raises makes the engine print a native stack trace, in addition to the exception that we get and turn into a sentence.
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
    """For the block, native code writes to a file, Python still to standard error. Unforeseen faults show the file; others drop it.

    A file and not a pipe: native code may print while it holds the interpreter, and nobody could empty the pipe.
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
