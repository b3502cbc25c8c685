"""``onramp review``: lists, approves and rejects texts of a model that wait for a review, and takes approvals back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.support.audit_options import ByOption
from cli.support.options import DataDirOption, JsonOption
from state.quantity import count

if TYPE_CHECKING:
    from flows.settings import Settings
    from llm.review_queue import Approved, InForce, ReviewEntry, ReviewQueue, ReviewResult

T = TypeVar("T")

_TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant whose texts wait.")]
_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the text, from `onramp review list`.")]
_ApprovedOption = Annotated[bool, typer.Option("--approved", help="List the texts that were approved instead.")]
_LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Texts shown at most, the oldest first.")]


def list_waiting(
    tenant: _TenantOption = "default",
    limit: _LimitOption = 20,
    approved: _ApprovedOption = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List the texts that wait, the oldest first: those that a model was not sure of, and those in languages whose texts all need an
    approval (`review_languages` of the catalog). The oldest are dropped when the queue is full.

    With --approved it lists the texts that were approved; reject one to take the approval back. A text is no longer in use when the catalog
    or the prompt has a new version; that is compared where the catalog is known, from ONRAMP_CATALOG or from the job of the data directory.

    \b
    Example:  onramp review list
    """
    from rich.text import Text

    from reports.render import lines, out, print_json, record
    from state.plain_text import plain

    settings = _settings(data_dir)
    in_force = _in_force(settings, tenant)
    if approved:
        _list_approved(tenant, limit, _with_queue(settings, lambda queue: queue.approved(tenant)), in_force, as_json=as_json)
        return
    found = _with_queue(settings, lambda queue: queue.waiting(tenant, limit))
    if as_json:
        entries = [_as_json(entry, in_force) for entry in found.entries]
        print_json({"tenantId": tenant, "waiting": found.total, "dropped": found.dropped, "entries": entries})
        return
    console = out()
    dropped = f"; {count(found.dropped, 'was', 'were')} dropped undecided so far" if found.dropped else ""
    console.print(Text(f"{count(found.total, 'text waits', 'texts wait')} for a review{dropped}."))
    for entry in found.entries:
        console.print()
        own = "  for one user alone" if entry.scope == "personal" else ""
        why = plain(", ".join(filter(None, (entry.reason, entry.language))))
        head = (plain(entry.id), "bold"), (f"  confidence {entry.confidence:.2f}, {why}{own}", "dim")
        console.print(Text.assemble(*head))
        lines(console, Text(plain(entry.text)))
        place = f"{entry.step} upon {entry.trigger} by {entry.arm}"
        about = [("where", place), ("from", f"{entry.model}, {entry.prompt_version}, {_moment(entry.created_ms)}")]
        console.print(record([*about, *_use(entry, in_force)]))
    if found.entries:
        console.print()
        console.print(Text("decide with `onramp review approve ID` or `onramp review reject ID`", style="dim"))


def _list_approved(tenant: str, limit: int, found: tuple[Approved, ...], in_force: InForce | None, *, as_json: bool) -> None:
    from rich.text import Text

    from reports.render import lines, out, print_json, record
    from state.plain_text import plain

    gone = sum(in_force is not None and not in_force.serves(each.entry) for each in found)
    if as_json:
        entries = [{**_as_json(each.entry, in_force), "approvedBy": each.by, "approvedMs": each.at_ms} for each in found[:limit]]
        print_json({"tenantId": tenant, "approved": len(found) - gone, "noLongerInUse": gone, "entries": entries})
        return
    console = out()
    rest = f"; {count(gone, 'is', 'are')} no longer in use" if gone else ""
    console.print(Text(f"{count(len(found) - gone, 'approved text is', 'approved texts are')} shown{rest}."))
    if found and in_force is None:
        console.print(Text("Name the catalog with ONRAMP_CATALOG: texts for another version of it are no longer in use.", style="dim"))
    for each in found[:limit]:
        console.print()
        console.print(Text(plain(each.entry.id), style="bold"))
        lines(console, Text(plain(each.entry.text)))
        place = f"{each.entry.step} upon {each.entry.trigger} by {each.entry.arm}"
        about = [("where", place), ("approved", f"by {plain(each.by)}, {_moment(each.at_ms)}")]
        console.print(record([*about, *_use(each.entry, in_force)]))
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

    A text that was written for one user is only removed: nobody else may see it, and for that user it is too late. So is one that was
    written for an earlier catalog or prompt.

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
    from cli.support.audit_options import audit_log, login_name

    settings, who = _settings(data_dir), login_name(by)
    in_force = _in_force(settings, tenant)

    def act(queue: ReviewQueue) -> Awaitable[ReviewResult]:
        return queue.approve(tenant, entry, who, in_force) if action == "review.approve" else queue.reject(tenant, entry, who)

    with audit_log(settings).of(action, by=who, tenant=tenant, id=entry):
        result = _with_queue(settings, act)
    _print(result, tenant, as_json=as_json)


