"""``onramp dlq``: shows rejected messages, edits them, and sends them again. With ``--model`` see ``cli/support/dlq_model.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.support.audit_options import ByOption, YesOption
from cli.support.options import DataDirOption, JsonOption, moment_of
from system.wall_clock import wall_clock

if TYPE_CHECKING:
    from flows.replay_letters import Planned
    from flows.settings import Settings
    from state.records.dead_letter import DeadLetter

_SHOWN = 50


def _patch(text: str | None) -> str | None:
    """Check that a patch is a JSON object; ``@FILE`` names a file of one."""
    if text is None:
        return None
    try:
        content = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        patch = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise typer.BadParameter(f"the patch cannot be read ({error}); give a JSON object, or @FILE.") from None
    if not isinstance(patch, dict):
        raise typer.BadParameter('the patch must be a JSON object, like \'{"eventType": "page_view"}\'.')
    return content


_ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only letters with this reason, like bad_payload.", show_default=False)]
_TenantOption = Annotated[str | None, typer.Option("--tenant", help="Only letters of this tenant.  [default: all]", show_default=False)]
_SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="T", help="Only letters logged since a time, or a duration ago, like 24h.", show_default=False),
]
_LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="At most this many letters.", show_default=False)]
_ModelOption = Annotated[bool, typer.Option("--model", help="Calls of a model, in place of messages (ONRAMP_LLM_KEEP_DAYS).")]
_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the letter or call, from `onramp dlq list`.")]
_IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Only these letters.", show_default=False)]
_DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]
_EditOption = Annotated[
    str | None,
    typer.Option(
        "--edit",
        metavar="PATCH",
        help="Change each message first, by this JSON Merge Patch (RFC 7396) or the one in @FILE.",
        callback=_patch,
        show_default=False,
    ),
]
_AgainOption = Annotated[bool, typer.Option("--again", help="Also send letters that were replayed before.")]


def list_letters(
    reason: _ReasonOption = None,
    tenant: _TenantOption = None,
    since: _SinceOption = None,
    limit: _LimitOption = None,
    model: _ModelOption = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List rejected messages, the newest first; 50 unless --limit says otherwise. With --model: rejected answers and failed calls of a
    model.

    \b
    Example:  onramp dlq list --reason bad_payload --since 24h
              onramp dlq list --model --since 7d
    """
    if model:
        from cli.support.dlq_model import list_calls

        list_calls(_settings(data_dir), reason, tenant, moment_of(since), limit or _SHOWN, as_json=as_json)
        return
    import heapq

    from flows.dead_letters import when_logged
    from reports.dead_letters import show_list, summary
    from reports.render import out, print_json

    settings, total = _settings(data_dir), 0

    def counted() -> Iterator[DeadLetter]:
        nonlocal total
        for letter in _read(settings, reason, since, tenant):
            total += 1
            yield letter

    shown, done = heapq.nlargest(limit or _SHOWN, counted(), key=when_logged), _replayed(settings)
    if as_json:
        print_json({"total": total, "letters": [summary(letter, done) for letter in shown]})
        return
    console = out()
    if not total:
        from flows.dead_letters import where_dead_letters_are

        console.print(f"No rejected message in {where_dead_letters_are(settings)}.")
        return
    show_list(console, shown, done)
    if len(shown) < total:
        console.print(f"{total - len(shown):,} more; --limit shows them.")


