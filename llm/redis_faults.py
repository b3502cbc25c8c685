"""The errors of a Redis client, one server or a cluster, that mean: Redis gave no answer."""

from __future__ import annotations

from typing import Final

from redis.exceptions import RedisClusterException, RedisError

REDIS_FAULTS: Final = (RedisError, RedisClusterException, OSError)  # the cluster's own errors have no common base with the others
