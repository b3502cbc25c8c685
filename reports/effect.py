"""Does guidance work? Activation by group, and the lift of each pair of groups with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from evaluation.effect import people_needed
from evaluation.evidence import ADAPTIVE, HOLDOUT, RULES
from reports.render import heading, interval, lines, number, percent, points, table
from state.quantity import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evaluation.balance import GroupBalance
    from evaluation.effect import EffectReport, Lift
    from reports.run_report import RunReport

_NO_EFFECT: Final = 0.002
"""A lift below a fifth of a point is not worth planning an experiment for."""
_ENOUGH: Final = 20
"""If so many users without guidance activate, and all of them, there is nothing that guidance could raise."""
AROUND: Final = "An interval surrounds a running estimate, not the measured difference; while little is known the two differ."
"""Why an interval has not the measured difference in its middle."""
DOUBT: Final = "Do not believe this yet: the sizes of the groups are not as promised"


def show_effect(console: Console, report: RunReport) -> None:
    """Print activation by group, the lifts, and one sentence on what is proven."""
    effect = report.effect
    people = sum(group.people for group in effect.groups)
    heading(console, outcome(effect), f"{count(people, 'user')}; {count(effect.immature, 'is', 'are')} too new to count")
    for out, because in _left_out(effect):
        lines(console, Text(f"{count(out, 'user is', 'users are')} left out: {because}."))
    if effect.before_signup and not effect.by_first_event:
        who = count(effect.before_signup, "user counts", "users count")
        lines(console, Text(f"{who} from the first decision about them, which came before a sign-up or without one."))
    if effect.signed_in:
        many = "visitor who signed in as a user from before counts", "visitors who signed in as users from before count"
        where = "beside the user, in the visitor's own group. Under “Activation so far” they count as the user only."
        lines(console, Text(f"{count(effect.signed_in, *many)} {where}"))
    if effect.existing_now:
        who = count(
            effect.existing_now, "user does not begin the onboarding now and counts", "users do not begin the onboarding now and count"
        )
        where = "in the group in which guidance was considered for them. Under “Activation so far” they do not count."
        lines(console, Text(f"{who} {where}"))
    if people:
        console.print(_groups(effect))
    if not effect.lifts:
        lines(console, Text(_why_no_lift(effect), style="dim"))
        return
    if len(effect.designs) > 1:
        changed = ", then ".join(map(_shares, effect.designs))
        lines(
            console,
            Text(f"The shares of the groups changed: {changed}."),
            Text("Users are compared within the same shares, so a lift is not the difference of the rates above.", style="dim"),
        )
    console.print()
    console.print(_lifts(effect))
    found = doubt(report.groups)
    said = [Text(found, "bold red")] if found else [Text(proof(effect)), Text(validity(effect), style="dim")]
    lines(console, *said, Text(AROUND, style="dim"))


def outcome(effect: EffectReport) -> str:
    """What is compared."""
    if effect.by_first_event:
        return "Activation within 7 days of the first event"
    return f"Activation within 7 days of sign-up{' or the first decision' if effect.before_signup else ''}"


def _left_out(effect: EffectReport) -> list[tuple[int, str]]:
    """How many users do not count, and why."""
    reasons = [
        (effect.outside, "they do not begin the onboarding, by `starts` of the catalog"),
        (effect.expired, "they came when decisions were made that are no longer stored, so it is not known when they began"),
        (effect.without_signup, "they have no sign-up event, and no guidance was considered for them"),
        (effect.observing, "they came while the catalog only observed, so their group was not drawn at the start"),
        (effect.unknown, "it is not known by which shares their group was drawn"),
        (effect.left_out, f"at {_start(effect)} guidance was paused, or not given to them. That holds for all groups alike"),
    ]
    return [(out, because) for out, because in reasons if out]


def _start(effect: EffectReport) -> str:
    return "their first event" if effect.by_first_event else "their beginning" if effect.before_signup else "sign-up"


def _why_no_lift(effect: EffectReport) -> str:
    long_ago = f"{'began' if effect.by_first_event or effect.before_signup else 'signed up'} 7 days ago or longer"
    missing = [group.group for group in effect.groups if not group.people and group.group in (HOLDOUT, ADAPTIVE)]
    if len(missing) > 1:
        return f"No {'other ' if _left_out(effect) else ''}user {long_ago}, so there is nothing to compare yet."
    if effect.designs and all(design[HOLDOUT] == 0 for design in effect.designs):
        return "The catalog holds nobody out (`holdout: 0`), so there is nobody to compare with."
    if missing:
        return f"No two groups can be compared yet: {missing[0]} has no user who {long_ago}."
    return "No two groups can be compared yet: no two users of different groups were drawn by the same shares."


def levels(lifts: Sequence[Lift]) -> str:
    """The confidence of the intervals, which differs between the primary and the secondary comparisons."""
    of_level: dict[float, list[str]] = {}
    for lift in lifts:
        of_level.setdefault(lift.level, []).append(f"{lift.treated} − {lift.control}")
    if len(of_level) == 1:
        return f"{100 * lifts[0].level:g} %"
    return ", ".join(f"{100 * level:g} % for {' and '.join(pairs)}" for level, pairs in of_level.items())


def _shares(design: Mapping[str, float]) -> str:
    by_rules = f" and {design[RULES]:.0%} by rules".replace("%", " %") if design[RULES] else ""
    return f"{design[HOLDOUT]:.0%} held out".replace("%", " %") + by_rules


def validity(effect: EffectReport) -> str:
    """When the intervals hold."""
    if effect.designs:
        return f"The intervals ({levels(effect.lifts)}) stay valid however often you look."
    return "The intervals are rough: the shares that the catalog promised are not known, and those of the users stand in for them."


def _groups(effect: EffectReport) -> object:
    true = effect.true_lift
    rows = [
        (
            group.group,
            number(group.people),
            number(group.activated),
            percent(group.rate),
            percent(true.untreated) if true is not None and group.group == ADAPTIVE else "",
        )
        for group in effect.groups
        if group.people
    ]
    columns = ["group", ">users", ">activated", ">rate", ">same users without guidance"]
    width = len(columns) if true is not None else len(columns) - 1
    return table(columns[:width], (row[:width] for row in rows))


def _lifts(effect: EffectReport) -> object:
    true = effect.true_lift
    reach = max([0.02, *(max(abs(lift.lower), abs(lift.upper)) for lift in effect.lifts)])
    rows = []
    for lift in effect.lifts:
        known = true is not None and (lift.treated, lift.control) == (ADAPTIVE, HOLDOUT)
        rows.append(
            (
                f"{lift.treated} − {lift.control}",
                points(lift.lift),
                f"{points(lift.lower)} to {points(lift.upper)}",
                interval(lift.lower, lift.lift, lift.upper, reach=reach),
                *([points(true.lift) if known else ""] if true is not None else []),
            )
        )
    return table(["lift in points", ">measured", ">interval", "", *([">true"] if true is not None else [])], rows)


def proof(effect: EffectReport) -> str:
    """What is proven now, what was at first, and, where adaptive guidance never was, how many users that takes."""
    if not effect.designs:
        return "Nothing is proven: it is not known by which shares the groups were drawn."
    proven = [f"{_pair(lift)}{_after(lift)}" for lift in effect.lifts if lift.proven == "better"]
    harmful = [_pair(lift) for lift in effect.lifts if lift.proven == "worse"]
    sentences = [f"Proven: {', '.join(proven)}."] if proven else []
    sentences += [f"Harm is proven: {', '.join(harmful)}."] if harmful else []
    for each in effect.lifts:
        if each.claimed_after is not None and each.proven != "better":
            sentences.append(f"At first {each.treated} was shown to beat {each.control},{_after(each)}.")
            sentences += ["By now neither better nor worse is proven."] if each.proven is None else []
    lift = effect.lift_of(ADAPTIVE, HOLDOUT)
    if lift is None or lift.claimed_after is not None or lift.proven is not None:
        return " ".join(sentences or ["No difference is proven."])
    held_out = next(group for group in effect.groups if group.group == HOLDOUT)
    if held_out.rate == 1.0 and held_out.people >= _ENOUGH:
        sentences.append("So far everybody held out activated: guidance cannot raise that, and this catalog cannot tell who stays.")
        return " ".join(sentences)
    true = effect.true_lift
    size, what = (lift.lift, "the measured size") if true is None else (true.lift, "the true size")
    of_two = any(group.people for group in effect.groups if group.group == RULES)
    who = f" of {lift.treated} and {lift.control}" if of_two else ""
    sentences.append(f"{count(lift.people, f'user{who} is', f'users{who} are')} too few to prove that guidance helps.")
    rate = true.untreated if true is not None else held_out.rate
    if size >= _NO_EFFECT and rate is not None:
        planned = _two_digits(people_needed(lift=size, rate=rate, share=lift.share))
        if planned > lift.people:  # else the size is an accident of few users
            people = f"{number(planned)}{' of them' if of_two else ''}"
            sentences.append(f"For an effect of {what} ({points(size)} points) it takes about {people}.")
    return " ".join(sentences)


def doubt(groups: GroupBalance | None) -> str:
    """Why no comparison of the groups can be believed; empty where their sizes are as promised, or the promise is not known."""
    if groups is None or groups.ok:
        return ""
    sizes = ", ".join(f"{name} {number(people)}" for name, people in groups.counts.items())
    return f"{DOUBT} ({sizes}; p = {groups.p_value:.2g})."


def _after(lift: Lift) -> str:
    return "" if lift.claimed_after is None else f" after {count(lift.claimed_after, 'user')}"


def _pair(lift: Lift) -> str:
    return f"{lift.treated} beats {lift.control}" if lift.lift > 0 else f"{lift.treated} against {lift.control}"


def _two_digits(value: int) -> int:
    """``value`` rounded to two significant digits: the plan is no more exact than that."""
    unit = 10 ** max(0, math.floor(math.log10(max(1, value))) - 1)
    return int(round(value / unit) * unit)
