"""The origins of pages and apps: as an operator names them, and whether a request comes from one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

ALL_PAGES: Final = "all"
"""Stands for every origin. A key that names it lifts what other keys name."""
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(\*\.)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]|\.)(?::([1-9][0-9]{0,4}))?")
_STANDARD_PORTS: Final = {"http": 80, "https": 443}
_WITHOUT_PAGES: Final = frozenset({"about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"})
"""Schemes whose documents have no origin of their own, or that have no documents. Apps and extensions have schemes of many names."""
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_HOST: Final = 253
_LONGEST_LABEL: Final = 63
_HIGHEST_PORT: Final = 65_535


class OriginError(Exception):
    """A text is no origin. The text of the error is one sentence for the operator."""


class Origins:
    """The origins that a tenant names. Immutable."""

    def __init__(self, named: Iterable[str]) -> None:
        """``named``: as ``read_origin`` returns them. An asterisk that it would refuse, of an earlier version, stands for nothing."""
        self.named = frozenset(named)
        self._subdomains: list[tuple[str, str]] = []
        for origin in self.named:
            found = _ORIGIN.fullmatch(origin)
            if found is not None and found[2] and "." in found[3]:
                scheme, _, rest = origin.partition("*")
                self._subdomains.append((scheme, rest))

    def allow(self, origin: str) -> bool:
        """Whether a request with this ``Origin`` comes from one of them."""
        origin = origin.lower()
        if origin in self.named or ALL_PAGES in self.named:
            return True
        return any(origin.startswith(scheme) and origin.endswith(rest) for scheme, rest in self._subdomains)


def read_origin(text: str) -> str:
    """Return an origin as browsers send it: in lower case and without a standard port. ``all`` and an asterisk for subdomains stay.

    Raises ``OriginError`` for what no browser and no app sends: requests of all pages would be refused from then on.
    """
    origin = text.strip().lower().rstrip("/")
    if origin == ALL_PAGES:
        return origin
    shown = repr(text[:100])
    if origin == "null":
        raise OriginError(f"{shown} is not an origin of yours: every sandboxed frame and every local file sends it, strangers' too.")
    if not origin.isascii():
        raise OriginError(f"Browsers send {shown} in ASCII; write the host as they do, like https://xn--bcher-kva.example.")
    try:
        scheme, asterisk, host, port = _parts(origin)
    except ValueError as error:
        raise OriginError(
            f"{shown} is not an origin as browsers send it; write it like https://app.example.com, https://*.example.com for its"
            " subdomains, or capacitor://localhost for an app: without a path, or all."
        ) from error
    if asterisk and "." not in host:
        raise OriginError(f"{shown} would let in the pages of strangers; at least two labels follow the asterisk: https://*.example.com.")
    return f"{scheme}://{asterisk}{host}{port}"


def _parts(origin: str) -> tuple[str, str, str, str]:
    """Return scheme, ``*.`` or nothing, host, and port with its colon or nothing. Raises ``ValueError`` for what no browser sends."""
    found = _ORIGIN.fullmatch(origin)
    if found is None or found[1] in _WITHOUT_PAGES:
        raise ValueError
    scheme, asterisk, host, port = found[1], found[2] or "", found[3], int(found[4] or 0)
    if host == "." and (asterisk or scheme in _STANDARD_PORTS):  # apps made with Electron have pages like app://./index.html
        raise ValueError
    labels = host.split(".")
    address = host.startswith("[") or _NUMBER.fullmatch(labels[-1]) is not None
    if port > _HIGHEST_PORT or len(host) > _LONGEST_HOST or max(map(len, labels)) > _LONGEST_LABEL or (address and asterisk):
        raise ValueError
    if host.startswith("["):
        host = f"[{IPv6Address(host[1:-1])}]"
    elif address:
        host = str(IPv4Address(host))
    return scheme, asterisk, host, "" if port in {0, _STANDARD_PORTS.get(scheme)} else f":{port}"
