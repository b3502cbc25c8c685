"""Options that several commands share, and the settings that result from them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from system.wall_clock import wall_clock

if TYPE_CHECKING:
    from flows.settings import Settings
    from sources.s3.location import Location


def require_catalog(name: str | None) -> str | None:
    """Refuse, as wrong usage, a catalog that is neither a built-in one nor a file."""
    if name is not None:
        from flows.catalogs import is_directory

        if is_directory(name):
            raise typer.BadParameter(f"{name!r} is a directory; name the catalog's file.")
    return require_catalogs(name)


def require_catalogs(name: str | None) -> str | None:
    """Refuse, as wrong usage, a catalog that is neither a built-in one nor a file, nor a directory of files."""
    if name is not None:
        from flows.catalogs import built_in

        if name not in built_in() and not Path(name).is_file() and not Path(name).is_dir():
            raise typer.BadParameter(f"there is no catalog file {name!r}; the built-in catalogs are {', '.join(sorted(built_in()))}.")
    return name


DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Directory for all data on this machine. [default: .onramp]", show_default=False)
]
CatalogOption = Annotated[
    str | None, typer.Option("--catalog", help="The name of a built-in catalog, or a YAML file. [default: saas]", callback=require_catalog)
]
CatalogsOption = Annotated[
    str | None,
    typer.Option(
        "--catalog",
        help="The name of a built-in catalog, a YAML file, or a directory of such files. [default: saas]",
        callback=require_catalogs,
    ),
]
TenantOption = Annotated[str, typer.Option("--tenant", help="The user's tenant.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The userId.")]


def refuse_missing_directory(target: str | Path, option: str) -> None:
    """Refuse, as wrong usage of ``option``, a file to write whose directory does not exist."""
    directory = Path(target).parent
    if not directory.is_dir():
        raise typer.BadParameter(f"there is no directory {str(directory)!r}.", param_hint=f"'{option}'")


def stored_at(text: str, parameter: str) -> Location | None:
    """The place in S3 that the text names; None where it names a file or a directory."""
    from sources.s3.location import LocationError, is_s3, parse_location

    if not is_s3(text):
        return None
    try:
        return parse_location(text)
    except LocationError as error:
        raise typer.BadParameter(f"{error}.", param_hint=parameter) from None


def load(*, service: bool = False, **options: Any) -> Settings:
    """Return the settings in force, and configure logging by them.

    An interactive command shows only warnings, unless a level was set. A ``service`` uses the level of the settings.
    """
    from cli.support.failures import IS_SERVICE
    from flows.logs import set_up_logging
    from flows.settings import load_settings

    IS_SERVICE.set(service)
    settings = load_settings(**options)
    set_up_logging(settings)
    if not service and settings.origin("log_level") == "default":
        logging.getLogger().setLevel(logging.WARNING)
        for library in ("urllib3", "clickhouse_connect"):  # they log errors that our own message already explains
            logging.getLogger(library).setLevel(logging.ERROR)
    return settings


def moment_of(text: str | None, *, end: Callable[[], int] = wall_clock) -> int | None:
    """Read a time, or a duration before ``end`` (ms), which is asked only for a duration. Returns milliseconds."""
    from state.duration import parse
    from state.times import EARLIEST, LATEST, milliseconds_of

    if text is None:
        return None
    try:
        before = parse(text)
    except ValueError:
        try:
            found = milliseconds_of(text)
        except ValueError:
            raise typer.BadParameter(
                f"{text[:100]!r} is neither a time with a zone, like 2026-03-02T09:00:00Z, nor a duration, like 24h."
            ) from None
    else:
        found = end() - before
    if not EARLIEST <= found <= LATEST:
        raise typer.BadParameter(f"{text[:100]!r} is not within the years 1 to 9999; name a nearer time.")
    return found
