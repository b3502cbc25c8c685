"""Messages from ``track`` to ``estimate``: how episodes ended, and which began before the horizon of their step was learned."""

from __future__ import annotations

from typing import Final

import msgspec

from state.stuck.row import Row

COMPLETED: Final = 0
LEFT: Final = 1
"""A later step was completed before."""
WAITING: Final = 2
"""The horizon has passed."""
BEGUN: Final = 3
"""The episode began, with a horizon that is not settled, or with that of a fit that completions will replace."""
CENSORED: Final = 4
"""Such an episode is no longer observed: the person is a bot, became another one, or changed to another path."""


class EpisodeObservation(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """The end (or beginning) of an episode: one person at one step that became current at ``since``, or its horizon.

    ``lasted`` is the time from ``since`` to ``end``. ``settled``: the horizon followed from completions alone.
    ``matured``: the passing of the horizon was observed before, and only the completion
    time is new. ``guided``: the person is not held out. ``at`` is the log time of the observation, for a timer the millisecond before its
    deadline.
    """

    tenant: str
    step: str
    end: int
    at: int
    since: int
    horizon: int
    lasted: int
    rows: tuple[Row, ...] = ()
    settled: bool = False
    matured: bool = False
    guided: bool = False

    @property
    def known_at(self) -> int:
        """When it is known for everyone who began at the same time whether they were stuck.

        People who complete the step are known before those who do not; learned from at once, they would bias the score.
        """
        return self.since + self.horizon

    @property
    def stuck(self) -> bool:
        """Neither completed nor left within the horizon."""
        return self.lasted > self.horizon
