"""Reads a user's record as an app does, with one GET."""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import RedisError

from sinks.masked_url import mask_url
from sinks.redis.client import connect
from sinks.redis.errors import StoreRefusedError, StoreUnavailableError, describe, is_transient
from sinks.redis.record import TOMBSTONE, Deleted, decode_record
from state.records.recommendation import Recommendation, redis_key


class RecommendationReader:
    """Reads from the server at ``url``. It does not retry, because the caller waits for the answer."""

    def __init__(self, url: str) -> None:
        """Open no connection yet. Raises ``StoreRefusedError`` if ``url`` is not valid."""
        self._client = connect(url)
        self._address = mask_url(url)

    def read(self, tenant_id: str, user_id: str) -> Recommendation | Deleted | None:
        """Return the user's recommendation, ``Deleted`` for a deleted user, or None if there is no record (any more).

        A recommendation whose ``ui_component`` is ``none`` means: show nothing. Blocks for one round trip, a few seconds at most.
        Raises ``RecommendationStoreError`` if Redis does not answer, ``CorruptRecordError`` if the value is not a record.
        """
        try:
            data = self._client.get(redis_key(tenant_id, user_id).encode())
        except (RedisError, OSError) as error:
            kind = StoreUnavailableError if is_transient(error) else StoreRefusedError
            raise kind(describe(error, self._address, "check that the server runs and that ONRAMP_REDIS_URL names it")) from error
        if data is None:
            return None
        return decode_record(data if isinstance(data, bytes) else str(data).encode())

    def read_raw(self, tenant_id: str, user_ids: Sequence[str]) -> list[bytes | None]:
        """Return the records of many users without decoding them; None for a user without one and for a deleted user.

        Takes one round trip. Blocks and raises like ``read``.
        """
        try:
            pipeline = self._client.pipeline(transaction=False)
            for user_id in user_ids:
                pipeline.get(redis_key(tenant_id, user_id).encode())
            found = pipeline.execute()
        except (RedisError, OSError) as error:
            kind = StoreUnavailableError if is_transient(error) else StoreRefusedError
            raise kind(describe(error, self._address, "check that the server runs and that ONRAMP_REDIS_URL names it")) from error
        return [None if data is None or data.startswith(TOMBSTONE) else data for data in found]

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
