"""Drafts a catalog from a log: which events are steps, in which order, which steps are optional, which one activates, and their times.

Kinds of event are candidates by their type: named events and forms; clicks, and after them pages, only where a log has nothing else. What
is rare, repeated without end, always the beginning or the end, or comes with another kind is left out with the reason, for the author to
see. Alternatives are one step. The order is by pairs: of two steps the one comes first that was first for more of the users who did
both. ``evaluation/catalog_draft_text.py`` writes the result. Nothing here depends on chance or on the order of users.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from statistics import median
from typing import Final, NamedTuple

import msgspec

from evaluation.catalog_alternatives import alternatives, common_name, joined
from evaluation.completions import Completion, CrowdedDay, crowded_day, to_measure
from evaluation.drafted_ids import drafted_ids
from evaluation.drafted_traits import DraftedTrait, drafted_traits
from evaluation.event_histories import EventHistories, History, Kind
from state.catalog.model import Catalog
from state.catalog.plan import Plan
from state.duration import MINUTE, SECOND
from state.person.progress import current_step
from state.stuck.completion_times import HORIZON_QUANTILE, quantile

PATH: Final = "everyone"
MOST_STEPS: Final = 8
"""Steps of a drafted path. A longer one is no onboarding; the most common steps are taken."""
RARE: Final = 0.05
"""Share of users below which an event is an exception, not a step."""
DOZENS: Final = 12
"""Occurrences for the median user from which on an event is daily use or a heartbeat."""
_OFTEN_FIRST: Final = 0.9
_DOUBLE: Final = 0.9
_DOUBLE_WITHIN: Final = 2 * SECOND
_AT_ONCE: Final = SECOND
_WITH_ANOTHER: Final = 0.9
_MANY: Final = 0.5
_FEWEST_TOGETHER: Final = 10
_EITHER_WAY: Final = 0.4
"""Of two steps, the least share of the users that did one before the other, below which the order is not clear."""
_SIGNED_UP_LATER: Final = 0.2
_SKIPPED_BY_LATER: Final = 0.3
_SKIPPED_BY_ALL: Final = 0.2
_DECENT: Final = 0.2
_FEWEST_SIGN_UPS: Final = 20
_TYPES: Final = (("track", "form_submit"), ("button_click",), ("page_view",))
"""Types of event from which steps are made; a later group only where the earlier ones have none."""

_TOO_MANY: Final = f"not among the {MOST_STEPS} most common"

Log = Sequence[History]
Groups = Mapping[Kind, list[tuple[Kind, int]]]
"""The first of each group of alternatives → all of them, with their users."""

_in_order = attrgetter("at")


class DraftError(Exception):
    """No catalog can be drafted from the log. The text is one sentence for the user."""


class DraftedStep(NamedTuple):
    """A step: what completes it, how many users did it, how many went past it, and the times of its last completions.

    ``at_once``: users who did it at the very time at which they began, so that they were never at it. Times are milliseconds, sorted; both
    are empty where nobody completed it while it was the current step. ``crowded``: a day with a third of its last completions.
    ``alternatives``: the kinds of which each user does one, with the users of each; empty where ``kind`` alone completes it.
    """

    id: str
    name: str
    kind: Kind
    alternatives: list[tuple[Kind, int]]
    users: int
    optional: bool
    skipped: int
    calendar: list[int]
    active: list[int]
    completions: int
    crowded: CrowdedDay | None
    at_once: int


class LeftOut(NamedTuple):
    """A kind of event that is no step, and why."""

    kind: Kind
    users: int
    why: str


class NoOrder(NamedTuple):
    """Two steps that follow each other on the path, though of ``both``, the users who did both, about half did ``one`` ``first``."""

    one: str
    other: str
    first: int
    both: int


class Draft(NamedTuple):
    """A drafted catalog. ``users`` are those who begin; ``signup``: only users who sign up begin, ``others`` did not.

    ``early``: users who did the activating step while an earlier one that is not optional was open. Their funnel ends there.
    """

    steps: list[DraftedStep]
    activates: str
    early: int
    left_out: list[LeftOut]
    users: int
    others: int
    events: int
    first: int
    last: int
    traits: list[DraftedTrait]
    no_order: list[NoOrder]

    @property
    def signup(self) -> bool:
        """Whether the catalog says that users begin by signing up."""
        return self.others > 0


def draft(log: EventHistories) -> Draft:
    """Draft a catalog. Raises ``DraftError`` where the log has no event that could be a step."""
    everybody = list(log)
    if not everybody:
        raise DraftError("the log has no users; give one JSON object a line, each of them an event of a user")
    signed_up = [each for each in everybody if each.signup]
    seen_before = sum(each.start < each.signup - MINUTE for each in signed_up)
    with_signup = bool(signed_up) and seen_before >= _SIGNED_UP_LATER * len(signed_up)
    few = len(signed_up) < max(_FEWEST_SIGN_UPS, RARE * len(everybody))
    users: Log = everybody if with_signup or few else signed_up
    if with_signup:  # the sign-up is a step of those who look around before it
        users = [_from_the_first_event(each) for each in everybody]
    users, kinds, left_out, groups = _candidates(users, with_signup=with_signup)
    found = _laid_out(users, kinds, groups)
    while (beside := _beside(found)) is not None:
        left_out.append(LeftOut(beside, found.done[beside], "comes with the step before; nobody can be helped there"))
        kinds.remove(beside)
        found = _laid_out(users, kinds, groups)
    left_out += [LeftOut(kind, sum(kind in each.kinds for each in users), _TOO_MANY) for kind in kinds[MOST_STEPS:]]
    steps = []
    for kind in found.order:
        times = sorted(found.times[kind], key=_in_order)
        recent = to_measure(times, log.last)
        calendar, active = sorted(each.took for each in recent), sorted(each.active for each in recent)
        at_once = sum(kind in user.kinds and user.kinds[kind].at == user.begin for user in users)
        steps.append(
            DraftedStep(
                found.ids[kind],
                common_name([each for each, _ in groups[kind]]) if kind in groups else kind.subject,
                kind,
                groups.get(kind, []),
                found.done[kind],
                kind in found.optional,
                found.skipped[kind],
                calendar,
                active,
                len(times),
                crowded_day(times),
                at_once,
            )
        )
    activates = found.activates
    before = [kind for kind in found.order[: found.order.index(activates)] if kind not in found.optional]
    early = sum(activates in user.kinds and not _did_before(user, before, user.kinds[activates].at) for user in users)
    traits, others = drafted_traits((each.traits for each in users), len(users)), len(everybody) - len(users)
    no_order = [each for pair in pairwise(found.order) if (each := _no_order(users, *pair, found.ids)) is not None]
    return Draft(steps, found.ids[activates], early, left_out, len(users), others, log.events, log.first, log.last, traits, no_order)


class _Layout(NamedTuple):
    """Steps in their order and what follows from it. ``together``: completions that came with that of the step before."""

    order: list[Kind]
    ids: dict[Kind, str]
    skipped: dict[Kind, int]
    done: dict[Kind, int]
    optional: set[Kind]
    activates: Kind
    times: dict[Kind, list[Completion]]
    together: Counter[Kind]


def _laid_out(users: Log, kinds: Sequence[Kind], groups: Groups) -> _Layout:
    order = _ordered(users, kinds[:MOST_STEPS])
    skipped = {kind: _skipped(users, kind, order[at + 1 :]) for at, kind in enumerate(order)}
    done = {kind: sum(kind in each.kinds for each in users) for kind in order}
    optional = {kind for at, kind in enumerate(order) if _is_optional(users, skipped[kind], done[kind], order[at + 1 :])}
    activates = _activation([kind for kind in order if kind not in optional], done, len(users))
    ids = drafted_ids({kind: common_name([each for each, _ in groups[kind]]) if kind in groups else kind.subject for kind in order})
    times, together = _completion_times(users, ids, optional, activates)
    return _Layout(order, ids, skipped, done, optional, activates, times, together)


def _beside(found: _Layout) -> Kind | None:
    """The first step that nine of ten of its users, when it is their turn, do with the step before."""
    if len(found.order) == 1:
        return None
    for kind in found.order:
        later = sum(each.took > _AT_ONCE for each in found.times[kind])
        if found.together[kind] >= _FEWEST_TOGETHER and found.together[kind] >= _WITH_ANOTHER * (found.together[kind] + later):
            return kind
    return None


def nine_of_ten(times: Sequence[int]) -> float:
    """The usual time: within it nine of ten sorted ``times`` lie, as the engine has it."""
    return quantile(list(times), HORIZON_QUANTILE)


def half(times: Sequence[int]) -> float:
    """The median of sorted ``times``."""
    return quantile(list(times), 0.5)


def _from_the_first_event(user: History) -> History:
    return msgspec.structs.replace(user, signup=0)


# which events are steps


def _candidates(users: Log, *, with_signup: bool) -> tuple[Log, list[Kind], list[LeftOut], Groups]:
    """The users with alternatives as one kind, the kinds that can be steps, the most common first, what is left out, and the groups."""
    for types in _TYPES:
        found = _found(users)
        groups = alternatives(users, (kind for kind in found if kind.type in types and _count_of(found[kind], kind) < DOZENS))
        sizes = {group[0]: [(kind, len(found[kind])) for kind in group] for group in groups}
        if groups:
            together = [joined(user, groups) for user in users]
            found = _found(together)
        else:
            together = list(users)
        by_common = sorted(found, key=lambda kind: (-len(found[kind]), kind))
        left_out: list[LeftOut] = []
        wanted = [kind for kind in by_common if kind.type in types or (with_signup and kind.type == "signup")]
        kept = _without_the_unfit(together, wanted, found, left_out)
        if any(kind.type != "signup" for kind in kept):
            return together, kept, left_out, sizes
    raise DraftError(
        "the log has no event that could be a step: it needs track, form_submit, button_click or page_view events that more than a few "
        "users have sent, each of them a few times"
    )


def _found(users: Log) -> dict[Kind, list[History]]:
    found: defaultdict[Kind, list[History]] = defaultdict(list)
    for user in users:
        for kind in user.kinds:
            found[kind].append(user)
    return found


def _count_of(users: Log, kind: Kind) -> float:
    """How often the median user of a kind did it."""
    return median(user.kinds[kind].count for user in users)


def _without_the_unfit(users: Log, wanted: Sequence[Kind], found: Mapping[Kind, list[History]], left_out: list[LeftOut]) -> list[Kind]:
    """The kinds that can be steps, the most common first. The others go to ``left_out``."""

    def leave(kind: Kind, why: str) -> None:
        left_out.append(LeftOut(kind, len(found[kind]), why))

    kept, first = list[Kind](), list[Kind]()
    least = max(RARE * len(users), 2 if len(users) >= 10 else 1)
    for kind in wanted:
        times = _count_of(found[kind], kind)
        at_once = sum(user.kinds[kind].at - user.begin <= _AT_ONCE for user in found[kind])
        if len(found[kind]) < least:
            leave(kind, "too few users")
        elif times >= DOZENS:
            leave(kind, f"repeated, {times:g} times by the median user")
        elif kind.type != "signup" and at_once >= _OFTEN_FIRST * len(found[kind]):
            first.append(kind)
        else:
            kept.append(kind)
    if not kept:
        kept, first = first, []
    for kind in first:
        leave(kind, "users begin with it")
    for kind in list(kept):
        double = next((other for other in kept if other != kind and _is_double(kind, other, found)), None)
        if double is not None:
            kept.remove(kind)
            leave(kind, f"comes together with {double.subject}")
    for kind in list(kept):
        if len(kept) > 1 and len(found[kind]) >= _MANY * len(users) and _is_an_end(kind, found[kind]):
            kept.remove(kind)
            leave(kind, "comes with the last other event of a user, whatever that is: it says nothing about who stays")
    return kept


def _is_double(kind: Kind, other: Kind, found: Mapping[Kind, list[History]]) -> bool:
    """Whether nearly all who did one did the other at the same moment, and ``other`` says it better: a name, else what comes later."""
    gaps = [user.kinds[other].at - user.kinds[kind].at for user in found[kind] if other in user.kinds]
    together = sum(abs(gap) <= _DOUBLE_WITHIN for gap in gaps)
    if together < _DOUBLE * max(len(found[kind]), len(found[other])):
        return False
    rank = (kind.type == "track", sum(gap < 0 for gap in gaps) - sum(gap > 0 for gap in gaps), kind)
    return rank < (other.type == "track", sum(gap > 0 for gap in gaps) - sum(gap < 0 for gap in gaps), other)


def _is_an_end(kind: Kind, users: Log) -> bool:
    """Whether nearly all who did it did it at the time of their last other event, which is not always the same one."""
    ends = [user for user in users if kind in user.latest and len(user.latest) > 1 and user.kinds[kind].at == user.latest_at]
    if len(ends) < _WITH_ANOTHER * len(users):
        return False
    others = Counter(each for user in ends for each in user.latest if each != kind)
    return max(others.values()) < _WITH_ANOTHER * len(ends)


# their order


def _ordered(users: Log, kinds: Sequence[Kind]) -> list[Kind]:
    """By the number of other steps that a step precedes (Copeland's rule), which also settles circles; then by how clearly it does."""
    delay = {kind: median(user.kinds[kind].at - user.begin for user in users if kind in user.kinds) for kind in kinds}
    wins, margin = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0.0)
    for at, one in enumerate(kinds):
        for other in kinds[at + 1 :]:
            lead = [_sign(user.kinds[other].at - user.kinds[one].at) for user in users if one in user.kinds and other in user.kinds]
            clear = sum(lead) / len(lead) if lead else 0.0
            ahead = _sign(clear) if clear else _sign(delay[other] - delay[one])
            wins[one], wins[other] = wins[one] + ahead, wins[other] - ahead
            margin[one], margin[other] = margin[one] + clear, margin[other] - clear
    return sorted(kinds, key=lambda kind: (-wins[kind], -margin[kind], delay[kind], kind))


