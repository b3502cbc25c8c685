"""What ``onramp forget`` and ``onramp export`` do in which order, on a store in memory: nothing before it is sure, everything recorded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from flows import forget
from flows.forget import Stores
from flows.places.files import Recovery, SentLines
from flows.places.place import Place
from flows.settings import Settings
from local.data_dir import DataDir
from state.ids import Keys
from state.records.subject import Subject
from tests.cli.command import ROOT
from tests.cli.conftest import Inside


class Memory(Place):
    """Holds ids."""

    name = "memory"

    def __init__(self) -> None:
        self.rows = {"ann", "cookie-of-ann", "old-cookie", "ben"}

    def held(self, subject: Subject) -> list[Any]:
        return sorted(self.rows & set(subject.ids))

    def erase(self, subject: Subject) -> None:
        self.rows -= set(subject.ids)


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    made = DataDir.create(tmp_path / ".onramp")
    made.state.mkdir()
    return made


@pytest.fixture
def memory(data_dir: DataDir, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """The place that the commands find."""
    made = Memory()

    @contextmanager
    def opened(settings: Settings) -> Iterator[Stores]:
        places, keys = (made, SentLines(data_dir), Recovery(data_dir)), Keys(b"a secret for tests")
        yield Stores(settings, data_dir, keys, places, "", None, {"topic t": "for 7 d"}, lambda _tenant, user: (user, f"cookie-of-{user}"))

    monkeypatch.setattr("flows.forget.open_stores", opened)
    return made


def audited(data_dir: DataDir) -> list[tuple[str, str]]:
    text = data_dir.audit.read_text() if data_dir.audit.exists() else ""
    assert "ann" not in text
    return [(entry["action"], entry["outcome"]) for entry in map(json.loads, text.splitlines())]


def test_a_user_is_forgotten_and_the_receipt_recorded(data_dir: DataDir, memory: Memory, inside: Inside) -> None:
    also = ("--also", "old-cookie", "--also", "cookie-of-ann")
    done = inside("forget", "ann", *also, "--yes", "--by", "eva", "--json", cwd=data_dir.path.parent)
    assert done.code == 0, done.err
    assert (memory.rows, done.json["complete"], len(done.json["visitors"])) == ({"ben"}, True, 2)
    assert len(data_dir.sent.read_bytes().splitlines()) == 1
    assert audited(data_dir) == [("forget", "begun"), ("forget", "done")]
    entry = json.loads(data_dir.audit.read_bytes().splitlines()[1])
    assert (entry["by"], entry["user"], entry["receipt"]) == ("eva", done.json["user"], done.json)


def test_a_visitor_of_whom_the_job_read_meanwhile_is_erased_too(
    data_dir: DataDir, memory: Memory, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.rows.add("late-cookie")
    found = iter([("ann",), ("ann", "cookie-of-ann", "late-cookie")])
    monkeypatch.setattr("flows.forget.subject_of", lambda _stores, tenant, _user, _also=(): Subject(tenant, next(found)))
    done = inside("forget", "ann", "--yes", "--json", cwd=data_dir.path.parent)
    assert (memory.rows, len(done.json["visitors"])) == ({"old-cookie", "ben"}, 2)
    begun, ended = map(json.loads, data_dir.audit.read_bytes().splitlines())
    assert (begun["visitors"], ended["visitors"]) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "runs", "code", "said"),
    [
        (("ann",), False, 2, "--yes"),
        (("ann", "--yes", "--maintain"), True, 1, "leave out --maintain"),
        (("ann", "--yes", "--by", " "), False, 2, "--by"),
    ],
)
def test_what_is_refused_has_changed_nothing(
    data_dir: DataDir, memory: Memory, inside: Inside, arguments: tuple[str, ...], runs: bool, code: int, said: str
) -> None:
    with data_dir.lock("onramp run") if runs else nullcontext():
        result = inside("forget", *arguments, cwd=data_dir.path.parent)
    assert (result.code, said in result.err) == (code, True), result.err
    assert ("ann" in memory.rows, data_dir.sent.exists(), audited(data_dir)) == (True, False, [])


@pytest.mark.parametrize("arguments", [("--visitor",), ()])
def test_a_visitor_who_signed_in_is_not_forgotten_under_the_old_id(
    data_dir: DataDir, memory: Memory, inside: Inside, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job would erase the user, whom the command has not named."""
    opened = forget.open_stores

    @contextmanager
    def knowing(settings: Settings) -> Iterator[Stores]:
        with opened(settings) as stores:
            yield dataclasses.replace(stores, user_of=lambda _tenant, visitor: "ann" if visitor == "cookie-of-ann" else "")

    monkeypatch.setattr(forget, "open_stores", knowing)
    refused = inside("forget", "cookie-of-ann", "--yes", *arguments, cwd=data_dir.path.parent)
    assert (refused.code, "Forget ann instead" in " ".join(refused.err.split())) == (1, True), refused.err
    assert ("cookie-of-ann" in memory.rows, data_dir.sent.exists(), audited(data_dir)) == (True, False, [])
    assert inside("forget", "cookie-of-ann", "--check", *arguments, cwd=data_dir.path.parent).code == 1
    assert inside("forget", "ann", "--yes", cwd=data_dir.path.parent).code == 0


