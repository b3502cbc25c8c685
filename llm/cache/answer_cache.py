"""Caches texts of the model, in this process and in Redis for all processes, so that a model is called once for each place.

Keys of one tenant share a slot of a Redis Cluster (``<t>`` is the tenant, in braces; ``<k>`` the ``cache_key`` of
``state/decision/wording_request.py``):

onramp:llm:<t>:<k>            CachedText, JSON, with a time to live; each use of an approved one begins it anew
onramp:llm:<t>:<k>:waits      hash: the texts for <k> that wait for a person (``llm/review_queue.py`` writes it)
onramp:llm:<t>:of:<digest>    set: the keys of one person's own texts, to be removed with the person
onramp:llm:<t>:rejected       hash: digests of texts that a person rejected (``llm/review_queue.py`` writes it)

The slots of cached texts are unfilled. While Redis is slow or does not answer, each process uses its own cache and does not wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar, cast

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

_PUT: Final = """
if ARGV[1] ~= '' then
  redis.call('SADD', KEYS[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3], 'NX')
"""
"""Cache a text unless there is one, its key listed with its owner. KEYS: text, index. ARGV: the key where it has an owner, text, life."""


class CachedText(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A text that passed every check, its slots unfilled.

    ``unfilled_hash`` is ``text_hash(text)``; ``created_ms`` is Unix time in milliseconds. ``approved_by`` names the person who approved the
    text, empty where nobody had to.
    """

    text: str
    confidence: float
    model: str
    prompt_version: str
    unfilled_hash: str
    created_ms: int
    approved_by: str = ""


@dataclass(frozen=True)
class CachePolicy:
    """How much is cached, for how long, and how long a request waits for Redis. ``clock`` (seconds) is for tests.

    ``entries`` and ``size`` (bytes) bound this process. An entry is looked up again in Redis after ``local_seconds``, so that a
    rejection reaches every process within them; while Redis does not answer, this process serves its own entries. A person's own texts live
    for ``personal_ttl_seconds``, a text that a person approved for ``approved_ttl_seconds`` after its last use. ``wait_seconds`` bounds one
    request; after a failure no request is sent to Redis for ``pause_seconds``. A key whose answers failed their checks ``rejections`` times
    in a row is blocked for ``block_seconds``.
    """

    entries: int = 10_000
    size: int = 16 * 1024 * 1024
    local_seconds: float = 60.0
    ttl_seconds: float = 7 * 86_400.0
    personal_ttl_seconds: float = 86_400.0
    approved_ttl_seconds: float = 180 * 86_400.0
    wait_seconds: float = 0.1
    pause_seconds: float = 5.0
    rejections: int = 3
    block_seconds: float = 900.0
    clock: Callable[[], float] = time.monotonic


class _Entry(NamedTuple):
    cached: CachedText
    size: int
    owner: str
    check: float
    """When to look at Redis again."""
    end: float


@dataclass
class _Local:
    """The entries of this process; the least recently used is dropped first."""

    policy: CachePolicy
    size: int = 0
    entries: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)

    def get(self, name: str) -> _Entry | None:
        found = self.entries.get(name)
        if found is None:
            return None
        if found.end <= self.policy.clock():
            self.drop(name)
            return None
        self.entries.move_to_end(name)
        return found

    def put(self, name: str, cached: CachedText, size: int, owner: str) -> None:
        self.drop(name)
        now, policy = self.policy.clock(), self.policy
        life = policy.personal_ttl_seconds if owner else policy.ttl_seconds
        self.entries[name] = _Entry(cached, size + len(name), owner, now + policy.local_seconds, now + life)
        self.size += size + len(name)
        while len(self.entries) > policy.entries or self.size > policy.size:
            self.drop(next(iter(self.entries)))

    def drop(self, name: str) -> None:
        found = self.entries.pop(name, None)
        self.size -= found.size if found is not None else 0

    def forget(self, owner: str) -> None:
        for name in [name for name, entry in self.entries.items() if entry.owner == owner]:
            self.drop(name)


