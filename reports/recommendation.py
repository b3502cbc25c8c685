"""What the app reads for one user, and whether it shows it: printed by ``onramp recommend``."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.text import Text

from reports.reasons import why_withdrawn
from reports.render import lines, record
from reports.values import shown_moment
from sinks.redis.record import Deleted
from state.plain_text import plain
from state.records.recommendation import Recommendation
from state.times import day_of


def status_of(record: Recommendation | Deleted | None, now: int | None) -> str:
    """``none``, ``deleted``, ``withdrawn``, ``expired`` or ``current``, at ``now`` in Unix milliseconds (None: nothing expires)."""
    if record is None:
        return "none"
    if isinstance(record, Deleted):
        return "deleted"
    if record.ui_component == "none":
        return "withdrawn"
    return "expired" if now is not None and datetime.fromisoformat(record.expires_at).timestamp() * 1000 <= now else "current"


def show(
    console: Console, *, user: str, tenant: str, status: str, found: Recommendation | None, end_of_log: int | None, explain: str
) -> None:
    """Print what a record says, and what an app does with it.

    ``end_of_log``: where the status is not that of now but of the end of a file, its time in Unix milliseconds. ``explain`` is the command
    that says why there is nothing.
    """
    who = f"{plain(user)}{f' of tenant {plain(tenant)}' if tenant != 'default' else ''}"
    why = why_withdrawn(found.reason) if found is not None and status == "withdrawn" else ""
    sentence = {
        "none": f"nothing to show. Nothing was decided, or Redis no longer holds it; `{plain(explain)}` says why.",
        "deleted": "nothing to show: the user was deleted.",
        "withdrawn": f"nothing to show: the guidance was withdrawn ({plain(why)}).",
        "expired": f"nothing to show: the recommendation expired on {shown_moment(found.expires_at) if found else ''}.",
        "current": "the app shows this." if end_of_log is None else f"at the end of the log ({day_of(end_of_log)}) the app showed this.",
    }[status]
    console.print(Text.assemble((who, "bold"), f": {sentence}"))
    if found is None:
        return
    console.print()
    if found.message:
        lines(console, Text(plain(found.message), style="" if status == "current" else "dim"))
        console.print()
    rows = [
        ("component", found.ui_component),
        ("link", found.deep_link),
        ("because", f"{found.trigger} at {found.step_id}"),
        ("path", found.path_id),
        ("arm", f"{found.arm}, chosen with probability {found.propensity:.2f}" if found.arm else ""),
        ("text from", found.source),
        ("valid", f"{shown_moment(found.created_at)} to {shown_moment(found.expires_at)}"),
        ("id", found.recommendation_id),
    ]
    console.print(record(row for row in rows if row[1]))
