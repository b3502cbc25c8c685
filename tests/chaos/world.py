"""The whole job with its log, its stores and a supervisor, each a process of its own, under a schedule of faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from local.child_process import start_bound_process
from local.recovery_positions import saved_positions
from sinks.clickhouse.client import ClickHouse
from sources.local_log.reader import LogReader
from sources.local_log.source import NAME
from tests.chaos.append import read_offset, set_clock
from tests.chaos.controlled_process import Control, read_clock
from tests.chaos.schedule import CLOCK_BACK, Fault
from tests.chaos.visible_state import what_readers_see
from tests.cli.command import Result, environment, onramp
from tests.support.job_state import State
from tests.support.populations import population
from tests.support.tcp_proxy import Network, tcp_proxy
from tests.support.valkey import PASSWORD, Valkey, run_valkey
from tests.support.waiting import PATIENCE, pause, read_line, stop, wait_until

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = (sys.executable, "-m")
END: Final = b"the end of the input"
"""The last message. It becomes a dead letter, by which everybody sees that the job has read all."""
_LONG: Final = 600.0  # seconds for the longest run on a busy machine
_DISK_MB: Final = 64
_RESTARTS: Final = 20
"""The job may end by itself so often beside each fault: a supervisor starts it again every half second while a fault lasts."""


class ChaosError(AssertionError):
    """The job did what it must not."""


@dataclass(frozen=True)
class Input:
    """What the job reads. The writer stays at most ``ahead`` lines ahead of the job.

    ``given`` are the lines themselves, which the test appends at the real time.
    """

    seed: int
    users: int = 60
    days: int = 8
    ahead: int = 400
    given: tuple[bytes, ...] | None = None

    def lines(self) -> list[bytes]:
        """The lines: the same arguments give the same ones."""
        if self.given is not None:
            return list(self.given)
        return [line for line in population(self.users, self.days, self.seed) if b"\n" not in line] + [END]


class ClickHouseServer:
    """A ClickHouse process. ``kill`` and ``start`` are the failure knobs: a restart keeps the data, and has another port."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> None:
        """Start it and block until it answers."""
        program = [*PYTHON, "tests.support.clickhouse_http", str(self._directory)]
        self.process = subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(read_line(self.process.stdout, "the port of the test ClickHouse", within=PATIENCE))

    def kill(self) -> None:
        """Kill it at once."""
        if self.process is not None:
            stop(self.process)
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
            self.process = None