def _no_order(users: Log, one: Kind, other: Kind, ids: Mapping[Kind, str]) -> NoOrder | None:
    leads = [user.kinds[other].at - user.kinds[one].at for user in users if one in user.kinds and other in user.kinds]
    first, later = sum(lead > 0 for lead in leads), sum(lead < 0 for lead in leads)
    both = first + later
    return NoOrder(ids[one], ids[other], first, both) if both >= _FEWEST_TOGETHER and min(first, later) >= _EITHER_WAY * both else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _did_before(user: History, kinds: Iterable[Kind], at: int) -> bool:
    return all(kind in user.kinds and user.kinds[kind].at <= at for kind in kinds)


def _skipped(users: Log, kind: Kind, later: Iterable[Kind]) -> int:
    """Users who did a later step and never this one."""
    after = list(later)
    return sum(kind not in user.kinds and any(each in user.kinds for each in after) for user in users)


def _is_optional(users: Log, skipped: int, done: int, later: Iterable[Kind]) -> bool:
    """Many of those who went on skipped it; and not only the few of a side branch, measured by those who did it."""
    after = list(later)
    went_on = sum(any(each in user.kinds for each in after) for user in users)
    return bool(went_on) and skipped >= _SKIPPED_BY_LATER * went_on and skipped >= _SKIPPED_BY_ALL * (skipped + done)


