"""``onramp review``: lists, approves and rejects texts of a model that wait for a review, and takes approvals back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.audited import ByOption
from cli.options import DataDirOption, JsonOption
from state.quantity import count

if TYPE_CHECKING:
    from flows.settings import Settings
    from llm.review_queue import Approved, Decision, ReviewEntry, ReviewQueue

T = TypeVar("T")

_TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant whose texts wait.")]
_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the text, from `onramp review list`.")]
_ApprovedOption = Annotated[bool, typer.Option("--approved", help="List the texts that were approved and are shown, instead.")]
_LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Texts shown at most, the oldest first.")]


def list_waiting(
    tenant: _TenantOption = "default",
    limit: _LimitOption = 20,
    approved: _ApprovedOption = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List the texts whose confidence was too low, the oldest first. The oldest are dropped when the queue is full.

    With --approved it lists the texts that were approved and are still shown; reject one to take the approval back.

    \b
    Example:  onramp review list
    """
    from rich.text import Text

    from reports.render import lines, out, print_json, record
    from state.plain_text import plain

    if approved:
        _list_approved(tenant, limit, _with_queue(_settings(data_dir), lambda queue: queue.approved(tenant)), as_json=as_json)
        return
    found = _with_queue(_settings(data_dir), lambda queue: queue.waiting(tenant, limit))
    if as_json:
        entries = [_as_json(entry) for entry in found.entries]
        print_json({"tenantId": tenant, "waiting": found.total, "dropped": found.dropped, "entries": entries})
        return
    console = out()
    dropped = f"; {count(found.dropped, 'was', 'were')} dropped undecided so far" if found.dropped else ""
    console.print(Text(f"{count(found.total, 'text waits', 'texts wait')} for a review{dropped}."))
    for entry in found.entries:
        console.print()
        own = "  for one user alone" if entry.scope == "personal" else ""
        head = (plain(entry.id), "bold"), (f"  confidence {entry.confidence:.2f}, {plain(entry.reason)}{own}", "dim")
        console.print(Text.assemble(*head))
        lines(console, Text(plain(entry.text)))
        place = f"{entry.step} upon {entry.trigger} by {entry.arm}"
        console.print(record([("where", place), ("from", f"{entry.model}, {entry.prompt_version}, {_moment(entry.created_ms)}")]))
    if found.entries:
        console.print()
        console.print(Text("decide with `onramp review approve ID` or `onramp review reject ID`", style="dim"))


def _list_approved(tenant: str, limit: int, found: tuple[Approved, ...], *, as_json: bool) -> None:
    from rich.text import Text

    from reports.render import lines, out, print_json, record
    from state.plain_text import plain

    if as_json:
        entries = [{**_as_json(each.entry), "approvedBy": each.by, "approvedMs": each.at_ms} for each in found[:limit]]
        print_json({"tenantId": tenant, "approved": len(found), "entries": entries})
        return
    console = out()
    console.print(Text(f"{count(len(found), 'approved text is', 'approved texts are')} shown."))
    for each in found[:limit]:
        console.print()
        console.print(Text(plain(each.entry.id), style="bold"))
        lines(console, Text(plain(each.entry.text)))
        place = f"{each.entry.step} upon {each.entry.trigger} by {each.entry.arm}"
        console.print(record([("where", place), ("approved", f"by {plain(each.by)}, {_moment(each.at_ms)}")]))
    if found:
        console.print()
        console.print(Text("take an approval back with `onramp review reject ID`", style="dim"))


def approve(
    entry: _IdArgument,
    tenant: _TenantOption = "default",
    by: ByOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Approve a text: it is shown to everybody in its place from now on, until the catalog or the prompt has a new version.

    A text that was written for one user is only removed: nobody else may see it, and for that user it is too late.

    \b
    Example:  onramp review approve 3f9c0a71d2e4
    """
    _decide("review.approve", tenant, entry, by, data_dir, as_json=as_json)


def reject(
    entry: _IdArgument,
    tenant: _TenantOption = "default",
    by: ByOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Reject a text: it is never queued or shown again. An approved text can be rejected too, which takes the approval back.

    \b
    Example:  onramp review reject 3f9c0a71d2e4
    """
    _decide("review.reject", tenant, entry, by, data_dir, as_json=as_json)


def _decide(action: str, tenant: str, entry: str, by: str | None, data_dir: Any, *, as_json: bool) -> None:
    from cli.audited import audit_log, login_name

    settings, who = _settings(data_dir), login_name(by)

    def act(queue: ReviewQueue) -> Awaitable[Decision]:
        decide = queue.approve if action == "review.approve" else queue.reject
        return decide(tenant, entry, who)

    with audit_log(settings).of(action, by=who, tenant=tenant, id=entry):
        decision = _with_queue(settings, act)
    _print(decision, tenant, as_json=as_json)


def _settings(data_dir: Any) -> Settings:
    from cli.demo_dir import for_reading
    from cli.options import load

    return for_reading(load(data_dir=data_dir))


def _with_queue(settings: Settings, act: Callable[[ReviewQueue], Awaitable[T]]) -> T:
    """Run ``act`` on the queue in Redis, or in the Valkey of the data directory, whether or not a job runs."""
    import asyncio

    from cli.stores import open_redis
    from llm.review_queue import ReviewPolicy, ReviewQueue
    from sinks.redis.async_client import connect_async
    from sinks.redis.client import ANSWER_SECONDS

    async def run(address: str) -> T:
        client = connect_async(address, ANSWER_SECONDS)
        try:
            return await act(ReviewQueue(client, ReviewPolicy(wait_seconds=ANSWER_SECONDS)))
        finally:
            await client.aclose()

    with open_redis(settings) as address:
        return asyncio.run(run(address))


def _print(decision: Decision, tenant: str, *, as_json: bool) -> None:
    from reports.render import out, print_json
    from state.plain_text import plain

    if as_json:
        entry = _as_json(decision.entry)
        print_json({"tenantId": tenant, "promoted": decision.promoted, "inWords": decision.sentence, "entry": entry})
    else:
        out().print(plain(decision.sentence))


def _as_json(entry: ReviewEntry) -> dict[str, Any]:
    """An entry as JSON, without the person that it was written for."""
    import msgspec

    from reports.values import camel

    return {"id": entry.id, **{camel(name): value for name, value in msgspec.structs.asdict(entry).items() if name != "owner"}}


def _moment(unix_ms: int) -> str:
    from datetime import UTC, datetime

    from reports.values import moment

    return moment(datetime.fromtimestamp(unix_ms / 1000, UTC))