@dataclass
class World:
    """The running parts. ``ended`` counts how the job ended by itself: the last line it said."""

    directory: Path
    source: Input
    redis: Valkey
    clickhouse: ClickHouseServer
    networks: dict[str, Network]
    settings: dict[str, str]
    lines: int
    disk: bool = False
    clock_from_file: bool = True
    job: subprocess.Popen[bytes] | None = None
    writer: subprocess.Popen[bytes] | None = None
    ended: Counter[str] = field(default_factory=Counter)
    applied: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    _said_before: int = 0

    @property
    def store(self) -> ClickHouse:
        """The tables, past the proxy."""
        return ClickHouse(url=f"http://127.0.0.1:{self.clickhouse.port}", database="onramp")

    @property
    def said(self) -> Path:
        """What the job printed."""
        return self.directory / "job.txt"

    @property
    def data(self) -> Path:
        """The data directory of the job."""
        return Path(self.settings["ONRAMP_DATA_DIR"])

    def start_job(self, control: Control | None = None) -> subprocess.Popen[bytes]:
        """Start the job."""
        self._said_before = self.said.stat().st_size if self.said.exists() else 0
        self.job = self.start(control or self.control(), "cli", "run", "--json", said=self.said)
        self.starts += 1
        return self.job

    def control(self, **more: Any) -> Control:
        """How every process of this world sees the clock."""
        return Control(clock=str(self.directory / "clock") if self.clock_from_file else None, at=str(self.directory / "at"), **more)

    def start(self, control: Control, *arguments: str, said: Path) -> subprocess.Popen[bytes]:
        """Start a module with its arguments and the settings of the job."""
        command = [*PYTHON, "tests.chaos.controlled_process", msgspec.json.encode(control).decode(), *arguments]
        with said.open("ab") as output:
            return start_bound_process(command, cwd=ROOT, output=output, environment=environment(**self.settings))

    def die_in(self, moment: str, call: int, *command: str) -> None:
        """Run the job, or a command, until it dies in the ``call``-th call of ``moment``. Raises ``ChaosError`` if it ends otherwise."""
        process = self.start(self.control(moment=moment, call=call), "cli", *(command or ("run", "--json")), said=self.said)
        code = process.wait(_LONG)
        if code != -signal.SIGKILL:
            raise ChaosError(f"it ended with {code} and never came to “{moment}”:\n{self.said.read_text(errors='replace')[-3000:]}")

    def command(self, *arguments: str) -> Result:
        """Run an ``onramp`` command with the settings of the job."""
        return onramp(*arguments, cwd=ROOT, **self.settings)

    def start_writer(self) -> None:
        """Start the writer where the log ends."""
        command = [*PYTHON, "tests.chaos.append", str(self.directory / "log"), str(self.directory / "lines"), str(self.directory / "clock")]
        command += [str(self.directory / "at"), str(self.source.ahead)]
        with (self.directory / "writer.txt").open("ab") as output:
            self.writer = start_bound_process(command, cwd=ROOT, output=output, environment=environment())

    def job_offset(self) -> int:
        """How many messages the job has read."""
        return read_offset(self.directory / "at")

    def graph_runs(self) -> bool:
        """Whether the graph of the present job runs, from when on SIGTERM stops it in order."""
        return b"Running" in self.said.read_bytes()[self._said_before :]

    def durable(self) -> int:
        """The position in the log that the recovery store has."""
        found = saved_positions(self.data / "state", NAME) if (self.data / "state").is_dir() else {}
        return found[0].offset if found else 0

    def log_end(self) -> int:
        """How many messages are in the log."""
        reader = LogReader(self.directory / "log")
        try:
            return reader.first_bounds(0).end
        finally:
            reader.close()

    def look_after(self) -> None:
        """Be the supervisor: start again what has ended."""
        if self.job is not None and (code := self.job.poll()) is not None:
            last = self.last_words()
            if code != -signal.SIGKILL:
                self.ended[f"{code}: {last}"] += 1
            if "is a bug in onramp" in last or code == 0 or self.ended.total() > _RESTARTS * (1 + self.applied.total()):
                raise ChaosError(f"the job ended with {code}: {last}\n{self.said.read_text(errors='replace')[-6000:]}")
            pause(0.3, "a supervisor waits before it starts a process again")
            self.start_job()
        if self.writer is not None and (code := self.writer.poll()) is not None:
            self.writer = None
            if code:
                self.start_writer()

    def last_words(self) -> str:
        """The last line that the job printed."""
        lines = self.said.read_text(errors="replace").splitlines() if self.said.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "")

    def wait(self, condition: Callable[[], Any], what: str, within: float = _LONG) -> None:
        """Wait, and look after the processes meanwhile."""

        def seen() -> Any:
            self.look_after()
            return condition()

        self.patiently(seen, what, within)

    def patiently(self, condition: Callable[[], Any], what: str, within: float = _LONG) -> None:
        """Wait, and leave the processes alone."""
        wait_until(condition, what, within=within, every=0.01)

    def apply(self, fault: Fault) -> None:
        """Wait for the moment of the fault, let it happen, and end it."""
        progress = self.log_end if fault.target == "writer" else self.job_offset
        self.wait(lambda: progress() >= fault.at * self.lines, f"the moment of {fault}")
        pause(fault.wait, "the fault comes at a random moment after the line")
        self.applied[f"{fault.kind} {fault.target}"] += self._happen(fault)

    def _happen(self, fault: Fault) -> bool:
        match fault.kind:
            case "kill":
                return self._kill(fault.target)
            case "stall":
                return self._stall(fault)
            case "full disk":
                return self._fill_disk(fault)
            case "clock":
                now, _ = read_clock(self.directory / "clock")
                set_clock(self.directory / "clock", now, round(CLOCK_BACK * fault.seconds))
                return self._kill("job")  # the names of the next process's segments come from the clock at its start
        network = self.networks[fault.target]
        if fault.kind in {"cut", "corrupt"}:
            setattr(network, "cuts" if fault.kind == "cut" else "corrupt", fault.times)
            return True
        setattr(network, fault.kind, fault.seconds / 5 if fault.kind == "delay" else True)
        network.break_off()
        self._let_pass(fault.seconds)
        network.down, network.delay = False, 0.0
        return True

    def _let_pass(self, seconds: float) -> None:
        pause(seconds, "the fault lasts")
        self.look_after()

    def _kill(self, target: str) -> bool:
        if target == "redis":
            self.redis.kill()
            self.redis.start()
        elif target == "clickhouse":
            self.clickhouse.kill()
            self.clickhouse.start()
            self.networks["clickhouse"].target = self.clickhouse.port
        else:
            process = self._process(target)
            if process is None or process.poll() is not None:
                return False
            process.kill()
            process.wait(PATIENCE)
        return True

    def _process(self, target: str) -> subprocess.Popen[Any] | None:
        return {"job": self.job, "writer": self.writer, "redis": self.redis.process, "clickhouse": self.clickhouse.process}[target]

    def _stall(self, fault: Fault) -> bool:
        process = self._process(fault.target)
        if process is None or process.poll() is not None:
            return False
        process.send_signal(signal.SIGSTOP)
        try:
            self._let_pass(fault.seconds) if fault.target not in {"job", "writer"} else pause(fault.seconds, "the process stands still")
        finally:
            process.send_signal(signal.SIGCONT)
        return True

    def _fill_disk(self, fault: Fault) -> bool:
        if not self.disk:
            return False
        ballast = self.data / ".ballast"
        with ballast.open("wb", buffering=0) as file:
            with suppress(OSError):
                for _ in range(_DISK_MB):
                    file.write(b"\0" * 2**20)
            self._let_pass(fault.seconds)
        ballast.unlink()
        return True

    def end(self) -> State:
        """Wait until everything was read, stop the job in order, and return what readers see."""
        self.wait(lambda: self.writer is None and self.log_end() == self.lines, "the end of the input")
        letters = self.data / "dead_letters.jsonl"
        self.wait(lambda: letters.exists() and END in _raw_letters(letters), "the job's end of the input")
        self.wait(lambda: self.durable() == self.lines, "the snapshot after it")  # a letter may be of an epoch that a kill undid
        self.stop_job()
        return what_readers_see(self.store, self.redis.url, letters, self.summary())

    def stop_job(self) -> None:
        """Stop the job in order. If rows still wait for ClickHouse, which was down a moment ago, the next run delivers them."""
        self.wait(self.graph_runs, "the graph")
        assert self.job is not None
        self.job.send_signal(signal.SIGTERM)
        code = self.job.wait(_LONG)
        if not code and list((self.data / "spool").glob("*.ready")):
            self.ended["0: rows still wait for ClickHouse"] += 1
            self.start_job()
            self.wait(lambda: not list((self.data / "spool").glob("*.ready")), "the delivery of the last rows")
            self.wait(self.graph_runs, "the graph")
            self.job.send_signal(signal.SIGTERM)
            code = self.job.wait(_LONG)
        self.job = None
        if code != 0:
            raise ChaosError(f"the job ended with {code}: {self.last_words()}")

    def summary(self) -> Any:
        """What the job printed as JSON at its end."""
        return json.loads(next(line for line in reversed(self.said.read_text().splitlines()) if line.startswith("{")))

    def log_holds_every_line_once(self) -> bool:
        """Whether the log is the input: no acknowledged line is lost, none is there twice."""
        reader = LogReader(self.directory / "log")
        found, rows = list[bytes](), reader.read(0, 0, 1_000)
        while rows:
            found += [row.record.value for row in rows]
            rows = reader.read(0, rows[-1].offset + 1, 1_000)
        reader.close()
        return found == (self.directory / "lines").read_bytes().splitlines()


