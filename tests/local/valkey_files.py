"""Lets an embedded Valkey rewrite its files, and reads the keys from them."""

from __future__ import annotations

from pathlib import Path

from local.valkey import EmbeddedValkey
from sinks.redis.client import connect
from tests.support.formats import text_of
from tests.support.waiting import wait_until


def rewrite(server: EmbeddedValkey) -> None:
    """Let the server replace its files by new ones, and write on."""
    client = connect(server.url)
    client.bgrewriteaof()
    wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, "the end of the rewrite")
    client.set("written", "after the copy began")
    client.close()


def keys_in(directory: Path) -> dict[str, str]:
    server = EmbeddedValkey(directory)
    server.start(publish=False)
    try:
        client = connect(server.url)
        found = {text_of(key): text_of(client.get(key)) for key in client.scan_iter()}
        client.close()
    finally:
        server.stop()
    return found
