"""``onramp keys quota``: a number, none, or that of the gateway; whoever sets it is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.catalogs import BUILT_IN
from local.data_dir import DataDir
from tests.cli.conftest import Inside


def test_a_quota_is_set_lifted_and_removed(tmp_path: Path, inside: Inside) -> None:
    for given, said, own, most in (
        ("7", "may store 7 events a day", True, 7),
        ("0", "may store 0 events a day", True, 0),
        ("none", "may store any number of events", True, None),
        ("default", "has no quota of its own", False, None),
    ):
        assert said in inside("keys", "quota", "acme", given, "--by", "eva", cwd=tmp_path).out
        assert inside("keys", "quota", "acme", "--json", cwd=tmp_path).json == {"tenant": "acme", "own": own, "eventsADay": most}
    entries = [json.loads(line) for line in (tmp_path / ".onramp" / "audit.jsonl").read_bytes().splitlines()]
    assert [(each["by"], each["tenant"], each["eventsADay"]) for each in entries] == [
        ("eva", "acme", most) for most in (7, 0, None, "default")
    ]


def test_a_tenant_that_no_catalog_is_for_is_named(tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inside("keys", "create", "server", "--tenant", "any", cwd=tmp_path).err == "", "the sample is for every tenant"
    monkeypatch.setenv("ONRAMP_CATALOG", "c.yaml")
    (tmp_path / "c.yaml").write_text((BUILT_IN / "saas.yaml").read_text(encoding="utf-8") + "tenants: [acme]\n", encoding="utf-8")
    for command in (("keys", "create", "server", "--tenant"), ("keys", "quota")):
        given = ("5",) if command[1] == "quota" else ()
        assert inside(*command, "acme", *given, cwd=tmp_path).err == ""
        said = inside(*command, "ACME", *given, "--json", cwd=tmp_path)
        assert "no catalog in c.yaml is for the tenant ACME, only for acme" in said.err
        assert (said.code, said.json["tenant"]) == (0, "ACME"), "a key may come before its catalog"
    (tmp_path / "c.yaml").write_text("damaged", encoding="utf-8")
    assert inside("keys", "create", "server", cwd=tmp_path).code == 0


@pytest.mark.parametrize(("given", "code"), [("-1", 2), ("1e3", 2), ("²", 2), ("9" * 5_000, 2), ("9" * 19, 1)])
def test_what_is_no_quota_is_refused(tmp_path: Path, inside: Inside, given: str, code: int) -> None:
    result = inside("keys", "quota", "acme", "--", given, cwd=tmp_path)
    assert (result.code, "Traceback" in result.err) == (code, False)
    assert not (tmp_path / ".onramp" / "keys.json").exists()


def test_a_damaged_file_has_no_quota_to_show(tmp_path: Path, inside: Inside) -> None:
    DataDir.create(tmp_path / ".onramp").keys.write_text('{"keys": [{"id": 3}]}')
    result = inside("keys", "quota", "acme", cwd=tmp_path)
    assert (result.code, "restore it from a backup" in result.err) == (1, True)
