"""How each command is run that the README and the head of docker-compose.yml show."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.image_stack import (
    PATIENCE,
    README,
    ROOT,
    Services,
    Shell,
    Stack,
    sampled,
    stop,
)
from tests.support.model_server import ModelServer
from tests.support.ports import port_of, reserve
from tests.support.shown_commands import in_yaml_head
from tests.support.waiting import read_line

HEAD = in_yaml_head((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


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
    assert fitting, f"`{command}` is shown to readers and has no rule in tests/support/shown_command_rules.py that says how it is run"
    return RULES[max(fitting, key=len)]


SHOWN = list(dict.fromkeys((*README, *MORE, *HEAD)))
