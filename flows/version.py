"""The version of this program, and whether its engine is compiled."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal


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


def engine_build() -> Literal["compiled", "interpreted"]:
    """How the hot modules run, in a word for people."""
    return "compiled" if engine_is_compiled() else "interpreted"
