"""``onramp catalog check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.support.failures import say
from cli.support.options import JsonOption
from state.quantity import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from state.catalog.model import Catalog
    from state.catalog.parse import Fault
    from state.catalog.yaml_text import Location


def check(
    name: Annotated[str, typer.Argument(metavar="FILE|DIR", help="A YAML file, the name of a built-in catalog, or a directory of files.")],
    as_json: JsonOption = False,
) -> None:
    """Check a catalog and its prompts, or all catalogs of a directory together; print file, line and field of every fault.

    \b
    Example:  onramp catalog check product.yaml
              onramp catalog check catalogs/
    """
    from cli.support.options import require_catalogs
    from cli.support.wording_checks import language_warnings, placed, prompt_faults
    from flows.catalogs import is_directory, read_catalogs
    from reports.render import out, print_json
    from state.catalog.parse import CatalogError
    from state.plain_text import plain

    require_catalogs(name)
    try:
        catalogs = read_catalogs(name)
        if faults := [fault for file, _, catalog in catalogs for fault in placed(file, prompt_faults(file, catalog))]:
            raise CatalogError(faults)
    except CatalogError as error:
        if as_json:
            print_json({"valid": False, "faults": [_as_json(fault) for fault in error.faults]})
        else:
            for fault in error.faults:
                typer.echo(plain(fault), err=True)
        say(f"{plain(name)} has {count(len(error.faults), 'fault')}.")
        raise typer.Exit(1) from None
    everybody = not all(file.catalog.tenants for file in catalogs)
    warnings = [
        warning
        for file, _, catalog in catalogs
        for found in (_sign_up_warnings(catalog), language_warnings(catalog))
        for warning in placed(file, found)
    ]
    if as_json:
        several = [{"file": file, "tenants": catalog.tenants, **_about(catalog)} for file, _, catalog in catalogs]
        found = {"catalogs": several, "everyTenant": everybody} if is_directory(name) else _about(catalogs[0].catalog)
        print_json({"valid": True, **found, "warnings": [_as_json(warning) for warning in warnings]})
        return
    for warning in warnings:
        typer.echo(plain(f"{warning} (a warning)"), err=True)
    for file, _, catalog in catalogs:
        sizes = {"path": len(catalog.paths), "step": len(catalog.steps), "arm": len(catalog.arms)}
        parts = ", ".join(count(size, kind) for kind, size in sizes.items())
        tenants = f", for {', '.join(catalog.tenants)}" if catalog.tenants else ", for all other tenants" if len(catalogs) > 1 else ""
        out().out(f"{plain(file)} is valid: {catalog.id} {plain(catalog.version)} with {parts}{plain(tenants)}.", highlight=False)
    if not everybody:
        out().out("Events of tenants that are not named become dead letters (unknown_tenant).", highlight=False)


def _sign_up_warnings(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """Yield the completions by a sign-up, where guidance may lead a visitor to one whose traits are not known."""
    from state.catalog.plan import Plan

    if catalog.observing or not Plan(catalog).starts({}, first_seen=catalog.starts.after, signup_at=0):
        return
    for number, step in enumerate(catalog.steps):
        for place, completion in enumerate(step.complete):
            if completion.type == "signup":
                said = (
                    f"the sign-up completes step {step.id!r}, and visitors can be guided to it: where they sign up under another id"
                    " (identity_merged), that is no success of the guidance, and where they do not it is a failure;"
                    " `starts: {when: signup}` guides nobody before"
                )
                yield ("steps", number, "complete", place, "type"), said


def _about(catalog: Catalog) -> dict[str, Any]:
    counts = {"paths": len(catalog.paths), "steps": len(catalog.steps), "arms": len(catalog.arms)}
    return {"id": catalog.id, "version": catalog.version, **counts}


def _as_json(fault: Fault) -> dict[str, str | int]:
    return {"file": fault.source, "line": fault.line, "field": fault.field, "message": fault.message}
