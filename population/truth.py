"""The sealed truth: the last lines of the protocol."""

from __future__ import annotations

from typing import Any

import msgspec


class Exposure(msgspec.Struct, rename="camel"):
    """A shown recommendation. ``expected``: arm -> probability of success within the window, had that arm been shown."""

    decision_id: str
    recommendation_id: str
    trigger: str
    step: str
    segment: str
    arm: str
    shown_at: int
    expected: dict[str, float]


class Episode(msgspec.Struct, rename="camel"):
    """A step from becoming current to its completion; times in Unix ms."""

    step: str
    since: int
    onset: int
    completed_at: int | None
    untreated_at: int | None
    cause: str | None


class UntreatedTwin(msgspec.Struct, rename="camel"):
    """The same person without guidance."""

    activated_at: int | None


class Truth(msgspec.Struct, rename="camel", tag_field="type", tag="person"):
    """The truth about one person or bot."""

    user_id: str
    bot: bool
    path: str | None
    traits: dict[str, Any]
    signup_at: int
    activated_at: int | None
    untreated: UntreatedTwin
    episodes: list[Episode]
    exposures: list[Exposure]
