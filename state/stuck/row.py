"""What was known and said about an episode at one time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec


class Row(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """What was known and said about an episode at one time, for learning once its end is known.

    ``time`` is the share that time alone gives, ``added`` what evidence adds to its logit (``state/stuck/score.py``), ``said`` the score.
    ``packed`` has the features (``pack``). ``in_session``: the person was still there.
    """

    bucket: int
    time: float
    added: float
    said: float
    packed: bytes
    in_session: bool = False

    @property
    def features(self) -> tuple[int, ...]:
        """The numbers of the features."""
        return struct.unpack(f"<{len(self.packed) // 2}H", self.packed)


def pack(features: Sequence[int]) -> bytes:
    """Two bytes for each feature: as bytes they make a snapshot small, and waking a person quick."""
    return struct.pack(f"<{len(features)}H", *features)


_FEATURES: Final = Row.__struct_fields__.index("packed")


def with_packed_features(fields: list[Any]) -> list[Any]:
    """The fields of a row as an earlier layout has them, with a list of features, in the present layout."""
    return [pack(each) if place == _FEATURES else each for place, each in enumerate(fields)]
