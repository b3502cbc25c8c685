"""``onramp catalog check``."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.failures import say
from flows.cli.options import JsonOption


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A YAML file, or the name of a built-in catalog.")],
    as_json: JsonOption = False,
) -> None:
    """Check a catalog and name file, line and field of every fault.

    \b
    Example:  onramp catalog check product.yaml
    """
    from flows.catalogs import load_catalog
    from flows.cli.options import require_catalog
    from flows.cli.plain import plain
    from flows.cli.screen import out, print_json
    from state.catalog_text import CatalogError

    require_catalog(file)
    try:
        catalog = load_catalog(file)
    except CatalogError as error:
        if as_json:
            print_json(
                {
                    "valid": False,
                    "faults": [
                        {"file": fault.source, "line": fault.line, "field": fault.field, "message": fault.message} for fault in error.faults
                    ],
                }
            )
        else:
            for fault in error.faults:
                typer.echo(plain(fault), err=True)
        count = len(error.faults)
        say(f"{plain(file)} has {count} {'fault' if count == 1 else 'faults'}.")
        raise typer.Exit(1) from None
    counts = {"paths": len(catalog.paths), "steps": len(catalog.steps), "arms": len(catalog.arms)}
    if as_json:
        print_json({"valid": True, "id": catalog.id, "version": catalog.version, **counts})
    else:
        said = ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
        out().out(f"{plain(file)} is a good catalog: {catalog.id} {plain(catalog.version)} with {said}.", highlight=False)
