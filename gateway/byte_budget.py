"""How many bytes may be in memory, or be read again, for clients that are not trusted."""

from __future__ import annotations


class ByteBudget:
    """A number of bytes that all who share it may take. Used from the event loop only."""

    def __init__(self, most: int) -> None:
        """Nothing is taken yet."""
        self._left = most

    def take(self, size: int) -> bool:
        """Take ``size`` bytes, and return whether they were left; else nothing changes. A negative size gives bytes back."""
        if size > self._left:
            return False
        self._left -= size
        return True
