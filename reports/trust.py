"""Can the figures be believed? Group sizes, shown rates, lost outcomes, checks of the records, and echoed ids that were never issued."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from evaluation.evidence import GROUPS
from flows.run_notes import exposures_note
from reports.render import heading, lines, number
from reports.safe_text import shortened
from state.event_fields import UnreadableError, read_trait
from state.plain_text import plain
from state.quantity import count

_ZONES: Final = """
SELECT e.tenant_id AS tenant_id, JSONExtractRaw(e.payload, 'traits', 'timezone') AS zone,
    uniqExact(if(v.user_id = '', e.user_id, v.user_id)) AS people
FROM events_final AS e LEFT JOIN users_of_visitors AS v ON v.tenant_id = e.tenant_id AND v.visitor_id = e.user_id
WHERE ({all:Bool} OR e.tenant_id = {tenant:String}) AND status = 'applied' AND event_type IN ('signup', 'identify')
    AND JSONHas(payload, 'traits', 'timezone')
GROUP BY tenant_id, zone ORDER BY tenant_id, people DESC, zone LIMIT 10000 BY tenant_id
"""
_MOST_ZONES: Final = 5

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evaluation.balance import GroupBalance, VoidedBalance
    from reports.facts import Facts
    from reports.run_report import RunReport

_FEW: Final = 30
"""With fewer users or shown recommendations hardly any fault could have been found, so that finding none says nothing."""
_ANSWERS: Final = {True: ("yes  ", "green"), False: ("NO   ", "bold red"), None: ("–    ", "dim")}


def show_trust(console: Console, report: RunReport) -> None:
    """Print a line for each check."""
    heading(console, "Can this be believed?")
    groups, shown = report.groups, report.shown
    checks: list[tuple[bool | None, str]] = []
    if groups is not None:
        counts = ", ".join(f"{name} {number(people)}" for name, people in groups.counts.items())
        if groups.ok and sum(groups.counts.values()) < _FEW:
            checks.append((None, f"too few users to say whether group sizes are as promised ({counts}){_unchecked(groups)}"))
        else:
            promise = f"group sizes {'' if groups.ok else 'not '}as promised ({counts}; p = {groups.p_value:.2g})"
            checks.append((groups.ok, promise + _unchecked(groups)))
    elif report.observed is None and report.evidence.people["experiment_group"].is_in(GROUPS).any():
        checks.append((None, "group sizes cannot be checked: it is not known by which shares the groups were drawn"))
    if shown.rates.height:
        if shown.ok and int(shown.rates["shown"].sum()) < _FEW:
            checks.append((None, "too few recommendations were shown to say whether being shown depends on the arm"))
        else:
            checks.append((shown.ok, f"being shown {'does not depend' if shown.ok else 'depends'} on the arm (p = {shown.p_value:.2g})"))
    checks += _lost_outcomes(report.voided)
    passed = len(report.checks) - len(report.failed_checks)
    if passed:
        checks.append((True, f"{passed} of {count(len(report.checks), 'check')} of the records found nothing wrong"))
    checks += [(False, f"{each.name}: {each.detail}") for each in report.failed_checks]
    for ok, sentence in checks:
        lines(console, Text.assemble(_ANSWERS[ok], plain(sentence)))


def _lost_outcomes(voided: VoidedBalance) -> Iterator[tuple[bool | None, str]]:
    """What to say of windows that ended without success or failure, where it matters."""
    if voided.common:
        lost = f"{number(voided.signed_in)} of {number(voided.ended)} attribution windows ended without success or failure"
        yield False, f"{lost}, because the visitor signed in: arms that make visitors sign in are believed to be worse than they are"
    if voided.voided >= _FEW or not voided.even:
        depends = "does not depend" if voided.even else "depends"
        yield voided.even, f"whether a window ends without success or failure {depends} on the arm (p = {voided.p_value:.2g})"


def _unchecked(groups: GroupBalance) -> str:
    """Who was left out of the check of group sizes, and why."""
    left_out = [(groups.observing, "came while the catalog only observed"), (groups.unknown, "have shares that are not known")]
    return "".join(f"; left out: {number(people)} who {why}" for people, why in left_out if people)


def show_ignored_exposures(console: Console, facts: Facts, tenant: str) -> None:
    """Print what the app reported as shown, clicked or dismissed and the engine could not assign to a recommendation."""
    rows = facts.rows("SELECT * FROM exposures_ignored_by_reason WHERE tenant_id = {tenant:String} ORDER BY reason", tenant=tenant)
    for row in rows:
        example = f"Example: event {row['example_event_id']} of {row['example_user_id']}."
        sentence = f"{exposures_note(row['reason'], row['events'])} {example}"
        lines(console, Text.assemble(("NO   ", "bold red"), plain(sentence)))


def unknown_zones(facts: Facts, tenant: str | None) -> list[dict[str, Any]]:
    """The values of the trait ``timezone`` that were sent and are no known zone, each with its tenant and the number of people.

    ``tenant`` None: of all tenants.
    """
    rows = facts.rows(_ZONES, tenant=tenant or "", all=tenant is None)
    return [{"tenantId": row["tenant_id"], "timezone": zone, "people": row["people"]} for row in rows for zone in _unknown(row["zone"])]


def _unknown(raw: str) -> list[Any]:
    sent = json.loads(raw)
    try:
        read_trait("timezone", sent)
    except UnreadableError:
        return [sent]
    return []


def show_unknown_zones(console: Console, zones: list[dict[str, Any]]) -> None:
    """Print which unknown time zones the app sent."""
    if zones:
        shown = ", ".join(
            f"{shortened(json.dumps(each['timezone'], ensure_ascii=False), 40)} ({number(each['people'])})" for each in zones[:_MOST_ZONES]
        )
        more = f" and {len(zones) - _MOST_ZONES} more" if len(zones) > _MOST_ZONES else ""
        sentence = f"unknown time zones, with the number of users: {shown}{more}. Without a known one, quiet hours are read in UTC."
        lines(console, Text.assemble(("NO   ", "bold red"), plain(sentence)))
