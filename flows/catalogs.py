"""Loads a catalog: a built-in one by its name, or a file by its path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from state.catalog.model import Catalog
from state.catalog.parse import parse

if TYPE_CHECKING:
    from flows.settings import Settings

SAMPLE: Final = "saas"
BUILT_IN: Final = Path(__file__).resolve().parent.parent / "catalog"


class CatalogFileError(Exception):
    """The catalog does not exist, cannot be read or was not named. The text is one sentence for the user."""


def load_catalog(name: str) -> Catalog:
    """Read and check the catalog ``name``. Raises ``CatalogFileError``, or ``CatalogError`` with all faults in it."""
    path = BUILT_IN / f"{name}.yaml" if name in built_in() else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CatalogFileError(f"{path} is not UTF-8 text.") from None
    except OSError as error:
        known = ", ".join(sorted(built_in()))
        raise CatalogFileError(f"The catalog {name} cannot be read ({error.strerror}); the built-in ones are {known}.") from None
    return parse(text, str(path) if name not in built_in() else f"{name}.yaml")


_AT_ONCE: Final = {"holdout": "0.0", "rules": "0.0", "cooldown": "1s", "daily_cap": "100"}


def sample_at_once() -> str:
    """Return the text of the sample catalog, so that one person who tries it is guided, and at once."""
    text = (BUILT_IN / f"{SAMPLE}.yaml").read_text(encoding="utf-8")
    for name, value in _AT_ONCE.items():
        text, found = re.subn(rf"(?m)^( *{name}:) [^#\s]+", rf"\1 {value}", text)
        assert found == 1, name
    return text


def require_named_catalog(settings: Settings) -> None:
    """Refuse the sample product for real users unless it was named. Call it before a job on a live input. Raises ``CatalogFileError``."""
    if settings.origin("catalog") == "default":
        live = "the event log" if settings.event_log is not None else "Kafka"
        raise CatalogFileError(
            f"a job on {live} needs the catalog of your product: set ONRAMP_CATALOG to its file; to run the sample product, set "
            f"ONRAMP_CATALOG={settings.catalog}."
        )


def built_in() -> frozenset[str]:
    """Names of the catalogs that come with Onramp."""
    return frozenset(path.stem for path in BUILT_IN.glob("*.yaml"))
