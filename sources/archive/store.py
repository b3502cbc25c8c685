"""Where an archive keeps its files, as ``Archive`` sees it: a directory, or a place in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

APPEND: Final = "append.lock"
CHANGE: Final = "change.lock"


class Store(Protocol):
    """Files with names, and two locks. A file has its name once it is whole and durable, and never half of a content.

    Methods raise ``ArchiveError`` or ``ObjectStoreError``, each a sentence.
    """

    place: str
    """What messages call it."""

    def prepare(self) -> None:
        """Make it ready for an archive: create it, or refuse what cannot hold one."""

    def check_erasing(self) -> None:
        """Raise ``ArchiveError`` if what is replaced or removed would be kept all the same."""

    def foreign(self) -> str | None:
        """Return the name of a file that is of no archive; None where there is none. For a place without an archive."""

    def names(self) -> Iterator[str]:
        """Yield the names of all files in directories ``day=…``."""

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the same names with their bytes. One that is removed meanwhile may be missing."""

    def where(self, name: str) -> str:
        """What messages call a file."""

    def read(self, name: str) -> bytes:
        """Return a file. Raises ``FileNotFoundError``."""

    def create(self, name: str, data: bytes) -> None:
        """Write a file. If there is one of this name it may stay as it is: a name says what is in the file."""

    def replace(self, name: str, data: bytes) -> None:
        """Write a file, in the place of one of this name."""

    def remove(self, name: str) -> None:
        """Remove a file, also if it is not there."""

    def tidy(self) -> None:
        """Remove files that were not written to their end. While ``changing``."""

    def appending(self) -> AbstractContextManager[None]:
        """Be the one process that appends. Raises ``ArchiveError`` if another one does."""

    def is_appended_to(self) -> bool:
        """Whether a process appends now, or may not have noticed yet that it does no more."""

    def changing(self) -> AbstractContextManager[None]:
        """Be the one process that writes, replaces and removes files. Waits for another one."""
