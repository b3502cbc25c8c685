"""Whether guidance is on, and who switched it: in ``onramp report`` and ``onramp guidance status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from reports.render import heading, percent, table
from reports.values import moment

if TYPE_CHECKING:
    from reports.facts import Facts

Json = dict[str, Any]

NOTHING: Final[Json] = {"paused": False, "share": 1.0, "switches": []}
"""What ``read`` returns where nobody ever switched."""
_MOST_SHOWN: Final = 5
_SWITCHES: Final = """
SELECT switch_id, toString(action) AS action, share, switched_by, because, switched_at, in_force_at FROM guidance_switches_final
WHERE tenant_id = {tenant:String} ORDER BY in_force_at DESC, switched_at DESC, switch_id DESC
"""


def read(facts: Facts, tenant: str) -> Json:
    """What holds for ``tenant`` and its switches, the newest first: ``guidance`` of ``onramp report --json``."""
    state = facts.rows("SELECT paused, ramp_share FROM guidance_state WHERE tenant_id = {tenant:String}", tenant=tenant)
    switches = facts.rows(_SWITCHES, tenant=tenant)
    return {
        "paused": bool(state and state[0]["paused"]),
        "share": float(state[0]["ramp_share"]) if state else 1.0,
        "switches": [
            {
                "id": each["switch_id"],
                "action": each["action"],
                "share": each["share"] if each["action"] == "ramp" else None,
                "by": each["switched_by"],
                "because": each["because"],
                "switchedAt": each["switched_at"],
                "inForceAt": each["in_force_at"],
            }
            for each in switches
        ],
    }


def sentence(found: Json) -> str:
    """What holds now, in one sentence."""
    share = found["share"]
    rest = "" if share >= 1 else f" {percent(share)} of the users"
    if found["paused"]:
        return f"Guidance is paused for everybody{f'; after that{rest} may be guided' if rest else ''}."
    return f"Guidance is on for{rest}; the others get none." if rest else "Guidance is on."


def show(console: Console, found: Json) -> None:
    """Print what holds and the newest switches; nothing where nobody ever switched."""
    if not found["switches"]:
        return
    heading(console, sentence(found), f"the last {_MOST_SHOWN} switches" if len(found["switches"]) > _MOST_SHOWN else "")
    print_switches(console, found["switches"][:_MOST_SHOWN])


def print_switches(console: Console, switches: list[Json]) -> None:
    """Print one line for each switch."""
    rows = (
        (
            moment(each["switchedAt"]),
            each["action"] + (f" {percent(each['share'])}" if each["action"] == "ramp" else ""),
            each["by"],
            moment(each["inForceAt"]) if each["inForceAt"] is not None else "when it is read",
            each["because"],
        )
        for each in switches
    )
    console.print(table(["switched", "what", "by", "holds from", "~because"], rows))
