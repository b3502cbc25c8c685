"""Reads the address of Redis: a server, a socket, a cluster, or the sentinels of a server. Pure; nothing in an address is ignored.

========================================================================  ==============================================================
``redis://user:password@host:6379/0``                                     a server; the path is the number of its database
``unix://user:password@/path/to/socket?db=0``                             a server on this machine
``redis+cluster://user:password@host:6379,host:6379``                     a Redis Cluster, by some of its nodes
``redis+sentinel://user:password@host:26379,host:26379/service/0``        the primary of ``service``, by the sentinels that watch it
========================================================================  ==============================================================

``rediss`` instead of ``redis`` means TLS. Options follow as ``?name=value&…``, see ``OPTIONS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from sinks.store_address import ESCAPE

Kind = Literal["server", "socket", "cluster", "sentinel"]

SCHEMES: Final = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")
_KINDS: Final[dict[str, Kind]] = {"unix": "socket", "redis": "server", "rediss": "server"}
_SERVER_PORT, _SENTINEL_PORT = 6379, 26379


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "yes", "1", "false", "no", "0"}:
        raise ValueError
    return text.lower() in {"true", "yes", "1"}


def _verification(text: str) -> str:
    if text not in {"required", "optional", "none"}:
        raise ValueError
    return text


def _seconds(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise ValueError
    return float(text)


_CREDENTIALS: Final = ("username", "password")
FILES: Final = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
"""Options that name a file, or a directory of files."""
_OF_TLS: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(FILES, str),
    "ssl_password": str,
    "ssl_cert_reqs": _verification,
    "ssl_check_hostname": _flag,
    "ssl_ciphers": str,
}
_OF_SENTINELS: Final[dict[str, Callable[[str], Any]]] = {"sentinel_username": str, "sentinel_password": str}
OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "db": int,
    **dict.fromkeys(_CREDENTIALS, str),
    "client_name": str,
    "protocol": int,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
    "socket_keepalive": _flag,
    "health_check_interval": int,
    **_OF_TLS,
    **_OF_SENTINELS,
}
"""Options of an address and what reads their values. Those named ``ssl_…`` need TLS, those named ``sentinel_…`` sentinels."""


@dataclass(frozen=True)
class RedisAddress:
    """One address in its parts. ``options`` are arguments of a client, also its user and password: do not print them."""

    kind: Kind
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    database: int = 0
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)


def parse_redis_address(url: str) -> RedisAddress:
    """Read ``url``. Raises ``ValueError`` with a reason that quotes no value, because parts of an address may be parts of a password."""
    scheme, separator, rest = url.partition("://")
    if scheme not in SCHEMES or not separator:
        raise ValueError(f"the address must begin with {', '.join(f'{each}://' for each in SCHEMES[:-1])} or {SCHEMES[-1]}://")
    if "#" in rest:
        raise ValueError(ESCAPE)
    try:
        parts = urlsplit("redis://" + rest)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), max_num_fields=50)
    except ValueError:
        raise ValueError(ESCAPE) from None
    if "@" in parts.path + parts.query:
        raise ValueError(ESCAPE)
    kind: Kind = _KINDS.get(scheme) or ("cluster" if scheme.endswith("cluster") else "sentinel")
    tls = scheme.startswith("rediss")
    given = _options(pairs, kind, tls=tls)
    user, _, hosts = parts.netloc.rpartition("@")
    given.update(_credentials(user, given))
    database = given.pop("db", None)
    path, service, of_path = _path(kind, parts.path)
    if None not in (database, of_path) and database != of_path:
        raise ValueError("the path and the option db name different databases; leave one out")
    number = next((each for each in (of_path, database) if each is not None), 0)
    if number < 0 or (kind == "cluster" and number):
        raise ValueError("a cluster has database 0 only; leave the number out" if kind == "cluster" else _DATABASE)
    if kind == "socket" and hosts:
        raise ValueError("the path of a socket begins with /: write unix:///path/to/socket, with a user unix://user:password@/path")
    sentinel = {name.removeprefix("sentinel_"): given.pop(name) for name in _OF_SENTINELS if name in given}
    return RedisAddress(
        kind=kind,
        tls=tls,
        hosts=() if kind == "socket" else _hosts(hosts, kind),
        path=path,
        service=service,
        database=number,
        options=given,
        sentinel_options=sentinel,
    )


_DATABASE: Final = "the path must be the number of a database, like /0"


def _options(pairs: list[tuple[str, str]], kind: Kind, *, tls: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in pairs:
        if name not in OPTIONS:
            raise ValueError(f"the address has an option that is not known; known are {', '.join(OPTIONS)}")
        if name in options:
            raise ValueError(f"the option {name} occurs twice")
        if name in _OF_TLS and not tls:
            raise ValueError(f"the option {name} needs TLS: begin the address with rediss instead of redis")
        if name in _OF_SENTINELS and kind != "sentinel":
            raise ValueError(f"the option {name} is for redis+sentinel:// only")
        try:
            options[name] = OPTIONS[name](value)
        except ValueError:
            raise ValueError(f"the option {name} has no valid value") from None
    return options


def _credentials(user_info: str, options: dict[str, Any]) -> dict[str, str]:
    user, _, password = user_info.partition(":")
    found = {name: unquote(text) for name, text in zip(_CREDENTIALS, (user, password), strict=True) if text}
    for name, text in found.items():
        if options.get(name, text) != text:
            raise ValueError(f"the address names two values for {name}; leave one out")
    return found


def _path(kind: Kind, text: str) -> tuple[str, str, int | None]:
    """Return the path of a socket, the service of sentinels, and the number of the database if there is one."""
    if kind == "socket":
        path = unquote(text)
        if not path.rstrip("/"):
            raise ValueError("the address has no path; write it as unix:///path/to/socket")
        return path, "", None
    segments = [unquote(segment) for segment in text.strip("/").split("/")] if text.strip("/") else []
    service = ""
    if kind == "sentinel":
        if not segments:
            raise ValueError("the path must name the service that the sentinels watch, like /mymaster")
        service = segments.pop(0)
    if len(segments) > 1 or any(not segment.isascii() or not segment.isdigit() for segment in segments):
        raise ValueError(_DATABASE)
    return "", service, int(segments[0]) if segments else None


def _hosts(text: str, kind: Kind) -> tuple[tuple[str, int], ...]:
    several = kind in {"cluster", "sentinel"}
    hosts = []
    for host in text.split(",") if several else [text]:
        try:
            parts = urlsplit(f"//{host}")
            port = parts.port
        except ValueError:
            raise ValueError(ESCAPE) from None
        if not parts.hostname or port == 0 or "," in host:
            raise ValueError(ESCAPE)
        hosts.append((unquote(parts.hostname), port or (_SENTINEL_PORT if kind == "sentinel" else _SERVER_PORT)))
    return tuple(hosts)
