"""Writes a drafted catalog as YAML, with comments that say what each line rests on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from evaluation.catalog_draft import PATH, Draft, DraftedStep, LeftOut, half, nine_of_ten
from evaluation.event_histories import Kind
from state.catalog.model import Limits
from state.duration import MINUTE, SECOND, render_rounded
from state.plain_text import plain
from state.quantity import count
from state.stuck.completion_times import ENOUGH
from state.times import rfc3339

_MOST_LEFT_OUT: Final = 15
_LONGEST_NAME: Final = 60
_FEWEST_TIMES: Final = 10
"""Completions below which a time is not written: it would be one user's habit."""
_LONG_TAIL: Final = 20
_EVERYBODY: Final = 0.95
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_/]*(?: [A-Za-z0-9_/]+)*")
_CONSTANTS: Final = frozenset({"true", "false", "null"})
_FIELD: Final = {"form_submit": "form", "button_click": "target", "page_view": "path"}


def catalog_text(found: Draft, product: str, tenant: str | None = None) -> str:
    """Return the catalog, for one ``tenant`` or for all. It passes ``catalog check``."""
    return "\n".join(_lines(found, product, tenant)) + "\n"


def quoted(text: str) -> str:
    """Return ``text`` as a YAML scalar of one line, in quotes where it needs them."""
    if _PLAIN.fullmatch(text) and text.lower() not in _CONSTANTS:
        return text
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def title(step: DraftedStep) -> str:
    """A first title from the event's name."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", step.name or "sign up")
    return " ".join(re.sub(r"[_\-.:/]+", " ", words).split()) or step.id


def _lines(found: Draft, product: str, tenant: str | None) -> Iterator[str]:
    begin = f" {found.others:,} more never signed up; they are only observed." if found.signup else ""
    yield (
        f"# Drafted from {count(found.events, 'event')}, {rfc3339(found.first)[:10]} to {rfc3339(found.last)[:10]}; "
        f"{count(found.users, 'user begins', 'users begin')}.{begin}"
    )
    yield "# Look through it: titles, order, what is optional, what activates. A step can also be added from the end of this file."
    yield "# `typical`: active time of the median user. `usual`: calendar time within which nine of ten who do the step have done it."
    if any(0 < step.completions < ENOUGH for step in found.steps):
        yield f"# Times from fewer than {ENOUGH} completions say little; `onramp catalog fit` sets them from a longer log."
    yield "id: draft"
    yield 'version: "1"'
    yield f"product: {quoted(product)}"
    if tenant is not None:
        yield f"tenants: [{quoted(tenant)}]  # only its events were read; take the line out if the catalog is for all tenants"
    yield "observe: true  # nobody is guided; to guide, add links, arms and templates and take this line out"
    yield from _cooldown(found)
    if found.signup:
        yield "starts: {when: signup}"
    if found.traits:
        yield from _traits(found)
    yield "steps:"
    for step in found.steps:
        yield from _step(found, step)
    activating = next(step for step in found.steps if step.id == found.activates)
    yield "paths:"
    yield f"  - id: {PATH}"
    yield "    title: Everyone"
    yield "    # Each comes before the next for most of the users who did both."
    for pair in found.no_order:
        both = f"{pair.first:,} of {pair.both:,} who did {pair.one} and {pair.other} did {pair.one} first"
        yield f"    # {both}, about half: no order. The list says what is suggested first;"
        yield f"    # who does {pair.other} first has left {pair.one} and raises no alarm there."
    yield f"    steps: [{', '.join(step.id for step in found.steps)}]"
    yield f"    # The last step that many reach: {_share(activating.users, found.users)}. Better: what users who stay have done."
    if activating.users >= _EVERYBODY * found.users:
        yield "    # Nearly everybody does it: it says nothing about who stays."
    if found.early:
        yield f"    # {found.early:,} of them did it while an earlier step was open, and their funnel ends there. Name those steps too?"
    yield f"    activated_by: [{found.activates}]"
    if found.left_out:
        yield from _left_out(found)


def _cooldown(found: Draft) -> Iterator[str]:
    """Where users do a step sooner than two decisions for them may follow each other: the time that lets guidance follow at each step."""
    times = [(half(step.calendar), step.id) for step in found.steps if len(step.calendar) >= _FEWEST_TIMES]
    if not times or min(times)[0] >= Limits().cooldown:
        return
    soonest, step = min(times)
    shorter = render_rounded(max(soonest, MINUTE))
    yield f"# Half of those who do {step} do it within {render_rounded(soonest)}. After guidance nothing more is shown for `cooldown`,"
    yield f"# 6h by default, except to stuck users. To guide at each step: `limits: {{cooldown: {shorter}}}`, and `daily_cap` above 3."


def _traits(found: Draft) -> Iterator[str]:
    named = [each for each in found.traits if not each.why]
    if named:
        yield "# Traits with few values: evidence of who gets stuck. Take out what you do not want to be used."
        yield from (f"#   {quoted(each.name)}: {count(each.values, 'value')}, {_share(each.users, found.users)}" for each in named)
        yield f"traits: [{', '.join(quoted(each.name) for each in named)}]"
    left = [each for each in found.traits if each.why]
    if left:
        yield "# No evidence:"
        yield from (f"#   {quoted(each.name[:_LONGEST_NAME])}: {each.why}" for each in left[:_MOST_LEFT_OUT])
        if len(left) > _MOST_LEFT_OUT:
            yield f"#   and {count(len(left) - _MOST_LEFT_OUT, 'other')}"


def _step(found: Draft, step: DraftedStep) -> Iterator[str]:
    yield f"  - id: {step.id}"
    yield f"    title: {quoted(title(step))}"
    at_once = f", {step.at_once:,} of them with their first event: nobody waited" if step.at_once else ""
    yield f"    # {_share(step.users, found.users)} did it{at_once}."
    if step.optional:
        yield f"    optional: true  # {count(step.skipped, 'user')} went on without it"
        yield "    # Who leaves it out may wait here for long and need no help. `alarms: false` raises no alarm about them."
    if step.alternatives:
        each = ", ".join(f"{kind.subject} {users:,}" for kind, users in step.alternatives)
        yield f"    # Alternatives, a user does one of them: {plain(each)}. Different things to do? Then steps of a group (`any_of`)."
    yield from _times(found, step)
    if step.alternatives:
        yield "    complete:"
        yield from (f"      - {_matcher(kind)}" for kind, _ in step.alternatives)
    else:
        yield f"    complete: [{_matcher(step.kind)}]"


def _times(found: Draft, step: DraftedStep) -> Iterator[str]:
    """What the log says of the step's times. `catalog fit` takes the comments out again (``state/catalog/set_measured.py``)."""
    if step.calendar:
        last = "" if len(step.calendar) == step.completions else f"the last {len(step.calendar)} of "
        yield (
            f"    # {last}{count(step.completions, 'completion')} as the current step: half within {render_rounded(half(step.calendar))}, "
            f"nine of ten within {render_rounded(nine_of_ten(step.calendar))}; {_active(step)}."
        )
    if len(step.calendar) >= _FEWEST_TIMES:
        ratio = nine_of_ten(step.calendar) / half(step.calendar)
        if len(step.calendar) >= ENOUGH and ratio >= _LONG_TAIL:
            yield f"    # Nine of ten take {ratio:,.0f} times as long as half: were they all at it for so long?"
        if len(step.calendar) >= ENOUGH and step.crowded is not None:
            day, many, of = rfc3339(step.crowded.at)[:10], step.crowded.completions, step.crowded.last
            yield f"    # {many:,} of the last {of:,} completions are of one day, {day}: closed together?"
        if half(step.active) >= SECOND:
            yield f"    typical: {render_rounded(half(step.active))}"
        yield f"    usual: {render_rounded(nine_of_ten(step.calendar))}"
    elif _after_activation(found, step):
        yield "    # Comes after the step that activates: nobody waits at it."
    else:
        yield "    # Too few to say how long it takes: set `typical` and `usual`."


