"""Errors of Redis, divided by their code into those that a retry may fix, those that an operator must fix, and faults of this program.

RecommendationStoreError      one sentence that names the cause and what to do
├── StoreRefusedError         a retry does not help: credentials, permissions, a wrong address
└── StoreUnavailableError     all retries failed, or the job was stopped during them
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from redis import exceptions as redis_exceptions

from sinks.tls_faults import advice_for_tls, causes


class RecommendationStoreError(Exception):
    """Recommendations cannot be written or read. The text is for an operator and contains no password."""


class StoreRefusedError(RecommendationStoreError):
    """Redis refused the request, and will refuse it until an operator changes a setting."""


class StoreUnavailableError(RecommendationStoreError):
    """Redis did not accept the request in time. Nothing is lost: the job resumes from its last snapshot."""


class Verdict(Enum):
    """What a code of Redis means for the request."""

    WAIT = "a retry may succeed"
    SETTING = "an operator must change a setting"
    BUG = "this program sent what the server cannot run"


class Meaning(NamedTuple):
    """Verdict and advice; no advice: what the caller says about an outage is enough."""

    verdict: Verdict
    advice: str = ""


_CHECK_USER: Final = Meaning(Verdict.SETTING, "check the user and password in ONRAMP_REDIS_URL")
_GARBLED: Final = Meaning(
    Verdict.WAIT, "the job tries again; if it stays so, something that is not Redis listens there: correct ONRAMP_REDIS_URL"
)
_CLUSTER: Final = Meaning(Verdict.SETTING, "it is a node of a Redis Cluster: write ONRAMP_REDIS_URL as redis+cluster://host:6379")
_BUG: Final = Meaning(Verdict.BUG, "correct what it names; if nothing is wrong there, report it as a bug in onramp")

CODES: Final[dict[str, Meaning]] = {
    "LOADING": Meaning(Verdict.WAIT),
    "READONLY": Meaning(Verdict.WAIT, "point ONRAMP_REDIS_URL at the primary, not at a replica"),
    "MASTERDOWN": Meaning(Verdict.WAIT),
    "CLUSTERDOWN": Meaning(Verdict.WAIT, "restore the missing nodes of the cluster"),
    "TRYAGAIN": Meaning(Verdict.WAIT),
    "NOREPLICAS": Meaning(Verdict.WAIT, "restore the replicas, or lower min-replicas-to-write of the server"),
    "NOGOODSLAVE": Meaning(Verdict.WAIT),
    "BUSY": Meaning(Verdict.WAIT, "a script blocks the server: end it with SCRIPT KILL"),
    "UNKILLABLE": Meaning(Verdict.WAIT, "a script that has written blocks the server: wait for it, or restart the server"),
    "OOM": Meaning(Verdict.WAIT, "raise maxmemory of the server or lower ONRAMP_REDIS_TTL_HOURS, and keep noeviction"),
    "MISCONF": Meaning(Verdict.WAIT, "the server cannot save its data: free its disk, see its log"),
    "IOERR": Meaning(Verdict.WAIT),
    "UNBLOCKED": Meaning(Verdict.WAIT),
    "FAILOVER": Meaning(Verdict.WAIT),
    "NOSCRIPT": Meaning(Verdict.WAIT),  # the server forgot the script; the writer sends it with the next request
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "WRONGPASS": _CHECK_USER,
    "NOAUTH": _CHECK_USER,
    "NOPERM": Meaning(Verdict.SETTING, "grant this user the commands that docs/stores.md lists, on keys that match onramp:*"),
    "DENIED": Meaning(Verdict.SETTING, "set a password on the server, or switch its protected mode off"),
    "NOPROTO": Meaning(Verdict.SETTING, "remove the option protocol from ONRAMP_REDIS_URL"),
    "WRONGTYPE": Meaning(Verdict.BUG, "another program uses this key: give each its own database or server"),
    "CROSSSLOT": _BUG,
    "EXECABORT": _BUG,
    "NOTBUSY": _BUG,
    "ERR": _BUG,
}
"""What each code of Redis and Valkey means for a request of this program. A code that is not here is met like ``ERR``."""

_IN_A_CLUSTER: Final = frozenset({"MOVED", "ASK"})

_SENTENCES: Final[dict[str, str]] = {
    "Lua script attempted to execute a command while the cluster is down": "CLUSTERDOWN",
    "Lua script attempted to execute a write command while the cluster is down and readonly": "CLUSTERDOWN",
    "Lua script attempted to access a non local key in a cluster node": "TRYAGAIN",
    "Script attempted to execute a command while the cluster is down": "CLUSTERDOWN",
    "Script attempted to execute a write command while the cluster is down and readonly": "CLUSTERDOWN",
    "Script attempted to access a non local key in a cluster node": "TRYAGAIN",
    "The user executing the script can't run this command or subcommand": "NOPERM",
    "The user executing the script can't access at least one of the keys mentioned in the command arguments": "NOPERM",
}
"""Errors that some versions report without a code of their own, by their whole text, and the code of those that report one."""

_CODE: Final = r"-?(?P<code>[A-Z][A-Z0-9]*)(?=\s|$)"
_PLAIN: Final = re.compile(_CODE)
# Redis 6 and older wrap what a command in a script answers: Error running script (call to f_<digest>): @user_script:22: -READONLY You …
_WRAPPED: Final = re.compile(r"(?:ERR )?Error running script \(call to f_[0-9a-f]{40}\): (?:@\w+:\s*\d+: )*")
# Redis 7 and newer name the place after the text instead.
_PLACE: Final = re.compile(r"\s*script: (?:[0-9a-f]{40}, )?on @\w+:\d+\.?$")
_RIGHTS: Final = "ACL failure in script: "  # how Redis 7.2 and Valkey begin, without a code, what a script's user may not do


def code_of(error: BaseException) -> str:
    """Return the code that the server gave, also one inside a script's error; empty for an error that no server reported."""
    text = str(error).strip()
    wrapped = _WRAPPED.match(text)
    if wrapped is None and (status := getattr(error, "status_code", None)) not in {None, "ERR"}:
        return str(status)
    said = _PLACE.sub("", text[wrapped.end() :] if wrapped is not None else text.removeprefix("ERR "))
    if not isinstance(error, redis_exceptions.ResponseError):
        return ""
    if known := "NOPERM" if said.startswith(_RIGHTS) else _SENTENCES.get(said.rstrip(".")):
        return known
    found = _PLAIN.match(said)
    return found["code"] if found is not None else "ERR"


