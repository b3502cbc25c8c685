"""What was known and said about an episode at one time."""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """What was known and said about an episode at one time, for learning once its end is known.

    ``time`` is the share that time alone gives, ``added`` what evidence adds to its logit (``state/stuck/score.py``), ``said`` the score.
    ``in_session``: the person was still there.
    """

    bucket: int
    time: float
    added: float
    said: float
    features: tuple[int, ...]
    in_session: bool = False