class AnswerCache:
    """Texts of the model by cache key. No method raises because of Redis. Use it from one event loop.

    Call ``get`` first, then ``blocked``: a text that a person approved is served although its key is blocked.

    Attributes for metrics: ``lookups`` (calls of ``get``, by where the text was found: ``process``, ``redis`` or ``nowhere``) and
    ``faults`` (requests that Redis did not answer in time; those that are not sent in the pause after one are not counted).
    """

    def __init__(self, client: Redis | RedisCluster, policy: CachePolicy | None = None) -> None:
        """``client`` from ``connect_async``. Opens no connection; the caller closes ``client``."""
        self.lookups: Final = {"process": 0, "redis": 0, "nowhere": 0}
        self.faults = 0
        self._client: Final = client
        self._policy: Final = policy or CachePolicy()
        self._local: Final = _Local(self._policy)
        self._failures: Final[OrderedDict[str, tuple[int, float]]] = OrderedDict()
        self._silent_until = 0.0
        self._away = False

    async def get(self, tenant: str, key: str, *, user: str = "", approved_only: bool = False) -> CachedText | None:
        """Return the text for ``key``, or None; ``user`` where it is that person's own. ``approved_only``: a text that no person approved
        is none.

        Waits for ``wait_seconds`` at most, and not at all while Redis does not answer.
        """
        name = entry_name(tenant, key)
        owner = user_digest(tenant, user) if user else ""
        known = self._local.get(name)
        if known is not None and approved_only and not known.cached.approved_by:
            known = None
        found, from_redis = known.cached if known is not None else None, False
        if known is None or known.check <= self._policy.clock():
            answer = await self._ask(lambda: self._fetch(tenant, name, owner))
            if answer is not None:
                found = answer[0]
                from_redis = found is not None
        if found is not None and approved_only and not found.approved_by:
            found = None
        self.lookups["nowhere" if found is None else "redis" if from_redis else "process"] += 1
        return found

    async def put(self, tenant: str, key: str, cached: CachedText, *, user: str = "") -> None:
        """Cache a text that passed every check; ``user`` where it serves that person alone. An entry that is in Redis already stays.

        Do not call it for a person who was deleted meanwhile.
        """
        name, data = entry_name(tenant, key), msgspec.json.encode(cached)
        owner = user_digest(tenant, user) if user else ""
        self._local.put(name, cached, len(data), owner)
        self._failures.pop(key, None)
        lifetime = milliseconds(self._policy.personal_ttl_seconds if owner else self._policy.ttl_seconds)
        keys, arguments = (name, index_name(tenant, owner)), (key if owner else "", data, lifetime)
        await self._ask(lambda: cast("Awaitable[object]", self._client.eval(_PUT, len(keys), *keys, *arguments)))

    async def forget(self, tenant: str, user: str) -> bool:
        """Remove a deleted person's own texts. Returns False where Redis did not confirm it; they then expire."""
        owner = user_digest(tenant, user)
        self._local.forget(owner)
        client = self._client

        async def remove() -> bool:
            index = index_name(tenant, owner)
            while keys := await cast(
                "Awaitable[list[bytes]]", client.spop(index, 500)
            ):  # popped in portions: a key that is added meanwhile stays listed
                await client.unlink(*(entry_name(tenant, key.decode()) for key in keys))
            return True

        self._silent_until = 0.0  # a deletion is tried even where Redis has just failed
        return await self._ask(remove) or False

    def rejected(self, key: str) -> None:
        """Count a failed check of an answer for ``key``; ``put`` resets the count. Kept in this process only."""
        count = self._failures.pop(key, (0, 0.0))[0] + 1
        until = self._policy.clock() + self._policy.block_seconds if count >= self._policy.rejections else 0.0
        self._failures[key] = count, until
        if len(self._failures) > self._policy.entries:
            self._failures.popitem(last=False)

    def blocked(self, key: str) -> bool:
        """Whether the answers for ``key`` failed too often. One more failure after the pause blocks it again."""
        return self._failures.get(key, (0, 0.0))[1] > self._policy.clock()

    async def _fetch(self, tenant: str, name: str, owner: str) -> tuple[CachedText | None]:
        client = self._client
        data = await client.get(name)
        if data is None:
            self._local.drop(name)
            return (None,)
        try:
            found = msgspec.json.decode(data, type=CachedText)
        except ValueError:
            await client.unlink(name)  # else ``put`` would never replace it
            return (None,)
        if await client.hexists(rejected_name(tenant), found.unfilled_hash):
            self._local.drop(name)
            await client.unlink(name)
            return (None,)
        if found.approved_by:
            await client.pexpire(name, milliseconds(self._policy.approved_ttl_seconds))
        self._local.put(name, found, len(data), owner)
        return (found,)

    async def _ask(self, request: Callable[[], Awaitable[T]]) -> T | None:
        """The answer of Redis, or None where it gave none in time."""
        if self._policy.clock() < self._silent_until:
            return None
        try:
            async with asyncio.timeout(self._policy.wait_seconds):
                answer = await request()
        except (RedisError, OSError) as error:
            self.faults += 1
            self._silent_until = self._policy.clock() + self._policy.pause_seconds
            if not self._away:
                self._away = True
                _LOG.warning(
                    "Redis does not answer (%s); texts of the model are cached in this process only until it does", message_of(error)
                )
            return None
        if self._away:
            self._away = False
            _LOG.info("Redis answers again; texts of the model are shared by all processes")
        return answer


def entry_name(tenant: str, key: str) -> str:
    """Redis key of a text. The braces are a Redis Cluster hash tag."""
    return f"onramp:llm:{{{tenant}}}:{key}"


def index_name(tenant: str, owner: str) -> str:
    """Redis key of the set of a person's own keys."""
    return f"onramp:llm:{{{tenant}}}:of:{owner}"


def rejected_name(tenant: str) -> str:
    """Redis key of the digests of texts that a person rejected."""
    return f"onramp:llm:{{{tenant}}}:rejected"


def text_hash(text: str) -> str:
    """32 hexadecimal digits that stand for a text with its slots unfilled."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def user_digest(tenant: str, user: str) -> str:
    """32 hexadecimal digits that stand for a person in the names of keys."""
    return hashlib.blake2b(msgspec.json.encode([tenant, user]), digest_size=16).hexdigest()


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, at least one: what Redis takes as a time to live."""
    return max(1, round(seconds * 1000))


def message_of(error: BaseException) -> str:
    """The message of a Redis error on one line; its type where the message is empty."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
