"""Measures the gateway beside a bare application and the floor of a durable one, all on the same server: single events and batches.

Needs ``wrk`` (package ``wrk`` of Debian and Ubuntu, or Homebrew)::

    python -m benchmarks.gateway --seconds 10 --connections 32

Each contender is a process of its own. CPU time a request is printed too: on a busy machine it says more than the rate.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from gateway.keys import KeyStore

PORT = 18_555
"""Where the server under measurement listens."""
URL = f"http://127.0.0.1:{PORT}"
_START_SECONDS = 60.0
LUA = """\
local counter = 0
wrk.method, wrk.path = "POST", "/v1/events"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer KEY"
request = function()
  local parts = {}
  for i = 1, SIZE do
    counter = counter + 1
    parts[i] = string.format('{"eventId": "e%d-%d", "userId": "u-%d", "eventType": "track", "name": "dashboard_created", '
      .. '"timestamp": "2026-03-02T09:00:05.120Z", "payload": {"charts": 2}}', counter, math.random(1000000000), counter % 5000)
  end
  return wrk.format(nil, nil, nil, SIZE == 1 and parts[1] or "[" .. table.concat(parts, ",") .. "]")
end
"""
"""Script of wrk that posts SIZE events in each request, with KEY."""


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for_answer(process: subprocess.Popen[bytes]) -> None:
    """Return when the server of ``process`` answers. Ends the program if it does not."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{URL}/healthz", timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            if process.poll() is None:  # else another program answered, on the same port
                return
    sys.exit("the server did not start")


def measure(
    command: Sequence[str], environment: dict[str, str], sizes: Sequence[int], key: str, options: argparse.Namespace
) -> list[dict[str, float]]:
    """Start a server, load it with batches of each size, and return the figures."""
    found = []
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        wait_for_answer(process)
        for size in sizes:
            with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
                script.write(LUA.replace("KEY", key).replace("SIZE", str(size)))
                script.flush()
                before = _cpu_seconds(process.pid)
                load = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}", "--latency", "-s", script.name, URL]
                said = subprocess.run(load, capture_output=True, text=True, check=True, timeout=options.seconds + 60).stdout
                cpu = _cpu_seconds(process.pid) - before
            if "Non-2xx" in said:
                sys.exit(f"requests were refused:\n{said}")
            requests = int(re.findall(r"(\d+) requests in", said)[0])
            rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])
            found.append({"size": size, "requests_s": rate, "events_s": rate * size, "cpu_us": cpu * 1e6 / max(1, requests)})
    finally:
        process.kill()
        process.wait(10)
    return found


def main() -> None:
    """Run all three and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        data.mkdir()
        (data / "FORMAT").write_text("onramp-data 1\n", encoding="ascii")
        key = KeyStore(data / "keys.json").create("server")[1]
        uvicorn = [sys.executable, "-m", "uvicorn", "--port", str(PORT), "--no-access-log", "--log-level", "error", "--loop", "uvloop"]
        floor = {"FLOOR_LOG": f"{directory}/floor.db"}
        ours = {
            "ONRAMP_EVENT_LOG": f"{directory}/log",
            "ONRAMP_SECRET": "a secret for the benchmark",
            "ONRAMP_GATEWAY_EVENTS_PER_SECOND": "1000000",
        }
        gateway = [sys.executable, "-m", "cli", "gateway", "--port", str(PORT), "--data-dir", str(data)]
        results = {
            "bare": measure([*uvicorn, "benchmarks.gateway_apps:bare"], {}, [1], key, options),
            "floor": measure([*uvicorn, "benchmarks.gateway_apps:floor"], floor, [100], key, options),
            "gateway": measure(gateway, ours, [1, 100], key, options),
        }
    single, batch = results["gateway"]
    ratios = {
        "single_of_bare": single["requests_s"] / results["bare"][0]["requests_s"],
        "single_of_bare_cpu": results["bare"][0]["cpu_us"] / single["cpu_us"],
        "batch_of_floor": batch["requests_s"] / results["floor"][0]["requests_s"],
        "batch_of_floor_cpu": results["floor"][0]["cpu_us"] / batch["cpu_us"],
    }
    if options.json:
        print(json.dumps({**results, "ratios": ratios}))
        return
    for name, rows in results.items():
        for row in rows:
            print(f"{name:8} batch {row['size']:4.0f}  {row['events_s']:10,.0f} events/s  {row['cpu_us']:8,.0f} µs CPU a request")
    print("  ".join(f"{name} {value:.2f}" for name, value in ratios.items()))


if __name__ == "__main__":
    main()
