"""A job of one or more processes on a broker, kept alive by the supervisor of `onramp up`, while a story is told on it.

A story is a generator that the supervisor's loop moves on: it yields a condition, and goes on once that is true.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from local.data_dir import DataDir
from local.supervisor import Part, Supervisor
from sinks.clickhouse.client import ClickHouse
from tests.support.clickhouse_http import clickhouse_server
from tests.support.job_runs import ROOT
from tests.support.job_state import State, deliver_rest, read_lines, read_state, rows
from tests.support.kafka_feed import PATIENCE, Feed
from tests.support.ports import port_of, reserve
from tests.support.unchanged_records import UnchangedRecords
from tests.support.valkey import run_valkey
from tests.support.waiting import too_late

Story = Iterator[tuple[str, Callable[[], object]]]
"""Yields what is waited for, in words, and whether it has come."""

EXACT = {
    "events": ("event_id", "user_id", "event_type", "timestamp", "session_id", "status"),
    "people": ("user_id", "path_id", "steps_completed", "session_count", "signup_at", "activated_at", "last_active_at"),
    "step_progress": ("user_id", "step_id", "position", "status", "first_seen_at", "current_since_at", "completed_at"),
    "completed_steps": ("user_id", "step_id", "attempts", "errors", "last_seen_at"),
    "dead_letters": ("dead_letter_id", "reason"),
    "funnel_by_step": ("path_id", "step_id", "position", "reached", "completed"),
}
"""What must be the same however many processes a job has, and whether one was killed: who people are, and how far they came.

The row of a step that is not completed has the counts of its last alarm, and alarms depend on what was learned by then.
"""


@dataclass
class ClusterJob:
    """``processes`` processes that read ``feed``; ``letters`` is the topic of dead letters.

    ``say`` takes a sentence whenever a process ended or started again.
    """

    feed: Feed
    letters: str
    directory: Path
    processes: int
    say: Callable[[str], None]
    group: str = "cluster"
    workers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    def live(self, story: Callable[[ClusterJob], Story]) -> State:
        """Run the job while ``story`` is told; stop it in order, and return what it left. Call it from the main thread.

        Another job on the same directory goes on where this one stopped.
        """
        (self.directory / "valkey").mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            redis = stack.enter_context(run_valkey(self.directory / "valkey"))
            url = stack.enter_context(clickhouse_server(self.directory / "clickhouse"))
            self.redis_url = redis.url
            held = [stack.enter_context(reserve()) for _ in range(self.processes)]
            addresses = [f"127.0.0.1:{port_of(each)}" for each in held]
            told = _Told(story(self))
            Supervisor([self._part(number, addresses, url) for number in range(self.processes)], self.say).run(told, on_ready=lambda: None)
            store = ClickHouse(url=url)
            for number in range(self.processes):
                deliver_rest(self._data_dir(number).spool, store)
            state = read_state(store, redis.url, None, {})
            state["funnel_by_step"] = read_lines(store, "SELECT * FROM funnel_by_step")
            state["completed_steps"] = read_lines(store, "SELECT * FROM step_progress FINAL WHERE completed_at > 0")
            store.close()
        return state

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal to a process: SIGKILL as an out-of-memory killer would, SIGTERM as a supervisor."""
        os.kill(self.pid(number), which)

    def pid(self, number: int) -> int:
        """The process that has the data directory of the process ``number``."""
        return int(self._data_dir(number)._lock.note().partition(" ")[0])

    def committed(self) -> int:
        """How many messages the job has read for good."""
        return sum(self.feed.committed(self.group).values())

    def caught_up(self) -> bool:
        """Whether that is all of them."""
        return self.feed.committed(self.group) == self.feed.ends

    def at_rest(self) -> Callable[[], bool]:
        """Whether nothing changes any more in Redis, and no row is on its way to ClickHouse."""
        unchanged = UnchangedRecords(self.redis_url)
        return lambda: unchanged() and not any(self._data_dir(0).spool.glob("*.*"))

    def _data_dir(self, number: int) -> DataDir:
        return DataDir(self.directory / f"data-{number}")

    def _runs(self, number: int) -> bool:
        """Whether the process has opened its data directory, which the script before it does for a moment too."""
        data_dir = self._data_dir(number)
        return data_dir.is_running() and "bytewax.run" in data_dir.describe_owner()

    def _part(self, number: int, addresses: Sequence[str], clickhouse: str) -> Part:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ONRAMP_", "BYTEWAX_"))}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
            "ONRAMP_KAFKA_BROKERS": self.feed.brokers,
            "ONRAMP_KAFKA_TOPIC": self.feed.topic,
            "ONRAMP_KAFKA_GROUP": self.group,
            "ONRAMP_KAFKA_DEAD_LETTER_TOPIC": self.letters,
            "ONRAMP_REDIS_URL": self.redis_url,
            "ONRAMP_CLICKHOUSE_URL": clickhouse,
            "ONRAMP_CATALOG": "saas",
            "ONRAMP_SECRET": "a secret for the tests of clusters",
            "ONRAMP_DATA_DIR": str(self._data_dir(number).path),
            "ONRAMP_EPOCH_SECONDS": "1",
            "ONRAMP_RECOVERY_PARTITIONS": "4",
            "ONRAMP_BATCH_SIZE": "50",
            "TZ": "UTC",
            **({"ONRAMP_PROCESS_ADDRESSES": ",".join(addresses), "ONRAMP_PROCESS": f"job-{number}"} if len(addresses) > 1 else {}),
            **self.settings,
        }
        return Part(
            name=f"process {number}",
            command=("/bin/sh", str(ROOT / "docker" / "run-job.sh"), "--workers-per-process", str(self.workers)),
            log=self.directory / f"process-{number}.log",
            environment=environment,
            healthy=lambda: self._runs(number),
            stop_seconds=PATIENCE,
        )


