"""Errors of Redis, divided into those that a retry may fix and those that an operator must fix.

RecommendationStoreError      one sentence that names the cause and what to do
├── StoreRefusedError         a retry does not help: credentials, permissions, a wrong address
└── StoreUnavailableError     all retries failed, or the job was stopped during them
"""

from __future__ import annotations

from redis import exceptions as redis_exceptions


class RecommendationStoreError(Exception):
    """Recommendations cannot be written or read. The text is for an operator and contains no password."""


class StoreRefusedError(RecommendationStoreError):
    """Redis refused the request, and will refuse it until an operator changes a setting."""


class StoreUnavailableError(RecommendationStoreError):
    """Redis did not accept the request in time. Nothing is lost: the job resumes from its last snapshot."""


_TRANSIENT_CODES = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY", "OOM", "MISCONF", "UNBLOCKED")

_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (redis_exceptions.AuthenticationError, "check the user and password in ONRAMP_REDIS_URL"),
    (redis_exceptions.AuthorizationError, "check the user and password in ONRAMP_REDIS_URL"),
    (redis_exceptions.NoPermissionError, "grant this user GET, SET, EVALSHA and SCRIPT LOAD on keys that match onramp:*"),
    (redis_exceptions.OutOfMemoryError, "raise maxmemory of the server, or give it an eviction policy"),
    (redis_exceptions.ReadOnlyError, "point ONRAMP_REDIS_URL at the primary, not at a replica"),
    (redis_exceptions.MovedError, "ONRAMP_REDIS_URL names a node of a Redis Cluster: give the address of a proxy or of a single primary"),
)


def is_transient(error: redis_exceptions.RedisError | OSError) -> bool:
    """Return whether a retry may fix ``error``: the server is down, starting, failing over, or out of memory for the moment."""
    if isinstance(error, redis_exceptions.AuthenticationError | redis_exceptions.AuthorizationError):
        return False  # redis-py derives them from ConnectionError
    if isinstance(error, redis_exceptions.ConnectionError | redis_exceptions.TimeoutError | redis_exceptions.OutOfMemoryError | OSError):
        return True
    if isinstance(error, redis_exceptions.ReadOnlyError | redis_exceptions.ClusterDownError | redis_exceptions.TryAgainError):
        return True
    return str(error).startswith(_TRANSIENT_CODES)


def describe(error: redis_exceptions.RedisError | OSError, address: str, fallback_advice: str) -> str:
    """Return one sentence: the error of Redis at ``address`` (already masked) and what to do."""
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), fallback_advice)
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"Redis at {address} did not take the request ({said}); {advice}."
