"""Lists all commands, and runs one: the outermost handler of everything that may end it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from cli.support.failures import IS_SERVICE, end
from cli.support.lazy_commands import CONTEXT, LazyGroup, group
from cli.support.streams import OutputError, standard_streams

_app = typer.Typer(
    name="onramp",
    cls=LazyGroup,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)


def _version(wanted: bool) -> None:
    if wanted:
        from flows.version import engine_build, onramp_version

        typer.echo(f"onramp {onramp_version()} ({engine_build()} engine)")
        raise typer.Exit


@_app.callback(invoke_without_command=True)
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


_COMMANDS = {
    "demo": ("demo:demo", "Run the engine on simulated users, compare with the truth."),
    "up": ("up:up", "Run everything live on this machine."),
    "run": ("run:run", "Run the job on a file, or on Kafka."),
    "import": ("import_:import_", "Make events of a table: CSV, JSON lines, Parquet."),
    "simulate": ("simulate:simulate", "Write the events of simulated users."),
    "gateway": ("gateway:gateway", "Serve events in, guidance out over HTTP."),
    "recommend": ("recommend:recommend", "Show the recommendation that the app reads for a user."),
    "explain": ("explain:explain", "Show one user's history: events, decisions, and why."),
    "report": ("report:report", "Show activation, funnels, stuck signals and arms."),
    "evaluate": ("evaluate:evaluate", "Estimate the value of another policy from logged decisions."),
    "sql": ("sql:sql", "Query ClickHouse, read-only."),
    "archive": ("archive:archive", "Keep the log as Parquet files, beside the job."),
    "lag": ("lag:lag", "Show how far the job is behind, by partition."),
    "doctor": ("doctor:doctor", "Check everything the job needs, say what to do."),
    "replay": ("replay:replay", "Rebuild a user, or run a range again into files."),
    "forget": ("forget:forget", "Erase a user from every store, print a receipt."),
    "export": ("export:export", "Write everything held about a user as JSON."),
    "audit": ("audit:audit", "Show who did what to data and guidance."),
    "backup": ("backup:backup", "Back up the data directory, also while the job runs."),
    "restore": ("restore:restore", "Make a data directory of a backup."),
    "settings": ("settings:settings", "Show every setting in force."),
}
_GROUPS = {
    "catalog": (
        "Draft, fit and check catalogs. A catalog describes a product's onboarding.",
        {
            "check": ("catalog_check:check", "Check a catalog and its prompts."),
            "draft": ("catalog_draft:draft", "Draft a catalog from a log of events."),
            "fit": ("catalog_fit:fit", "Set the times of a catalog's steps from a log."),
        },
    ),
    "guidance": (
        "Pause guidance, resume it, or ramp it up.",
        {
            "pause": ("guidance:pause", "Give guidance to nobody, take back what is shown."),
            "resume": ("guidance:resume", "End a pause."),
            "ramp": ("guidance:ramp", "Let a share of the users be guided."),
            "status": ("guidance:status", "Show whether it is on, and who switched it."),
        },
    ),
    "clickhouse": (
        "Let users of ClickHouse read one tenant.",
        {
            "grants": ("clickhouse:grants", "Print the SQL for a reader of one tenant."),
        },
    ),
    "dlq": (
        "Show rejected messages, edit them, send them again.",
        {
            "list": ("dlq:list_letters", "List rejected messages."),
            "show": ("dlq:show", "Show everything about one message."),
            "stats": ("dlq:stats", "Count rejected messages by reason."),
            "replay": ("dlq:replay", "Send rejected messages again, edited or not."),
        },
    ),
    "keys": (
        "Create and revoke the keys of the gateway.",
        {
            "create": ("keys:create", "Create a key and print it."),
            "list": ("keys:list_keys", "List all keys, without their texts."),
            "revoke": ("keys:revoke", "Revoke a key for good."),
            "quota": ("keys:quota", "Set how many events a day a tenant may store."),
        },
    ),
    "review": (
        "Approve or reject model texts that wait for review.",
        {
            "list": ("review:list_waiting", "List the texts that wait."),
            "approve": ("review:approve", "Approve a text."),
            "reject": ("review:reject", "Reject a text."),
        },
    ),
    "llm": (
        "Inspect prompts and model answers.",
        {
            "try": ("llm:attempt", "Call a model for one decision, check its answer."),
        },
    ),
}


def root() -> LazyGroup:
    """Return ``onramp`` with all its commands."""
    made = get_command(_app)
    assert isinstance(made, LazyGroup)
    made.add(_COMMANDS)
    for name, (about, commands) in _GROUPS.items():
        made.add_command(group(name, about, commands))
    return made


def invoke(arguments: Sequence[str]) -> int:
    """Run the command of ``arguments`` and return its exit code. Whatever ends it early is one sentence on standard error."""
    IS_SERVICE.set(False)
    with standard_streams():
        try:
            command = root()
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
