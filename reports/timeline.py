"""One user's history: read from ClickHouse, printed one line an entry and grouped by day, or as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.llm_call import call_in_words
from reports.reasons import why_not, why_withdrawn
from reports.render import lines
from reports.safe_text import shortened
from reports.stuck_evidence import evidence_in_words
from reports.values import in_utc, json_record
from state.catalog.wording_schema import identifies
from state.decision.attribution import EXPOSURES
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from reports.facts import Facts

_STYLE: Final = {"event": "dim", "signal": "yellow", "decision": "green", "non_decision": "magenta", "wording": "blue", "outcome": "cyan"}
_LABEL: Final = {"non_decision": "no decision", "recommendation": "guidance"}
_SHOWN_FIELDS: Final = tuple(
    "path target label form step code message recommendationId guidance modelText channels quietHours previousId".split()
)
"""What is shown of a payload, beside its traits: all but those whose name says that they identify somebody."""
_LONGEST: Final = 1_000
_OUTCOMES: Final = {
    "shown": "reached the screen",
    "clicked": "was clicked",
    "dismissed": "was dismissed",
    "success": "success: the step was completed in time",
    "failure": "failure: the step was not completed in time",
    "expired": "expired before it was shown",
    "withdrawn": "withdrawn before it was shown",
    "superseded": "replaced by a newer one before it was shown",
}

_PERSON: Final = """
SELECT p.* REPLACE (if(p.experiment_group NOT IN ('existing', 'merged') AND c.version != '', 'observing', p.experiment_group)
    AS experiment_group)
FROM (SELECT * FROM people_final WHERE tenant_id = {tenant:String} AND user_id = {user:String}) AS p
LEFT JOIN (SELECT tenant_id AS tenant, catalog_version AS version FROM catalogs_final WHERE holdout >= 1) AS c
    ON c.tenant = p.tenant_id AND c.version = p.entered_under
"""
"""The group is that of the view ``experiment_groups``."""

Row = dict[str, Any]


def read(facts: Facts, tenant: str, user: str) -> tuple[Row | None, list[Row]]:
    """Return what is known of the user, and everything that happened, in order."""
    people = facts.rows(_PERSON, tenant=tenant, user=user)
    timeline = facts.rows(
        "SELECT at, kind, what, path_id, step_id, trigger, reason, arm, propensity, decision_id, detail FROM person_timeline "
        "WHERE tenant_id = {tenant:String} AND user_id = {user:String} "
        # progress has the version of its newest change, not of this one: it goes by rank, after the events
        "ORDER BY at, least(rank, 3), if(rank = 2, place, 0), version, rank, place, what",
        tenant=tenant,
        user=user,
    )
    person = json_record({name: value for name, value in people[0].items() if name != "version"}) if people else None
    return person, timeline


def as_records(timeline: list[Row]) -> list[Row]:
    """The timeline as JSON objects; ``inWords`` is the sentence that ``onramp explain`` prints."""
    outcomes, issued = _outcomes(timeline), _issued(timeline)
    records = []
    for row in timeline:
        record = json_record({name: value for name, value in row.items() if value is not None and value != ""})
        records.append({**record, "inWords": _words(row, outcomes, issued)})
    return records


def show(console: Console, *, user: str, tenant: str, person: Row | None, timeline: list[Row], limit: int) -> None:
    """Print who the user is and what happened."""
    name = f"{plain(user)}{f' of tenant {plain(tenant)}' if tenant != 'default' else ''}"
    console.print(Text(name, style="bold"))
    if person is not None:
        lines(console, Text(portrait(person), style="dim"))
    shown = timeline[-limit:] if limit else timeline
    if len(shown) < len(timeline):
        console.print(
            Text(f"  {count(len(timeline) - len(shown), 'earlier entry', 'earlier entries')} left out; --limit 0 shows all", style="dim")
        )
    show_entries(console, shown, _outcomes(timeline), _issued(timeline))
    console.print()


def show_entries(console: Console, entries: list[Row], outcomes: dict[str, list[str]], issued: frozenset[str] = frozenset()) -> None:
    """Print entries, a heading for each day. ``outcomes``: decision → what followed it, to stand behind the decision. ``issued`` are the
    person's decisions, to tell exposures that belong to none.
    """
    days: dict[str, list[Row]] = defaultdict(list)
    for row in entries:
        days[in_utc(row["at"]).strftime("%A, %Y-%m-%d")].append(row)
    for day, rows in days.items():
        console.print()
        console.print(Text(f"  {day}", style="bold"))
        grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        for width in (10, 11):
            grid.add_column(no_wrap=True, min_width=width)
        grid.add_column(overflow="fold")
        for row in rows:
            kind = row["kind"]
            label = Text(str(_LABEL.get(kind, kind)), style=_STYLE.get(kind, ""))
            words = Text(_words(row, outcomes, issued), style="dim" if kind == "event" else "")
            grid.add_row(Text(f"  {in_utc(row['at']):%H:%M:%S}", style="dim"), label, words)
        console.print(grid)


def portrait(person: Row) -> str:
    """Path, progress, activation, group and sessions in one line."""
    done = f"{person['stepsCompleted']} of {count(person['stepsTotal'], 'step')}"
    path = f"path {plain(person['pathId'])}, {done}" if person["pathId"] else "on no path"
    activated = f"activated {person['activatedAt'][:10]}" if person["activatedAt"] else "not activated"
    sessions = count(person["sessionCount"], "session")
    return f"{path}, {activated}, group {plain(person['experimentGroup'])}, {sessions}"


def _outcomes(timeline: list[Row]) -> dict[str, list[str]]:
    """Decision → what followed it."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in timeline:
        if row["kind"] == "outcome":
            found[row["decision_id"]].append(row["what"])
    return found


