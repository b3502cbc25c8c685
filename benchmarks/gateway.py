"""Measures the gateway beside a bare application and the floor of a durable one, all on the same server: single events and batches.

Needs ``wrk`` (package ``wrk`` of Debian and Ubuntu, or Homebrew)::

    python -m benchmarks.gateway --seconds 10 --connections 32
    python -m benchmarks.gateway --log broker  # behind it a Kafka-compatible broker; --log apache: Apache Kafka, see `make real-kafka`

Each contender is a process of its own. CPU time a request is printed too: on a busy machine it says more than the rate.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gateway_server import PORT, URL, options_of, run_gateway, run_server

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


def measure(pid: int, sizes: Sequence[int], key: str, options: argparse.Namespace) -> list[dict[str, float]]:
    """Load the server that runs as ``pid`` with batches of each size, and return the figures. Ends the program if requests are refused."""
    found = []
    for size in sizes:
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(LUA.replace("KEY", key).replace("SIZE", str(size)))
            script.flush()
            before = _cpu_seconds(pid)
            load = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}", "--latency", "-s", script.name, URL]
            said = subprocess.run(load, capture_output=True, text=True, check=True, timeout=options.seconds + 60).stdout
            cpu = _cpu_seconds(pid) - before
        if "Non-2xx" in said:
            sys.exit(f"requests were refused:\n{said}")
        requests = int(re.findall(r"(\d+) requests in", said)[0])
        rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])
        found.append({"size": size, "requests_s": rate, "events_s": rate * size, "cpu_us": cpu * 1e6 / max(1, requests)})
    return found


def main() -> None:
    """Run all three and print the ratios."""
    options = options_of(__doc__)
    uvicorn = [sys.executable, "-m", "uvicorn", "--port", str(PORT), "--no-access-log", "--log-level", "error", "--loop", "uvloop"]
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        for name, sizes in (("bare", [1]), ("floor", [100])):
            with run_server([*uvicorn, f"benchmarks.gateway_apps:{name}"], {"FLOOR_LOG": f"{directory}/floor.db"}) as process:
                results[name] = measure(process.pid, sizes, "", options)
    with run_gateway(log=options.log) as server:
        results["gateway"] = measure(server.process.pid, [1, 100], server.key, options)
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
