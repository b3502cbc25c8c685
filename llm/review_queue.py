"""The review queue: texts with too low a confidence, or in a language whose texts all need an approval, wait here until a person approves
or rejects them.

Per tenant, in the Redis Cluster slot of the tenant's texts (see ``llm/cache/answer_cache.py``; ``<t>`` is the tenant, in braces):

onramp:llm:<t>:review            hash: id → ReviewEntry, JSON; for texts that are shared
onramp:llm:<t>:review:order      sorted set: id by time
onramp:llm:<t>:review:own        the same two for texts that were written for one person. They end by themselves within a day, so that
onramp:llm:<t>:review:own:order  nothing of a deleted person stays where ``forget`` fails
onramp:llm:<t>:review:dropped    counter: entries that were dropped as too many or too old
onramp:llm:<t>:review:approved   hash: id → Approved, JSON; for as long as the text is in the cache, so that it can be rejected later
onramp:llm:<t>:<k>:waits         hash: the ids of shared texts for the cache key <k> that wait. It lives as long as a text may wait, also
                                 where one is dropped: else models are asked again for more places than the queue holds
onramp:llm:<t>:rejected          hash: digest of a text → who rejected it and when; kept for ever

ReviewError                      one sentence for the person who decides
├── NoSuchEntryError             decided already, dropped, or unknown
└── ReviewUnavailableError       Redis did not answer
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, cast

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from llm.cache.answer_cache import CachedText, CachePolicy, entry_name, message_of, milliseconds, rejected_name, text_hash, user_digest

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

Put = Literal["queued", "known", "rejected", "away"]
"""The result of ``put``: the entry waits, it waited already, a person rejected the text before, or Redis did not answer."""


class ReviewError(Exception):
    """A review failed. The text is one sentence for the reviewer."""


class NoSuchEntryError(ReviewError):
    """No such entry waits."""


class ReviewUnavailableError(ReviewError):
    """Redis did not answer; nothing was changed."""


class ReviewEntry(msgspec.Struct, frozen=True, gc=False):
    """A text that waits, its slots unfilled. ``key`` is its cache key, ``reason`` why it waits, ``created_ms`` Unix time.

    ``scope`` is ``personal`` where the text was written for one person; ``owner`` is then their ``user_digest``. ``catalog`` is the catalog
    with its version, and ``language`` that of the text; both are empty in entries of earlier versions of Onramp.
    """

    key: str
    scope: Literal["shared", "personal"]
    text: str
    confidence: float
    prompt_version: str
    step: str
    trigger: str
    arm: str
    model: str
    created_ms: int
    reason: str
    owner: str = ""
    catalog: str = ""
    language: str = ""

    @property
    def id(self) -> str:
        """12 hexadecimal digits: one text for one key waits once."""
        return hashlib.blake2b(f"{self.key}\0{self.text}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


class InForce(msgspec.Struct, frozen=True, gc=False):
    """The catalog of a tenant, with its version, and the versions of the prompt that it uses. A job serves only texts that fit them."""

    catalog: str
    prompts: tuple[str, ...]

    def serves(self, entry: ReviewEntry) -> bool:
        """Whether a job with this catalog looks for the text of ``entry``. The catalog of an early entry is not known, only its prompt."""
        return entry.catalog in {"", self.catalog} and entry.prompt_version in self.prompts


class Approved(msgspec.Struct, frozen=True, gc=False):
    """A text that is shown to everybody in its place while a catalog serves it: who approved it, and when (Unix time)."""

    entry: ReviewEntry
    by: str
    at_ms: int


class ReviewResult(msgspec.Struct, frozen=True, gc=False):
    """The result of a review: ``promoted`` where the text now serves everybody, and a sentence about it."""

    entry: ReviewEntry
    promoted: bool
    sentence: str


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """The queue of a tenant: the oldest entries first, how many wait in all, and how many were dropped undecided, ever."""

    entries: tuple[ReviewEntry, ...]
    total: int
    dropped: int


@dataclass(frozen=True)
class ReviewPolicy:
    """How many entries a tenant's queue holds and for how long, and how long a request waits for Redis.

    Entries for one person are counted apart. The next one that comes drops those older than ``personal_seconds``; where none comes for as
    long, Redis drops all of them. So each is gone after twice that time.
    """

    most: int = 1_000
    longest_seconds: float = 30 * 86_400.0
    personal_seconds: float = 43_200.0
    wait_seconds: float = CachePolicy.wait_seconds


_PUT: Final = """
if redis.call('HEXISTS', KEYS[4], ARGV[2]) == 1 then return 'rejected' end
if KEYS[5] then
  redis.call('HSET', KEYS[5], ARGV[1], '')
  redis.call('PEXPIRE', KEYS[5], ARGV[7])
