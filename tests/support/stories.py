"""A small input in which everything happens to somebody, and memory sinks that keep what the real ones would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from state.duration import DAY, HOUR, MINUTE, SECOND
from state.messages import Message, Tick
from state.records.progress import PublishProgress
from state.records.recommendation import Effect, Erase, MarkShown, Publish, ReplaceText

MONDAY: Final = 1_767_571_200_000
"""2026-01-05T00:00:00Z."""
SLOT: Final = 15 * MINUTE


class Log:
    """Builds an input as a source would: log time goes up, a tick stands before the first message of every new slot."""

    def __init__(self, partition: int = 0) -> None:
        self.items: list[Message | Tick] = []
        self._partition = partition
        self._log_time = MONDAY
        self._slot = MONDAY
        self._seq = 0
        self._lines = 0

    def send(
        self,
        at: int,
        user: str,
        kind: str,
        *,
        id: str = "",  # noqa: A002
        name: str = "",
        visitor: bool = False,
        timestamp: int | None = None,
        tenant: str = "",
        **payload: Any,
    ) -> None:
        """Append one good event, ``at`` in milliseconds since the beginning of the log. It happened at ``timestamp``, else then."""
        event = {
            "eventId": id or f"e{self._lines}",
            "anonymousId" if visitor else "userId": user,
            "eventType": kind,
            "timestamp": rfc3339(MONDAY + (at if timestamp is None else timestamp)),
            "payload": payload,
        }
        if name:
            event["name"] = name
        if tenant:
            event["tenantId"] = tenant
        self.raw(json.dumps(event).encode(), at)

    def raw(self, value: bytes, at: int = 0) -> None:
        """Append a message as it is."""
        self._log_time = max(self._log_time, MONDAY + at)
        self.pass_time()
        self._seq += 2
        self._lines += 1
        self.items.append(Message(value, None, "story", self._partition, self._lines, self._log_time, MONDAY + 365 * DAY, self._seq))

    def pass_time(self) -> None:
        """Append a tick if a slot has begun."""
        slot = self._log_time // SLOT * SLOT
        if slot > self._slot:
            self._slot = slot
            self.items.append(Tick(self._partition, slot, self._seq + 1))


def rfc3339(at: int) -> str:
    """Milliseconds as the text of an event."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")