def _issued(timeline: list[Row]) -> frozenset[str]:
    return frozenset(row["decision_id"] for row in timeline if row["kind"] == "decision")


def _words(row: Row, outcomes: dict[str, list[str]], issued: frozenset[str]) -> str:
    step, trigger = plain(row["step_id"]), plain(row["trigger"])
    match row["kind"]:
        case "event":
            return _event(row, issued)
        case "progress" if row["what"] == "path_changed":
            return f"path changed {plain(row['detail'])} to {plain(row['path_id']) or 'none'}"
        case "progress":
            return f"{row['what']} {step} ({plain(row['detail'])})"
        case "signal":
            return f"{trigger} at {step}: {evidence_in_words(row['trigger'], row['detail'])}"
        case "decision":
            followed = f" → {', '.join(outcomes[row['decision_id']])}" if row["decision_id"] in outcomes else ""
            others = max(0, row["detail"].count(",")) + 1
            return (
                f"{plain(row['arm'])} upon {trigger} at {step}, probability {row['propensity']:.2f} among {count(others, 'arm')}{followed}"
            )
        case "non_decision":
            at = f" at {step}" if step else ""
            return f"upon {trigger}{at}: {plain(why_not(row['reason']))} ({plain(row['reason'])})"
        case "recommendation":
            if row["what"] == "none":
                return f"withdrawn: {plain(why_withdrawn(row['reason']))}"
            return f"{plain(row['what'])} “{plain(row['detail'])}”"
        case "wording":
            return call_in_words(row)
        case "outcome":
            if row["what"] == "withdrawn" and "shown" in outcomes.get(row["decision_id"], []):
                return f"{plain(row['arm'])} withdrawn after it was shown: neither success nor failure"
            return f"{plain(row['arm'])} {_OUTCOMES.get(row['what'], plain(row['what']))}"
    return plain(row["what"])


def _event(row: Row, issued: frozenset[str]) -> str:
    what, payload = plain(row["what"]), _payload(row["detail"])
    status = f" ({plain(row['reason'])}: kept, not applied)" if row["reason"] else ""
    echoed = payload.get("recommendationId")
    if row["what"] in EXPOSURES and not status and echoed is not None and str(echoed).partition(".")[0] not in issued:
        status = " (ignored: no recommendation of this user has that id)"
    return shortened(f"{what}{_fields(payload)}", _LONGEST) + status


def _payload(text: str) -> Row:
    try:
        payload = json.loads(text) if text else {}
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _fields(payload: Row) -> str:
    traits = payload.get("traits")
    fields = [(name, payload.get(name, "")) for name in _SHOWN_FIELDS]
    if isinstance(traits, dict):
        fields += [(shortened(plain(name), 60), value) for name, value in traits.items() if not identifies(name)]
    parts = [f"{name} {shortened(plain(_value(value)), 60)}" for name, value in fields if value != ""]
    return f" {', '.join(parts)}" if parts else ""


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
