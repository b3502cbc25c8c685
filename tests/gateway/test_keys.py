"""The key store: what is kept of a key, and changes by several processes."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from threading import Thread

import pytest

from gateway.keys import MOST_EVENTS_A_DAY, Key, KeyStore, KeyStoreError
from tests.cli.command import onramp
from tests.support.waiting import join


def test_only_a_hash_of_a_key_is_stored_and_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json")
    texts = [store.create(kind)[1] for kind in ("publishable", "server", "webhook")]
    stored = (tmp_path / "keys.json").read_text()
    assert not any(text in stored for text in texts)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert [text[:3] for text in texts] == ["pk_", "sk_", "wh_"]
    found = [store.ring().find(text) for text in texts]
    assert [key.kind for key in found if key is not None] == ["publishable", "server", "webhook"]


def test_a_tenant_has_two_signing_keys_at_most_and_a_revoked_one_is_forgotten(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json")
    first, text = store.create("signing")
    store.create("signing")
    store.create("signing", tenant="other")
    with pytest.raises(KeyStoreError, match="revoke the older one"):
        store.create("signing")
    assert text in (tmp_path / "keys.json").read_text()
    store.revoke(first.id)
    assert text not in (tmp_path / "keys.json").read_text()
    store.create("signing")


def test_two_stores_at_once_lose_no_key(tmp_path: Path) -> None:
    made: list[Key] = []

    def make() -> None:
        store = KeyStore(tmp_path / "keys.json")
        made.extend(store.create("server")[0] for _ in range(10))

    threads = [Thread(target=make, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        join(thread, "ten new keys")
    assert {key.id for key in KeyStore(tmp_path / "keys.json").all_keys()} == {key.id for key in made}
    assert len(made) == 30


def test_a_damaged_file_is_a_sentence_and_keys_known_before_stay_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = KeyStore(tmp_path / "keys.json", reload_seconds=0)
    _, text = store.create("server")
    (tmp_path / "keys.json").write_text('{"keys": [{"id": 3}]}')
    for _ in range(3):
        assert store.ring().find(text) is not None
    assert len(caplog.records) == 1
    with pytest.raises(KeyStoreError, match="restore it from a backup"):
        store.all_keys()
    with pytest.raises(KeyStoreError, match="restore it from a backup"):
        store.create("server")


def test_origins_stay_in_force_when_the_last_key_that_names_them_is_revoked(tmp_path: Path) -> None:
    now = [1e9]
    store = KeyStore(tmp_path / "keys.json", reload_seconds=0, clock=lambda: now[0])
    first, _ = store.create("publishable", origins=["https://old.example"])
    second, _ = store.create("publishable", origins=["https://app.example"])
    store.create("publishable")

    def allowed() -> list[str]:
        return [name for name in ("old", "app", "new", "evil") if store.ring().allows_origin("default", f"https://{name}.example")]

    assert allowed() == ["old", "app"]
    store.revoke(first.id)
    assert allowed() == ["app"]
    now[0] += 1
    store.revoke(second.id)
    assert allowed() == ["app"]
    assert store.ring().allows_origin("other", "https://evil.example")
    store.create("publishable", origins=["https://new.example"])
    assert allowed() == ["new"]


def test_a_ring_knows_which_ids_are_in_force(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json", reload_seconds=0)
    key, _ = store.create("server")
    assert store.ring().in_force(key.id)
    store.revoke(key.id)
    assert not store.ring().in_force(key.id)
    assert not store.ring().in_force("k")


def test_a_key_for_all_pages_lifts_the_origins_of_others(tmp_path: Path) -> None:
    now = [1e9]
    store = KeyStore(tmp_path / "keys.json", reload_seconds=0, clock=lambda: now[0])
    named, _ = store.create("publishable", origins=["https://app.example"])

    def allows() -> bool:
        return store.ring().allows_origin("default", "https://any.example")

    assert not allows()
    key, _ = store.create("publishable", origins=["ALL "])
    assert key.origins == ("all",)
    assert allows()
    store.revoke(key.id)
    assert not allows(), "the other key names its origin again"
    store.revoke(store.create("publishable", origins=["all"])[0].id)
    now[0] += 1
    store.revoke(named.id)
    assert not allows(), "the origins of the key that was revoked last hold"
    store.create("publishable", origins=["all"])
    assert allows()


def test_an_asterisk_stands_for_subdomains_only(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json", reload_seconds=0)
    store.create("publishable", origins=["https://*.example.com", "http://*.dev.example.org:3000", "https://other.example"])

    def allows(origin: str) -> bool:
        return store.ring().allows_origin("default", origin)

    for origin in (
        *("https://app.example.com", "https://a.b.example.com", "https://APP.example.com", "http://x.dev.example.org:3000"),
        "https://other.example",
    ):
        assert allows(origin), origin
    for origin in (
        *("https://example.com", "http://app.example.com", "https://app.example.com:8443", "https://evilexample.com", "null"),
        *("https://app.example.com.evil.example", "http://x.dev.example.org", "https://app.other.example", "capacitor://localhost"),
    ):
        assert not allows(origin), origin


def test_a_stored_asterisk_that_was_accepted_before_opens_nothing_more_than_subdomains(tmp_path: Path) -> None:
    stored = {"id": "k1", "kind": "publishable", "tenant": "default", "digest": "d", "createdAt": "2026-01-01T00:00:00Z"}
    origins = ["https://*", "https://*.com", "https://*.example.com", "https://a*.example.org"]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{**stored, "origins": origins}]}))
    ring = KeyStore(tmp_path / "keys.json").ring()
    asked = ["https://a.com", "https://app.example.com", "https://ab.example.org"]
    assert [origin for origin in asked if ring.allows_origin("default", origin)] == ["https://app.example.com"]


def test_the_command_says_whose_pages_are_shut_out(tmp_path: Path) -> None:
    def create(*origins: str) -> str:
        options = [part for origin in origins for part in ("--origin", origin)]
        return " ".join(onramp("keys", "create", "publishable", *options, cwd=tmp_path).out.split())

    assert "are refused" not in create()
    assert "Pages of all origins but https://*.example.com are refused from now on, whatever key they send" in create(
        "https://*.example.com"
    )
    assert "of all origins but capacitor://localhost https://*.example.com are refused" in create("capacitor://localhost")
    assert "are refused" not in create()
    assert "are refused" not in create("all")
    assert "are refused" not in create("https://app.example.com"), "another key names all"


@pytest.mark.parametrize("tenant", ["", "a:b", "{a}", "a\nb", "x" * 129, "null", "none", "N/A", " ", "ac\u200bme", "{{tenant}}", "\ufffd"])
def test_a_tenant_that_no_event_can_have_is_refused(tmp_path: Path, tenant: str) -> None:
    store = KeyStore(tmp_path / "keys.json")
    with pytest.raises(KeyStoreError, match="tenant"):
        store.create("server", tenant=tenant)
    with pytest.raises(KeyStoreError, match="tenant"):
        store.set_quota(tenant, 5)
    assert not store.all_keys()
    assert not (tmp_path / "keys.json").exists()


def test_the_command_creates_lists_and_revokes(tmp_path: Path) -> None:
    made = onramp("keys", "create", "publishable", "--origin", "https://app.example.com", "--note", "web", "--json", cwd=tmp_path).json
    assert made["key"].startswith("pk_")
    listed = onramp("keys", "list", "--json", cwd=tmp_path)
    assert [(key["id"], key["note"], key["revokedAt"]) for key in listed.json["keys"]] == [(made["id"], "web", None)]
    assert made["key"] not in listed.out
    assert json.loads((tmp_path / ".onramp" / "keys.json").read_text())["keys"][0]["origins"] == ["https://app.example.com"]
    assert "is revoked" in onramp("keys", "revoke", made["id"], cwd=tmp_path).out
    again = onramp("keys", "revoke", made["id"], cwd=tmp_path)
    assert (again.code, len(again.err.splitlines())) == (1, 1)
    assert "revoked at" in again.err


def test_the_command_sets_and_shows_the_quota_of_a_tenant(tmp_path: Path) -> None:
    assert "100,000 events a day" in onramp("keys", "quota", "acme", "100000", cwd=tmp_path).out
    (entry,) = onramp("audit", "--json", cwd=tmp_path).json["entries"]
    assert (entry["action"], entry["tenant"], entry["eventsADay"]) == ("keys.quota", "acme", 100_000)
    refused = onramp("keys", "quota", "acme", "many", cwd=tmp_path)
    assert refused.code != 0
    assert "is no quota" in refused.err
    assert onramp("keys", "quota", "acme", "--json", cwd=tmp_path).json == {"tenant": "acme", "own": True, "eventsADay": 100_000}


def test_quotas_and_keys_keep_each_other(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json", reload_seconds=0)
    key, text = store.create("server")
    store.set_quota("acme", None)
    store.set_quota("other", 7)
    store.remove_quota("acme")
    store.remove_quota("nobody")
    store.create("publishable")
    assert store.ring().find(text) == key
    store.revoke(key.id)
    again = KeyStore(tmp_path / "keys.json")
    assert (dict(again.ring().quotas), len(again.all_keys())) == ({"other": 7}, 2)
    for tenant, most in (("a:b", 5), ("acme", -1), ("acme", MOST_EVENTS_A_DAY + 1)):
        with pytest.raises(KeyStoreError):
            store.set_quota(tenant, most)
