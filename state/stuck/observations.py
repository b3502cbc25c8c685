"""What ``track`` reports to ``estimate``: how episodes began and ended."""

from __future__ import annotations

import msgspec


class EpisodeObservation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An event in one episode: one person at one step, current ``since`` then.

    ``kind`` is ``entered``, ``completed`` or ``censored`` (no longer observed) ``lasted`` milliseconds after that, or ``matured``: the
    horizon has passed, only its ``rows`` count. ``rows`` are what the person looked like at checkpoints (``state/stuck/score.py``);
    ``positive``: the step was not completed within the horizon. ``guided``: the person is not held out. ``at`` is the log time at which
    this was learned, for a timer the moment before its deadline.
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
