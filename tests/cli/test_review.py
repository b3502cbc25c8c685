"""``onramp review``, on a server of its own and on the embedded one."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from cli.app import invoke
from llm.cache.answer_cache import AnswerCache, CachedText, CachePolicy, text_hash, user_digest
from llm.review_queue import ReviewEntry, ReviewPolicy, ReviewQueue
from local.data_dir import DataDir
from local.redis_access import redis_for_reader
from sinks.redis.async_client import connect_async
from tests.cli.conftest import Inside
from tests.llm.wording_requests import PLAN
from tests.support.valkey import Valkey, run_valkey
from tests.support.waiting import run_async


def entry(text: str, key: str, owner: str = "") -> ReviewEntry:
    return ReviewEntry(
        key, "personal" if owner else "shared", text, 0.55, "nudge-1", "connect_source", "signup", "moderate_tooltip", "small",
        1_767_600_000_000, "low_confidence", owner=owner,
    )  # fmt: skip


SHARED = entry("Take {step} next.", "a" * 32)
OTHER = entry("Press\x1b[2J \u202eit.", "b" * 32)
PERSONAL = entry("Your host name has a typo.", "c" * 32, user_digest("default", "ann"))


def fill(url: str, tenant: str, *entries: ReviewEntry) -> None:
    async def run() -> None:
        client = connect_async(url, 10)
        queue = ReviewQueue(client, ReviewPolicy(wait_seconds=10))
        assert [await queue.put(tenant, each) for each in entries] == ["queued"] * len(entries)
        await client.aclose()

    run_async(run())


def look_up(url: str, tenant: str, key: str) -> CachedText | None:
    async def run() -> CachedText | None:
        client = connect_async(url, 10)
        found = await AnswerCache(client, CachePolicy(wait_seconds=10)).get(tenant, key)
        await client.aclose()
        return found

    return run_async(run())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with run_valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def on_server(server: Valkey, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.setenv("ONRAMP_REDIS_URL", server.url)
    return inside


@pytest.mark.parametrize("command", ["list", "approve", "reject"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["review", command, "--help"]) == 0
    assert f"Example:  onramp review {command}" in capsys.readouterr().out


def test_a_person_reads_and_decides(server: Valkey, on_server: Inside, tmp_path: Path) -> None:
    fill(server.url, "acme", SHARED, OTHER, PERSONAL)
    shown = on_server("review", "list", "--tenant", "acme", cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert shown.out.startswith("3 texts wait for a review.\n")
    for words in (SHARED.id, SHARED.text, "connect_source upon signup by moderate_tooltip", "confidence 0.55", "for one user alone"):
        assert words in shown.out
    assert "\x1b[2J" not in shown.out
    assert "\u202e" not in shown.out

    done = on_server("review", "approve", SHARED.id, "--tenant", "acme", "--by", "bob", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert " ".join(done.out.split()).startswith("Approved: it is shown from now on at connect_source upon signup by moderate_tooltip")
    found = look_up(server.url, "acme", SHARED.key)
    assert found is not None
    assert (found.text, found.approved_by, found.unfilled_hash) == (SHARED.text, "bob", text_hash(SHARED.text))

    approved = on_server("review", "list", "--approved", "--tenant", "acme", cwd=tmp_path)
    for words in ("1 approved text is shown.", SHARED.id, SHARED.text, "by bob", f"upon {SHARED.trigger}", "review reject ID"):
        assert words in approved.out
    listed = on_server("review", "list", "--approved", "--tenant", "acme", "--json", cwd=tmp_path).json
    assert (listed["tenantId"], listed["approved"], listed["entries"][0]["approvedBy"]) == ("acme", 1, "bob")
    back = on_server("review", "reject", SHARED.id, "--tenant", "acme", cwd=tmp_path)
    assert back.out.startswith("Rejected: ")
    assert look_up(server.url, "acme", SHARED.key) is None
    assert on_server("review", "list", "--approved", "--tenant", "acme", cwd=tmp_path).out == "0 approved texts are shown.\n"

    own = on_server("review", "approve", PERSONAL.id, "--tenant", "acme", "--json", cwd=tmp_path).json
    assert (own["promoted"], own["entry"]["id"]) == (False, PERSONAL.id)
    assert "Removed, not approved" in own["inWords"]
    assert "owner" not in own["entry"]
    assert look_up(server.url, "acme", PERSONAL.key) is None

    assert on_server("review", "reject", OTHER.id, "--tenant", "acme", cwd=tmp_path).out.startswith("Rejected: ")
    empty = on_server("review", "list", "--tenant", "acme", "--json", cwd=tmp_path).json
    assert empty == {"tenantId": "acme", "waiting": 0, "dropped": 0, "entries": []}


def test_texts_for_an_earlier_catalog_are_no_longer_in_use(
    server: Valkey, on_server: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, before = (
        msgspec.structs.replace(entry(f"For {catalog}.", key * 32), catalog=catalog)
        for catalog, key in ((PLAN.version, "d"), ("saas@0", "e"))
    )
    late = msgspec.structs.replace(entry("Too late.", "f" * 32), catalog="saas@0")
    fill(server.url, "moved", now, before, late)
    for each in (now, before):
        assert on_server("review", "approve", each.id, "--tenant", "moved", cwd=tmp_path).code == 0
    unknown = on_server("review", "list", "--approved", "--tenant", "moved", cwd=tmp_path)
    assert "2 approved texts are shown. Name the catalog with ONRAMP_CATALOG" in " ".join(unknown.out.split())

    monkeypatch.setenv("ONRAMP_CATALOG", "saas")
    approved = on_server("review", "list", "--approved", "--tenant", "moved", cwd=tmp_path).out
    assert approved.startswith("1 approved text is shown; 1 is no longer in use.\n")
    assert approved.count("no longer in use: written for saas@0 and nudge-1") == 1
    listed = on_server("review", "list", "--approved", "--tenant", "moved", "--json", cwd=tmp_path).json
    assert (listed["approved"], {each["catalog"]: each["inUse"] for each in listed["entries"]}) == (
        1,
        {PLAN.version: True, "saas@0": False},
    )
    assert "no longer in use: written for saas@0" in on_server("review", "list", "--tenant", "moved", cwd=tmp_path).out
    answer = on_server("review", "approve", late.id, "--tenant", "moved", cwd=tmp_path)
    assert (answer.code, answer.out.startswith("Too late, removed")) == (0, True)
    assert look_up(server.url, "moved", late.key) is None
    assert on_server("review", "list", "--tenant", "moved", cwd=tmp_path).out == "0 texts wait for a review.\n"


def test_a_tenant_without_a_catalog_can_be_reviewed(
    server: Valkey, on_server: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONRAMP_CATALOG", str(tmp_path / "gone.yaml"))
    fill(server.url, "nowhere", SHARED)
    assert SHARED.text in on_server("review", "list", "--tenant", "nowhere", cwd=tmp_path).out
    assert on_server("review", "approve", SHARED.id, "--tenant", "nowhere", cwd=tmp_path).code == 0


def test_the_list_as_json_has_every_field_and_a_limit(server: Valkey, on_server: Inside, tmp_path: Path) -> None:
    fill(server.url, "many", SHARED, OTHER)
    found = on_server("review", "list", "--tenant", "many", "--limit", 1, "--json", cwd=tmp_path).json
    assert (found["waiting"], len(found["entries"])) == (2, 1)
    assert {"id", "key", "scope", "text", "confidence", "promptVersion", "step", "trigger", "arm", "model", "createdMs", "reason"} <= set(
        found["entries"][0]
    )


def test_the_list_names_the_language_and_why_a_text_waits(server: Valkey, on_server: Inside, tmp_path: Path) -> None:
    danish = msgspec.structs.replace(SHARED, confidence=0.9, reason="needs_approval", language="da")
    fill(server.url, "danish", danish)
    assert "confidence 0.90, needs_approval, da" in on_server("review", "list", "--tenant", "danish", cwd=tmp_path).out
    (found,) = on_server("review", "list", "--tenant", "danish", "--json", cwd=tmp_path).json["entries"]
    assert (found["reason"], found["language"]) == ("needs_approval", "da")
    assert on_server("review", "approve", danish.id, "--tenant", "danish", cwd=tmp_path).code == 0
    (found,) = on_server("review", "list", "--approved", "--tenant", "danish", "--json", cwd=tmp_path).json["entries"]
    assert found["language"] == "da"


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_what_nobody_waits_for_is_one_sentence(on_server: Inside, tmp_path: Path, command: str) -> None:
    result = on_server("review", command, "nope", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("onramp: No text nope waits for a review in tenant default")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["approve", "reject"])
@pytest.mark.parametrize(
    ("by", "said"), [(["--by", "  "], "the name is blank"), (["--by", ""], "the name is blank"), ([], "not known here")]
)
def test_nobody_decides_without_a_name(
    server: Valkey, on_server: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, by: list[str], said: str
) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)  # as in a container that runs as a number without a name
    tenant = f"t{uuid4().hex[:8]}"
    fill(server.url, tenant, SHARED)
    result = on_server("review", command, SHARED.id, "--tenant", tenant, *by, cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert on_server("review", "list", "--tenant", tenant, "--json", cwd=tmp_path).json["waiting"] == 1
    assert not (tmp_path / ".onramp").exists(), "nothing is recorded"


def test_the_audit_log_says_who_decided(server: Valkey, on_server: Inside, tmp_path: Path) -> None:
    fill(server.url, "recorded", SHARED, OTHER)
    assert on_server("review", "approve", SHARED.id, "--tenant", "recorded", "--by", "bob", cwd=tmp_path).code == 0
    assert on_server("review", "reject", OTHER.id, "--tenant", "recorded", cwd=tmp_path).code == 0
    entries = on_server("audit", "--json", cwd=tmp_path).json["entries"]
    assert {(each["action"], each["by"], each["outcome"]) for each in entries} == {
        ("review.approve", "bob", "done"),
        ("review.reject", getpass.getuser(), "done"),
    }


def test_the_help_says_what_becomes_of_a_text_for_one_user(inside: Inside, tmp_path: Path) -> None:
    said = " ".join(inside("review", "approve", "--help", cwd=tmp_path).out.split())
    assert "A text that was written for one user is only removed" in said


@pytest.mark.parametrize("arguments", [["list", "--limit", "0"], ["approve"], ["reject"], ["nonsense"]])
def test_wrong_usage_is_one_sentence_and_code_2(arguments: list[str], inside: Inside, tmp_path: Path) -> None:
    result = inside("review", *arguments, cwd=tmp_path)
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)


def test_without_a_server_it_says_so(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_valkey(tmp_path) as gone:
        pass
    monkeypatch.setenv("ONRAMP_REDIS_URL", gone.url)
    result = inside("review", "list", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("onramp: Redis did not answer")
    assert "correct-horse" not in result.err


def test_the_embedded_server_serves_and_keeps_what_was_decided(inside: Inside, tmp_path: Path) -> None:
    assert "onramp demo" in inside("review", "list", cwd=tmp_path).err
    data_dir = DataDir.create(tmp_path / ".onramp")
    with redis_for_reader(None, data_dir) as url:
        fill(url, "default", SHARED)
    assert inside("review", "list", "--json", cwd=tmp_path).json["waiting"] == 1
    assert inside("review", "approve", SHARED.id, cwd=tmp_path).code == 0
    with redis_for_reader(None, data_dir) as url:
        assert look_up(url, "default", SHARED.key) is not None
    assert inside("review", "list", cwd=tmp_path).out == "0 texts wait for a review.\n"
