"""Reads a user's record as an app does, with one GET."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from redis.exceptions import RedisError

from sinks.masked_url import mask_url
from sinks.redis.client import RedisServers
from sinks.redis.errors import StoreRefusedError, StoreUnavailableError, describe, is_transient
from sinks.redis.record import TOMBSTONE, CorruptRecordError, Deleted, decode_record
from state.records.progress import Progress, decode_progress, progress_key
from state.records.recommendation import Recommendation, redis_key


class RecommendationReader:
    """Reads from the server at ``url``. It does not retry, because the caller waits for the answer."""

    def __init__(self, url: str) -> None:
        """Open no connection yet. Raises ``StoreRefusedError`` if ``url`` is not valid."""
        self._servers = RedisServers(url)
        self._address = mask_url(url)

    def read(self, tenant_id: str, user_id: str) -> Recommendation | Deleted | None:
        """Return the user's recommendation, ``Deleted`` for a deleted user, or None if there is no record (any more).

        A recommendation whose ``ui_component`` is ``none`` means: show nothing. Blocks for one round trip, a few seconds at most.
        Raises ``RecommendationStoreError`` if Redis does not answer, ``CorruptRecordError`` if the value is not a record.
        """
        (data,) = self._get([redis_key(tenant_id, user_id).encode()])
        return None if data is None else decode_record(data)

    def read_progress(self, tenant_id: str, user_id: str) -> Progress | None:
        """Return the user's progress, or None if there is none, as for a deleted user. Blocks and raises like ``read``."""
        (data,) = self._get([progress_key(tenant_id, user_id).encode()])
        if data is None:
            return None
        try:
            return decode_progress(data)
        except ValueError as error:
            raise CorruptRecordError(f"the stored progress cannot be read: {error}") from error

    def read_raw(self, tenant_id: str, user_ids: Sequence[str]) -> list[bytes | None]:
        """Return the records of many users without decoding them; None for a user without one and for a deleted user.

        Takes one round trip to each server. Blocks and raises like ``read``.
        """
        found = self._get([redis_key(tenant_id, user_id).encode() for user_id in user_ids])
        return [None if data is None or data.startswith(TOMBSTONE) else data for data in found]

    def _get(self, keys: list[bytes]) -> list[bytes | None]:
        try:
            return self._ask(keys)
        except (RedisError, OSError) as error:
            if not (self._servers.in_cluster and is_transient(error, in_cluster=True)):
                self._fail(error)
        self._servers.refresh()  # the key may have moved to another server since the last read
        try:
            return self._ask(keys)
        except (RedisError, OSError) as error:
            self._fail(error)

    def _ask(self, keys: list[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = [None] * len(keys)
        for client, positions in self._servers.routes(keys):
            pipeline = client.pipeline(transaction=False)
            for position in positions:
                pipeline.get(keys[position])
            for position, data in zip(positions, pipeline.execute(), strict=True):
                found[position] = data
        return found

    def _fail(self, error: RedisError | OSError) -> NoReturn:
        kind = StoreUnavailableError if is_transient(error, in_cluster=self._servers.in_cluster) else StoreRefusedError
        advice = "check that the server runs and that ONRAMP_REDIS_URL names it"
        raise kind(describe(error, self._address, advice, in_cluster=self._servers.in_cluster)) from error

    def close(self) -> None:
        """Close the connection."""
        self._servers.close()
