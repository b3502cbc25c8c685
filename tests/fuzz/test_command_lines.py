"""Random command lines, made from the real commands and their options: each ends with 0, 1 or 2, and never with a traceback.

The environment variable ``FUZZ`` multiplies how many there are: 1 makes about a hundred, 50 makes 5,000. A line that fails is printed as a
Python list, which ``invoke`` takes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from cli.app import invoke, root
from tests.cli.command import onramp
from tests.support.waiting import ends_within

FUZZ: Final = max(1, int(os.environ.get("FUZZ", "1")))
CHUNKS: Final = 5
LINES: Final = 20 * FUZZ
SLOWEST: Final = 300.0
"""Seconds that one command may take on a busy machine."""

HOSTILE: Final = (
    *("", " ", "-", "--", "-1", "0", "1", "2", "-0", "1e9", "1.5", "NaN", "inf", "0x10", "1_000", "٣", "9" * 30, "-" + "9" * 30),
    *("ü日本", "\u202eevil", "\x1b[31m", "a\nb", "a\0b", "\udcff", "\ud800", "x" * 5_000),
    *("%s%n", "{}", "{x:UInt8}", "[bold]", "'", '"', "`"),
    *(".", "..", "dir", "events.jsonl", "missing", "missing/deep", "/dev/null", "/dev/full", "events.jsonl/x", "~"),
    *("--json", "--help", "-h"),
)
PLACES: Final = (
    *("data", "data", "new", "dir", "events.jsonl", "missing/deep", "/dev/null", "/proc/nothing"),
    *("", "d\udcff", "a\0b", "n" * 300),
)
PROGRAMS: Final = ("true", "false", "cat", "/nonexistent", "'half", "", " ", "dir", "\udcff", "a\0b")
KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "data_dir": PLACES,
    "input_path": ("events.jsonl", "bad.jsonl", "-", "dir", "missing", "/dev/null", "empty", "e\udcff", "n" * 300, "", "a\0b"),
    "events": ("events.jsonl", "bad.jsonl", "-", "dir", "missing", "/dev/null", "empty", "e\udcff", "n" * 300, "", "a\0b"),
    "files": ("events.jsonl", "bad.jsonl", "-", "dir", "missing", "/dev/null", "empty", "e\udcff", "n" * 300, "", "a\0b"),
    "against": ("saas", "good.yaml", "bad.yaml", "dir", "missing.yaml", "/dev/null", "bytes", "", "a\0b", "\udcff", "n" * 300),
    "archive": ("dir", "missing", "events.jsonl", "", "/dev/null", "a\0b", "\udcff", "n" * 300),
    "backup": ("backup.tar", "events.jsonl", "dir", "missing", "", "/dev/null", "bytes", "a\0b", "\udcff", "n" * 300),
    "sees_all": ("eva", "", "a b", "a'b", "a`b", "\udcff", "a\0b", "x" * 5_000),
    "product": ("Mine", "a: b", "", " ", "{x}", "\udcff", "\u202e", "a\0b", "x" * 5_000),
    "catalog": ("saas", "recipes", "good.yaml", "bad.yaml", "dir", "missing.yaml", "/dev/null", "bytes", "", "a\0b", "\udcff", "n" * 300),
    "file": ("saas", "recipes", "good.yaml", "bad.yaml", "dir", "/dev/null", "bytes", "", "a\0b", "\udcff", "n" * 300),
    "population": PROGRAMS,
    "scenario": ("baseline", "messy", "new_arm", "paradise", "", "\udcff"),
    "llm": ("http://127.0.0.1:1/v1", "ftp://x", "http://", "http://[", "nonsense", "", "http://user:pw@127.0.0.1:1", "\udcff", "http://\0"),
    "out": ("out.jsonl", "out.jsonl.gz", "dir", "", "missing/x", "/dev/null", "/dev/full", "o\udcff", "a\0b", "n" * 300, "-"),
    "mapping": ("mapping.yaml", "good.yaml", "bad.yaml", "dir", "missing", "/dev/null", "bytes", "", "a\0b", "\udcff", "n" * 300),
    "rejected": ("rejected.csv", "dir", "", "missing/x", "/dev/null", "/dev/full", "a\0b", "-"),
    "truth": ("truth.jsonl", "dir", "", "missing/x", "/dev/full", "a\0b", "-"),
    "plots": ("pictures", "events.jsonl", "events.jsonl/x", "", "a\0b", "p\udcff"),
    "policy": ("uniform", "greedy", "arm:", "arm:x", "table:", "table:a=b,a=c", "table:=", "nonsense", "", "\udcff"),
    "trigger": ("signup", "nonsense", "", "\udcff"),
    "user": ("u1", "nobody", "", "\udcff", "a\0b", "[bold]", "x" * 5_000, "-x"),
    "tenant": ("default", "nobody", "", "a:b", "{", "\udcff", "a\0b"),
    "prompt": ("nudge-1", "nudge-9", "", "../x", "a\0b"),
    "kind": ("server", "publishable", "signing", "webhook", "other", "", "\udcff"),
    "origin": ("https://app.example.com", "https://app.example.com/path", "null", "", "https://[", "\udcff"),
    "name": ("saas", "examples", "nowhere.yaml", "", ".", "/dev/null", "\udcff", "a\0b", "s3://x"),
    "note": ("for tests", "", "n" * 300, "\udcff", "[bold]"),
    "share": ("0", "0.5", "1", "1.5", "-1", "nan", "half", ""),
    "because": ("for tests", "", "n" * 300, "\udcff", "[bold]", "x" * 40_000),
    "reason": ("bad_user_id", "unknown_event_type", "nothing", "", "\udcff", "a\0b"),
    "since": ("1h", "2026-01-05T00:00:00Z", "2026-01-05", "0s", "noon", "", "\udcff", "9" * 30 + "d"),
    "to": ("1h", "2026-01-06T00:00:00Z", "noon", "", "\udcff"),
    "into": ("replayed", "", "/dev/full", "/proc/nope", "a\0b", "\udcff"),
    "also": ("visitor-1", "", "\udcff", "a\0b", "x" * 5_000),
    "wait": ("0", "1", "-1", "nan", "soon", ""),
    "action": ("forget", "guidance.pause", "", "\udcff", "[bold]"),
    "letter_id": ("0123456789ab", "", "\udcff", "a\0b", "x" * 5_000),
    "letter_ids": ("0123456789ab", "", "\udcff", "a\0b"),
    "edit": ('{"eventType": "track"}', "{}", "[]", "null", "{", "@nowhere.json", "@", "", "\udcff", '{"payload": ' + "[" * 2_000),
    "events_a_day": ("100", "0", "none", "default", "-1", "9" * 30, "many", ""),
    "key_id": ("k0", "", "\udcff", "x" * 5_000),
    "host": ("127.0.0.1", "localhost", "0.0.0.1", "nowhere.invalid", "", "a b", "\udcff", "a\0b", "h" * 300),
    "entry": ("3f9c0a71d2e4", "", "\udcff", "a\0b", "x" * 5_000),
    "statement": (
        *("SELECT 1", "SELECT", "SELECT '", "SELECT * FROM nope", "SELECT 1; SELECT 2", "SELECT throwIf(1)", "WITH"),
        *("SHOW TABLES", "", ";", "EXPLAIN SELECT 1", "DESCRIBE events", "SELECT 1 FORMAT JSON", "DROP TABLE x"),
        *("SELECT * FROM file('/etc/passwd')", "SELECT {x:UInt8}", "SELECT unhex('ff') AS `\x1b`", "SELECT 1 AS `\udcff`"),
        *("SELECT '\0'", "SELECT %(x)s", "EXISTS nope", "SELECT 1 AS a, 1 AS a", "SELECT range(1000)", "SELECT NULL WHERE 0"),
        *("SELECT * FROM events_final", "(SELECT 1)", "SELECT 1 /*", "SELECT $$x$$", "SELECT -- x"),
    ),
}
SMALL: Final[dict[str, tuple[str, ...]]] = {
    "users": ("1", "3", "0", "-1", "many", "9" * 30, ""),
    "days": ("1", "2", "0", "-1", "1.5", ""),
    "seed": ("1", "-1", "9" * 30, "x"),
    "limit": ("0", "1", "-1", "9" * 30, "x", ""),
    "preview": ("0", "1", "-1", "9" * 30, "x", ""),
    "port": ("65536", "-1", "9" * 30, "x", ""),
}
"""Options that decide how long a command runs: what is accepted here is small."""

BOUNDS: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("demo",): ("--users", "2", "--days", "1", "--population", "true"),
    ("simulate",): ("--users", "2", "--days", "1"),
    ("up",): ("--port", "65536"),  # with a port that is none it ends as wrong usage; else it runs until it is stopped
}
"""What stands before the random options of a command that would run for long with its own defaults."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its words, loaded."""
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))
    if not getattr(command, "commands", {}):
        yield path, command.load()


