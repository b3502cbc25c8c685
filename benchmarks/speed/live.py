"""A job on a topic, or its floor, in a process of its own on seeded people; and what measures it from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from confluent_kafka import Producer
from redis import Redis

from benchmarks.speed.seeding import PREFIX, SECRET
from benchmarks.speed.stream import People, Sent
from benchmarks.trees import ROOT, environment
from flows.settings import load_settings
from local.child_process import start_bound_process, stop_process
from local.data_dir import DataDir
from state.records.recommendation import redis_key, updates_channel

TENANT: Final = "default"
Kind = Literal["job", "floor"]
_READY_S: Final = 600.0
_STOP_S: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Place:
    """Where a live process finds everything. ``store`` is its recovery store, inside of ``data``."""

    brokers: str
    topic: str
    redis_url: str
    data: Path
    epoch: float

    @property
    def store(self) -> Path:
        """The recovery store of the data directory."""
        return self.data / "state"


@contextmanager
def live(kind: Kind, place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``onramp run`` on the topic, or the floor. It ends with the block, without a last snapshot. Its output is in ``said.txt``."""
    command = ["-m", "cli", "run", "--json"] if kind == "job" else ["-m", "benchmarks.speed.live_floor"]
    settings = environment(
        ONRAMP_KAFKA_BROKERS=place.brokers,
        ONRAMP_KAFKA_TOPIC=place.topic,
        ONRAMP_REDIS_URL=place.redis_url,
        ONRAMP_DATA_DIR=str(place.data),
        ONRAMP_EPOCH_SECONDS=str(place.epoch),
        ONRAMP_CATALOG="saas",
        ONRAMP_SECRET=SECRET,
    )
    if kind == "job":
        DataDir.create(place.data)
    with (place.data.parent / "said.txt").open("wb") as said:
        process = start_bound_process([sys.executable, *command], cwd=ROOT, output=said, environment=settings)
        try:
            yield process
        finally:
            children = children_of(process.pid)
            process.send_signal(signal.SIGKILL)
            stop_process(process, _STOP_S)
            until = time.monotonic() + _STOP_S
            while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < until:
                time.sleep(0.05)  # the system kills them too, and their files must not change while they are removed


class Appender:
    """Appends messages to the topic at once, each with the present as its time."""

    def __init__(self, place: Place) -> None:
        self._topic = place.topic
        self._producer = Producer(
            {"bootstrap.servers": place.brokers, "linger.ms": 1, "log_level": 0, "queue.buffering.max.messages": 500_000}
        )

    def append(self, sent: Sent) -> None:
        """Append one message. Does not wait for the broker."""
        self._producer.produce(self._topic, sent.line, sent.key.encode(), timestamp=sent.at)

    def poll(self) -> None:
        """Take the broker's answers."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until all messages are with the broker."""
        self._producer.flush(30)

    def close(self) -> None:
        """Wait as ``flush`` does. Nothing may be appended afterwards."""
        self.flush()


@dataclass
class Answers:
    """Follows the announcements of Redis, and notes when the recommendation of a user who signed up is first readable."""

    redis_url: str
    waiting: dict[str, float] = field(default_factory=dict)
    """User -> time of the sign-up."""
    found: list[tuple[float, float]] = field(default_factory=list)
    """(time of the sign-up, seconds until its recommendation was readable)."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Answers:
        client = Redis.from_url(self.redis_url)
        following = client.pubsub()  # type: ignore[no-untyped-call]
        following.subscribe(updates_channel(TENANT))
        self._thread = threading.Thread(target=self._follow, args=(client, following), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)

    def _follow(self, client: Redis, following: object) -> None:
        while not self._stop.is_set():
            message = following.get_message(ignore_subscribe_messages=True, timeout=0.2)  # type: ignore[attr-defined]
            if message is None:
                continue
            user = message["data"].decode()
            begun = self.waiting.get(user)
            if begun is not None and client.exists(redis_key(TENANT, user)):  # an announcement may be of the progress record
                self.found.append((begun, time.time() - begun))
                self.waiting.pop(user, None)


def wait_until_live(process: subprocess.Popen[bytes], appender: Appender, answers: Answers, people: People, said: Path) -> float:
    """Sign people up until one gets a recommendation; return how long it took. Exits if the process has ended."""
    begun, user = time.monotonic(), 0
    while not answers.found:
        if process.poll() is not None or time.monotonic() - begun > _READY_S:
            sys.exit(f"the process did not get ready:\n{said.read_text(errors='replace')[-3000:]}")
        sign_up(appender, answers, people, user)
        appender.poll()
        user += 1
        time.sleep(0.2)
    answers.waiting.clear()
    answers.found.clear()
    return time.monotonic() - begun


def sign_up(appender: Appender, answers: Answers, people: People, user: int) -> None:
    """Append the sign-up of ``user`` and wait for their recommendation in the background."""
    sent = people.sign_up(user, time.time_ns() // 1_000_000)
    answers.waiting[sent.key] = sent.at / 1000
    appender.append(sent)


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process so far, without its children."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children_of(process: int) -> list[int]:
    """Return the processes that ``process`` has started and that still run."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(each.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == process:
            found.append(int(each.parent.name))
    return found


def seeded_people(users: int, seed: int) -> People:
    """Return the people of a seeded store, who send further events."""
    return People(users=users, seed=seed, prefix=PREFIX, old=True)


def default_partitions() -> int:
    """Return the number of recovery partitions of a job at default settings."""
    return load_settings().recovery_partitions


Tell = Callable[[str], None]
