"""Dead letters as lines of JSON in one file: for embedded runs. Items are ``(key, [letter, …])``.

Each letter stands in the file exactly once: what a crashed run wrote after its last snapshot is cut off on resume, and written again.
Hence the file belongs to one recovery store, and a run that starts with a new store starts the file anew.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from state.dead_letter import DeadLetter, encode_line

_LOG = logging.getLogger(__name__)


class DeadLetterFileError(Exception):
    """The file cannot be written. The text is one sentence for the operator."""


class DeadLetterFileSink(FixedPartitionedSink[list[DeadLetter], int]):
    """One file, written by one worker."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet. The directory of ``path`` must exist."""
        self._path = path

    def list_parts(self) -> list[str]:
        """The one file."""
        return ["file"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> DeadLetterFile:  # noqa: ARG002 - the engine's signature
        """Open the file at the position of the last snapshot. Raises ``DeadLetterFileError``."""
        return DeadLetterFile(self._path, resume_state)


class DeadLetterFile(StatefulSinkPartition[list[DeadLetter], int]):
    """The file, open for writing. ``written`` counts the letters of this run. Its state is the length of the file in bytes."""

    def __init__(self, path: Path, resume_state: int | None) -> None:
        """Cut the file at ``resume_state`` (empty for None). Raises ``DeadLetterFileError``."""
        self.written = 0
        self._path = path
        try:
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
            present = self._file.seek(0, os.SEEK_END)
            start = min(present, resume_state or 0)  # beyond its end would fill the gap with NUL
            if start < (resume_state or 0):
                _LOG.warning("%s is shorter than this job left it (%d of %d bytes); going on at its end", path, start, resume_state)
            self._file.truncate(start)
            self._file.seek(start)
        except OSError as error:
            raise self._failed(error) from error

    def write_batch(self, values: list[list[DeadLetter]]) -> None:
        """Append every letter; durable with the next snapshot. Raises ``DeadLetterFileError``."""
        try:
            for letters in values:
                self._file.writelines(map(encode_line, letters))
                self.written += len(letters)
        except OSError as error:
            raise self._failed(error) from error

    def snapshot(self) -> int:
        """Return the length of the file once every letter is on the disk. Blocks for the disk. Raises ``DeadLetterFileError``."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the file, at the end of the input."""
        self._file.close()

    def _failed(self, error: OSError) -> DeadLetterFileError:
        return DeadLetterFileError(
            f"Dead letters cannot be written to {self._path} ({error.strerror or error}); "
            "make room or mend the permissions and start the job again, it resumes by itself."
        )
