"""Starts a server process that ends with this process, even if this process is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# Runs in a new interpreter, which then becomes the server. A ``preexec_fn`` is no alternative: it may deadlock in a process with threads.
# 1 = PR_SET_PDEATHSIG, 9 = SIGKILL: the server ends before another process can start a second one on its files.
# If the parent died before the call took effect, the kernel sends no signal, hence the check afterwards.
_LAUNCHER = """
import os, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def start_bound_process(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    output: IO[bytes] | int = subprocess.DEVNULL,
    keep_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` so that the kernel kills it when this process ends, and return its handle. Does not block.

    Call it from the main thread, because the kernel binds the child to the *thread* that started it; any other thread raises
    ``RuntimeError``. The child has its own session, so that Ctrl-C in the terminal reaches only this process, which then stops the child
    in order. Both output streams go to ``output``. ``keep_fds`` stay open in the child. ``environment`` replaces that of this process. On
    systems without this feature (macOS) the child may outlive a killed parent.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start_bound_process must be called from the main thread: the child would end with any other thread")
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
    return subprocess.Popen(
        [*launcher, *(str(word) for word in command)],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(keep_fds),
    )


def stop_process(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Terminate ``process``, wait up to ``timeout`` seconds, then kill it. Returns when it has ended; harmless if it already has."""
    process.terminate()
    try:
        process.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
