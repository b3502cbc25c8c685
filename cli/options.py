"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flows.settings import Settings


def require_catalog(name: str | None) -> str | None:
    """Refuse, as wrong usage, a catalog that is neither built in nor a file."""
    if name is not None:
        from flows.catalogs import built_in

        if name not in built_in() and not Path(name).is_file():
            raise typer.BadParameter(f"there is no catalog file {name!r}; built in are {', '.join(sorted(built_in()))}.")
    return name


DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Directory for all data on this machine. [default: .onramp]", show_default=False)
]
CatalogOption = Annotated[
    str | None, typer.Option("--catalog", help="A built-in catalog, or a YAML file. [default: saas]", callback=require_catalog)
]
TenantOption = Annotated[str, typer.Option("--tenant", help="The user's tenant.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The userId.")]


def load(*, service: bool = False, **options: Any) -> Settings:
    """Return the settings in force, and send log lines to standard error as they say.

    A command that a person waits for shows warnings only, unless a level was asked for; a ``service`` logs what the settings say.
    """
    from flows.logs import set_up_logging
    from flows.settings import load_settings

    settings = load_settings(**options)
    set_up_logging(settings)
    if not service and settings.origin("log_level") == "default":
        logging.getLogger().setLevel(logging.WARNING)
        for chatty in ("urllib3", "clickhouse_connect"):  # each says again what our own sentence says
            logging.getLogger(chatty).setLevel(logging.ERROR)
    return settings
