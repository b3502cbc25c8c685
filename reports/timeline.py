"""A person's story on the screen: one line an entry, grouped by day, each kind of entry in its own words."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.cells import camel, json_value
from reports.evidence import in_words
from reports.plain import plain, shortened
from reports.reasons import why_not, why_withdrawn
from reports.wordings import in_words as wording_in_words
from reports.wordings import several

_STYLE: Final = {"event": "dim", "signal": "yellow", "decision": "green", "non_decision": "magenta", "wording": "blue", "outcome": "cyan"}
_LABEL: Final = {"non_decision": "no decision", "recommendation": "guidance"}
_TELLING: Final = ("path", "target", "label", "form", "code", "message", "recommendationId", "guidance", "previousId", "persona", "useCase")
_LONGEST: Final = 200
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

Row = dict[str, Any]


def as_records(timeline: list[Row]) -> list[Row]:
    """The timeline as JSON objects, with ``inWords`` beside what was recorded."""
    outcomes = _outcomes(timeline)
    records = []
    for row in timeline:
        record = {camel(name): json_value(value) for name, value in row.items() if value not in {"", None}}
        records.append({**record, "inWords": _words(row, outcomes)})
    return records


def show(console: Console, user: str, tenant: str, person: Row | None, timeline: list[Row], limit: int) -> None:
    """Print who the person is and what happened."""
    name = f"{plain(user)}{f' of tenant {plain(tenant)}' if tenant != 'default' else ''}"
    console.print(Text(name, style="bold"))
    if person is not None:
        console.print(Text(f"  {_portrait(person)}", style="dim"))
    outcomes = _outcomes(timeline)
    shown = timeline[-limit:] if limit else timeline
    if len(shown) < len(timeline):
        console.print(Text(f"  {len(timeline) - len(shown):,} earlier entries left out; --limit 0 shows all", style="dim"))
    days: dict[str, list[Row]] = defaultdict(list)
    for row in shown:
        days[_utc(row["at"]).strftime("%A, %Y-%m-%d")].append(row)
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
            words = Text(_words(row, outcomes), style="dim" if kind == "event" else "")
            grid.add_row(Text(f"  {_utc(row['at']):%H:%M:%S}", style="dim"), label, words)
        console.print(grid)
    console.print()


def _portrait(person: Row) -> str:
    done = f"{person['stepsCompleted']} of {person['stepsTotal']} steps"
    path = f"path {plain(person['pathId'])}, {done}" if person["pathId"] else "on no path"
    activated = f"activated {person['activatedAt'][:10]}" if person["activatedAt"] else "not activated"
    sessions = several(person["sessionCount"], "session")
    return f"{path}, {activated}, group {plain(person['experimentGroup'])}, {sessions}"


def _outcomes(timeline: list[Row]) -> dict[str, list[str]]:
    """What became of each decision."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in timeline:
        if row["kind"] == "outcome":
            found[row["decision_id"]].append(row["what"])
    return found


def _words(row: Row, outcomes: dict[str, list[str]]) -> str:
    step, trigger = plain(row["step_id"]), plain(row["trigger"])
    match row["kind"]:
        case "event":
            return _event(row)
        case "progress":
            return f"{row['what']} {step} ({plain(row['detail'])})"
        case "signal":
            return f"{trigger} at {step}: {in_words(row['trigger'], row['detail'])}"
        case "decision":
            became = f" → {', '.join(outcomes[row['decision_id']])}" if row["decision_id"] in outcomes else ""
            others = max(0, row["detail"].count(",")) + 1
            return f"{plain(row['arm'])} upon {trigger} at {step}, probability {row['propensity']:.2f} among {others} arms{became}"
        case "non_decision":
            at = f" at {step}" if step else ""
            return f"upon {trigger}{at}: {plain(why_not(row['reason']))} ({plain(row['reason'])})"
        case "recommendation":
            if row["what"] == "none":
                return f"withdrawn: {plain(why_withdrawn(row['reason']))}"
            return f"{plain(row['what'])} “{plain(row['detail'])}”"
        case "wording":
            return wording_in_words(row)
        case "outcome":
            return f"{plain(row['arm'])} {_OUTCOMES.get(row['what'], plain(row['what']))}"
    return plain(row["what"])


def _event(row: Row) -> str:
    what = plain(row["what"])
    status = f" ({plain(row['reason'])}: kept, not applied)" if row["reason"] else ""
    return shortened(f"{what}{_payload(row['detail'])}", _LONGEST) + status


def _payload(text: str) -> str:
    try:
        payload = json.loads(text) if text else {}
    except ValueError:
        return ""
    if not isinstance(payload, dict):
        return ""
    traits = payload.get("traits")
    fields = {**payload, **(traits if isinstance(traits, dict) else {})}
    told = [f"{name} {shortened(plain(fields[name]), 60)}" for name in _TELLING if fields.get(name) not in {None, ""}]
    return f" {', '.join(told)}" if told else ""


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
