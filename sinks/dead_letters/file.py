"""Writes dead letters as lines of JSON to one file, for embedded runs. Items are ``(key, [letter, …])``.

Delivery: exactly once. A resume truncates the file to the last snapshot, and the letters after it are written again. Hence the file
belongs to one recovery store, and a run with a new store truncates it to nothing.
"""

from __future__ import annotations

import logging
import os
import weakref
from pathlib import Path

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from state.records.dead_letter import DeadLetter, encode_line
from system.sync_path import sync_path

_LOG = logging.getLogger(__name__)


class DeadLetterFileError(Exception):
    """The file cannot be written. The text is one sentence for the operator."""


class DeadLetterFileSink(FixedPartitionedSink[list[DeadLetter], int]):
    """One file, which one worker writes."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet. The directory of ``path`` must exist."""
        self._path = path

    def list_parts(self) -> list[str]:
        """Return the one partition."""
        return ["file"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> DeadLetterFile:  # noqa: ARG002 - the engine's signature
        """Open the file at the position of the last snapshot. Raises ``DeadLetterFileError``."""
        return DeadLetterFile(self._path, resume_state)


class DeadLetterFile(StatefulSinkPartition[list[DeadLetter], int]):
    """The open file. Its state is the length of the file in bytes."""

    def __init__(self, path: Path, resume_state: int | None) -> None:
        """Open the file and truncate it to ``resume_state`` bytes (None: 0). Raises ``DeadLetterFileError``."""
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            self._close = weakref.finalize(self, os.close, self._fd)  # an aborted dataflow closes nothing
            present = os.fstat(self._fd).st_size
            self._end = min(present, resume_state or 0)  # a larger length would fill the gap with NUL
            if self._end < (resume_state or 0):
                _LOG.warning("%s is shorter than at the last snapshot (%d of %d bytes); continuing at its end", path, present, resume_state)
            os.ftruncate(self._fd, self._end)
            sync_path(path.parent)
        except OSError as error:
            raise self._failed(error) from error

    def write_batch(self, values: list[list[DeadLetter]]) -> None:
        """Append all letters. They are durable after the next snapshot. Raises ``DeadLetterFileError``."""
        lines = memoryview(b"".join(encode_line(letter) for letters in values for letter in letters))
        try:
            while lines:
                taken = os.pwrite(self._fd, lines, self._end)
                self._end += taken
                lines = lines[taken:]
        except OSError as error:
            raise self._failed(error) from error

    def snapshot(self) -> int:
        """Flush the file to disk and return its length. Blocks for one fsync. Raises ``DeadLetterFileError``."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._failed(error) from error
        return self._end

    def close(self) -> None:
        """Close the file, at the end of the input."""
        self._close()

    def _failed(self, error: OSError) -> DeadLetterFileError:
        return DeadLetterFileError(
            f"Dead letters cannot be written to {self._path} ({error.strerror or error}); "
            "free disk space or correct the permissions and start the job again, it resumes by itself."
        )
