"""Writes effects to Redis: compacted, in pipelines, with retries. It does not depend on Bytewax; ``sink.py`` is the sink around it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from redis import Redis
from redis.exceptions import InvalidResponse, RedisError

from sinks.masked_url import mask_url
from sinks.redis.client import RedisServers
from sinks.redis.errors import StoreRefusedError, StoreUnavailableError, code_of, describe, is_transient
from sinks.redis.record import UserKeys, announcement_of, encode_record, id_of, keys_of, version_of
from sinks.redis.script import DIGEST, ERASE, MARK_SHOWN, PROGRESS, PUBLISH, REFUSED, REPAIRED, REPLACE_TEXT, SCRIPT, STALE, UNCHANGED
from state.backoff import backoff_seconds
from state.duration import DAY, HOUR
from state.never import never
from state.records.progress import PublishProgress
from state.records.recommendation import Effect, Erase, MarkShown, ReplaceText

_LOG = logging.getLogger(__name__)
TOMBSTONE_TTL_MS: Final = 600_000
"""A tombstone keeps late writes away, but its key has the user's id in it: it stays for as long as such a write may still be retried
(``give_up_seconds``), and not for the 24 hours of a record."""

PROGRESS_TTL_MS: Final = 30 * DAY
"""Somebody who comes back after weeks still finds the checklist; a recommendation is old after a day."""

_PIPELINE = 500  # commands in flight: more do not increase the rate, and a retry would repeat more of them
_JITTER = random.SystemRandom()  # spreads the retries of many workers; no decision depends on it


@dataclass(frozen=True)
class WritePolicy:
    """How long a record lives and how long the writer retries.

    ``ttl_hours`` counts from the write. ``give_up_seconds`` is the longest time without any progress. ``stopping`` is polled between
    retries; when it is true the write is given up. ``clock``, ``sleep`` (both in seconds) and ``jitter`` (in [0, 1)) are for tests.
    """

    ttl_hours: float = 24.0
    give_up_seconds: float = 300.0
    first_wait_seconds: float = 0.05
    longest_wait_seconds: float = 2.0
    stopping: Callable[[], bool] = never
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = _JITTER.random


@dataclass
class WriteCounts:
    """Counts of effects by their result. ``written``, ``stale``, ``unchanged`` and ``tombstones`` count keys; ``retries`` counts attempts.

    ``improved``: a model's text replaced the template. ``refused``: it came too late for that. ``superseded``: a newer effect of the same
    batch replaced it, so it was not sent. ``repaired``: it overwrote an unreadable value (also counted as what it wrote). ``progress``: the
    progress record was written or removed.
    """

    written: int = 0
    stale: int = 0
    unchanged: int = 0
    tombstones: int = 0
    superseded: int = 0
    repaired: int = 0
    improved: int = 0
    refused: int = 0
    progress: int = 0
    retries: int = 0


@dataclass(frozen=True)
class _Operation:
    keys: UserKeys
    identity: str
    mode: bytes
    version: int
    record: bytes
    announcement: tuple[str, str]


@dataclass
class _Outage:
    """A period without a successful write."""

    since: float
    attempts: int = field(default=0)


class RecommendationWriter:
    """Writes effects to the server at ``url``, at least once; each is idempotent. Use it from one thread."""

    def __init__(self, url: str, policy: WritePolicy) -> None:
        """Open no connection yet. Raises ``StoreRefusedError`` if ``url`` is not valid."""
        self.counts = WriteCounts()
        self._servers = RedisServers(url)
        self._address = mask_url(url)
        self._policy = policy
        self._ttl_ms = round(policy.ttl_hours * HOUR)
        self._lifetimes_ms = {ERASE: min(self._ttl_ms, TOMBSTONE_TTL_MS), PROGRESS: max(self._ttl_ms, PROGRESS_TTL_MS)}

    def write(self, effects: Sequence[Effect]) -> None:
        """Return when the server has every effect. Blocks, and retries for as long as the policy allows.

        Raises ``StoreRefusedError`` at once if a retry cannot help, ``StoreUnavailableError`` if all retries failed.
        """
        compacted = compact(effects)
        self.counts.superseded += len(effects) - len(compacted)
        operations = [_operation(effect) for effect in compacted]
        for start in range(0, len(operations), _PIPELINE):
            self._deliver(operations[start : start + _PIPELINE])

    def close(self) -> None:
        """Close the connection."""
        self._servers.close()

    def _deliver(self, operations: list[_Operation]) -> None:
        outage: _Outage | None = None
        load_script = False
        while operations:
            left, errors = self._send(operations, load_script=load_script)
            if len(left) < len(operations) and outage is not None:
                _LOG.info("Redis at %s accepts writes again", self._address)
                outage = None
            operations = left
            faults = [error for error in errors if code_of(error) != "NOSCRIPT"]
            load_script = len(faults) < len(errors)  # a server is new, or was restarted
            if not faults:
                continue
            outage = outage or _Outage(since=self._policy.clock())
            # What ends the job comes before what passes.
            self._wait_before_retry(min(faults, key=self._is_transient), outage)
            self._servers.refresh()

    def _send(self, operations: list[_Operation], *, load_script: bool) -> tuple[list[_Operation], list[RedisError | OSError]]:
        """Send all operations to their servers; return those to send again, in order, and the first error of each server that has one.

        With ``load_script`` the first command to each server contains the script, which the server keeps for the others.
        """
        try:
            routes = self._servers.routes([operation.keys.record.encode() for operation in operations])
        except (RedisError, OSError) as error:
            return operations, [error]
        left: list[int] = []
        errors: list[RedisError | OSError] = []
        for client, positions in routes:
            done, failure = self._send_to(client, [operations[position] for position in positions], load_script=load_script)
            left += positions[done:]
            errors += [failure] if failure is not None else []
        return [operations[position] for position in sorted(left)], errors

    def _is_transient(self, error: RedisError | OSError) -> bool:
        return is_transient(error, in_cluster=self._servers.in_cluster)

    def _send_to(self, client: Redis, operations: list[_Operation], *, load_script: bool) -> tuple[int, RedisError | OSError | None]:
        """Send all operations; return how many were applied before the first failure, and that failure.

        Operations after a failure are sent again even if they succeeded: an erase and the publish after it must stay in order.
        """
        pipeline = client.pipeline(transaction=False)
        for position, operation in enumerate(operations):
            keys = operation.keys
            ttl_ms = self._lifetimes_ms.get(operation.mode, self._ttl_ms)
            arguments = (operation.mode, operation.version, operation.record, ttl_ms, operation.identity, *operation.announcement)
            if load_script and position == 0:
                pipeline.eval(SCRIPT, len(keys), *keys, *arguments)
            else:
                pipeline.evalsha(DIGEST, len(keys), *keys, *arguments)
        try:
            replies = pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            return 0, error
        except ValueError as error:  # what the driver raises for a number that is none: bytes were changed or lost on the way
            return 0, InvalidResponse(f"Protocol Error: {error}")
        for position, (operation, reply) in enumerate(zip(operations, replies, strict=True)):
            if isinstance(reply, RedisError | OSError):
                return position, reply
            self._count(operation, reply)
        return len(operations), None

    def _count(self, operation: _Operation, reply: int) -> None:
        if reply == STALE:
            self.counts.stale += 1
        elif reply == UNCHANGED:
            self.counts.unchanged += 1
        elif reply == REFUSED:
            self.counts.refused += 1
        elif operation.mode == REPLACE_TEXT:
            self.counts.improved += 1
        elif operation.mode == ERASE:
            self.counts.tombstones += 1
        elif operation.mode == PROGRESS:
            self.counts.progress += 1
        elif operation.mode == MARK_SHOWN:
            pass
        else:
            self.counts.written += 1
        if reply == REPAIRED:
            self.counts.repaired += 1
            _LOG.warning("Redis at %s had an unreadable record; the job has overwritten it", self._address)

    def _wait_before_retry(self, error: RedisError | OSError, outage: _Outage) -> None:
        """Wait before the next attempt. Raises if there is none: a permanent error, the time limit, or a stop request."""
        policy = self._policy
        if not self._is_transient(error):
            raise StoreRefusedError(self._describe(error, "correct that and start the job again")) from error
        waited = policy.clock() - outage.since
        if waited >= policy.give_up_seconds:
            advice = f"gave up after {policy.give_up_seconds:g} seconds; restore the server and start the job again, it resumes by itself"
            raise StoreUnavailableError(self._describe(error, advice)) from error
        if policy.stopping():
            raise StoreUnavailableError(self._describe(error, "the job was stopped meanwhile and writes again when it resumes"))
        if outage.attempts == 0:
            _LOG.warning("%s", self._describe(error, f"the job waits and retries for up to {policy.give_up_seconds:g} seconds"))
        wait = backoff_seconds(
            outage.attempts, first=policy.first_wait_seconds, longest=policy.longest_wait_seconds, jitter=policy.jitter()
        )
        policy.sleep(min(wait, policy.give_up_seconds - waited))
        outage.attempts += 1
        self.counts.retries += 1

    def _describe(self, error: RedisError | OSError, advice: str) -> str:
        return describe(error, self._address, advice, in_cluster=self._servers.in_cluster)


def compact(effects: Iterable[Effect]) -> list[Effect]:
    """Return the effects to send: the newest record of each user, an erase before the publish that follows it, then texts, marks, progress.

    The effects of one user come in the order of their versions, but for a repetition after a crash.
    """
    before: list[Effect] = []
    newest: dict[str, Effect] = {}
    after: dict[str, list[Effect]] = {}
    progress: dict[str, PublishProgress] = {}
    for effect in effects:
        key = keys_of(effect).record
        if isinstance(effect, ReplaceText | MarkShown):
            after.setdefault(key, []).append(effect)
            continue
        pending = newest.get(key)
        if isinstance(effect, PublishProgress):
            known = progress.get(key)
            if known is None or effect.version >= known.version:
                progress[key] = effect
            continue
        if isinstance(effect, Erase):  # it deletes what these wrote, and after a publish that follows nothing would keep them away
            after[key] = [each for each in after.get(key, ()) if version_of(each) > effect.version]
            if key in progress and progress[key].version <= effect.version:
                del progress[key]
        if pending is None:
            newest[key] = effect
        elif isinstance(pending, Erase):
            if version_of(effect) <= pending.version:
                continue
            if not isinstance(effect, Erase):
                before.append(pending)
            newest[key] = effect
        elif isinstance(effect, Erase) or version_of(effect) >= version_of(pending):
            newest[key] = effect
    return [*before, *newest.values(), *(each for later in after.values() for each in later), *progress.values()]


_MODES = {Erase: ERASE, ReplaceText: REPLACE_TEXT, MarkShown: MARK_SHOWN, PublishProgress: PROGRESS}


def _operation(effect: Effect) -> _Operation:
    return _Operation(
        keys=keys_of(effect),
        identity=id_of(effect),
        mode=_MODES.get(type(effect), PUBLISH),
        version=version_of(effect),
        record=encode_record(effect),
        announcement=announcement_of(effect),
    )
