"""The text of an address to listen on."""

from __future__ import annotations


def split_address(address: str) -> tuple[str, int]:
    """Split ``host:port``, ``[::1]:port`` or ``:port``, which means all networks. Raises ``ValueError`` with a part of a sentence."""
    host, colon, port = address.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("the address must be host:port, like 127.0.0.1:9464")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address must stand in square brackets, like [::1]:9464")
    return host or "0.0.0.0", int(port)  # noqa: S104 -- that is what an empty host means