def show(letter_id: _IdArgument, model: _ModelOption = False, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show everything about one rejected message: why, from where, its key, headers and bytes. With --model: one call of a model, with
    its prompt and the answer that was rejected.

    \b
    Example:  onramp dlq show 3f9c0a71d2e4
              onramp dlq show 6d0f2b9a51c34e7788aa01bc --model
    """
    if model:
        from cli.support.dlq_model import show_call

        show_call(_settings(data_dir), letter_id, as_json=as_json)
        return
    from reports.dead_letters import show_letter, with_content
    from reports.render import out, print_json

    settings = _settings(data_dir)
    letter = next((each for each in _read(settings, None, None) if each.id == letter_id), None)
    if letter is None:
        raise _no_letter(letter_id)
    done = _replayed(settings)
    if as_json:
        print_json(with_content(letter, done))
    else:
        show_letter(out(), letter, done)


def stats(
    reason: _ReasonOption = None,
    tenant: _TenantOption = None,
    since: _SinceOption = None,
    model: _ModelOption = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Count rejected messages by reason: how many, since when, how often rejected, how many were replayed. With --model: calls of a model,
    by how they ended.

    \b
    Example:  onramp dlq stats --since 7d
              onramp dlq stats --model --json
    """
    if model:
        from cli.support.dlq_model import count_calls

        count_calls(_settings(data_dir), reason, tenant, moment_of(since), as_json=as_json)
        return
    from reports.dead_letters import counts_by_reason, show_counts
    from reports.render import out, print_json

    settings = _settings(data_dir)
    found = counts_by_reason(_read(settings, reason, since, tenant), _replayed(settings))
    if as_json:
        print_json({"total": sum(row["letters"] for row in found), "reasons": found})
    else:
        show_counts(out(), found)


def replay(
    letter_ids: _IdsArgument = None,
    reason: _ReasonOption = None,
    tenant: _TenantOption = None,
    since: _SinceOption = None,
    limit: _LimitOption = None,
    dry_run: _DryRunOption = False,
    edit: _EditOption = None,
    again: _AgainOption = False,
    yes: YesOption = False,
    by: ByOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Send rejected messages again to the input of the job, the oldest first, as they were or changed by --edit.

    An event is applied once, however often it is sent, because of its event id. The audit log records what was replayed, with your name;
    it is not sent again without --again. A message that is rejected again becomes a letter with one more attempt. One of a tenant that no
    catalog is for yet is only sent if its ID is named.

    \b
    Example:  onramp dlq replay --reason unknown_event_type --edit '{"eventType": "track"}' --dry-run
              onramp dlq replay --reason unsupported_schema_version --since 7d --yes
              onramp dlq replay --reason unknown_tenant --tenant acme --yes
    """
    from cli.support.audit_options import audit_log, confirm, login_name
    from cli.support.demo_dir import refuse_demo
    from flows.catalogs import is_directory, load_plans
    from flows.dead_letters import when_logged
    from flows.job_input import JobInput
    from flows.replay_letters import plan_replay, send_letters
    from reports.dead_letters import show_plan
    from reports.render import out
    from state.event_contract import UNKNOWN_TENANT
    from state.quantity import count

    settings = _settings(data_dir)
    refuse_demo(settings)
    name = login_name(by)
    patch = None if edit is None else json.loads(edit)
    letters = sorted(_chosen(_read(settings, reason, since, tenant), letter_ids), key=when_logged)
    topic = settings.kafka_topic if settings.kafka_brokers is not None else None
    several = is_directory(settings.catalog) or any(letter.reason == UNKNOWN_TENANT for letter in letters)
    plans = load_plans(settings.catalog) if several else None  # reading them takes a while
    planned = plan_replay(letters, _replayed(settings), wall_clock(), patch, again=again, topic=topic, plans=plans, named=bool(letter_ids))
    wanted = [each for each in planned if not each.skipped][:limit]
    skipped = [each for each in planned if each.skipped]
    target = JobInput(settings)
    if not as_json:
        show_plan(out(), wanted, skipped, edited=patch is not None)
    sent = 0
    if wanted and not dry_run:
        confirm(f"Send {count(len(wanted), 'message')} to {target.where}?", yes)
        sent = send_letters(wanted, target, audit_log(settings), name, patch)
    _tell(wanted, skipped, sent, target, name, as_json=as_json, dry_run=dry_run)


def _tell(wanted: Sequence[Planned], skipped: Sequence[Planned], sent: int, target: Any, by: str, *, as_json: bool, dry_run: bool) -> None:
    from rich.text import Text

    from reports.dead_letters import planned_as_json
    from reports.render import lines, out
    from state.plain_text import plain
    from state.quantity import count

    if as_json:
        answer = {
            "sent": sent,
            "sentTo": target.where,
            "live": target.live,
            "by": by,
            "dryRun": dry_run,
            "letters": [planned_as_json(each) for each in wanted],
            "skipped": [{"id": each.letter.id, "because": each.skipped} for each in skipped],
        }
        out().out(json.dumps(answer, allow_nan=False), highlight=False)  # values of messages may be nested too deep for Python code
        return
    when = "the job reads it as soon as it runs" if target.live else "the next run on a file takes it before it reads on"
    if not wanted:
        said = "Nothing to send."
    elif dry_run:
        said = f"{count(len(wanted), 'message')} would be sent to {target.where}; nothing was sent."
    else:
        said = f"Sent {count(sent, 'message')} to {target.where}, by {by}; {when}."
    lines(out(), Text(plain(said)))


def _settings(data_dir: Path | None) -> Settings:
    from cli.support.demo_dir import for_reading
    from cli.support.live_job import settings_of_job, with_catalog_of_job
    from cli.support.options import load

    settings = load(data_dir=data_dir)
    found = settings_of_job(settings)
    return with_catalog_of_job(for_reading(found) if found is settings else found)


def _read(settings: Settings, reason: str | None, since: str | None, tenant: str | None = None) -> Iterator[DeadLetter]:
    from flows.dead_letters import read_dead_letters
    from state.records.fact_builders import tenants_of

    earliest = moment_of(since)
    return (
        letter
        for letter in read_dead_letters(settings)
        if (reason is None or letter.reason == reason)
        and (earliest is None or letter.log_time >= earliest)
        and (tenant is None or tenant in tenants_of(letter))
    )


def _replayed(settings: Settings) -> dict[str, str]:
    from cli.support.audit_options import audit_log
    from flows.replay_letters import replayed

    return replayed(audit_log(settings, create=False))


def _chosen(letters: Iterator[DeadLetter], ids: Sequence[str] | None) -> Iterator[DeadLetter]:
    """The letters with these ids, or all. An id that does not exist is wrong usage."""
    missing = dict.fromkeys(ids or ())
    for letter in letters:
        if not ids or letter.id in missing:
            missing.pop(letter.id, None)
            yield letter
    for each in missing:
        raise _no_letter(each)


def _no_letter(letter_id: str) -> typer.BadParameter:
    return typer.BadParameter(f"there is no letter {letter_id!r} among them; `onramp dlq list` shows their ids.", param_hint="'ID'")