def _settings(data_dir: Any) -> Settings:
    from cli.support.demo_dir import demo_catalog, for_reading
    from cli.support.live_job import with_catalog_of_job
    from cli.support.options import load

    settings = for_reading(load(data_dir=data_dir))
    if (of_demo := demo_catalog(settings.data_dir)) is not None:
        return settings.model_copy(update={"catalog": of_demo})
    return with_catalog_of_job(settings)


def _in_force(settings: Settings, tenant: str) -> InForce | None:
    """The catalog of ``tenant``; None where it is not known here: nobody named one and no job noted one, or it cannot be read."""
    from flows.catalogs import CatalogFileError, catalog_of
    from llm.review_queue import InForce
    from state.catalog.parse import CatalogError
    from state.catalog.plan import Plan

    if settings.origin("catalog") == "default":
        return None
    try:
        plan = Plan(catalog_of(settings.catalog, tenant))
    except (CatalogError, CatalogFileError):
        return None
    policy = plan.catalog.wording
    return InForce(plan.version, () if policy is None else tuple(prompt.version for prompt in policy.prompts))


def _with_queue(settings: Settings, act: Callable[[ReviewQueue], Awaitable[T]]) -> T:
    """Run ``act`` on the queue in Redis, or in the Valkey of the data directory, whether or not a job runs."""
    import asyncio

    from cli.support.stores import open_redis
    from llm.review_queue import ReviewPolicy, ReviewQueue, ReviewUnavailableError
    from sinks.redis.async_client import connect_async
    from sinks.redis.client import ANSWER_SECONDS, refusal

    async def run(address: str) -> T:
        client = connect_async(address, ANSWER_SECONDS)
        try:
            return await act(ReviewQueue(client, ReviewPolicy(wait_seconds=ANSWER_SECONDS)))
        except ReviewUnavailableError as error:
            raise refusal(error.__cause__ or error, address) or error from error.__cause__
        finally:
            await client.aclose()

    with open_redis(settings) as address:
        return asyncio.run(run(address))


def _print(result: ReviewResult, tenant: str, *, as_json: bool) -> None:
    from reports.render import out, print_json
    from state.plain_text import plain

    if as_json:
        entry = _as_json(result.entry)
        print_json({"tenantId": tenant, "promoted": result.promoted, "inWords": result.sentence, "entry": entry})
    else:
        out().print(plain(result.sentence))


def _use(entry: ReviewEntry, in_force: InForce | None) -> list[tuple[str, str]]:
    """The row that says that a text is no longer in use, where it is not."""
    from llm.review_queue import written_for
    from state.plain_text import plain

    if in_force is None or in_force.serves(entry):
        return []
    return [("use", plain(f"no longer in use: {written_for(entry)}"))]


def _as_json(entry: ReviewEntry, in_force: InForce | None = None) -> dict[str, Any]:
    """An entry as JSON, without the person that it was written for. ``inUse`` is null where the catalog in force is not known."""
    import msgspec

    from reports.values import camel

    fields = {camel(name): value for name, value in msgspec.structs.asdict(entry).items() if name != "owner"}
    return {"id": entry.id, **fields, "inUse": None if in_force is None else in_force.serves(entry)}


def _moment(unix_ms: int) -> str:
    from datetime import UTC, datetime

    from reports.values import moment

    return moment(datetime.fromtimestamp(unix_ms / 1000, UTC))
