"""Help, wrong usage, catalogs and settings: nothing here opens a store."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.app import invoke, root
from cli.support.lazy_commands import LazyCommand, LazyGroup
from flows.failures import explain_failure
from state.plain_text import plain
from tests.cli.command import ROOT, environment, onramp
from tests.cli.conftest import Inside

COMMANDS = [
    "demo",
    "up",
    "run",
    "import",
    "simulate",
    "recommend",
    "explain",
    "report",
    "evaluate",
    "sql",
    "settings",
    "backup",
    "restore",
    "catalog check",
    "lag",
    "doctor",
    "gateway",
    "dlq list",
    "dlq show",
    "dlq stats",
    "dlq replay",
    "archive",
    "audit",
    "forget",
    "export",
    "replay",
    "keys create",
    "keys list",
    "keys revoke",
    "keys quota",
    "catalog draft",
    "catalog fit",
    "clickhouse grants",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([*command.split(), "--help"]) == 0
    assert f"Example:  onramp {command}" in capsys.readouterr().out


@pytest.mark.parametrize("group", ["", "catalog", "clickhouse", "dlq", "keys", "review", "llm"])
def test_every_command_of_a_list_has_one_whole_line(
    group: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert invoke([*group.split(), "--help"]) == 0
    listed = capsys.readouterr().out.partition("\nCommands:\n")[2].splitlines()
    assert listed
    assert all(re.fullmatch(r"  [a-z]+ +[A-Z].*[^.]\.", line) for line in listed), listed


@pytest.mark.parametrize("command", [*COMMANDS, "review list", "review approve", "review reject", "llm try", ""])
def test_who_uses_the_product_is_called_a_user(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([*command.split(), "--help"]) == 0
    assert not re.findall(r"\b(?:people|persons?)\b", capsys.readouterr().out, re.IGNORECASE)


def test_every_command_is_in_the_file_of_its_name_and_every_file_has_one() -> None:
    """``onramp catalog fit`` is in ``catalog_fit.py``, all of ``onramp keys`` in ``keys.py``."""
    found = set[str]()
    for name, command in root().commands.items():
        group = command.commands if isinstance(command, LazyGroup) else {}
        for each, of_group in group.items() or [("", command)]:
            assert isinstance(of_group, LazyCommand)
            module = of_group._place.partition(":")[0]
            found.add(module)
            assert module.rstrip("_") in {name, f"{name}_{each}"}
    assert {path.stem for path in (ROOT / "cli").glob("*.py")} - found == {"__init__", "__main__", "app"}


def test_help_imports_no_engine(tmp_path: Path) -> None:
    code = "import sys; from cli.app import invoke; invoke(['--help']); print([m for m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(re.findall(r"'(\w+)'", done.stderr)) & {
        "bytewax",
        "chdb",
        "polars",
        "pydantic",
        "redis",
        "rich",
        "yaml",
        "numpy",
        "matplotlib",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--inptu", "x"],
        ["run", "--input", "missing.jsonl"],
        ["run", "--input", "."],
        ["run", "--catalog", "missing.yaml", "--input", "-"],
        ["demo", "--users", "many"],
        ["demo", "--users", "0"],
        ["demo", "--scenario", "paradise"],
        ["demo", "--population", "'half"],
        ["evaluate"],
        ["simulate", "--users", "5"],
        ["simulate", "--out", "nowhere/e.jsonl"],
        ["simulate", "--out", "-", "--json"],
        ["simulate", "--out", "-", "--truth", "-"],
        ["simulate", "--out", "e.jsonl", "--scenario", "paradise"],
        ["simulate", "--out", "e.jsonl", "--population", "'half"],
        ["recommend"],
        ["catalog", "check", "missing.yaml"],
        ["catalog", "draft"],
        ["catalog", "draft", "--events", "missing.jsonl"],
        ["catalog", "draft", "--events", "-", "--out", "nowhere/c.yaml"],
        ["catalog", "draft", "--events", "-", "--out", "."],
        ["catalog", "draft", "--events", "-", "--product", " "],
        ["catalog", "fit", "--events", "-"],
        ["catalog", "fit", "--events", "-", "--catalog", "missing.yaml"],
        ["catalog", "fit", "--events", "-", "--catalog", "saas", "--write"],
        ["sql", "SELECT 1", "--json", "--csv"],
        ["import", "missing.csv", "--mapping", "m.yaml"],
        ["import", ".", "--mapping", "."],
        ["import", "-", "-"],
        ["import"],
        ["keys", "create", "private"],
        ["keys", "revoke"],
        ["gateway", "--port", "70000"],
    ],
)
def test_wrong_usage_is_one_sentence_and_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_good_catalog_is_one_line(tmp_path: Path, inside: Inside) -> None:
    result = inside("catalog", "check", "saas", cwd=tmp_path)
    assert result.code == 0
    assert re.fullmatch(r"saas is valid: .* with \d+ paths, \d+ steps, \d+ arms\.\n", result.out)


def test_every_fault_of_a_bad_catalog_is_named(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "bad.yaml").write_text("id: 3\nproduct: x\n")
    result = inside("catalog", "check", "bad.yaml", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "bad.yaml:1: id: " in result.err
    found = inside("catalog", "check", "bad.yaml", "--json", cwd=tmp_path)
    assert found.code == 1
    assert {"file", "line", "field", "message"} == set(found.json["faults"][0])
    assert inside("run", "--input", "bad.yaml", "--catalog", "bad.yaml", cwd=tmp_path).code == 1
    assert not (tmp_path / ".onramp").exists()


def test_settings_mask_secrets(tmp_path: Path) -> None:
    result = onramp("settings", "--json", cwd=tmp_path, ONRAMP_REDIS_URL="redis://u:hunter2@cache:6379/0")
    assert "hunter2" not in result.out
    assert result.json["ONRAMP_REDIS_URL"]["origin"] == "environment"
    said = onramp("settings", cwd=tmp_path, ONRAMP_REDIS_URL="redis://u:hunter2@cache:6379/0").out
    assert "hunter2" not in said
    assert "\nONRAMP_REDIS_URL = redis://u:***@cache:6379/0  (from the environment)\n" in said
    assert "\nONRAMP_CATALOG = saas  (default)\n" in said


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, inside: Inside) -> None:
    result = onramp("report", cwd=tmp_path, ONRAMP_EPOCH_SECONDS="soon")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("onramp: ONRAMP_EPOCH_SECONDS")


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    command = f"{sys.executable} -m cli simulate --users 40 --days 3 --out - | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (141, "", 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zoë 日本", "Zoë 日本"),
        ("a\x1b[2Jb\nc\x00", "a\\x1b[2Jb\\nc\\x00"),
        ("\u202eabc\u2066\u200b", "\\u202eabc\\u2066\\u200b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_not_visible_is_printed_as_its_code(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_the_cause_inside_an_error_of_the_engine_is_what_the_person_sees() -> None:
    from sinks.redis.errors import StoreUnavailableError

    outer = RuntimeError("(src/run.rs:1): error calling on_batch")
    outer.__cause__ = StoreUnavailableError("Redis at x does not answer; start it.")
    assert explain_failure(outer) == ["Redis at x does not answer; start it."]
    assert explain_failure(RuntimeError("a bug")) is None
    assert explain_failure(FileNotFoundError(2, "No such file or directory", "a\x1bb")) == ["a\\x1bb: No such file or directory."]


def test_all_commands_are_tested_for_their_help() -> None:
    in_groups = [command for command in COMMANDS if " " in command]
    alone = [each for each in root().commands.values() if isinstance(each, LazyCommand)]
    assert len(alone) + len(in_groups) == len(COMMANDS)


def test_a_list_of_commands_imports_none_of_them(tmp_path: Path) -> None:
    code = "import sys; from cli.app import invoke; invoke(['{}', '--help']); print('cli.run' in sys.modules, 'cli.keys' in sys.modules)"
    for words, expected in (("keys", "False False"), ("run", "True False")):
        done = subprocess.run(
            [sys.executable, "-c", code.format(words)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.endswith(f"{expected}\n")


def test_a_full_disk_is_a_sentence_however_the_engine_wraps_it() -> None:
    inner = RuntimeError("SqliteFailure(Error { code: SystemIoFailure }, disk I/O error)")
    outer = RuntimeError("error in the dataflow")
    outer.__cause__ = inner
    assert explain_failure(outer) == [
        "the disk of the data directory is full or failing; free space and run the same command again, nothing is lost."
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("demo --users many", "Invalid value for '--users': it needs a whole number, not 'many'"),
        ("demo --users 3.5", "Invalid value for '--users': it needs a whole number, not '3.5'"),
        ("demo --days 0", "Invalid value for '--days': it must be at least 1, not '0'"),
        ("simulate --out - --days 9999", "Invalid value for '--days': it must be at most 3,650, not '9999'"),
        ("explain u --limit -1", "Invalid value for '--limit': it must be at least 0, not '-1'"),
        ("run --inptu x", "No such option: --inptu; did you mean --input?"),
        ("run --file x", "No such option: --file; there are --catalog, --data-dir, --input, --json"),
        ("rnu", "No such command 'rnu'. Did you mean 'run'?"),
        ("catalog lint", "No such command 'lint'; there are check, draft, fit"),
        ("catalog fit --events - --catalog .", "Invalid value for '--catalog': '.' is a directory; name the catalog's file"),
        ("simulate --out - --catalog .", "Invalid value for '--catalog': '.' is a directory; name the catalog's file"),
    ],
)
def test_wrong_usage_says_what_there_is(arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(arguments.split()) == 2
    assert f": {sentence} (see `onramp" in capsys.readouterr().err
