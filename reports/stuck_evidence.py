"""The evidence of a stuck signal in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from state.duration import HOUR, MINUTE
from state.plain_text import plain
from state.quantity import count


def evidence_in_words(trigger: str, evidence: str) -> str:
    """The strongest sign, and the time at the step beside its horizon. Evidence of an unknown form is shown as recorded."""
    try:
        found: dict[str, Any] = json.loads(evidence)
        usual = _usual(found)
        return plain(f"{_WORDS[trigger](found)}, {_long(found['elapsed'])} at the step; {usual}")
    except (ValueError, KeyError, TypeError):
        return plain(evidence)


_ROUNDED = 0.03
"""By how much a horizon may differ from the catalog's, which is rounded, and be the same."""
_EXPECTED_BY = {
    "fit": "`usual` in the catalog, which was fitted to a log",
    "usual": "`usual` in the catalog",
    "after": "`after` of stuck:inactive in the catalog",
}


def _usual(found: dict[str, Any]) -> str:
    """What is known of the step: from the people who completed it last, or from the catalog while they are few."""
    horizon, people = _long(found["horizon"]), found.get("people", 0)
    if people:
        return f"nine in ten of the last {people:,} who finished it needed at most {horizon}"
    finished = count(found["finished"], "user") if found.get("finished") else "nobody"
    if measured := found.get("measured"):
        if abs(found["horizon"] - found.get("fitted", found["horizon"])) > _ROUNDED * found["horizon"]:
            earlier = f"the {_long(found['fitted'])} of {measured:,} in an earlier log"
            return f"nine in ten are expected to need at most {horizon}, by {earlier} and what {finished} needed here so far"
        return f"nine in ten of {measured:,} who finished it in an earlier log needed at most {horizon}; {finished} finished it here so far"
    expected = f"expected to take most users at most {horizon}"
    if "expectedBy" not in found:
        return f"{expected}, by the catalog"
    return f"{expected}, by {_EXPECTED_BY[found['expectedBy']]}; {finished} finished it so far"


def _long(milliseconds: int) -> str:
    if milliseconds < 2 * MINUTE:
        return f"{round(milliseconds / 1000)} s"
    if milliseconds < 2 * HOUR:
        return f"{round(milliseconds / MINUTE)} min"
    return f"{round(milliseconds / HOUR)} h"


def _inactive(found: dict[str, Any]) -> str:
    seen = datetime.fromtimestamp(found["lastActiveAt"] / 1000, UTC)
    return f"nothing since {seen:%Y-%m-%d %H:%M}"


def _errors(found: dict[str, Any]) -> str:
    return f"{count(found['errors'], 'error')}{', last ' + found['code'] if found.get('code') else ''}"


def _rage(found: dict[str, Any]) -> str:
    return f"clicked in rage{' on ' + found['target'] if found.get('target') else ''}, {count(found['rageClicks'], 'time')}"


def _looping(found: dict[str, Any]) -> str:
    return f"went in circles{' around ' + found['page'] if found.get('page') else ''}, {count(found['circles'], 'time')}"


def _slow(found: dict[str, Any]) -> str:
    return f"active on it for {_long(found['activeTime'])}"


_WORDS = {
    "stuck:inactive": _inactive,
    "stuck:errors": _errors,
    "stuck:rage_clicks": _rage,
    "stuck:looping": _looping,
    "stuck:slow_step": _slow,
}
