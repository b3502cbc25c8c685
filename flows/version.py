"""The version of this program."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def onramp_version() -> str:
    """The version of the installed package; ``checkout`` where it is not installed."""
    try:
        return version("onramp")
    except PackageNotFoundError:
        return "checkout"
