"""Measures how long answers take at half of the gateway's capacity: reads of a recommendation, single events, and batches of 100.

Needs ``wrk``, like ``benchmarks.gateway``::

    python -m benchmarks.gateway_latency --seconds 10 --connections 32
    python -m benchmarks.gateway_latency --log broker  # behind it a Kafka-compatible broker

The capacity is the rate at which all connections send without a pause. Then each pauses at random after every answer, so that together
they send half as much. The gateway, its log, a Valkey and the load tool share this machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

from redis import Redis

from benchmarks.gateway import LUA
from benchmarks.gateway_server import URL, options_of, run_gateway
from state.records.recommendation import redis_key

_USERS = 1_000
_READS = """
wrk.headers["authorization"] = "Bearer KEY"
request = function() return wrk.format("GET", "/v1/recommendations/u-" .. math.random(USERS)) end
"""
_PACED = """
local pause = PAUSE
function delay()
  if pause <= 0 then return 0 end
  return math.floor(0.5 - math.log(1 - math.random()) * pause)
end
function done(summary, latency, requests)
  local refused = summary.errors.status + summary.errors.timeout + summary.errors.read + summary.errors.write + summary.errors.connect
  io.write(string.format("FOUND %f %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000, refused))
end
"""
_ROUNDS = 3
"""The pause that makes half of the capacity is found in so many steps: it depends on how long answers take then."""


class Found(NamedTuple):
    """Requests a second, and milliseconds at the median, the 95th and the 99th percentile."""

    rate: float
    p50: float
    p95: float
    p99: float


def load(script: str, *, pause: float, seconds: int, connections: int) -> Found:
    """Run wrk once; each connection waits ``pause`` milliseconds on average before it sends. Ends the program if requests fail."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script + _PACED.replace("PAUSE", f"{pause:.3f}"))
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "-s", file.name, URL]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    rate, p50, p95, p99, refused = re.findall(r"FOUND (\S+) (\S+) (\S+) (\S+) (\d+)", said)[0]
    if refused != "0":
        sys.exit(f"{refused} requests failed:\n{said}")
    return Found(float(rate), float(p50), float(p95), float(p99))


def at_half(script: str, *, seconds: int, connections: int) -> tuple[Found, Found]:
    """Return what was found at full load, and at half of it."""
    whole = load(script, pause=0, seconds=seconds, connections=connections)
    wanted = whole.rate / 2
    pause = 1000 * connections / wanted - whole.p50 / 2
    for _ in range(_ROUNDS - 1):
        tried = load(script, pause=pause, seconds=max(2, seconds // 3), connections=connections)
        pause += 1000 * connections * (1 / wanted - 1 / tried.rate)
    return whole, load(script, pause=max(0.0, pause), seconds=seconds, connections=connections)


def fill(url: str) -> None:
    """Give every user a recommendation."""
    client = Redis.from_url(url)
    for number in range(1, _USERS + 1):
        record = {
            "tenantId": "default",
            "userId": f"u-{number}",
            "version": number,
            "recommendationId": f"{number:024d}.moderate_tooltip.9f8e7d6c5b4a3921",
            "source": "template",
            "uiComponent": "tooltip",
            "deepLink": "/sources/new",
            "message": "Nicely done. The next step is ready." * 5,
            "expiresAt": "2099-01-01T00:00:00.000Z",
        }
        client.set(redis_key("default", f"u-{number}"), json.dumps(record))
    client.close()


def main() -> None:
    """Run the measurements and print them."""
    options = options_of(__doc__)
    with run_gateway(log=options.log) as server:
        fill(server.redis_url)
        scripts = {"read": _READS.replace("USERS", str(_USERS)), "event": LUA.replace("SIZE", "1"), "batch": LUA.replace("SIZE", "100")}
        results = {
            name: at_half(script.replace("KEY", server.key), seconds=options.seconds, connections=options.connections)
            for name, script in scripts.items()
        }
    if options.json:
        print(json.dumps({name: [each._asdict() for each in found] for name, found in results.items()}))
        return
    for name, found in results.items():
        for what, each in zip(("full", "half"), found, strict=True):
            print(f"{name:6} {what}: {each.rate:7,.0f}/s  median {each.p50:6.1f} ms  p95 {each.p95:6.1f} ms  p99 {each.p99:6.1f} ms")


if __name__ == "__main__":
    main()
