"""``onramp guidance``: switches for operators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.support.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.settings import Settings

_TOLD: Final = ("id", "share", "by", "because")
_TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant whose users it is about.")]
_ByOption = Annotated[str | None, typer.Option("--by", help="Who switches. [default: your login name]", show_default=False)]
_BecauseOption = Annotated[str, typer.Option("--because", help="Why, for those who read it later.")]
_ShareArgument = Annotated[float, typer.Argument(metavar="SHARE", min=0.0, max=1.0, help="The share of users who may be guided, 0 to 1.")]


def pause(
    tenant: _TenantOption = "default",
    by: _ByOption = None,
    because: _BecauseOption = "",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Give guidance to nobody from now on, and take back what is shown. Everything else goes on: progress, funnels, alarms.

    A running job obeys within an epoch. For runs on files it holds from where the next one goes on.

    \b
    Example:  onramp guidance pause --because "the invite text is wrong"
    """
    _switch("pause", None, tenant, by, because, data_dir, as_json=as_json)


def resume(
    tenant: _TenantOption = "default",
    by: _ByOption = None,
    because: _BecauseOption = "",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """End a pause. The share of the last ramp holds again.

    \b
    Example:  onramp guidance resume
    """
    _switch("resume", None, tenant, by, because, data_dir, as_json=as_json)


def ramp(
    share: _ShareArgument,
    tenant: _TenantOption = "default",
    by: _ByOption = None,
    because: _BecauseOption = "",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Let a share of the users be guided; 1 is everybody. Raising it only adds users. It does not end a pause.

    \b
    Example:  onramp guidance ramp 0.1
              onramp guidance ramp 1 --because "no complaints for a week"
    """
    _switch("ramp", share, tenant, by, because, data_dir, as_json=as_json)


def status(tenant: _TenantOption = "default", as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show whether guidance is on, and every switch: when, by whom, why, and from which time of the log it holds.

    \b
    Example:  onramp guidance status
    """
    from rich.text import Text

    from cli.support.live_job import settings_to_send
    from cli.support.stores import open_facts
    from flows.bound_input import input_of, require_input
    from flows.send_switch import require_catalog
    from local.data_dir import DataDir
    from reports import switches
    from reports.render import lines, out, print_json

    settings = settings_to_send(data_dir)
    require_input(settings)
    require_catalog(settings, tenant)
    if not settings.live and settings.clickhouse_url is None:
        DataDir.open(settings.data_dir)  # says that there is no data yet
    found: dict[str, Any] = switches.NOTHING
    if settings.clickhouse_url is not None or (settings.data_dir / "state").exists():
        with open_facts(settings) as facts:
            found = switches.read(facts, tenant)
    waiting = _sent(settings, tenant, found["switches"]) if settings.live else _written(settings, tenant, found["switches"])
    if as_json:
        print_json({"tenant": tenant, "dataDir": str(settings.data_dir), **found, "waiting": waiting})
        return
    console = out()
    lines(console, Text(switches.sentence(found)))
    reads = f"the job that reads {input_of(settings)}, with its data in" if settings.live else "runs on files in"
    lines(console, Text(f"That is about {reads} {settings.data_dir}.", style="dim"))
    if waiting:
        whoever = "The job has not told yet that it has read" if settings.live else "The next run on a file takes"
        lines(console, Text(f"{whoever} what was switched since:", style="dim"))
    if listed := [*reversed(waiting), *found["switches"]]:
        switches.print_switches(console, listed)


def _written(settings: Settings, tenant: str, taken: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The switches that were written for runs on files and that no run has taken, the oldest first."""
    from datetime import UTC, datetime

    from flows.send_switch import written_for_files

    known = {each["id"] for each in taken}
    return [
        {
            "id": event.id,
            "action": event.payload["action"],
            "share": event.payload.get("share"),
            "by": event.user,
            "because": event.payload.get("because", ""),
            "switchedAt": datetime.fromtimestamp(event.timestamp / 1000, UTC),
            "inForceAt": None,
        }
        for event in written_for_files(settings, tenant)
        if event.id not in known
    ]


def _sent(settings: Settings, tenant: str, taken: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The switches for the job that this directory's audit log has, and that are younger than the newest one that the job has taken."""
    from datetime import datetime

    from cli.support.audit_options import audit_log
    from flows.send_switch import written_for_files

    known = {each["id"] for each in taken} | {event.id for event in written_for_files(settings, tenant)}  # no live job reads the latter
    newest = max((each["switchedAt"] for each in taken), default=None)
    found = []
    for entry in audit_log(settings, create=False).entries():
        _, _, action = str(entry["action"]).partition("guidance.")
        if not action or entry.get("outcome") != "done" or entry.get("tenant") != tenant or entry.get("id") in known:
            continue
        switched_at = datetime.fromisoformat(entry["at"])
        if newest is None or switched_at > newest:
            found.append({"action": action, "switchedAt": switched_at, "inForceAt": None, **{name: entry.get(name) for name in _TOLD}})
    return found


def _switch(action: str, share: float | None, tenant: str, by: str | None, because: str, data_dir: Path | None, *, as_json: bool) -> None:
    from rich.text import Text

    from cli.support.audit_options import audit_log, login_name
    from cli.support.demo_dir import refuse_demo
    from cli.support.live_job import settings_to_send
    from flows.send_switch import require_receiver, send_switch
    from reports.render import lines, out, print_json
    from state.plain_text import plain
    from state.times import rfc3339

    settings = settings_to_send(data_dir)
    refuse_demo(settings)
    require_receiver(settings)  # before the audit log creates the directory
    who = login_name(by)
    with audit_log(settings).of(f"guidance.{action}", by=who, tenant=tenant, because=because, share=share) as entry:
        sent = send_switch(settings, tenant=tenant, by=who, because=because, action=action, share=share)
        entry["id"] = sent.event.id
    if as_json:
        event = sent.event
        print_json(
            {
                "id": event.id,
                "tenant": tenant,
                "action": action,
                "share": share,
                "by": event.user,
                "because": because,
                "switchedAt": rfc3339(event.timestamp),
                "sentTo": sent.where,
                "live": sent.live,
            }
        )
        return
    share_of_users = f"{100 * (share or 0):g} % of the users"
    if sent.live:
        what = {"pause": "paused for everybody", "resume": "resumed", "ramp": f"given to {share_of_users}"}[action]
        said = f"is {what}, by {plain(sent.event.user)}: written to {plain(sent.where)}; the job obeys as soon as it reads it."
    else:
        what = {"pause": "be paused for everybody", "resume": "be resumed", "ramp": f"be given to {share_of_users}"}[action]
        said = f"will {what}, by {plain(sent.event.user)}, when the next run on a file goes on: written to {plain(sent.where)}."
    lines(out(), Text(f"Guidance of the tenant {plain(tenant)} {said}"))
