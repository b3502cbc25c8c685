"""Registers all commands, and runs one: the outermost handler of everything that may end it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from cli import (
    audit,
    catalog,
    catalog_draft,
    catalog_fit,
    demo,
    dlq,
    doctor,
    evaluate,
    explain,
    forget,
    gateway,
    guidance,
    import_,
    keys,
    lag,
    llm,
    recommend,
    replay,
    report,
    review,
    run,
    settings,
    simulate,
    sql,
    up,
)
from cli.failures import end
from cli.streams import OutputError, standard_streams

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    name="onramp",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("onramp")
        except PackageNotFoundError:
            number = "(a checkout that is not installed)"
        typer.echo(f"onramp {number}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _onramp(
    context: typer.Context,
    _show_version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Adaptive onboarding as one stream job. It reads user events, keeps one recommendation per user, and records every decision.

    \b
    First:        onramp demo
    Live:         onramp up
    Then:         onramp run --input events.jsonl --catalog product.yaml
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _command, _short in (
    (demo.demo, "Run the engine on simulated users, compare with the truth."),
    (up.up, "Run everything live on this machine."),
    (run.run, "Run the job on a file, or on Kafka."),
    (import_.import_, "Make events of a table: CSV, JSON lines, Parquet."),
    (simulate.simulate, "Write the events of simulated users."),
    (gateway.gateway, "Serve events in, guidance out over HTTP."),
    (recommend.recommend, "Show the recommendation that the app reads for a user."),
    (explain.explain, "Show one user's history: events, decisions, and why."),
    (report.report, "Show activation, funnels, stuck signals and arms."),
    (evaluate.evaluate, "Estimate the value of another policy from logged decisions."),
    (sql.sql, "Query ClickHouse, read-only."),
    (lag.lag, "Show how far the job is behind, by partition."),
    (doctor.doctor, "Check everything the job needs, say what to do."),
    (replay.replay, "Rebuild a user, or run a range again into files."),
    (forget.forget, "Erase a user from every store, print a receipt."),
    (forget.export, "Write everything held about a user as JSON."),
    (audit.audit, "Show who did what to data and guidance."),
    (settings.settings, "Show every setting in force."),
):
    app.command(_command.__name__.rstrip("_"), short_help=_short, context_settings=_CONTEXT)(_command)  # `import` is no name in Python

_catalogs = typer.Typer(
    rich_markup_mode=None, help="Draft, fit and check catalogs. A catalog describes a product's onboarding.", context_settings=_CONTEXT
)
_catalogs.command("check", short_help="Check a catalog and its prompts.", context_settings=_CONTEXT)(catalog.check)
_catalogs.command("draft", short_help="Draft a catalog from a log of events.", context_settings=_CONTEXT)(catalog_draft.draft)
_catalogs.command("fit", short_help="Set the times of a catalog's steps from a log.", context_settings=_CONTEXT)(catalog_fit.fit)
app.add_typer(_catalogs, name="catalog")

_guidance = typer.Typer(rich_markup_mode=None, help="Pause guidance, resume it, or ramp it up.", context_settings=_CONTEXT)
_guidance.command("pause", short_help="Give guidance to nobody, take back what is shown.", context_settings=_CONTEXT)(guidance.pause)
_guidance.command("resume", short_help="End a pause.", context_settings=_CONTEXT)(guidance.resume)
_guidance.command("ramp", short_help="Let a share of the users be guided.", context_settings=_CONTEXT)(guidance.ramp)
_guidance.command("status", short_help="Show whether it is on, and who switched it.", context_settings=_CONTEXT)(guidance.status)
app.add_typer(_guidance, name="guidance")

_letters = typer.Typer(rich_markup_mode=None, help="Show rejected messages, edit them, send them again.", context_settings=_CONTEXT)
_letters.command("list", short_help="List rejected messages.", context_settings=_CONTEXT)(dlq.list_letters)
_letters.command("show", short_help="Show everything about one message.", context_settings=_CONTEXT)(dlq.show)
_letters.command("stats", short_help="Count rejected messages by reason.", context_settings=_CONTEXT)(dlq.stats)
_letters.command("replay", short_help="Send rejected messages again, edited or not.", context_settings=_CONTEXT)(dlq.replay)
app.add_typer(_letters, name="dlq")

_keys = typer.Typer(rich_markup_mode=None, help="Create and revoke the keys of the gateway.", context_settings=_CONTEXT)
_keys.command("create", short_help="Create a key and print it.", context_settings=_CONTEXT)(keys.create)
_keys.command("list", short_help="List all keys, without their texts.", context_settings=_CONTEXT)(keys.list_keys)
_keys.command("revoke", short_help="Revoke a key for good.", context_settings=_CONTEXT)(keys.revoke)
_keys.command("quota", short_help="Set how many events a day a tenant may store.", context_settings=_CONTEXT)(keys.quota)
app.add_typer(_keys, name="keys")

_reviews = typer.Typer(rich_markup_mode=None, help="Approve or reject model texts that wait for review.", context_settings=_CONTEXT)
_reviews.command("list", short_help="List the texts that wait.", context_settings=_CONTEXT)(review.list_waiting)
_reviews.command("approve", short_help="Approve a text.", context_settings=_CONTEXT)(review.approve)
_reviews.command("reject", short_help="Reject a text.", context_settings=_CONTEXT)(review.reject)
app.add_typer(_reviews, name="review")

_models = typer.Typer(rich_markup_mode=None, help="Inspect prompts and model answers.", context_settings=_CONTEXT)
_models.command("try", short_help="Call a model for one decision, check its answer.", context_settings=_CONTEXT)(llm.attempt)
app.add_typer(_models, name="llm")


def invoke(arguments: Sequence[str]) -> int:
    """Run the command of ``arguments`` and return its exit code. Whatever ends it early is one sentence on standard error."""
    with standard_streams():
        try:
            command = get_command(app)
            with command.make_context("onramp", list(arguments)) as context:
                command.invoke(context)
            sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001 -- the last place that can turn an exception into a sentence; a native panic is one
            return _flushed(end(error))
    return 0


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except (OSError, OutputError) as error:
        return end(error) if code == 0 else code
    return code
