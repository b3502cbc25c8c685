"""Messages from ``track`` to ``estimate``: the beginning and the end of episodes."""

from __future__ import annotations

import msgspec


class EpisodeObservation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One observation of an episode: one person at one step that became current at ``since``.

    ``kind`` is ``entered``, ``completed`` or ``censored`` (no longer observed) ``lasted`` milliseconds after ``since``, or ``matured``: the
    horizon has passed and only ``rows`` count. ``rows`` are the packed levels at checkpoints (``state/stuck/score.py``). ``positive``: the
    step was not completed within the horizon. ``guided``: the person is not held out. ``at`` is the log time of the observation, for a
    timer the millisecond before its deadline.
    """

    tenant: str
    step: str
    kind: str
    at: int
    since: int
    lasted: int = 0
    rows: tuple[int, ...] = ()
    positive: bool = False
    guided: bool = False