ONE_TENANT = (ROOT / "catalog" / "saas.yaml").read_text().replace("\nversion:", "\ntenants: [acme]\nversion:", 1)


@pytest.mark.parametrize("arguments", [("forget", "nobody", "--yes"), ("forget", "nobody", "--check"), ("export", "nobody")])
def test_nobody_in_a_tenant_without_a_catalog_is_another_tenant_that_was_meant(
    data_dir: DataDir, memory: Memory, inside: Inside, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job takes a deletion of any tenant, so the receipt would call a user forgotten who is still there in the right one."""
    catalogs = data_dir.path.parent / "catalogs"
    catalogs.mkdir()
    (catalogs / "one.yaml").write_text(ONE_TENANT)
    monkeypatch.setenv("ONRAMP_CATALOG", str(catalogs))
    refused = inside(*arguments, cwd=data_dir.path.parent)
    assert (refused.code, refused.out) == (1, "")
    assert "is for the tenant default, only for acme, and no store holds anything about this user there" in refused.err
    assert not data_dir.sent.exists()
    assert inside("forget", "nobody", "--yes", "--tenant", "acme", "--json", cwd=data_dir.path.parent).json["known"] is False
    held = inside("forget", "ann", "--yes", "--json", cwd=data_dir.path.parent)
    assert (held.code, held.json["known"]) == (0, True), "its dead letters are erased without a catalog"
    (catalogs / "one.yaml").write_text("id: [")
    assert inside("forget", "ben", "--yes", cwd=data_dir.path.parent).code == 0, "nobody has to wait until it is mended"


def test_a_user_whom_no_store_knows_is_told_as_such(data_dir: DataDir, memory: Memory, inside: Inside) -> None:
    said = " ".join(inside("forget", "anne", "--yes", cwd=data_dir.path.parent).out.split())
    assert "No store held anything about this user; check the id and --tenant" in said
    assert "No store held" not in inside("forget", "ann", "--yes", cwd=data_dir.path.parent).out


def test_nothing_is_erased_where_the_job_would_reject_the_deletion(data_dir: DataDir, memory: Memory, inside: Inside) -> None:
    memory.rows.add("undefined")
    result = inside("forget", "undefined", "--yes", cwd=data_dir.path.parent)
    assert (result.code, "would reject" in result.err) == (1, True)
    assert ("undefined" in memory.rows, data_dir.sent.exists()) == (True, False)
    assert audited(data_dir) == [("forget", "begun"), ("forget", "failed")]


def test_a_check_reads_and_no_more(data_dir: DataDir, memory: Memory, inside: Inside) -> None:
    result = inside("forget", "ann", "--check", "--json", cwd=data_dir.path.parent)
    assert (result.code, result.json["complete"], "not forgotten everywhere" in result.err) == (1, False, True)
    assert ("ann" in memory.rows, data_dir.sent.exists(), audited(data_dir)) == (True, False, [("forget.check", "done")])


@pytest.mark.parametrize("command", [("forget", "ann", "--yes"), ("export", "ann"), ("dlq", "replay", "--yes")])
def test_the_directory_of_a_demo_is_refused(data_dir: DataDir, memory: Memory, inside: Inside, command: tuple[str, ...]) -> None:
    (data_dir.path / "demo.json").write_text('{"catalog": "saas"}')
    result = inside(*command, cwd=data_dir.path.parent)
    assert (result.code, "belongs to the demo" in result.err, "ann" in memory.rows) == (1, True, True)


def test_an_export_is_everything_and_is_recorded(data_dir: DataDir, memory: Memory, inside: Inside) -> None:
    found = inside("export", "ann", cwd=data_dir.path.parent)
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert (told["held"]["memory"], told["visitorIds"]) == (["ann", "cookie-of-ann"], ["cookie-of-ann"])
    assert told["notIncluded"] == {"topic t": "it keeps messages for 7 d"}
    assert (audited(data_dir), len(memory.rows)) == ([("export", "done")], 4)
