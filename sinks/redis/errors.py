"""What can go wrong with Redis, sorted by what helps: waiting, or a person.

RecommendationStoreError      one sentence that names the cause and what to do
├── StoreRefusedError         retrying cannot mend it: credentials, permissions, a wrong address
└── StoreUnavailableError     it was retried for as long as allowed, or the job was asked to stop meanwhile
"""

from __future__ import annotations

from redis import exceptions as redis_exceptions


class RecommendationStoreError(Exception):
    """Recommendations cannot be written or read. The text is fit for an operator and holds no password."""


class StoreRefusedError(RecommendationStoreError):
    """Redis answered, and will answer the same until somebody changes something."""


class StoreUnavailableError(RecommendationStoreError):
    """Redis did not take the write in time. Nothing is lost: the job resumes from its last snapshot."""


_PASSING_CODES = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY", "OOM", "MISCONF", "UNBLOCKED")

_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (redis_exceptions.AuthenticationError, "check the user and password in ONRAMP_REDIS_URL"),
    (redis_exceptions.AuthorizationError, "check the user and password in ONRAMP_REDIS_URL"),
    (redis_exceptions.NoPermissionError, "grant this user GET, SET, EVALSHA and SCRIPT LOAD on keys that match onramp:*"),
    (redis_exceptions.OutOfMemoryError, "raise maxmemory of the server, or give it an eviction policy"),
    (redis_exceptions.ReadOnlyError, "point ONRAMP_REDIS_URL at the primary, not at a replica"),
    (redis_exceptions.MovedError, "ONRAMP_REDIS_URL names a node of a Redis Cluster: give the address of a proxy or of a single primary"),
)


def is_transient(error: redis_exceptions.RedisError | OSError) -> bool:
    """Whether waiting can mend ``error``: the server is away, starting, failing over, or out of memory for the moment."""
    if isinstance(error, redis_exceptions.AuthenticationError | redis_exceptions.AuthorizationError):
        return False  # redis-py derives them from ConnectionError
    if isinstance(error, redis_exceptions.ConnectionError | redis_exceptions.TimeoutError | redis_exceptions.OutOfMemoryError | OSError):
        return True
    if isinstance(error, redis_exceptions.ReadOnlyError | redis_exceptions.ClusterDownError | redis_exceptions.TryAgainError):
        return True
    return str(error).startswith(_PASSING_CODES)


def describe(error: redis_exceptions.RedisError | OSError, address: str, fallback_advice: str) -> str:
    """Return one sentence: what Redis at ``address`` (already masked) said and what to do about it."""
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), fallback_advice)
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"Redis at {address} did not take the request ({said}); {advice}."