COMMANDS: Final = dict(commands(root()))


def value(rng: Random, name: str) -> str:
    """Return a value for an option or argument. What starts a program or a long run is never from the general list: it has /dev/full."""
    known = SMALL.get(name) or KNOWN.get(name)
    if name in {"population", "llm", "data_dir", "events"} or name in SMALL or (known and rng.random() < 0.8):
        assert known is not None
        return rng.choice(known)
    return rng.choice(HOSTILE)


def line(rng: Random) -> list[str]:
    """Make one command line."""
    path = rng.choice(list(COMMANDS))
    if rng.random() < 0.03:
        return [*rng.choices(HOSTILE, k=rng.randrange(3))]
    words: list[list[str]] = []
    for parameter in COMMANDS[path].params:
        chance = 0.95 if parameter.param_type_name == "argument" else 0.9 if parameter.required else 0.3
        times = 2 if rng.random() < 0.05 else 1
        words += [_given(rng, parameter) for _ in range(times) if rng.random() < chance]
    if rng.random() < 0.1:
        words.append([rng.choice(("--", "--nonsense", "-x", "--json=1", "--data-dir", "extra", "--no-json", "---", "-"))])
    rng.shuffle(words)
    return [*path, *BOUNDS.get(path, ()), *(word for each in words for word in each)]