def _activation(needed: Sequence[Kind], done: Mapping[Kind, int], users: int) -> Kind:
    """The last step of the later half that a decent share of the users reached, else the one of it that most reached."""
    later = needed[len(needed) // 2 :]
    reached = [kind for kind in later if done[kind] >= _DECENT * users]
    return reached[-1] if reached else max(later, key=lambda kind: done[kind])


# how long they take


def _completion_times(
    users: Log, names: Mapping[Kind, str], optional: Iterable[Kind], activates: Kind
) -> tuple[dict[Kind, list[Completion]], Counter[Kind]]:
    """Every completion of a step while it was the current one, and how many came with that of the step before, within a second.

    What is completed at the very time at which it would have become current never was: ``state.person.progress.beginnings``.
    """
    unneeded = set(optional)
    steps = [{"id": name, "title": name, "optional": kind in unneeded, "complete": [{"type": kind.type}]} for kind, name in names.items()]
    path = {"id": PATH, "title": PATH, "steps": list(names.values()), "activated_by": [names[activates]]}
    plan = Plan(Catalog.model_validate({"id": "draft", "version": "1", "product": "-", "observe": True, "steps": steps, "paths": [path]}))
    times: dict[Kind, list[Completion]] = {kind: [] for kind in names}
    together = Counter[Kind]()
    for user in users:
        done: dict[str, int] = {}
        step, onset, active = current_step(plan, PATH, done), user.begin, 0
        left = False
        for kind, what in sorted(((kind, what) for kind, what in user.kinds.items() if kind in names), key=lambda each: each[1].at):
            name = names[kind]
            done[name] = what.at
            if name == step and not left and what.at > onset:
                times[kind].append(Completion(onset, what.at - onset, max(what.active - active, 0)))
            if name == step and not left and user.begin < onset <= what.at <= onset + _AT_ONCE:
                together[kind] += 1
            active = what.active
            if kind == activates:
                break
            if (now := current_step(plan, PATH, done)) != step:
                step, onset = now, max([user.begin, *done.values()])
            left = any(each in done for each in plan.later_steps.get((PATH, step), ()))
    return times, together
