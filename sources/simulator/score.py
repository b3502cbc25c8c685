"""How well stuck signals agree with the truth about simulated people.

A **signal** (person, step, trigger, time) is *true* if at that time the person was stuck on that step, whatever the cause: from the
episode's onset until ``grace_ms`` after its end. Grace is there because evidence is only complete when a bout is over; there is none
before the onset. **Precision** of a trigger: its true signals among its signals.

An **episode** is *found* if at least one signal of any trigger, for that person and step, falls within it (with the same grace).
**Recall** of a cause: episodes found among its episodes. A row of the result is a trigger's precision beside the recall of the cause of
that name; they are measured on different things.

What is left out: an episode that was still open when the data ended and began less than ``follow_up_ms`` before that is *censored*. Nobody
could know yet whether the person would come back, so it counts neither as found nor as missed, found or not; how many there are is
reported. Signals in it still count for precision. Short episodes are never left out: one that ends before a detector can see it is missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from sources.simulator.truth import Episode, Truth
from state.duration import DAY, MINUTE
from state.vocabulary import STUCK_TRIGGERS

GRACE: Final = 10 * MINUTE
FOLLOW_UP: Final = DAY


class Signal(msgspec.Struct, frozen=True):
    """One stuck signal as the engine recorded it; ``detected_at`` in Unix ms."""

    user_id: str
    step_id: str
    trigger: str
    detected_at: int


class Rates(msgspec.Struct, frozen=True, rename="camel"):
    """Counts and the rates made of them; a rate of nothing is null, not 0. ``episodes`` includes the ``censored`` ones."""

    signals: int
    true_signals: int
    precision: float | None
    episodes: int
    censored: int
    found: int
    recall: float | None


class Score(msgspec.Struct, frozen=True, rename="camel"):
    """All signals and episodes together, and each trigger's signals beside the episodes with that cause."""

    overall: Rates
    by_trigger: dict[str, Rates]


def score(
    truth: Iterable[Truth], signals: Iterable[Signal], data_end_ms: int, *, grace_ms: int = GRACE, follow_up_ms: int = FOLLOW_UP
) -> Score:
    """Compare ``signals`` with ``truth``, of one tenant, as the module says. A signal for an unknown person is a false one."""
    signals = list(signals)
    at: dict[tuple[str, str], list[int]] = {}
    for signal in signals:
        at.setdefault((signal.user_id, signal.step_id), []).append(signal.detected_at)
    episodes: dict[tuple[str, str], list[Episode]] = {}
    counts: dict[str, list[int]] = {trigger: [0, 0, 0, 0, 0] for trigger in STUCK_TRIGGERS}
    for person in truth:
        for episode in person.stuck:
            episodes.setdefault((person.user_id, episode.step_id), []).append(episode)
            row = counts.setdefault(episode.cause, [0, 0, 0, 0, 0])
            row[2] += 1
            if episode.ended_at is None and episode.started_at > data_end_ms - follow_up_ms:
                row[3] += 1
            elif any(_within(episode, time, grace_ms) for time in at.get((person.user_id, episode.step_id), ())):
                row[4] += 1
    for signal in signals:
        row = counts.setdefault(signal.trigger, [0, 0, 0, 0, 0])
        row[0] += 1
        row[1] += any(_within(one, signal.detected_at, grace_ms) for one in episodes.get((signal.user_id, signal.step_id), ()))
    totals = [sum(column) for column in zip(*counts.values(), strict=True)]
    return Score(_rates(totals), {trigger: _rates(row) for trigger, row in counts.items()})


def _within(episode: Episode, time: int, grace: int) -> bool:
    return episode.started_at <= time and (episode.ended_at is None or time <= episode.ended_at + grace)


def _rates(row: list[int]) -> Rates:
    signals, true_signals, episodes, censored, found = row
    return Rates(
        signals,
        true_signals,
        true_signals / signals if signals else None,
        episodes,
        censored,
        found,
        found / (episodes - censored) if episodes > censored else None,
    )
