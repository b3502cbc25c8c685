"""``onramp catalog draft``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.support.events_file import EventsFile, EventsOption, LogTenantOption, in_words
from cli.support.failures import say
from cli.support.options import JsonOption, refuse_missing_directory

if TYPE_CHECKING:
    from evaluation.catalog_draft import Draft

_LONGEST_PRODUCT = 500


def draft(
    events: Annotated[Path, EventsOption],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Where the catalog goes. [default: standard output]", show_default=False)
    ] = None,
    product: Annotated[str, typer.Option("--product", metavar="NAME", help="The name of the product.")] = "My product",
    tenant: LogTenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draft a catalog from a log of events: steps, what completes them, their order, one path, and how long they take.

    The draft only observes. Comments say how many users did each step, and which events are no steps and why.

    \b
    Example:  onramp catalog draft --events events.jsonl.gz --out product.yaml
              onramp run --input events.jsonl.gz --catalog product.yaml
    """
    from cli.support.streams import writing
    from evaluation.catalog_draft import draft as draft_from
    from evaluation.catalog_draft_text import catalog_text
    from evaluation.event_histories import EventHistories
    from reports.render import print_json
    from state.catalog.parse import parse
    from state.plain_text import plain
    from state.quantity import count

    if not product.strip() or len(product) > _LONGEST_PRODUCT:
        raise typer.BadParameter(f"a name has 1 to {_LONGEST_PRODUCT} characters.", param_hint="'--product'")
    product.encode()  # a name that is no Unicode text is refused before the log is read
    out = None if out == "-" else out
    if out is not None:
        _refuse_target(Path(out))
    log, histories = EventsFile(events, "onramp catalog draft", () if tenant is None else (tenant,)), EventHistories()
    for event in log.events():
        histories.add(event)
    if tenant is None and len(log.tenants) > 1:
        tenants = f"{count(len(log.tenants), 'tenant')}, {in_words(sorted(log.tenants))}"
        say(f"the log has events of {tenants}, which the draft mixes; choose one with --tenant.")
    found = draft_from(histories)
    text = catalog_text(found, product, tenant if log.of_other_tenants else None)
    parse(text, out or "draft.yaml")  # what is written passes `catalog check`
    if out is not None:
        with writing(out), Path(out).open("x", encoding="utf-8") as file:
            file.write(text)
    if as_json:
        print_json(_as_json(found, log, out, text))
    elif out is None:
        typer.echo(text, nl=False)
    if out is not None and not as_json:
        steps = count(len(found.steps), "step")
        say(f"{plain(out)} has {steps}, and users are activated by {found.activates}. Look through it, then run it on the same log.")


def _refuse_target(path: Path) -> None:
    if path.exists():
        raise typer.BadParameter(f"there is already {str(path)!r}; name another file, or remove it.", param_hint="'--out'")
    refuse_missing_directory(path, "--out")


def _as_json(found: Draft, log: EventsFile, out: str | None, text: str) -> dict[str, Any]:
    return {
        "events": found.events,
        "users": found.users,
        "othersObserved": found.others,
        "steps": [{"id": each.id, "users": each.users, "optional": each.optional, "completions": each.completions} for each in found.steps],
        "activatedBy": found.activates,
        "leftOut": [{"type": each.kind.type, "name": each.kind.subject, "users": each.users, "why": each.why} for each in found.left_out],
        "traits": [{"name": each.name, "values": each.values, "users": each.users, "why": each.why} for each in found.traits],
        "linesLeftOut": log.as_json(),
        "eventsOfOtherTenants": log.of_other_tenants,
        "file": out,
        "catalog": text,
    }
