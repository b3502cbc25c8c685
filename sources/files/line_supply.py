"""Supplies the lines of a file or a pipe from where the last run has stopped, and lets the caller look at the lines after them.

The last line of a file is read even without a newline. If the file has grown by more than a newline there when it is read again, the
whole line is read once more, under its old number. The first time it was half a JSON object, which was rejected.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

from sources.errors import InputError
from sources.files.blocks import GZIP_MAGIC, FileBlocks, SniffedBlocks
from sources.files.input_positions import InputPositions, InputState, file_too_short, identify_file
from sources.files.kinds import HEAD_BYTES, head_of
from sources.files.lines import Chunk, LineReader
from sources.files.progress import Progress


class NotYetError(Exception):
    """A pipe has no more data for the moment."""


class LineSupply:
    """The lines of one input, in chunks. It reads one block at a time, and never waits for a pipe.

    ``lines`` is the present chunk. The caller takes the lines from ``next`` on, and advances ``next`` and ``state``. A line takes up
    ``len(line) + overhead`` bytes; ``terminated`` is false for the last line of an input without a newline (``Chunk``). ``name`` is that
    of the input in messages.
    """

    def __init__(self, path: Path, positions: InputPositions, progress: Progress, *, now: Callable[[], int], pipe_wait_s: float) -> None:
        """Open ``path`` at its position. ``progress`` gets the size and the beginning of the file, its end and its errors.

        ``now`` returns wall-clock milliseconds; a pipe is quiet if nothing has come for ``pipe_wait_s``. Raises ``InputError``.
        """
        self._path = path
        self._progress = progress
        self._now = now
        self._pipe_wait_s = pipe_wait_s
        self._owned, self._descriptor, self._regular = _open(path)
        blocks = FileBlocks(self._descriptor, waits=not self._regular)
        self._blocks = SniffedBlocks(blocks, str(path))
        self.seen_size: float = math.inf
        """Lines from this byte on need a new reference time: ``note_growth``."""
        if self._regular:
            self.name = os.fsencode(path.name).decode(errors="replace")  # it goes into tables, which hold UTF-8
            try:
                self.state, blocks.raw_read = self._resume(positions)
            except InputError:
                self.close()
                raise
        else:
            positions.streams += 1
            self.name = f"stdin:{positions.streams}"
            self.state = InputState(seen_at=now())
            progress.head, progress.from_start = b"", True
        self._reader = LineReader(self._blocks, start=self.state.position, first_byte=blocks.raw_read)
        self._ahead: deque[Chunk] = deque()  # chunks that were read to look ahead
        self._read_error: InputError | None = None
        self._data_at = monotonic()  # when data came last
        self.lines: list[bytes] = []
        self.next = 0
        self.overhead = 1
        self.terminated = True

    @property
    def raw_read(self) -> int:
        """Bytes of the file itself that were read so far."""
        return self._blocks.raw_read

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        if self._owned:
            self._owned = False
            os.close(self._descriptor)

    def has_line(self) -> bool:
        """Return whether there is a line at ``next``. Reads at most one block if all lines of the chunk were taken."""
        return self.next < len(self.lines) or self._fill()

    def has_ended(self) -> bool:
        """Return whether no further line will come. ``progress`` then says why."""
        progress = self._progress
        if progress.error is None:
            if self.next < len(self.lines) or self._ahead or not self._reader.ended:
                return False
            if self._reader.missing:
                progress.error = file_too_short(self._path, self.state.position)
            else:
                progress.done = True
        return True

    def lines_from(self, index: int, *, waits: bool) -> Iterator[bytes]:
        """Yield the lines from ``lines[index]`` on, also those of later chunks.

        Where a pipe has no more now, they end; if ``waits``, ``NotYetError`` is raised instead, until the pipe is quiet.
        """
        for at in range(index, len(self.lines)):
            yield self.lines[at]
        seen = 0
        while True:
            while seen == len(self._ahead):
                if not self._read() and seen == len(self._ahead):
                    return
                if seen == len(self._ahead) and not self._regular:
                    if waits and not self._is_quiet():
                        raise NotYetError
                    return
            yield from self._ahead[seen].lines
            seen += 1

    def has_news(self) -> bool:
        """Look whether ``lines_from`` has more to say after ``NotYetError``: something came, the input ended, or the pipe is quiet."""
        before = len(self._ahead)
        return not self._read() or len(self._ahead) > before or self._is_quiet()

    def note_growth(self, position: int) -> None:
        """Record that the file has grown up to ``position`` at least: the lines from there on use the current time as their reference."""
        self.state.size = max(os.fstat(self._descriptor).st_size, position + 1)
        self.state.seen_at = self._now()
        self.seen_size = self.state.size
        self._progress.total = self.state.size

    def _resume(self, positions: InputPositions) -> tuple[InputState, int]:
        """Identify the file and seek to its position. Return its state and the byte that is read next. Raises ``InputError``."""
        path, now, progress = self._path, self._now, self._progress
        state = identify_file(positions, path, self._descriptor, now())
        size = progress.total = os.fstat(self._descriptor).st_size
        progress.head = head_of(os.pread(self._descriptor, HEAD_BYTES, 0))
        progress.from_start = state.position == 0
        if os.pread(self._descriptor, 1, 0) == GZIP_MAGIC:
            if size > state.size:  # the position of the old end in the unpacked text is not known
                state.size, state.seen_at = size, now()
            return state, 0
        if size < state.position + state.unterminated_bytes:
            raise file_too_short(path, state.position + state.unterminated_bytes)
        self.seen_size = state.size
        os.lseek(self._descriptor, state.position, os.SEEK_SET)
        return state, state.position

    def _fill(self) -> bool:
        """Load the next chunk, reading at most one block. Returns False if there is none now, or no more."""
        if self._progress.error is not None:
            return False
        if not self._ahead:
            self._read()
        if not self._ahead and self._read_error is not None:
            self._progress.error = self._read_error
            return False
        if not self._regular:
            self.state.seen_at = self._now()
        if not self._ahead:
            return False
        self.lines, self.overhead, self.terminated = self._ahead.popleft()
        self.next = 0
        if not self._progress.head:  # a pipe
            self._progress.head = b"\n".join(self.lines)[:HEAD_BYTES]
        if self.state.unterminated_bytes:
            self._skip_line_taken_before()
        return True

    def _read(self) -> bool:
        """Read at most one block. Returns False at the end of what can be read."""
        if self._read_error is not None:
            return False
        before = self._blocks.raw_read
        try:
            chunk = self._reader.read()
        except InputError as error:
            self._read_error = error
            return False
        if self._blocks.raw_read != before:
            self._data_at = monotonic()
        if chunk is not None:
            self._ahead.append(chunk)
        return not self._reader.ended

    def _is_quiet(self) -> bool:
        return monotonic() - self._data_at >= self._pipe_wait_s

    def _skip_line_taken_before(self) -> None:
        """Skip the first line if an earlier run read all of it except its newline."""
        raw, state = self.lines[0], self.state
        size = len(raw) + self.overhead
        content = size - self.terminated
        if content == state.unterminated_bytes or (raw.endswith(b"\r") and content - 1 == state.unterminated_bytes):
            self.next = 1
            if not self.terminated:
                return
            state.position += size
            state.line += 1
        state.unterminated_bytes = 0


def _standard_input() -> int:
    """Return the descriptor of standard input. Raises ``InputError`` if there is none, or nothing can be read from it."""
    try:
        descriptor = sys.stdin.fileno() if sys.stdin is not None else -1
    except (OSError, ValueError):
        descriptor = -1
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        raise InputError("Standard input is closed; pipe events into the command, or name a file.") from None
    if stat.S_ISDIR(mode):
        raise InputError("Standard input is a directory; pipe events into the command, or name a file.")
    return descriptor


def _open(path: Path) -> tuple[bool, int, bool]:
    """Return whether the caller must close the file, its descriptor, and whether it is a regular file."""
    if str(path) == "-":
        return False, _standard_input(), False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check the name of the file and its rights.") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise InputError(f"{path} is a directory; name a file of JSON lines, or - for standard input.")
    return True, descriptor, stat.S_ISREG(mode)