def _active(step: DraftedStep) -> str:
    if nine_of_ten(step.active) < SECOND:
        return "no active time"
    middle = render_rounded(half(step.active)) if half(step.active) >= SECOND else "0s"
    return f"active time {middle} and {render_rounded(nine_of_ten(step.active))}"


def _after_activation(found: Draft, step: DraftedStep) -> bool:
    ids = [each.id for each in found.steps]
    return ids.index(step.id) > ids.index(found.activates)


def _matcher(kind: Kind) -> str:
    if kind.type == "track":
        return f"{{type: track, name: {quoted(kind.subject)}}}"
    if kind.type in _FIELD:
        return f"{{type: {kind.type}, where: {{{_FIELD[kind.type]}: {quoted(kind.subject)}}}}}"
    return f"{{type: {kind.type}}}"


def _left_out(found: Draft) -> Iterator[str]:
    yield "# No steps:"
    shown = sorted(found.left_out, key=lambda each: (-each.users, each.kind))[:_MOST_LEFT_OUT]
    yield from (f"#   {_named(each)}: {_share(each.users, found.users)}; {each.why}" for each in shown)
    if len(shown) < len(found.left_out):
        yield f"#   and {count(len(found.left_out) - len(shown), 'other')} that fewer users did"


def _named(left: LeftOut) -> str:
    return f"{left.kind.type} {quoted(left.kind.subject)}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {count(whole, 'user')} ({100 * part / whole:.0f} %)"