def rich_log() -> Log:
    """Sign-up, progress, every kind of trouble, guidance shown and followed or not, opting out, deletion, visitors, bad and late input."""
    log = Log()
    analyst = {"persona": "analyst", "useCase": "reporting", "firstName": "Ana"}
    # A visitor looks around before signing up on Monday morning.
    log.send(8 * HOUR, "cookie-1", "page_view", visitor=True, path="/sources/new")
    log.send(9 * HOUR, "ana", "signup", traits=analyst)
    log.send(9 * HOUR + MINUTE, "ana", "identity_merged", previousId="cookie-1")
    log.send(9 * HOUR + 2 * MINUTE, "ana", "recommendation_shown")
    log.send(9 * HOUR + 3 * MINUTE, "cookie-1", "page_view", visitor=True, path="/sources")
    log.raw(b"{not json", 9 * HOUR + 3 * MINUTE)
    log.send(9 * HOUR + 4 * MINUTE, "ben", "signup", traits={"persona": "engineer"})
    log.send(9 * HOUR + 5 * MINUTE, "ben", "recommendation_shown")
    log.send(9 * HOUR + 5 * MINUTE, "cyd", "signup", traits={"persona": "marketer"})
    log.send(9 * HOUR + 6 * MINUTE, "dee", "signup", traits={"persona": "executive"})
    log.send(9 * HOUR + 6 * MINUTE, "dee", "recommendation_clicked")
    # Ana follows the guidance: a success; the same event comes twice.
    for _ in range(2):
        log.send(9 * HOUR + 20 * MINUTE, "ana", "track", id="ana-connected", name="source_connected", status="connected")
    log.send(9 * HOUR + 30 * MINUTE, "ana", "track", name="query_ran", result={"status": "ok", "rows": 3})
    # Ben runs into errors, clicks in rage, goes round in circles; what he was shown fails by timer, and he leaves.
    for second in range(4):
        log.send(10 * HOUR + second * SECOND, "ben", "error", code="E42", target="workspace_name")
    for second in range(5):
        log.send(16 * HOUR + second * SECOND // 2, "ben", "button_click", target="save")
    log.send(16 * HOUR + MINUTE, "ben", "recommendation_dismissed")
    # Cyd opts out; Dee is deleted, something of hers comes late, and she returns.
    log.send(17 * HOUR, "cyd", "preferences_changed", guidance=False)
    log.send(17 * HOUR + MINUTE, "cyd", "track", name="campaign_tagged")
    log.send(18 * HOUR, "dee", "user_deleted")
    log.send(17 * HOUR + 50 * MINUTE, "dee", "page_view", path="/home")
    log.raw(b'{"eventId": "x", "userId": "ben", "eventType": "no_such_type", "timestamp": "2026-01-05T18:00:00Z"}', 18 * HOUR)
    log.send(DAY + 9 * HOUR, "dee", "signup", traits={"persona": "executive"})
    # Tuesday to Friday: others keep the log going, so that windows close and people turn out to be inactive.
    for number, hour in enumerate((30, 36, 60, 70, 84, 100)):
        log.send(hour * HOUR, "eve", "signup" if number == 0 else "page_view", path="/dashboards/new", traits={"persona": "other"})
    log.send(4 * DAY + 6 * HOUR, "ben", "form_submit", form="workspace")
    log.send(20 * HOUR, "ben", "track", name="workspace_created")  # more than a day late
    log.raw(b'{"eventId": "y", "userId": "ben", "eventType": "page_view", "timestamp": "1970-01-01T00:00:00Z"}', 4 * DAY + 6 * HOUR)
    log.send(4 * DAY + 6 * HOUR + MINUTE, "ben", "recommendation_shown")
    for second in range(5):  # Gus rages before anything else went wrong
        kind, more = ("button_click", {"target": "save"}) if second else ("signup", {"traits": {"persona": "engineer"}})
        log.send(4 * DAY + 6 * HOUR + 2 * MINUTE + second * SECOND // 2, "gus", kind, **more)
    log.send(4 * DAY + 7 * HOUR, "fay", "page_view", path="/pricing", visitor=True)
    return log


STAYING: Final = tuple(f"user-{number}-who-stays" for number in range(9))
LEAVING: Final = tuple(f"user-{number}-who-leaves" for number in range(5))


def visitors_of(user: str) -> tuple[str, str]:
    """The anonymous ids of one of ``visitors_log``'s users."""
    return f"cookie-of-{user}", f"phone-of-{user}"


def visitors_log(staying: Sequence[str] = STAYING, leaving: Sequence[str] = LEAVING) -> Log:
    """Users with two visitors each: one is merged before the last events, the other of those who leave after their deletion only."""
    log = Log()
    for number, user in enumerate((*staying, *leaving)):
        cookie, phone = visitors_of(user)
        start = 8 * HOUR + number * 7 * MINUTE
        log.send(start, cookie, "page_view", visitor=True, path="/pricing")
        log.send(start + MINUTE, phone, "track", visitor=True, name="source_connected", status="connected")
        log.send(start + 2 * MINUTE, user, "signup", traits={"persona": "analyst", "useCase": "reporting"})
        log.send(start + 3 * MINUTE, user, "identity_merged", previousId=cookie)
        log.send(start + 4 * MINUTE, cookie, "page_view", visitor=True, path="/sources/new")
        if user in staying:
            log.send(start + 5 * MINUTE, user, "identity_merged", previousId=phone)
    for user in leaving:
        cookie, phone = visitors_of(user)
        log.send(11 * HOUR, user, "user_deleted")
        log.send(11 * HOUR + MINUTE, cookie, "page_view", visitor=True, path="/pricing")
        log.send(11 * HOUR + 2 * MINUTE, cookie, "signup", visitor=True, traits={"persona": "analyst"})
        log.send(11 * HOUR + 3 * MINUTE, phone, "signup", visitor=True, traits={"persona": "analyst"})
        log.send(10 * HOUR, user, "identity_merged", previousId=phone)  # late
        log.send(11 * HOUR, user, "user_deleted")  # again
    for number, user in enumerate(staying):
        log.send(12 * HOUR + number * MINUTE, visitors_of(user)[number % 2], "page_view", visitor=True, path="/sources")
        log.send(13 * HOUR + number * MINUTE, user, "track", name="query_ran", result={"status": "ok", "rows": 3})
    log.send(2 * DAY, staying[0], "page_view", path="/home")
    return log


class MemorySink(FixedPartitionedSink[list[Any], int]):
    """Keeps items once each, as the spool and the dead-letter file do: a resume cuts off what was written after the snapshot."""

    def __init__(self, partitions: int = 1) -> None:
        self.parts: dict[str, list[Any]] = {str(number): [] for number in range(partitions)}

    @property
    def items(self) -> list[Any]:
        """Everything written, partition by partition."""
        return [item for part in self.parts.values() for item in part]

    def list_parts(self) -> list[str]:
        return list(self.parts)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _MemoryPart:
        return _MemoryPart(self.parts[for_part], resume_state or 0)


class _MemoryPart(StatefulSinkPartition[list[Any], int]):
    def __init__(self, items: list[Any], length: int) -> None:
        self._items = items
        del items[length:]

    def write_batch(self, values: list[list[Any]]) -> None:
        for value in values:
            self._items += value

    def snapshot(self) -> int:
        return len(self._items)


class MemoryRedis(FixedPartitionedSink[list[Effect], None]):
    """Keeps the newest effect of each person, as the Lua script does; notes when a version comes again with other content."""

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = partitions
        self.newest: dict[tuple[str, str], Effect] = {}
        self.changed: list[tuple[Effect, Effect]] = []
        self.later: list[MarkShown | ReplaceText] = []
        self.progress: dict[tuple[str, str], PublishProgress] = {}
        self._seen: dict[tuple[str, str, int, bool], Effect] = {}

    def list_parts(self) -> list[str]:
        return [str(number) for number in range(self.partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _RedisPart:
        return _RedisPart(self)

    def write(self, effect: Effect) -> None:
        """Take one effect."""
        if isinstance(effect, MarkShown | ReplaceText):
            self.later.append(effect)
            return
        if isinstance(effect, PublishProgress):
            newer = self.progress.get((effect.tenant_id, effect.user_id))
            if newer is None or effect.version >= newer.version:
                self.progress[effect.tenant_id, effect.user_id] = effect
            return
        what = effect if isinstance(effect, Erase) else effect.recommendation
        person, version = (what.tenant_id, what.user_id), what.version
        before = self._seen.setdefault((*person, version, isinstance(effect, Erase)), effect)
        if before != effect:
            self.changed.append((before, effect))
        known = self.newest.get(person)
        if known is None or version >= _version(known):
            self.newest[person] = effect
        if isinstance(effect, Erase):
            self.progress.pop(person, None)


class _RedisPart(StatefulSinkPartition[list[Effect], None]):
    def __init__(self, redis: MemoryRedis) -> None:
        self._redis = redis

    def write_batch(self, values: list[list[Effect]]) -> None:
        for effects in values:
            for effect in effects:
                self._redis.write(effect)

    def snapshot(self) -> None:
        return None


def _version(effect: Effect) -> int:
    return effect.recommendation.version if isinstance(effect, Publish | ReplaceText) else effect.version
