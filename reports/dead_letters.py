"""Rejected messages as ``onramp dlq`` shows them: lists, one letter, counts by reason, and what would be sent again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from flows.dead_letters import when_logged
from reports.render import lines, table
from reports.safe_text import shortened
from reports.values import shown_moment
from state.merge_patch import ABSENT, shown_value
from state.plain_text import plain
from state.quantity import count
from state.records.dead_letter import about_as_json, content_as_json
from state.times import rfc3339_or_none

if TYPE_CHECKING:
    from flows.replay_letters import Planned
    from state.records.dead_letter import DeadLetter, about_as_json

_WIDTH: Final = 60
_PREVIEWED: Final = 20


def show_list(console: Console, letters: Iterable[DeadLetter], replayed: Mapping[str, str]) -> None:
    """Print a line for each letter. ``replayed``: id → when it was sent again."""
    rows = [
        (
            letter.id,
            _moment(letter),
            letter.reason,
            f"{letter.topic}:{letter.partition}:{letter.offset}",
            letter.attempts,
            shown_moment(replayed.get(letter.id, "")),
            _beginning(letter.raw),
        )
        for letter in letters
    ]
    console.print(table(("id", "logged", "reason", "~place", ">attempts", "replayed", "~message"), rows))


def show_letter(console: Console, letter: DeadLetter, replayed: Mapping[str, str]) -> None:
    """Print everything about one letter."""
    for name, value in with_content(letter, replayed).items():
        if name not in {"raw", "rawBase64"}:
            console.out(f"{name:12}{plain(value if isinstance(value, str | int) else json.dumps(value))}", highlight=False)
    console.out(plain(letter.raw.decode("utf-8", "backslashreplace")), highlight=False)


def summary(letter: DeadLetter, replayed: Mapping[str, str]) -> dict[str, Any]:
    """A letter without its message, as JSON values."""
    return {
        "id": letter.id,
        **about_as_json(letter),
        "replayedAt": replayed.get(letter.id),
        "bytes": letter.whole_bytes or len(letter.raw),
    }


def with_content(letter: DeadLetter, replayed: Mapping[str, str]) -> dict[str, Any]:
    """A letter with the key, the headers and the bytes of its message, as JSON values."""
    return {**summary(letter, replayed), **content_as_json(letter.raw, letter.key, letter.headers)}


def counts_by_reason(letters: Iterable[DeadLetter], replayed: Mapping[str, str]) -> list[dict[str, Any]]:
    """How many letters each reason has, since when, how often rejected and how many replayed, as JSON values; the most frequent first."""
    times, again, attempts = Counter[str](), Counter[str](), Counter[str]()
    first, last = dict[str, tuple[Any, ...]](), dict[str, tuple[Any, ...]]()
    for letter in letters:
        name, at = letter.reason, (when_logged(letter), _moment(letter), letter.id)
        times[name] += 1
        again[name] += letter.id in replayed
        attempts[name] = max(attempts[name], letter.attempts)
        first[name], last[name] = min(first.get(name, at), at), max(last.get(name, at), at)
    return [
        {
            "reason": name,
            "letters": found,
            "replayed": again[name],
            "mostAttempts": attempts[name],
            "first": first[name][1],
            "last": last[name][1],
            "example": last[name][2],
        }
        for name, found in times.most_common()
    ]


def show_counts(console: Console, counts: Iterable[dict[str, Any]]) -> None:
    """Print what ``counts_by_reason`` returns."""
    columns = ("reason", ">letters", ">replayed", ">most attempts", "first", "last", "example")
    console.print(table(columns, [tuple(row.values()) for row in counts]))


def show_plan(console: Console, wanted: Sequence[Planned], skipped: Sequence[Planned], *, edited: bool) -> None:
    """Print what would be sent, with what ``--edit`` changes, and why the others are not."""
    for each in wanted if edited else wanted[:_PREVIEWED]:
        verdict = "would be accepted" if not each.verdict else f"would be rejected again: {each.verdict}"
        lines(console, Text(f"{each.letter.id}  {plain(each.letter.reason)}, {plain(verdict)}"))
        for change in each.changes:
            lines(console, Text(f"  - {plain(change.path)}: {plain(shortened(shown_value(change.before), _WIDTH))}"))
            lines(console, Text(f"  + {plain(change.path)}: {plain(shortened(shown_value(change.after), _WIDTH))}"))
    if not edited and len(wanted) > _PREVIEWED:
        lines(console, Text(f"… and {len(wanted) - _PREVIEWED:,} more"))
    if refused := Counter(each.verdict for each in wanted if each.verdict):
        what = ", ".join(f"{reason} {times:,}" for reason, times in sorted(refused.items()))
        lines(console, Text(f"As they are, {count(refused.total(), 'message')} would be rejected again ({what})."))
    kinds = Counter(
        "replayed before; --again sends them again" if each.skipped.startswith("replayed ") else each.skipped for each in skipped
    )
    for why, times in kinds.most_common():
        lines(console, Text(f"{count(times, 'letter is', 'letters are')} not sent: {plain(why)}."))


def planned_as_json(each: Planned) -> dict[str, Any]:
    """A letter that is, or would be, sent again, as JSON values."""
    return {
        "id": each.letter.id,
        "reason": each.letter.reason,
        "attempts": each.letter.attempts,
        "wouldBe": each.verdict or "accepted",
        "changes": [
            {
                "path": change.path,
                **{name: _finite(value) for name, value in (("before", change.before), ("after", change.after)) if value is not ABSENT},
            }
            for change in each.changes
        ],
    }


def _finite(value: object) -> Any:
    """``value`` with null for numbers that JSON does not have."""
    return json.loads(json.dumps(value), parse_constant=lambda _name: None)


def _moment(letter: DeadLetter) -> str:
    return shown_moment(rfc3339_or_none(letter.log_time) or "unknown")


def _beginning(raw: bytes) -> str:
    return shortened(raw[: _WIDTH * 4].decode("utf-8", "replace"), _WIDTH)
