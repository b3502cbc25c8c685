"""What the addresses of all stores have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ESCAPE: Final = (
    "the address has no host or no valid port, or is not complete; in a password write / as %2F, @ as %40, # as %23, ? as %3F and % as %25"
)
"""What is wrong with an address that cannot be taken apart."""


def is_readable(path: Path, *, or_directory: bool = False) -> bool:
    """Return whether a file that an address names can be opened now, or is a directory where that will do."""
    try:
        if not (or_directory and path.is_dir()):
            path.open("rb").close()
    except OSError:
        return False
    return True
