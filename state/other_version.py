"""The sentence for data of a release that this one does not read."""

from __future__ import annotations


def other_version(what: str, found: int, reads: int) -> str:
    """Say that ``what`` has a version that this release does not read, and what to do."""
    advice = "it was made by a newer release: upgrade" if found > reads else "it was made by an older release: start that one"
    return f"{what} has version {found}, this release reads {reads}; {advice}"
