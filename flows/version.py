"""The version of this program."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


def onramp_version() -> str:
    """The version of the installed package; ``checkout`` where it is not installed."""
    try:
        return version("onramp")
    except PackageNotFoundError:
        return "checkout"


def engine_is_compiled() -> bool:
    """Whether the hot modules are compiled ones (docs/adr/0015-compiled-engine.md). Imports none of them."""
    spec = find_spec("state.decode")
    return spec is not None and not str(spec.origin).endswith(".py")
