"""Measures how long ``POST /v1/onboarding/start`` and ``…/step/complete`` take: through gateway, log, job and Redis, and back.

All of ``onramp up`` runs on this machine, and a few clients send one request after another::

    python -m benchmarks.gateway_onboarding --users 200 --clients 4
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

_STEP = "tour_sample"
"""A step of the built-in catalog on the path of whom no other path fits."""


def ask(connection: http.client.HTTPConnection, key: str, path: str, body: dict[str, object]) -> tuple[int, float]:
    """Return the status of the answer, and after how many milliseconds it came."""
    began = time.monotonic()
    connection.request("POST", path, json.dumps(body), {"authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status, (time.monotonic() - began) * 1000


def measure(address: str, key: str, users: range) -> list[tuple[str, int, float]]:
    """Start each user and complete a step; return what was asked, the status and the milliseconds."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    found = []
    for number in users:
        found.append(("start", *ask(connection, key, "/v1/onboarding/start", {"userId": f"u-{number}"})))
        found.append(("complete", *ask(connection, key, "/v1/onboarding/step/complete", {"userId": f"u-{number}", "step": _STEP})))
    connection.close()
    return found


def _wait_until_known(address: str, key: str) -> None:
    """Return when the gateway knows the new key, within a second, and the job has answered once."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    deadline = time.monotonic() + 60
    while ask(connection, key, "/v1/onboarding/start", {"userId": "first"})[0] != http.client.OK:
        if time.monotonic() > deadline:
            sys.exit("the job does not answer")
        time.sleep(0.2)
    connection.close()


def main() -> None:
    """Run the measurement and print how long both took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "cli", "up", "--json", "--port", "18557", "--data-dir", f"{directory}/data"]
        bare = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
        process = subprocess.Popen(command, env=bare, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            address, key = told["address"], told["keys"]["server"]
            _wait_until_known(address, key)
            parts = [range(first, options.users, options.clients) for first in range(options.clients)]
            with ThreadPoolExecutor(options.clients) as clients:
                found = [each for part in clients.map(lambda users: measure(address, key, users), parts) for each in part]
        finally:
            process.terminate()
            process.wait(120)
    for what in ("start", "complete"):
        times = sorted(taken for asked, _, taken in found if asked == what)
        there = sum(status == http.client.OK for asked, status, _ in found if asked == what)
        median, late = (times[int(len(times) * share)] for share in (0.5, 0.95))
        print(f"{what:8} {there:,} of {len(times):,} with the progress, median {median:.0f} ms, 95th percentile {late:.0f} ms")


if __name__ == "__main__":
    main()