def _given(rng: Random, parameter: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        return [value(rng, parameter.name)]
    option = rng.choice(parameter.opts)
    if parameter.is_flag:
        return [option]
    found = value(rng, parameter.name)
    return [f"{option}={found}"] if rng.random() < 0.2 else [option, found]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a file of each kind, and a data directory that a job has filled."""
    cwd = tmp_path_factory.mktemp("fuzz")
    event = '{"eventId": "e1", "userId": "u1", "eventType": "signup", "timestamp": "2026-01-05T10:00:00Z", "payload": {}}\n'
    (cwd / "events.jsonl").write_text(event)
    (cwd / "bad.jsonl").write_text("[\n")
    (cwd / "empty").touch()
    (cwd / os.fsdecode(b"e\xff")).write_text(event)
    (cwd / "dir").mkdir()
    (cwd / "dir" / "foreign").touch()
    (cwd / "bytes").write_bytes(b"\xff\xfe\x00")
    (cwd / "bad.yaml").write_text("id: 3\nproduct: x\n")
    (cwd / "good.yaml").write_text((Path(__file__).parents[2] / "catalog" / "recipes.yaml").read_text())
    (cwd / "mapping.yaml").write_text("userId: userId\ntimestamp: timestamp\nevent: {type: track, name: made}\n")
    assert onramp("run", "--input", "events.jsonl", "--data-dir", "data", cwd=cwd).code == 0
    return cwd


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """The environment of a command that is started in ``place`` without a setting."""
    for name in [name for name in os.environ if name.startswith("ONRAMP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(place)


def test_every_parameter_has_values_of_its_own_or_is_meant_to_get_any() -> None:
    names = {parameter.name for command in COMMANDS.values() for parameter in command.params if not getattr(parameter, "is_flag", False)}
    assert names - KNOWN.keys() - SMALL.keys() == {"by"}


@pytest.mark.timeout(600 + 120 * FUZZ)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_command_line_ends_in_a_traceback(
    chunk: int, bare: None, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(chunk)
    for _ in range(LINES):
        arguments = line(rng)
        with (place / "events.jsonl").open() as stdin, ends_within(SLOWEST, f"onramp {arguments}"):
            monkeypatch.setattr("sys.stdin", stdin)
            code = invoke(arguments)
        said = capsys.readouterr()
        problem = _problem(code, said.out, said.err)
        assert not problem, f"{arguments!r}: {problem}; it ended with {code} and said {said.err[-3000:]!r}"


_FAULT = re.compile(r"onramp: [^:]+:\d+: ")
"""Begins a fault of a catalog: file, line, what is wrong, one below the other."""


def _problem(code: int, out: str, err: str) -> str:
    if code not in {0, 1, 2}:
        return "this is no exit code of the command"
    for sign in ("Traceback", "this is a bug", "panicked"):
        if sign in out + err:
            return f"{sign} was printed"
    if set(err) & {"\x1b", "\0", "\u202e"}:
        return "the text of the caller reached the screen"
    lines = err.splitlines()
    if code and not (lines and lines[-1].startswith("onramp") and (lines[-1].endswith((".", ")", ":")) or _FAULT.match(lines[-1]))):
        return "the last line is no sentence"
    return "wrong usage takes more than a sentence" if code == 2 and len(lines) != 1 else ""
