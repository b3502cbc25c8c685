"""The episodes of a step from before its horizon was learned. They are judged again by the learned horizon, as soon as there is one.

So are those that began with the horizon of a fit, where completions contradict it: its shares go with it.

Until then the score is that of an expected horizon, and how the first episodes with a learned horizon end is known only a whole horizon
later. The episodes from before show it sooner, provided that none is left out: an episode that is still open counts too.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Final

import msgspec

_MOST: Final = 400
"""Episodes kept for each step: fewer count half after 200 (``state/stuck/score.py``)."""
_OPEN: Final = -1


class FirstEpisodes(msgspec.Struct, array_like=True):
    """Episodes in order of their beginning, as the time of it, how long they lasted (ms; -1 while open), and whether the person is guided.

    ``horizon``: the learned one, 0 before. No episode that begins later is added then.
    """

    horizon: int = 0
    episodes: list[tuple[int, int, bool]] = []

    def begin(self, since: int, *, guided: bool) -> None:
        """Add an episode. If there are too many, the earliest are dropped."""
        if not self.horizon:
            bisect.insort(self.episodes, (since, _OPEN, guided))
            del self.episodes[:-_MOST]

    def end(self, since: int, lasted: int, *, guided: bool) -> None:
        """End an episode, if it is one of these."""
        if self.drop(since, guided=guided):
            bisect.insort(self.episodes, (since, lasted, guided))

    def drop(self, since: int, *, guided: bool) -> bool:
        """Forget an open episode, for example because nobody will see its end. Return whether it is one of these."""
        place = bisect.bisect_left(self.episodes, (since, _OPEN, guided))
        found = self.episodes[place : place + 1] == [(since, _OPEN, guided)]
        if found:
            del self.episodes[place]
        return found

    def take(self, until: int) -> Iterator[tuple[int, bool]]:
        """Remove the episodes that began a horizon before ``until``; yield how long each lasted, and whether the person is guided.

        An episode that lasted longer than the horizon, or is still open, is yielded as ``horizon + 1``.
        """
        known = bisect.bisect_right(self.episodes, until - self.horizon, key=lambda each: each[0])
        taken, self.episodes = self.episodes[:known], self.episodes[known:]
        for _, lasted, guided in taken:
            yield (self.horizon + 1 if lasted == _OPEN else min(lasted, self.horizon + 1)), guided