end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[3]) == 0 then return 'known' end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[6])
local over = redis.call('ZCARD', KEYS[2]) - #gone - tonumber(ARGV[5])
if over > 0 then gone = redis.call('ZRANGE', KEYS[2], 0, #gone + over - 1) end
for _, id in ipairs(gone) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', KEYS[1], id)
end
if #gone > 0 then redis.call('INCRBY', KEYS[3], #gone) end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
return 'queued'
"""
"""KEYS: review, order, dropped, rejected, what waits for the key of a shared text. ARGV: id, digest of the text, entry, its time, the most
that may wait, the time of the oldest, the time to live."""

_TAKE: Final = """
local taken = 0
for i = 5, #ARGV do
  redis.call('HDEL', KEYS[i + 3], ARGV[i])
  if ARGV[3] ~= '' then taken = taken + redis.call('HDEL', KEYS[7], ARGV[i]) end
  for at = 3, 5, 2 do
    redis.call('ZREM', KEYS[at + 1], ARGV[i])
    taken = taken + redis.call('HDEL', KEYS[at], ARGV[i])
  end
end
if taken > 0 and ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  redis.call('HSET', KEYS[7], ARGV[5], ARGV[4])
end
if taken > 0 and ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[2])
  local held = redis.call('GET', KEYS[1])
  if held and string.find(held, ARGV[3], 1, true) then redis.call('UNLINK', KEYS[1]) end
end
return taken
"""
"""Take entries off the queue, and rejected ones off the approved texts too. Only the caller that took an entry may promote or reject it.