class _Told:
    """Moves a story on; true when it has ended."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._what, self._came = next(story)
        self._deadline = time.monotonic() + PATIENCE

    def __call__(self) -> bool:
        if time.monotonic() > self._deadline:
            raise AssertionError(too_late(self._what, PATIENCE, self._came()))
        if not self._came():
            return False
        following = next(self._story, None)
        if following is None:
            return True
        self._what, self._came = following
        self._deadline = time.monotonic() + PATIENCE
        return False


def differing(one: State, other: State) -> dict[str, str]:
    """What must be the same in two runs and is not: table → how many rows, and the first of them."""
    told = {}
    for table, columns in EXACT.items():
        first, second = (Counter(_cut(row, columns) for row in rows(state, table)) for state in (one, other))
        if only := [*((first - second).elements()), *((second - first).elements())]:
            told[table] = f"{len(only)} rows differ, like {only[0]}"
    return told


def _cut(row: Mapping[str, object], columns: Sequence[str]) -> str:
    return ", ".join(str(row[name]) for name in columns)


def twice(state: State) -> int:
    """How many decisions are there twice: for the same person and step, of the same version."""
    found = Counter((row["user_id"], row["version"]) for row in rows(state, "decisions"))
    return sum(number - 1 for number in found.values())


def stale(state: State) -> list[str]:
    """The users whose record in Redis is not the newest recommendation that ClickHouse has for them."""
    newest: dict[str, int] = {}
    for row in rows(state, "recommendations"):
        newest[row["user_id"]] = max(newest.get(row["user_id"], 0), row["version"])
    shown = {record["userId"]: record["version"] for record in rows(state, "redis")}
    return sorted(user for user in newest.keys() | shown.keys() if newest.get(user) != shown.get(user))


def killed_in_the_middle(lines: Sequence[bytes], number: int, say: Callable[[str], None]) -> Callable[[ClusterJob], Story]:
    """Half of ``lines``; SIGKILL to a process while the next come in; the last ones when the job has caught up again."""

    def story(job: ClusterJob) -> Story:
        half, most = len(lines) // 2, len(lines) * 9 // 10
        job.feed.produce(lines[:half])
        yield "the first commit", lambda: job.committed() > 0
        job.feed.produce(lines[half:most])
        job.signal(number, signal.SIGKILL)
        behind = job.feed.sent - job.committed()
        assert behind > 0, "killed too late to prove anything"
        say(f"Process {number} was killed (SIGKILL). Of {job.feed.sent} messages {behind} were not read for good.")
        yield "everything sent so far", job.caught_up
        say("The job has read everything that was sent so far.")
        job.feed.produce(lines[most:])
        yield "everything", job.caught_up
        yield "the timers of idle time, after which nothing changes any more", job.at_rest()

    return story


def sent(lines: Sequence[bytes]) -> Callable[[ClusterJob], Story]:
    """The job reads ``lines``, which come in while it runs."""

    def story(job: ClusterJob) -> Story:
        job.feed.produce(lines)
        yield "everything sent so far", job.caught_up

    return story


def undisturbed(job: ClusterJob) -> Story:
    """The job reads what is there."""
    yield "everything", job.caught_up
    yield "the timers of idle time, after which nothing changes any more", job.at_rest()
