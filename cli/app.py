"""All commands, and how their faults become exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from cli import catalog, demo, evaluate, explain, llm, recommend, report, review, run, settings, simulate, sql
from cli.failures import guarded, say

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
            number = "(run from a checkout that is not installed)"
        typer.echo(f"onramp {number}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _onramp(
    context: typer.Context,
    _show_version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Adaptive onboarding as one stream job: events in, one recommendation a person out, the evidence for analysts.

    \b
    Begin with:   onramp demo
    Then:         onramp run --input events.jsonl
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _command, _short in (
    (demo.demo, "Let people live with the engine, show what came of it."),
    (run.run, "Run the job on a file, or on Kafka."),
    (simulate.simulate, "Write the events of simulated people."),
    (recommend.recommend, "Show what the app reads for a person."),
    (explain.explain, "Tell a person's story, every decision and why."),
    (report.report, "Show funnels, activation, arms and the rest."),
    (evaluate.evaluate, "Estimate what another policy would have earned."),
    (sql.sql, "Ask ClickHouse, read-only."),
    (settings.settings, "Show every setting in force."),
):
    app.command(short_help=_short, context_settings=_CONTEXT)(guarded(_command))

_catalogs = typer.Typer(rich_markup_mode=None, help="Work with catalogs, a product's onboarding as data.", context_settings=_CONTEXT)
_catalogs.command("check", context_settings=_CONTEXT)(guarded(catalog.check))
app.add_typer(_catalogs, name="catalog")

_reviews = typer.Typer(rich_markup_mode=None, help="Decide on texts that a model was not sure of.", context_settings=_CONTEXT)
_reviews.command("list", context_settings=_CONTEXT)(guarded(review.list_waiting))
_reviews.command("approve", context_settings=_CONTEXT)(guarded(review.approve))
_reviews.command("reject", context_settings=_CONTEXT)(guarded(review.reject))
app.add_typer(_reviews, name="review")

_models = typer.Typer(rich_markup_mode=None, help="Look at what a model is asked and answers.", context_settings=_CONTEXT)
_models.command("try", context_settings=_CONTEXT)(guarded(llm.attempt))
app.add_typer(_models, name="llm")


def invoke(arguments: Sequence[str]) -> int:
    """Run the command that ``arguments`` ask for and return its exit code. Prints one sentence for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter shows its code
    try:
        result = app(args=list(arguments), prog_name="onramp", standalone_mode=False)
    except TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "onramp")
        say(f"{error.format_message().rstrip('.')} (see `{command} --help`).", command)
        return 2
    return result if isinstance(result, int) else 0
