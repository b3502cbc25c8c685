"""The gateway under measurement, as a process of its own, with a key, a log and a Valkey, and what all its benchmarks share."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from gateway.keys import KeyStore
from local.valkey import EmbeddedValkey
from tests.support.apache_kafka import ApacheKafka, run_apache_kafka
from tests.support.tansu import Tansu, run_tansu

PORT: Final = 18_555
URL: Final = f"http://127.0.0.1:{PORT}"
LOGS: Final = ("local", "broker", "apache")
_START_SECONDS: Final = 60.0
_PARTITIONS: Final = 6
"""As many as the local log has."""


class Server(NamedTuple):
    """A running gateway. ``key`` is a server key, ``redis_url`` the address of its Valkey."""

    process: subprocess.Popen[bytes]
    key: str
    redis_url: str


def options_of(description: str | None, *, seconds: int = 10, connections: int = 32) -> argparse.Namespace:
    """Read the options that benchmarks with wrk share. Ends the program if there is no wrk."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=seconds)
    parser.add_argument("--connections", type=int, default=connections)
    parser.add_argument("--log", choices=LOGS, default="local", help="local log, a Kafka-compatible broker of a wheel, or Apache Kafka")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    return options


@contextmanager
def run_server(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server on ``PORT`` for the block. Ends the program if it does not answer."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        _wait_for_answer(process)
        yield process
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def run_gateway(*, log: str = "local") -> Iterator[Server]:
    """A gateway on ``PORT`` for the block, with a log of this kind of ``LOGS``. Ends the program if a part does not start."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data, valkey = directory / "data", EmbeddedValkey(directory / "valkey")
        data.mkdir()
        (directory / "valkey").mkdir()
        (data / "FORMAT").write_text("onramp-data 1\n", encoding="ascii")
        key = KeyStore(data / "keys.json").create("server")[1]
        valkey.start(publish=False)
        stack.callback(valkey.stop)
        environment = {
            **_log_settings(log, directory, stack),
            "ONRAMP_SECRET": "a secret for the benchmark",
            "ONRAMP_REDIS_URL": valkey.url,
            "ONRAMP_GATEWAY_EVENTS_PER_SECOND": "1000000",
        }
        command = [sys.executable, "-m", "cli", "gateway", "--port", str(PORT), "--data-dir", str(data)]
        yield Server(stack.enter_context(run_server(command, environment)), key, valkey.url)


def _log_settings(log: str, directory: Path, stack: ExitStack) -> dict[str, str]:
    if log == "local":
        return {"ONRAMP_EVENT_LOG": str(directory / "log")}
    (directory / "kafka").mkdir()
    broker: Tansu | ApacheKafka
    try:
        broker = stack.enter_context(run_tansu()) if log == "broker" else stack.enter_context(run_apache_kafka(directory / "kafka"))
    except pytest.skip.Exception as reason:
        sys.exit(str(reason))
    return {"ONRAMP_KAFKA_BROKERS": broker.brokers, "ONRAMP_KAFKA_TOPIC": broker.new_topic(_PARTITIONS)}


def _wait_for_answer(process: subprocess.Popen[bytes]) -> None:
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