def _raw_letters(path: Path) -> list[bytes]:
    from state.records.dead_letter import decode_line

    return [decode_line(line).raw for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n") and line.strip()]


@contextmanager
def world(
    directory: Path, source: Input, *, disk: bool = False, clock_from_file: bool | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[World]:
    """Start everything but the job and the writer. ``disk``: the job's data lies on a small disk of its own, where one can be mounted.

    ``clock_from_file``: the job's clock is that of the file ``clock``; by default where a writer sets it.
    """
    directory.mkdir()
    lines = source.lines()
    (directory / "lines").write_bytes(b"".join(line + b"\n" for line in lines))
    set_clock(directory / "clock", 0, 0)
    for name in ("redis", "clickhouse", "data"):
        (directory / name).mkdir(mode=0o700)
    with ExitStack() as stack:
        mounted = disk and stack.enter_context(small_disk(directory / "data"))
        redis = stack.enter_context(run_valkey(directory / "redis"))
        clickhouse = ClickHouseServer(directory / "clickhouse")
        stack.callback(clickhouse.kill)
        clickhouse.start()
        networks = {
            "redis": stack.enter_context(tcp_proxy(redis.port)),
            "clickhouse": stack.enter_context(tcp_proxy(clickhouse.port)),
        }
        for number, network in enumerate(networks.values()):
            network.rng = Random(f"{source.seed}/{number}")
        of_job = {
            "ONRAMP_EVENT_LOG": str(directory / "log"),
            "ONRAMP_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{networks['redis'].port}/0",
            "ONRAMP_CLICKHOUSE_URL": f"http://127.0.0.1:{networks['clickhouse'].port}",
            "ONRAMP_CATALOG": "saas",
            "ONRAMP_SECRET": "a secret for chaos",
            "ONRAMP_DATA_DIR": str(directory / "data"),
            "ONRAMP_EPOCH_SECONDS": "0.3",
            "ONRAMP_RECOVERY_PARTITIONS": "2",
            "ONRAMP_BATCH_SIZE": "50",
            "TZ": "UTC",
            **(settings or {}),
        }
        found = World(directory, source, redis, clickhouse, networks, of_job, len(lines), disk=bool(mounted))
        found.clock_from_file = source.given is None if clock_from_file is None else clock_from_file
        try:
            yield found
        finally:
            for process in (found.job, found.writer):
                if process is not None:
                    stop(process)


@contextmanager
def small_disk(directory: Path) -> Iterator[bool]:
    """Mount a small disk on ``directory`` for the block; yield whether that could be done, which takes root."""
    options = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=700", "onramp-chaos", str(directory)]
    done = os.geteuid() == 0 and subprocess.run(options, check=False, capture_output=True, timeout=PATIENCE).returncode == 0
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "--lazy", str(directory)], check=True, timeout=PATIENCE)


@dataclass(frozen=True)
class Outcome:
    """What a run left, and what happened to it."""

    state: State
    applied: Counter[str]
    ended: Counter[str]
    starts: int


def run(directory: Path, source: Input, faults: Sequence[Fault] = (), tell: Callable[[str], None] = lambda _: None) -> Outcome:
    """Run the job over ``source`` under ``faults``, and return what readers see at the end."""
    with world(directory, source, disk=any(fault.kind == "full disk" for fault in faults)) as here:
        here.start_writer()
        wait_until((here.directory / "log" / "events.db").exists, "the log")
        here.start_job()
        for fault in faults:
            tell(str(fault))
            here.apply(fault)
        state = here.end()
        if not here.log_holds_every_line_once():
            raise ChaosError("the log is not the input: the writer lost or repeated lines that were acknowledged")
        return Outcome(state, here.applied, here.ended, here.starts)
