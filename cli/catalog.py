"""``onramp catalog check``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.failures import say
from cli.options import JsonOption

if TYPE_CHECKING:
    from state.catalog.model import Catalog
    from state.catalog.parse import Fault
    from state.catalog.yaml_text import Location


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A YAML file, or the name of a built-in catalog.")],
    as_json: JsonOption = False,
) -> None:
    """Check a catalog and its prompts; print file, line and field of every fault.

    \b
    Example:  onramp catalog check product.yaml
    """
    from cli.options import require_catalog
    from flows.catalogs import load_catalog
    from reports.plain import plain
    from reports.screen import out, print_json
    from state.catalog.parse import CatalogError

    require_catalog(file)
    try:
        catalog = load_catalog(file)
        if faults := _placed(file, _prompt_faults(file, catalog)):
            raise CatalogError(faults)
    except CatalogError as error:
        if as_json:
            print_json({"valid": False, "faults": [_as_json(fault) for fault in error.faults]})
        else:
            for fault in error.faults:
                typer.echo(plain(fault), err=True)
        count = len(error.faults)
        say(f"{plain(file)} has {count} {'fault' if count == 1 else 'faults'}.")
        raise typer.Exit(1) from None
    counts = {"paths": len(catalog.paths), "steps": len(catalog.steps), "arms": len(catalog.arms)}
    warnings = _placed(file, _language_warnings(catalog))
    if as_json:
        shown = [_as_json(warning) for warning in warnings]
        print_json({"valid": True, "id": catalog.id, "version": catalog.version, **counts, "warnings": shown})
    else:
        for warning in warnings:
            typer.echo(plain(f"{warning} (a warning)"), err=True)
        said = ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
        out().out(f"{plain(file)} is valid: {catalog.id} {plain(catalog.version)} with {said}.", highlight=False)


def _as_json(fault: Fault) -> dict[str, str | int]:
    return {"file": fault.source, "line": fault.line, "field": fault.field, "message": fault.message}


def _placed(file: str, found: Iterator[tuple[Location, str]]) -> list[Fault]:
    """Faults of the catalog ``file``, which is valid by itself, each with its line."""
    from flows.catalogs import BUILT_IN, built_in
    from state.catalog.parse import locate

    path = BUILT_IN / f"{file}.yaml" if file in built_in() else Path(file)
    source = path.name if file in built_in() else str(path)
    return locate(path.read_text(encoding="utf-8"), source, found)


def _prompt_faults(file: str, catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """Prompts that are missing or invalid: the job would not start with them."""
    if catalog.wording is None:
        return
    from llm.prompts import BUILT_IN, PromptError, load_prompts
    from state.catalog.parse import near

    directories = [Path(file).parent / "prompts", BUILT_IN]  # as flows.model_service.prompts_for has them
    there = sorted({path.stem for directory in directories for path in directory.glob("*.yaml")})
    for index, prompt in enumerate(catalog.wording.prompts):
        location = ("wording", "prompts", index, "version")
        if prompt.version not in there:
            named = near(prompt.version, there) or f"; there are {', '.join(there)}"
            yield location, f"there is no prompt {prompt.version!r}, neither in prompts/ beside the catalog nor built in{named}"
            continue
        try:
            load_prompts([prompt.version], directories)
        except PromptError as error:
            said = str(error).removesuffix(".")
            wrong = re.search(r"(?:\.|: )([^.\s]+): input should be (.*)$", said)  # a name that is none of a list
            meant = near(wrong[1], re.findall(r"'([^']*)'", wrong[2])) if wrong else ""
            yield location, said[:1].lower() + said[1:] + meant


def _language_warnings(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """Languages that the guardrails cannot recognise: a text in another language would be accepted for them."""
    if catalog.wording is None:
        return
    from llm.guardrails.language import COMMON, looks_like

    for index, language in enumerate(catalog.wording.languages):
        if language not in COMMON and looks_like("abc", language):
            known = ", ".join(sorted(COMMON))
            said = f"{language!r} cannot be recognised: any text in Latin letters is accepted for it, and no other; recognised are {known}"
            yield ("wording", "languages", index), said
