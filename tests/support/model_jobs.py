"""Whole jobs with a scripted model: a catalog with the test's own wording policy, people whose requests share no answer, rows."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from state.vocabulary import TRIGGERS
from tests.support.job_state import State, rows

ROOT: Final = Path(__file__).parents[2]
_BEGIN: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)

EAGER: Final = {"template_share": "0", "cold_events": "0", "personal": json.dumps(TRIGGERS)}
"""A wording policy under which every decision of the adaptive group asks a model, told the person's own words where there are any."""


def write_catalog(path: Path, *, holdout: float = 0.1, rules: float = 0.1, **wording: str) -> Path:
    """Write the catalog that ships with other shares, and other values (YAML) of its ``wording`` section; return ``path``."""
    text = (ROOT / "catalog" / "saas.yaml").read_text()
    text = _set(_set(text, "^holdout", str(holdout)), "^rules", str(rules))
    for name, value in wording.items():
        if re.search(rf"(?m)^  {name}:", text):
            text = _set(text, f"^  {name}", value)
        else:
            text = text.replace("wording:\n", f"wording:\n  {name}: {value}\n", 1)
    path.write_text(text)
    return path


def _set(text: str, name: str, value: str) -> str:
    changed, times = re.subn(rf"(?m)({name}:).*$", rf"\1 {value}", text)
    assert times == 1, name
    return changed


def errands(first: int, count: int) -> list[bytes]:
    """Lines of people who each meet an error of their own and then sign up: a decision each, whose request shares its answer with nobody.

    A person's events lie within a second, people ten seconds apart, by their numbers from ``first`` on.
    """
    lines = []
    for number in range(first, first + count):
        for turn, (kind, payload) in enumerate(
            [
                ("error", {"code": "E42", "message": f"the sheet {_word(number)} could not be opened"}),
                ("signup", {"traits": {"persona": "engineer", "firstName": "Ann"}}),
            ]
        ):
            at = _BEGIN + timedelta(seconds=10 * number, milliseconds=100 * turn)
            event = {
                "eventId": f"{number}-{turn}",
                "userId": f"user-{number}",
                "eventType": kind,
                "timestamp": at.isoformat(timespec="milliseconds"),
                "payload": payload,
            }
            lines.append(json.dumps(event).encode() + b"\n")
    return lines


def _word(number: int) -> str:
    """A word for a number: digits could be taken for an address or a card, and cut."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def by_decision(state: State, table: str) -> dict[str, dict[str, Any]]:
    """Rows by decision. Fails where a decision has two."""
    found = rows(state, table)
    named = {row["decision_id"]: row for row in found}
    assert len(named) == len(found), f"{table} has two rows of a decision"
    return named


def decided(state: State) -> dict[str, dict[str, Any]]:
    """The decisions that chose an arm."""
    return {name: row for name, row in by_decision(state, "decisions").items() if row["outcome"] == "decided"}


def records(state: State) -> list[dict[str, Any]]:
    """The people's records in Redis, without tombstones."""
    found = [json.loads(line) for line in state["redis"]]
    return [each for each in found if each["key"].endswith(":rec") and not each.get("deleted")]


def newest(state: State) -> dict[str, list[dict[str, Any]]]:
    """For each person the rows of the newest version of their record: the template, and better words where there are any."""
    best: dict[str, list[dict[str, Any]]] = {}
    for row in rows(state, "recommendations"):
        known = best.get(row["user_id"])
        if known is None or row["version"] > known[0]["version"]:
            best[row["user_id"]] = [row]
        elif row["version"] == known[0]["version"]:
            known.append(row)
    return best


def unlike_redis(state: State) -> list[str]:
    """People whose record in Redis is none of the rows of their newest version. Empty where nothing was lost."""
    best = newest(state)
    standing = {record["userId"]: record for record in records(state)}
    wrong = [f"{user}: a record without rows" for user in standing.keys() - best.keys()]
    for user, versions in best.items():
        record = standing.get(user)
        if record is None:
            wrong.append(f"{user}: no record")
        elif (record["version"], record["decisionId"]) != (versions[0]["version"], versions[0]["decision_id"]):
            wrong.append(f"{user}: version {record['version']} stands, {versions[0]['version']} was told")
        elif (record["message"], record["validationHash"]) not in {(row["message"], row["validation_hash"]) for row in versions}:
            wrong.append(f"{user}: other words stand than were told")
    return wrong
