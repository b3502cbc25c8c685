"""Measures how soon a write of the job reaches an open stream.

The gateway, a Valkey, the readers and the writer share this machine::

    python -m benchmarks.gateway_streams --streams 1000 --rate 200 --seconds 10

Each stream follows a user of its own. Each write is a new progress record of one of them, announced as the job does it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable

from redis.asyncio import Redis

from benchmarks.gateway_server import PORT, run_gateway
from state.records.progress import progress_key
from state.records.recommendation import UPDATES

_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_LAST_SECONDS = 10.0
"""How long the last changes may take. A stream looks by itself every five seconds, so that later ones are lost."""


class Readers:
    """Open streams, and the seconds that each change took to reach its own."""

    def __init__(self) -> None:
        self.open = 0
        self.delays: list[float] = []

    async def follow(self, user: str, key: str) -> None:
        """Read the stream of ``user`` until it ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(f"GET /v1/stream?userId={user} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"retry:"):
                self.open += 1
            elif line.startswith(b"data: "):
                self.delays.append(time.monotonic() - json.loads(line[6:])["writtenAt"])


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    for _ in range(int(seconds / _PAUSE_SECONDS)):
        if condition():
            return True
        await asyncio.sleep(_PAUSE_SECONDS)
    return condition()


async def measure(url: str, key: str, options: argparse.Namespace) -> list[float]:
    """Open the streams, write, and return the delays of what arrived."""
    readers = Readers()
    tasks = [asyncio.create_task(readers.follow(f"u-{n}", key)) for n in range(options.streams)]
    if not await _until(lambda: readers.open == options.streams, _PATIENCE_SECONDS):
        sys.exit(f"only {readers.open} streams are open")
    client = Redis.from_url(url)
    begin = time.monotonic()
    for number in range(options.rate * options.seconds):
        await asyncio.sleep(max(0.0, begin + number / options.rate - time.monotonic()))
        user = f"u-{number % options.streams}"
        record = {"version": number + 1, "writtenAt": time.monotonic()}
        await client.set(progress_key("default", user), json.dumps(record))
        await client.publish(f"{UPDATES}default", user)
    await _until(lambda: len(readers.delays) == options.rate * options.seconds, _LAST_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()
    return sorted(readers.delays)


def main() -> None:
    """Run the measurement and print how many changes arrived, and after how long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=200, help="writes a second")
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with run_gateway() as server:
        delays = asyncio.run(measure(server.redis_url, server.key, options))
    median, late = (delays[int(len(delays) * share)] * 1000 for share in (0.5, 0.95))
    print(f"{len(delays):,} of {options.rate * options.seconds:,} changes arrived, median {median:.1f} ms, 95th percentile {late:.1f} ms")


if __name__ == "__main__":
    main()
