"""``onramp catalog check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.failures import say
from cli.options import JsonOption
from state.quantity import count

if TYPE_CHECKING:
    from state.catalog.parse import Fault


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A YAML file, or the name of a built-in catalog.")],
    as_json: JsonOption = False,
) -> None:
    """Check a catalog and its prompts; print file, line and field of every fault.

    \b
    Example:  onramp catalog check product.yaml
    """
    from cli.catalog_checks import language_warnings, placed, prompt_faults
    from cli.options import require_catalog
    from flows.catalogs import load_catalog
    from reports.render import out, print_json
    from reports.safe_text import plain
    from state.catalog.parse import CatalogError

    require_catalog(file)
    try:
        catalog = load_catalog(file)
        if faults := placed(file, prompt_faults(file, catalog)):
            raise CatalogError(faults)
    except CatalogError as error:
        if as_json:
            print_json({"valid": False, "faults": [_as_json(fault) for fault in error.faults]})
        else:
            for fault in error.faults:
                typer.echo(plain(fault), err=True)
        say(f"{plain(file)} has {count(len(error.faults), 'fault')}.")
        raise typer.Exit(1) from None
    counts = {"paths": len(catalog.paths), "steps": len(catalog.steps), "arms": len(catalog.arms)}
    warnings = placed(file, language_warnings(catalog))
    if as_json:
        found = [_as_json(warning) for warning in warnings]
        print_json({"valid": True, "id": catalog.id, "version": catalog.version, **counts, "warnings": found})
    else:
        for warning in warnings:
            typer.echo(plain(f"{warning} (a warning)"), err=True)
        parts = ", ".join(count(number, name.removesuffix("s")) for name, number in counts.items())
        out().out(f"{plain(file)} is valid: {catalog.id} {plain(catalog.version)} with {parts}.", highlight=False)


def _as_json(fault: Fault) -> dict[str, str | int]:
    return {"file": fault.source, "line": fault.line, "field": fault.field, "message": fault.message}
