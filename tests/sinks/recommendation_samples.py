"""Effects to write, and ways to drive the writer without waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sinks.redis.writer import WritePolicy
from state.records.progress import Progress, PublishProgress, StepProgress
from state.records.recommendation import Erase, Publish, Recommendation


def publish(tenant: str, user: str, version: int, message: str = "Connect your data") -> Publish:
    """An effect as ``compose`` makes it."""
    return Publish(
        Recommendation(
            decision_id=f"decision-{version}",
            recommendation_id=f"decision-{version}.moderate.mac",
            tenant_id=tenant,
            user_id=user,
            version=version,
            path_id="default",
            step_id="connect",
            trigger="stuck:errors",
            arm="moderate",
            propensity=0.5,
            message=message,
            ui_component="tooltip",
            deep_link="/app/connect",
            confidence=0.7,
            source="template",
            validation_hash="0" * 32,
            created_at="2026-01-01T00:00:00Z",
            expires_at="2026-01-02T00:00:00Z",
        )
    )


def progress(tenant: str, user: str, version: int, *, done: int = 0) -> PublishProgress:
    """An effect of the fold: the first ``done`` of two steps are completed."""
    steps = tuple(
        StepProgress(name, name.title(), f"/app/{name}", "done" if place < done else "current" if place == done else "open", None)
        for place, name in enumerate(("connect", "query"))
    )
    following = next((step.id for step in steps if step.status == "current"), None)
    record = Progress(
        tenant_id=tenant,
        user_id=user,
        version=version,
        path_id="default",
        path_title="Start",
        steps=steps,
        next_step=following,
        activated_at=None,
        updated_at="2026-01-01T00:00:00.000Z",
    )
    return PublishProgress(tenant, user, version, record)


def erase(tenant: str, user: str, version: int) -> Erase:
    """An effect of a deletion."""
    return Erase(tenant, user, version)


@dataclass
class Time:
    """A clock that only ``sleep`` moves, and that remembers every pause. ``during`` is called with the number of each pause."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)
    during: Callable[[int], None] = lambda _number: None

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        self.pauses.append(seconds)
        self.now += seconds
        self.during(len(self.pauses))

    def policy(self, *, stopping: Callable[[], bool] = lambda: False) -> WritePolicy:
        """A policy in this time, with the longest possible pauses."""
        return WritePolicy(stopping=stopping, clock=lambda: self.now, sleep=self.sleep, jitter=lambda: 1.0)
