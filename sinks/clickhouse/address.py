"""Reads the address of a ClickHouse server: ``https://user:password@host:8443/path?database=onramp``. Pure; nothing in it is ignored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sinks.store_address import ESCAPE

DATABASE_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"

FILES: Final = ("ca_cert", "client_cert", "client_cert_key")
"""Options that name a file, for TLS."""
_CREDENTIALS: Final = ("user", "password")
OPTIONS: Final = ("database", *_CREDENTIALS, *FILES, "server_host_name")
"""What may follow the ``?`` of an address."""


@dataclass(frozen=True)
class ClickHouseAddress:
    """One address in its parts. ``path`` is where a proxy serves ClickHouse, empty for the root. ``tls`` has the options for TLS."""

    scheme: str
    host: str
    port: int
    path: str
    user: str
    password: str = field(repr=False)
    database: str | None
    tls: dict[str, str]

    @property
    def where(self) -> str:
        """The address without user, password and options, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_clickhouse_address(url: str) -> ClickHouseAddress:
    """Read ``url``. Raises ``ValueError`` with a reason that quotes no value, because parts of an address may be parts of a password."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("the address must begin with http:// or https://")
    try:
        parts = urlsplit(url)
        port = parts.port
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), max_num_fields=50)
    except ValueError:
        raise ValueError(ESCAPE) from None
    if not parts.hostname or port == 0 or "#" in url or "@" in parts.path + parts.query:
        raise ValueError(ESCAPE)
    options = _options(pairs, tls=parts.scheme == "https")
    user, password = (_credential(parts, options, name) for name in _CREDENTIALS)
    return ClickHouseAddress(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or (8443 if parts.scheme == "https" else 8123),
        path=parts.path.rstrip("/"),
        user=user or "default",
        password=password,
        database=options.pop("database", None),
        tls=options,
    )


def _options(pairs: list[tuple[str, str]], *, tls: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in pairs:
        if name not in OPTIONS:
            raise ValueError(f"the address has an option that is not known; known are {', '.join(OPTIONS)}")
        if name in options:
            raise ValueError(f"the option {name} occurs twice")
        if name in {*FILES, "server_host_name"} and not tls:
            raise ValueError(f"the option {name} needs TLS: begin the address with https")
        if not value:
            raise ValueError(f"the option {name} has no value")
        options[name] = value
    if "client_cert_key" in options and "client_cert" not in options:
        raise ValueError("the option client_cert_key needs client_cert")
    return options


def _credential(parts: SplitResult, options: dict[str, Any], name: str) -> str:
    before_host = unquote((parts.username if name == "user" else parts.password) or "")
    option = str(options.pop(name, "") or before_host)
    if before_host and option != before_host:
        raise ValueError(f"the address names two values for {name}; leave one out")
    return option
