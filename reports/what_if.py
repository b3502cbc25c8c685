"""What another catalog would have changed: tables, and the same as JSON, for ``onramp replay --catalog``."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.text import Text

from evaluation.off_policy import Refused, Value
from evaluation.what_if import CHANGES, NO_TRIGGER, Comparison, Worth
from reports.policy_value import head
from reports.render import heading, lines, number, percent, table
from state.plain_text import plain
from state.quantity import count
from state.times import rfc3339

_WORDS: Final = {
    "same": "as before",
    "another_arm": "another arm",
    "another_text": "the same arm, another text",
    "added": "guidance added",
    "dropped": "guidance dropped",
}
_MOST: Final = 20
_MICROS: Final = 1_000_000


class Cost(NamedTuple):
    """Model calls cost ``micros`` (millionths of a dollar) for ``decisions`` logged decisions; zeros where there were none."""

    micros: int
    decisions: int

    def of(self, guidance: int) -> float | None:
        """What so much guidance costs in dollars at the same rate; None if nothing is known."""
        return guidance * self.micros / self.decisions / _MICROS if self.decisions else None


class WhatIf(NamedTuple):
    """Everything that is said. ``worth`` is None, with a sentence in ``unknown``, where no logged outcomes can be read."""

    catalog: str
    against: str
    found: Comparison
    cost: Cost
    worth: Worth | None
    unknown: str = ""


def as_json(what: WhatIf, since: int | None, until: int | None) -> dict[str, Any]:
    """Return all of it, with every user who would have been treated differently."""
    found = what.found
    return {
        "from": None if since is None else rfc3339(since),
        "to": None if until is None else rfc3339(until),
        "catalog": what.catalog,
        "against": what.against,
        "recommendations": {"before": found.before, "after": found.after},
        "changes": {change: {"decisions": found.count(change), "users": found.users(change)} for change in CHANGES},
        "usersTreatedDifferently": found.users(),
        "reasons": [
            {"change": change, "reason": reason, "decisions": decisions, "users": users}
            for change, reason, decisions, users in found.reasons()
        ],
        "modelDollars": {"before": what.cost.of(found.before), "after": what.cost.of(found.after)},
        "value": None if what.worth is None else _worth_json(what.worth),
        "valueUnknown": what.unknown or None,
        "treated": [
            {
                "userId": each.user,
                "at": rfc3339(each.at),
                "trigger": each.trigger,
                "stepId": each.step,
                "change": each.change,
                "before": each.before or None,
                "after": each.after or None,
                "reason": each.reason or None,
            }
            for each in found.treated
            if each.change != "same"
        ],
    }


def _worth_json(worth: Worth) -> dict[str, Any]:
    left_out = {"decidedElsewhere": worth.elsewhere, "armsNeverShown": worth.uncovered}
    return {"shown": worth.shown, "leftOut": left_out, "logged": head(worth.logged), "other": head(worth.other)}


def show(console: Console, what: WhatIf) -> None:
    """Print it."""
    found = what.found
    heading(console, f"What {plain(what.catalog)} would have changed", f"against {plain(what.against)}, on the same events")
    rows = [(_WORDS[change], number(found.count(change)), number(found.users(change))) for change in CHANGES]
    console.print(table(("decision", ">decisions", ">users"), rows))
    before, after = what.cost.of(found.before), what.cost.of(found.after)
    dollars = "" if before is None or after is None else f"; model calls at the logged rate: ${before:,.2f} before, ${after:,.2f} after"
    said = f"{count(found.users(), 'user')} treated differently. Recommendations: {found.before:,} before, {found.after:,} after{dollars}."
    lines(console, Text(said))
    if reasons := found.reasons():
        console.print()
        console.print(
            table(
                ("change", "~reason", ">decisions", ">users"),
                [
                    (_WORDS[change], _reason(change, reason), number(decisions), number(users))
                    for change, reason, decisions, users in reasons
                ],
            )
        )
    if changed := [each for each in found.treated if each.change != "same"]:
        console.print()
        console.print(
            table(
                ("user", "at", "trigger", "step", "before", "after"),
                [
                    (plain(each.user), rfc3339(each.at)[:16], each.trigger, each.step, each.before or "–", each.after or "–")
                    for each in changed[:_MOST]
                ],
            )
        )
        if len(changed) > _MOST:
            lines(console, Text(f"{len(changed) - _MOST:,} more; --json has all.", style="dim"))
    console.print()
    _show_worth(console, what)


def _reason(change: str, reason: str) -> str:
    where = "before" if change == "added" else "now"
    return f"{where}: not asked (no alarm, or the step is not on the path)" if reason == NO_TRIGGER else f"{where}: {reason}"


def _show_worth(console: Console, what: WhatIf) -> None:
    worth = what.worth
    if worth is None:
        lines(console, Text(f"Expected reward: not known. {what.unknown}"))
        return
    left = worth.shown - worth.elsewhere - worth.uncovered
    said = (
        f"Expected reward, from {count(left, 'logged decision')} of {worth.shown:,} shown. Left out: {worth.elsewhere:,} at which the "
        f"other catalog does not decide at the same moment; {worth.uncovered:,} at which it may show an arm or a text that the log could "
        "not."
    )
    lines(console, Text(said))
    console.print(
        table(("choices", ">reward", ">95 %", "~"), [_value("as logged", worth.logged), _value(plain(what.catalog), worth.other)])
    )


def _value(name: str, found: Value | Refused) -> tuple[str, str, str, str]:
    if isinstance(found, Refused):
        return name, "–", "", f"too little overlap: {found.reason}"
    note = f"worth {count(round(found.effective), 'decision')} of its own"
    return name, percent(found.estimate), f"{100 * found.lower:.1f}–{100 * found.upper:.1f} %", note