KEYS: the text in the cache, rejected, review, order, both again for texts of one person, approved; for each id what waits for its key.
ARGV: what to put into the cache or nothing, its time to live or who rejected, the digest to reject or nothing, the ``Approved`` or
nothing, ids.
"""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ReviewQueue:
    """The texts that wait for a review. Use it from one event loop."""

    def __init__(
        self,
        client: Redis | RedisCluster,
        policy: ReviewPolicy | None = None,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        """``client`` from ``connect_async``; the caller closes it."""
        self._client: Final = client
        self._policy: Final = policy or ReviewPolicy()
        self._now_ms: Final = now_ms

    # ------------------------------------------------------------------------------------------------- called by the job: never raises

    async def put(self, tenant: str, entry: ReviewEntry) -> Put:
        """Add ``entry``. The same text for the same key waits once; the oldest entries are dropped for newer ones, and counted."""
        policy, personal = self._policy, entry.scope == "personal"
        life = milliseconds(policy.personal_seconds if personal else policy.longest_seconds)
        data = msgspec.json.encode(entry)
        arguments = (entry.id, text_hash(entry.text), data, entry.created_ms, policy.most, entry.created_ms - life, life)
        keys = [*(_personal(tenant) if personal else _shared(tenant)), _dropped(tenant), rejected_name(tenant)]
        if not personal:
            keys.append(_waits(tenant, entry.key))
        try:
            answer = await self._ask(self._client.eval(_PUT, len(keys), *keys, *arguments))
        except ReviewUnavailableError:
            return "away"
        return cast("Put", cast("bytes", answer).decode())

    async def was_rejected(self, tenant: str, unfilled_hash: str) -> bool:
        """Whether a person rejected the text with this ``text_hash``; it must be neither served nor cached.

        True also where Redis does not answer, because a rejected text must not return.
        """
        try:
            return bool(await self._ask(self._client.hexists(rejected_name(tenant), unfilled_hash)))
        except ReviewUnavailableError:
            return True

    async def holds(self, tenant: str, key: str) -> bool:
        """Whether a shared text for the cache key ``key`` waits, or was dropped undecided while it could still wait.

        False where Redis does not answer: the budget cannot be read then either, so that no model is called.
        """
        try:
            return bool(await self._ask(self._client.exists(_waits(tenant, key))))
        except ReviewUnavailableError:
            return False

    async def forget(self, tenant: str, user: str) -> bool:
        """Remove the entries of a deleted person. Returns False where Redis did not confirm it."""
        owner = user_digest(tenant, user)
        try:
            own = [entry for entry in await self._entries(tenant) if entry.owner == owner]
            await self._take(tenant, own)
        except ReviewUnavailableError:
            return False
        return True

    # -------------------------------------------------------------------------------------- called by a person: raises ``ReviewError``

    async def waiting(self, tenant: str, limit: int = 50) -> Waiting:
        """Return the waiting entries, the oldest first: those are dropped next."""
        found = await self._entries(tenant)
        dropped = await self._ask(self._client.get(_dropped(tenant)))
        return Waiting(tuple(found[:limit]), len(found), int(dropped or 0))

    async def approved(self, tenant: str) -> tuple[Approved, ...]:
        """Return the approved texts that are in the cache, the oldest approval first. Those that left it are forgotten.

        They stay there for a while after the catalog or the prompt has a new version: ``InForce.serves`` says which are shown.
        """
        client, name = self._client, _approved(tenant)
        stored = await self._ask(cast("Awaitable[dict[bytes, bytes]]", client.hgetall(name)))
        found, gone = list[Approved](), list[str]()
        for entry_id, data in stored.items():
            each = _decoded(data, Approved)
            if each is None:
                continue
            held = cast("bytes | None", await self._ask(client.get(entry_name(tenant, each.entry.key))))
            cached = _decoded(held, CachedText)
            if cached is not None and cached.unfilled_hash == text_hash(each.entry.text):
                found.append(each)
            else:
                gone.append(entry_id.decode())
        if gone:
            await self._ask(client.hdel(name, *gone))
        return tuple(sorted(found, key=lambda each: each.at_ms))

    async def approve(self, tenant: str, entry_id: str, by: str, in_force: InForce | None = None) -> ReviewResult:
        """Put a shared text into the cache, so that it serves everybody in its place for as long as it is used, until the catalog or the
        prompt has a new version. Messages that were sent already do not change.

        A personal text is only removed: it must not be shown to others, and it comes too late for its own person. So is a text that
        ``in_force`` does not serve; None: what is in force is not known.
        """
        entry = await self._entry(tenant, entry_id)
        late = in_force is not None and not in_force.serves(entry)
        promoted = entry.scope == "shared" and not late
        cached = CachedText(
            text=entry.text,
            confidence=entry.confidence,
            model=entry.model,
            prompt_version=entry.prompt_version,
            unfilled_hash=text_hash(entry.text),
            created_ms=entry.created_ms,
            approved_by=by,
        )
        lifetime = str(milliseconds(CachePolicy.approved_ttl_seconds))
        record = msgspec.json.encode(Approved(entry, by, self._now_ms()))
        if not await self._take(tenant, [entry], msgspec.json.encode(cached) if promoted else b"", lifetime, record=record):
            raise _no_such(tenant, entry_id)
        _LOG.info("%s approved the text %s of tenant %s", by, entry.id, tenant)
        if in_force is not None and late:
            now = f"{in_force.catalog} is in force, with the prompt {' or '.join(in_force.prompts) or 'of no model'}"
            return ReviewResult(entry, promoted, f"Too late, removed: it was {written_for(entry)}. Now {now}.")
        if not promoted:
            return ReviewResult(entry, promoted, "Removed, not approved: it was written for one user and is never shown to others.")
        where = f"{entry.step} upon {entry.trigger} by {entry.arm}"
        until = "until the catalog or the prompt has a new version"
        return ReviewResult(
            entry, promoted, f"Approved: it is shown from now on at {where}, {until}; messages already sent stay as they are."
        )

    async def reject(self, tenant: str, entry_id: str, by: str) -> ReviewResult:
        """Remove a text from the queue and the cache of this tenant for good, also an approved one. It is never queued again.

        It is served no more, by each process within ``CachePolicy.local_seconds``.
        """
        waiting = await self._entries(tenant)  # first: a text that is approved meanwhile is among the approved ones then
        approved = [each.entry for each in await self.approved(tenant)]
        entry = next((each for each in (*waiting, *approved) if each.id == entry_id), None)
        if entry is None:
            raise _no_such(tenant, entry_id)
        same = [each for each in (*waiting, *approved) if each.text == entry.text and each.id != entry.id]
        note = msgspec.json.encode({"by": by, "atMs": self._now_ms()}).decode()
        if not await self._take(tenant, [entry, *same], b"", note, text_hash(entry.text)):
            raise _no_such(tenant, entry_id)
        _LOG.info("%s rejected the text %s of tenant %s", by, entry.id, tenant)
        until = " Jobs that hold it show it for up to a minute more." if any(each.text == entry.text for each in approved) else ""
        return ReviewResult(entry, False, f"Rejected: this text is never queued or shown again.{until}")

    # --------------------------------------------------------------------------------------------------------------------------- Redis

    async def _entries(self, tenant: str) -> list[ReviewEntry]:
        client, found = self._client, list[bytes | None]()
        for review, order in (_shared(tenant), _personal(tenant)):
            if ids := cast("list[bytes]", await self._ask(client.zrange(order, 0, -1))):
                found += await self._ask(cast("Awaitable[list[bytes | None]]", client.hmget(review, [each.decode() for each in ids])))
        return sorted(_readable(found), key=lambda entry: entry.created_ms)

    async def _entry(self, tenant: str, entry_id: str) -> ReviewEntry:
        for review, _ in (_shared(tenant), _personal(tenant)):
            data = await self._ask(cast("Awaitable[bytes | None]", self._client.hget(review, entry_id)))
            for entry in _readable([data]):
                return entry
        raise _no_such(tenant, entry_id)

    async def _take(
        self,
        tenant: str,
        entries: Iterable[ReviewEntry],
        cached: bytes = b"",
        lifetime: str = "",
        rejected: str = "",
        record: bytes = b"",
    ) -> int:
        taken = list(entries)
        if not taken:
            return 0
        places = (_waits(tenant, entry.key) for entry in taken)
        keys = (entry_name(tenant, taken[0].key), rejected_name(tenant), *_shared(tenant), *_personal(tenant), _approved(tenant), *places)
        ids = (entry.id for entry in taken)
        return int(cast("int", await self._ask(self._client.eval(_TAKE, len(keys), *keys, cached, lifetime, rejected, record, *ids))))

    async def _ask(self, request: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._policy.wait_seconds):
                return await request
        except (RedisError, OSError) as error:
            raise ReviewUnavailableError(
                f"Redis did not answer ({message_of(error)}); check that the server runs and that ONRAMP_REDIS_URL names it."
            ) from error


def written_for(entry: ReviewEntry) -> str:
    """The catalog and the prompt of a text, in words."""
    return f"written for {entry.catalog or 'an unknown version of the catalog'} and {entry.prompt_version}"


def _readable(found: Iterable[bytes | None]) -> Iterable[ReviewEntry]:
    for data in found:
        if (entry := _decoded(data, ReviewEntry)) is not None:
            yield entry  # one that another version wrote is dropped when it is the oldest


def _decoded(data: bytes | None, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=kind) if data is not None else None
    except ValueError:
        return None


def _no_such(tenant: str, entry_id: str) -> NoSuchEntryError:
    return NoSuchEntryError(
        f"No text {entry_id} waits for a review in tenant {tenant}: it was decided already, dropped, or never queued; "
        "see `onramp review list`."
    )


def _shared(tenant: str) -> tuple[str, str]:
    """Also has texts for one person from before they had keys of their own."""
    return entry_name(tenant, "review"), entry_name(tenant, "review:order")


def _personal(tenant: str) -> tuple[str, str]:
    return entry_name(tenant, "review:own"), entry_name(tenant, "review:own:order")


def _waits(tenant: str, key: str) -> str:
    return entry_name(tenant, f"{key}:waits")


def _approved(tenant: str) -> str:
    return entry_name(tenant, "review:approved")


def _dropped(tenant: str) -> str:
    return entry_name(tenant, "review:dropped")
