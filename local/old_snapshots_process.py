"""Keeps the process that removes old snapshots (``local/old_snapshots.py``) running beside the job, and reads what it says."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

_LOG = logging.getLogger(__name__)
_ROOT: Final = Path(__file__).resolve().parent.parent
_PROGRAM: Final = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from local.old_snapshots import main
main(Path(sys.argv[2]), float(sys.argv[3]))
"""
LOOK_SECONDS: Final = 2.0
"""Between two looks whether an epoch became durable. A look costs some milliseconds, if none did."""
_AGAIN_SECONDS: Final = 5.0
_MOST_AGAIN_SECONDS: Final = 300.0
"""After a failure the next try is after 5 s, then after twice as long each time, up to this."""
_END_SECONDS: Final = 2.0


class OldSnapshotsProcess:
    """The process for the recovery store in ``state``, for the length of a ``with`` block. It is started again where it ends before.

    It ends with this process, however that ends. ``removed`` counts snapshots; any thread may read it.
    """

    def __init__(self, state: Path, look_seconds: float = LOOK_SECONDS, *, idle: bool = False) -> None:
        """Start nothing yet. ``idle``: nor later, in a process of a job that does not keep the store."""
        self._command = [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, str(_ROOT), str(state), str(look_seconds)]
        self.idle = idle
        self._stopping = threading.Event()
        self._mutex = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="old-snapshots", daemon=True)
        self.removed = 0

    def __enter__(self) -> OldSnapshotsProcess:
        if not self.idle:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Tell the process to end, and wait for it."""
        with self._mutex:
            self._stopping.set()
            process = self._process
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            self._thread.join(_END_SECONDS)
            process.kill()  # it has ended, unless the disk hangs: every state of the files is valid
        if not self.idle:
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        pause = _AGAIN_SECONDS
        while not self._stopping.is_set():
            before = self.removed
            try:
                why = self._once()
            except Exception as error:  # noqa: BLE001 - whatever it is: without this thread the store grows for ever
                why = f"The process that removes old snapshots failed ({type(error).__name__}: {error})"
            pause = _AGAIN_SECONDS if self.removed > before else pause
            if not self._stopping.is_set():
                _LOG.warning("%s, so old snapshots stay and the store grows. Next try in %g seconds.", why, pause)
                self._stopping.wait(pause)
                pause = min(2 * pause, _MOST_AGAIN_SECONDS)

    def _once(self) -> str:
        """Run the process to its end. Return why it ended."""
        with self._mutex:
            if self._stopping.is_set():
                return ""
            try:
                self._process = process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
            except OSError as error:
                return f"The process that removes old snapshots cannot be started ({error.strerror})"
        assert process.stdout is not None
        said = "it said nothing"
        with process:
            for line in process.stdout:
                said = self._read(line.strip()) or said
        return f"The process that removes old snapshots ended with code {process.returncode} ({said})"

    def _read(self, line: str) -> str:
        """Count what was removed. Return what else it said."""
        try:
            said = json.loads(line)
            self.removed += said["removed"]
        except (ValueError, TypeError, KeyError):  # an error
            return line
        return ""
