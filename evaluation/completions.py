"""Which completions of a step in a log its times are measured from: for the draft of a catalog and for its fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

from state.duration import DAY
from state.stuck.completion_times import HORIZON_QUANTILE, quantile

KEPT: Final = 1_000
"""Completions from which times are measured, or more where some began at the same time. The last 200, from which the job learns, can be
slow or quick ones by chance."""
_FOLLOWED: Final = 3.0
"""For how many usual times people must have been followed, so that nearly all who complete a step have done so."""
_CROWDED: Final = 1 / 3
_DAYS: Final = 10
"""Days that completions span at least, so that many on one of them are told from a short log."""

Began = TypeVar("Began", bound=tuple[int, ...])
"""An episode: first when it began."""


class Completion(NamedTuple):
    """When the step became current, how long it took from then, and how much of that the user was active (ms)."""

    since: int
    took: int
    active: int

    @property
    def at(self) -> int:
        """When it was completed."""
        return self.since + self.took


class CrowdedDay(NamedTuple):
    """The day (ms, its beginning in UTC) on which ``completions`` of the ``last`` ones took place, a third or more."""

    at: int
    completions: int
    last: int


def to_measure(times: Sequence[Completion], now: int) -> list[Completion]:
    """The completions to measure at ``now``, of all in order of their ends: all, or ``KEPT``, those of users who began last, of those who
    were followed for long enough.

    The last ones of all would be slow ones where fewer and fewer begin, as at the end of a log of those who signed up in one month.
    Old cases that were closed on one day would ask for years: where too few were followed for so long, that day does not say how long
    to follow. Where too few were followed even so, as in a short log of a product with many users, the last are taken.
    """
    last = list(times[-KEPT:])
    if len(times) <= KEPT:
        return last
    crowded = crowded_day(times)
    others = [each for each in last if crowded is not None and each.at // DAY * DAY != crowded.at]
    for some in filter(None, (last, others)):
        usual = quantile(sorted(each.took for each in some), HORIZON_QUANTILE)
        followed = [each for each in times if each.since + _FOLLOWED * usual <= now]
        if 2 * len(followed) >= len(last):
            return begun_last(followed, KEPT)
    return last


def crowded_day(times: Sequence[Completion]) -> CrowdedDay | None:
    """The day with a third of the last ``KEPT`` of ``times``, which are in order of their ends, if these span ten days or more."""
    last = times[-KEPT:]
    if not last or last[-1].at - last[0].at < _DAYS * DAY:
        return None
    day, count = Counter(each.at // DAY for each in last).most_common(1)[0]
    return CrowdedDay(day * DAY, count, len(last)) if count >= _CROWDED * len(last) else None


def begun_last(episodes: list[Began], most: int) -> list[Began]:
    """The last ``most`` of ``episodes`` by their beginning; all that began as the first of them did, so none is left out for its length."""
    if len(episodes) <= most:
        return episodes
    first = sorted(each[0] for each in episodes)[-most]
    return [each for each in episodes if each[0] >= first]
