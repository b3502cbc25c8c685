"""How far a run on a file is, and what is odd about the times in it: for a display."""

from __future__ import annotations

from dataclasses import dataclass

from sources.errors import InputError


@dataclass
class Progress:
    """Progress of a run, for a display. ``read`` and ``total`` are bytes of the file itself; ``total`` is None for a pipe."""

    read: int = 0
    total: int | None = None
    lines: int = 0
    done: bool = False
    """The end of the input was reached: no stop, no ``error``."""
    error: InputError | None = None
    """Why the input ended early. Everything that could be read was processed."""
    backward: int = 0
    """Lines more than ``BACKWARD_MS`` older than a line before them. Many mean that the file is not sorted by time."""
    furthest_back: int = 0
    """The largest step back in time, in milliseconds."""
    first_backward: int = 0
    """Number of the first such line, 0 if there is none."""
    backward_from: int = 0
    """Number of the line that had moved log time ahead of that one, 0 if it was read by an earlier run."""
    ahead: int = 0
    """Lines more than ``FUTURE_MS`` past log time that did not move it."""
    furthest_ahead: int = 0
    """The largest distance of such a line from log time, in milliseconds."""
    first_ahead: int = 0
    """Number of the first such line, 0 if there is none."""
    not_judged: int = 0
    """Of ``ahead``, the lines after which none with a time came that could say whether they are right."""
    head: bytes | None = None
    """The beginning of the text, for a message about an input that holds no events; None if an earlier run has read it from a pipe."""
    from_start: bool = False
    """This run has read the input from its first line on."""
    log_time: int | None = None
    """The newest log time of the directory's files, in Unix milliseconds; None before the first line with a time."""

    def note_ahead(self, line: int, by: int, *, judged: bool) -> None:
        """The line with the number ``line`` is ``by`` ms past log time and did not move it. ``judged``: lines after it had a time."""
        self.ahead += 1
        self.not_judged += not judged
        self.furthest_ahead = max(self.furthest_ahead, by)
        self.first_ahead = self.first_ahead or line

    def note_backward(self, line: int, by: int, *, moved_by: int) -> None:
        """The line with the number ``line`` is ``by`` ms older than log time, which the line ``moved_by`` had moved."""
        self.backward += 1
        self.furthest_back = max(self.furthest_back, by)
        if not self.first_backward:
            self.first_backward, self.backward_from = line, moved_by
