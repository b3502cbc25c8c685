"""``onramp forget``: erase everything that is held about one user."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.support.audit_options import ByOption, YesOption
from cli.support.options import DataDirOption, JsonOption, TenantOption, UserArgument

_VisitorOption = Annotated[bool, typer.Option("--visitor", help="USER is an anonymousId. One that signed in is refused: forget its user.")]
_WaitOption = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the job to process the deletion.")]
_CheckOption = Annotated[bool, typer.Option("--check", help="Only read every store again; erase nothing.")]
_MaintainOption = Annotated[
    bool, typer.Option("--maintain", help="Also erase what stays in files for a while, and search every byte. No job may run.")
]
_AlsoOption = Annotated[
    list[str] | None, typer.Option("--also", metavar="ID", help="Another id of the user to look for. May be repeated.", show_default=False)
]


def forget(
    user: UserArgument,
    tenant: TenantOption = "default",
    visitor: _VisitorOption = False,
    check: _CheckOption = False,
    maintain: _MaintainOption = False,
    also: _AlsoOption = None,
    wait: _WaitOption = 60.0,
    yes: YesOption = False,
    by: ByOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Erase a user and their earlier visitor ids from every store, and print a receipt.

    It sends user_deleted to the input of the job, waits for a running job, erases what the job does not, and reads every store again.
    The receipt names the user by a hash. Exits with 1 if a store still holds something; run it again with --check later. Once the rows
    and messages are erased, the earlier visitor ids cannot be found any more: name them with --also.

    \b
    Example:  onramp forget u-17
              onramp forget u-17 --maintain --yes
    """
    from cli.support.audit_options import audit_log, confirm, login_name
    from cli.support.failures import say
    from cli.support.live_job import settings_for_user_data
    from flows import forget as job
    from state.quantity import count
    from state.times import rfc3339

    settings, who = settings_for_user_data(data_dir), login_name(by)
    log = audit_log(settings)
    with job.open_stores(settings) as stores:
        subject = job.subject_of(stores, tenant, user, also or ())
        named = f"{user} and {count(len(subject.ids) - 1, 'visitor id')}"
        if maintain:
            job.refuse_while_running(stores)
        known = job.is_known(stores, subject)
        job.refuse_unknown_tenant(stores, subject, known=known)
        if not check:
            job.refuse_visitor_of_another(stores, subject)
            back = ", who has come back since the last deletion, with the new life" if job.has_come_back(stores, subject) else ""
            confirm(f"Forget {named} for good{back}?", yes)
        asked, sent_to = job.before_asking(stores, subject), ""
        what = {"tenant": tenant, "user": stores.keys.stream_key(tenant, user), "visitors": len(subject.ids) - 1}
        with log.of("forget.check", by=who, **what) if check else log.begun("forget", by=who, **what) as entry:
            if not check:
                sent_to = job.ask_to_forget(stores, subject, visitor=visitor, at=asked.at)
                subject = job.before_deletion(stores, subject, asked)
                if settings.live or stores.data_dir.is_running():
                    job.wait_for_job(stores, subject, wait if settings.live else 0, known=known, asked=asked)
                ids = job.subject_of(stores, tenant, user, subject.ids).ids  # the job may have read of a visitor meanwhile
                subject = subject._replace(ids=ids)
                entry["visitors"] = len(subject.ids) - 1
                taken = job.has_taken(stores, subject, known=known, asked=asked)
                job.erase(stores, subject._replace(merges_stay=not taken and job.needs_merges(stores, subject)))
            else:
                subject = job.before_deletion(stores, subject)
            more = job.maintain(stores, subject) if maintain else []
            taken = job.has_taken(stores, subject, known=known, asked=None if check else asked)
            lines = [*job.verify(stores, subject), *more]
            found = entry["receipt"] = job.receipt(
                stores, subject, lines, by=who, sent_to=sent_to, asked_at=rfc3339(asked.at), taken=taken, known=known
            )
    _print_receipt(found, as_json=as_json)
    if not found["complete"]:
        say("the user is not forgotten everywhere yet; the receipt says where not, and why.")
        raise typer.Exit(1)


def _print_receipt(found: dict[str, Any], *, as_json: bool) -> None:
    from rich.text import Text

    from reports.render import lines, out, print_json, table
    from reports.values import shown_moment

    if as_json:
        print_json(found)
        return
    console = out()
    state = "is forgotten" if found["complete"] else "is not forgotten everywhere yet"
    lines(console, Text(f"The user with the hash {found['user']} {state}."))
    if not found["known"] and found["sentTo"]:
        lines(console, Text("No store held anything about this user; check the id and --tenant, unless this was asked for before."))
    if not found["jobHasTakenIt"] and found["sentTo"]:
        lines(console, Text(f"No job has taken the deletion yet; it waits in {found['sentTo']}."))
    rows = [
        (line["store"], "?" if line["held"] is None else line["held"], shown_moment(line["verifiedAt"] or ""), line.get("note", ""))
        for line in found["stores"]
    ]
    console.print(table(("store", ">held", "read again", "~note"), rows))