def meaning_of(error: BaseException, *, in_cluster: bool) -> Meaning:
    """Return what ``error`` means: by its code, or else by its class. ``in_cluster``: a redirection is no fault."""
    advice = advice_for_tls(error, ca="ssl_ca_certs", client="ssl_certfile=/path/cert.pem&ssl_keyfile=/path/key.pem")
    if advice is not None:
        return Meaning(Verdict.SETTING, advice)
    if isinstance(error, redis_exceptions.AuthenticationError | redis_exceptions.AuthorizationError):
        return _CHECK_USER  # redis-py derives them from ConnectionError
    if isinstance(error, redis_exceptions.InvalidResponse):
        return _GARBLED
    if isinstance(error, redis_exceptions.ConnectionError | redis_exceptions.TimeoutError | OSError) and not code_of(error):
        return Meaning(Verdict.WAIT)
    code = code_of(error)
    if in_cluster and code in _IN_A_CLUSTER:
        return Meaning(Verdict.WAIT)
    return CODES.get(code, _BUG)


def is_transient(error: BaseException, *, in_cluster: bool) -> bool:
    """Return whether a retry may fix ``error``: the server is down, starting, failing over, or out of memory for the moment."""
    return meaning_of(error, in_cluster=in_cluster).verdict is Verdict.WAIT


def describe(error: BaseException, address: str, fallback_advice: str, *, in_cluster: bool) -> str:
    """Return one sentence: the error of Redis at ``address`` (already masked) and what to do. ``in_cluster`` as for ``meaning_of``."""
    advice = meaning_of(error, in_cluster=in_cluster).advice or fallback_advice
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"Redis at {address} did not take the request ({said}); {advice}."


def server_error_in(error: BaseException) -> redis_exceptions.RedisError | None:
    """Return the error of a server that a cluster client has wrapped in one of its own, or None."""
    return next((each for each in causes(error) if isinstance(each, redis_exceptions.RedisError)), None)
