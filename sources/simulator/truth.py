"""What really happened to a simulated person, as the simulator decided it: one JSON line each. Times are Unix milliseconds, UTC."""

from __future__ import annotations

from typing import Any

import msgspec


class Hidden(msgspec.Struct, rename="camel", gc=False):
    """Traits that no event shows. ``skill`` and ``motivation`` lie in 0–1; ``friction`` is per step of the path, 1 is usual."""

    skill: float
    motivation: float
    orderly: bool
    friction: dict[str, float]


class Episode(msgspec.Struct, rename="camel", gc=False):
    """One time of being stuck: on which step, why (the name of a ``stuck:*`` trigger), and when; ``ended_at`` null if it never ended.

    A person's episodes do not overlap. ``ended_at`` is when the person got past the trouble, came back after drifting away, or when
    drifting away took the trouble's place; not the end of the data.
    """

    step_id: str
    cause: str
    started_at: int
    ended_at: int | None = None


class Truth(msgspec.Struct, rename="camel"):
    """One person. ``path_id`` is the first path that the traits at sign-up match. People are stuck on the way to activation only."""

    user_id: str
    tenant_id: str
    traits: dict[str, Any]
    hidden: Hidden
    path_id: str | None
    signup_at: int
    completed_steps: dict[str, int] = {}
    activated_at: int | None = None
    stuck: list[Episode] = []
