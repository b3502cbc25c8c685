"""``onramp catalog fit``."""

from __future__ import annotations

import difflib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.support.events_file import EventsFile, EventsFileError, EventsOption, LogTenantOption, in_words
from cli.support.failures import say
from cli.support.options import JsonOption, require_catalog

if TYPE_CHECKING:
    from evaluation.catalog_fit import FittedStep


def fit(
    events: Annotated[Path, EventsOption],
    catalog: Annotated[
        str,
        typer.Option(
            "--catalog", metavar="FILE", help="The catalog: a YAML file, or the name of a built-in one.", callback=require_catalog
        ),
    ],
    tenant: LogTenantOption = None,
    write: Annotated[bool, typer.Option("--write", help="Change the catalog's file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Set what a log of events says of the steps of a catalog, and show the changes as a diff to review.

    `usual` is the time within which nine of ten of the last 1,000 completions took place, `typical` the median active time, `waiting` the
    shares of users who do not complete the step in time, and `alarm_at` the scores at which an alarm is as sure as the catalog asks.
    `evidence` is what signs, pauses, hours and traits say of who gets stuck. Steps with fewer than 50 completions stay as they are. A file
    is read twice, the second time with the times known; a pipe only once. Only events of the catalog's `tenants` are taken, of all where it
    names none. Without --write the catalog is not changed.

    \b
    Example:  onramp catalog fit --events events.jsonl.gz --catalog product.yaml
              onramp catalog fit --events events.jsonl.gz --catalog product.yaml --write
    """
    from cli.support.streams import writing
    from evaluation.catalog_fit import CatalogFit
    from flows.catalogs import built_in, load_catalog
    from flows.run_notes import not_kept_note
    from reports.render import print_json
    from state.catalog.set_measured import set_measured

    if write and catalog in built_in():
        raise typer.BadParameter("a built-in catalog is not changed; copy it to a file and name that.", param_hint="'--write'")
    model, text = load_catalog(catalog), _text_of(catalog)
    if tenant is not None and model.tenants and tenant not in model.tenants:
        raise typer.BadParameter(f"the catalog is for {in_words(model.tenants)}.", param_hint="'--tenant'")
    tenants = model.tenants if tenant is None else [tenant]
    log, fitting = EventsFile(events, f"onramp catalog fit --catalog {shlex.quote(catalog)}", tenants), CatalogFit(model)
    for event in log.events():
        fitting.add(event)
    if write and log.unsorted:
        raise EventsFileError("the catalog was not changed, because the log is not sorted by time.")
    if log.can_be_read_again:
        fitting = fitting.again()
        for event in log.events():
            fitting.add(event)
    steps = fitting.steps()
    changed = set_measured(text, {step.id: step.changes for step in steps if step.changes}, fitting.triggers())
    if write and changed != text:
        with writing(catalog):
            Path(catalog).write_bytes(changed.encode())
    diff = _diff(catalog, text, changed)
    if as_json:
        said = {"linesLeftOut": log.as_json(), "eventsOfOtherTenants": log.of_other_tenants}
        said |= {"traitsNotKept": fitting.traits_not_kept, "diff": diff, "written": write}
        print_json({"steps": [_as_json(each) for each in steps], **said})
        return
    if fitting.traits_not_kept:
        say(not_kept_note(fitting.traits_not_kept))
    for step in steps:
        say(_sentence(step))
    typer.echo(readable(diff), nl=False)
    if changed == text:
        say("nothing changes.")
    elif write:
        say("the catalog was changed; change its `version` too, because decisions record it.")
    else:
        say("nothing was written; review the diff and repeat the command with --write.")


def _text_of(catalog: str) -> str:
    """The text as it is, with its own ends of lines."""
    from flows.catalogs import BUILT_IN, built_in

    path = BUILT_IN / f"{catalog}.yaml" if catalog in built_in() else Path(catalog)
    return path.read_bytes().decode()


def _diff(catalog: str, before: str, after: str) -> str:
    from state.plain_text import plain

    name = plain(catalog)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")
    return "".join(f"{plain(line)}\n" for line in lines)


def readable(diff: str) -> str:
    """``diff`` for a terminal: of weights, which are one long word, only the beginning."""
    return re.sub(r'(weights: "[^"]{20})[^"]+"', r'\1…"', diff)


def _sentence(step: FittedStep) -> str:
    from state.quantity import count
    from state.stuck.completion_times import ENOUGH

    if step.used < ENOUGH:
        others = [
            *([f"{count(step.after_activation, 'user')} did it after activation"] if step.after_activation else []),
            *([f"{count(step.out_of_turn, 'user')} did it in another order or at once"] if step.out_of_turn else []),
        ]
        nobody = f" {' and '.join(others)}, when nobody waits at it." if others else ""
        waited = " by users who waited at it" if others else ""
        return f"{step.id}: {count(step.completions, 'completion')}{waited}, too few to set its times ({ENOUGH} are needed).{nobody}"
    which = count(step.completions, "completion")
    if step.used < step.completions:
        which = f"the last {step.used} of {which}"
    found = ", ".join(f"{name} {text}" for name, text in sorted(step.changes.items()) if name != "measured")
    return f"{step.id}: {which}; {found or 'its times stay as they are'}."


def _as_json(step: FittedStep) -> dict[str, Any]:
    others = {"completedAfterActivation": step.after_activation, "completedOutOfTurn": step.out_of_turn}
    return {"id": step.id, "completions": step.completions, "used": step.used, **others, "changes": dict(step.changes)}
