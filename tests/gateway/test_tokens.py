"""User tokens over a real socket: what they open, and every way in which one is no good."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from gateway.authentication import MOST_VISITORS, VisitorClaims
from gateway.caller import Caller
from gateway.keys import Key
from gateway.tokens import MOST_SECONDS, mint
from tests.support.gateway import Gateway, event, run_gateway


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def gateway(shared: Gateway) -> Gateway:
    shared.log.records.clear()
    return shared


@pytest.fixture(scope="module")
def signing(shared: Gateway) -> Key:
    return shared.store.create("signing", tenant="acme")[0]


def token(key: Key, user: str = "u-17", *, headers: dict[str, Any] | None = None, algorithm: str = "HS256", **claims: Any) -> str:
    now = int(time.time())
    whole = {"aud": "onramp", "tenant": "acme", "sub": user, "iat": now, "exp": now + 600, **claims}
    kept = {name: value for name, value in whole.items() if value is not None}
    return jwt.encode(kept, key.secret or "", algorithm=algorithm, headers={"kid": key.id} if headers is None else headers)


def test_a_token_sends_events_of_its_user_into_its_tenant(gateway: Gateway, signing: Key) -> None:
    minted = mint(signing.secret or "", key_id=signing.id, tenant="acme", user="u-17", now=time.time())
    answer = gateway.post("/v1/events", [event("a", userId=None), event("b")], key=minted)
    assert (answer.status_code, answer.json()) == (202, {"stored": ["a", "b"]})
    assert {(each["tenantId"], each["userId"]) for each in gateway.stored()} == {("acme", "u-17")}


def test_a_token_sends_nothing_for_another_user(gateway: Gateway, signing: Key) -> None:
    for other in (
        event(userId="u-18"),
        event(userId=None, anonymousId="c"),
        event(tenantId="default"),
        event(userId=""),
        event(userId="U-17"),
    ):
        good = token(signing)
        sent = {"userId": None, **other} if other.get("anonymousId") else other
        answer = gateway.post("/v1/events", sent, key=good)
        assert answer.status_code in {400, 403}, other
    assert gateway.log.records == []


def test_a_user_sets_their_own_preferences_and_cannot_delete_themselves(gateway: Gateway, signing: Key) -> None:
    preferences = event("p", eventType="preferences_changed", payload={"guidance": False})
    deletion = event("d", eventType="user_deleted")
    answer = gateway.post("/v1/events", [preferences, deletion], key=token(signing))
    assert (answer.status_code, answer.json()["stored"]) == (403, ["p"])


def test_a_user_binds_a_few_visitors_as_from_several_devices(gateway: Gateway, signing: Key) -> None:
    def merge(number: int, user: str = "binder") -> Any:
        merged = event(f"m{number}", userId=user, eventType="identity_merged", payload={"previousId": f"cookie-{number}"})
        return gateway.post("/v1/events", merged, key=token(signing, user))

    assert [merge(number).status_code for number in range(MOST_VISITORS)] == [202] * MOST_VISITORS
    assert [merge(number).status_code for number in range(MOST_VISITORS)] == [202] * MOST_VISITORS, "repetitions"
    refused = merge(MOST_VISITORS)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    (fault,) = refused.json()["rejected"][0]["faults"]
    assert fault["field"] == "payload.previousId"
    assert "5 anonymous ids within 15 minutes" in fault["message"]
    assert merge(MOST_VISITORS, "another").status_code == 202


def test_a_user_binds_other_visitors_when_the_tokens_of_the_first_ones_have_ended() -> None:
    now = [0.0]
    claims, caller = VisitorClaims(lambda: now[0]), Caller("user", "acme", "k", "ana")
    assert [claims.claim(caller, f"v{number}") == "" for number in range(MOST_VISITORS + 1)] == [True] * MOST_VISITORS + [False]
    now[0] = MOST_SECONDS - 1
    assert claims.claim(caller, "late")
    now[0] = MOST_SECONDS
    assert claims.claim(caller, "late") == ""


def test_a_tenant_with_many_users_who_bind_visitors_costs_no_other_tenant_a_claim() -> None:
    now = [0.0]
    claims = VisitorClaims(lambda: now[0], most=4)

    def claim(tenant: str, user: str, visitors: int) -> list[str]:
        return [claims.claim(Caller("user", tenant, "k", user), f"v{number}") for number in range(visitors)]

    full = ["" for _ in range(MOST_VISITORS)]
    assert claim("small", "ana", MOST_VISITORS) == full
    for number in range(10):
        assert claim("large", f"u{number}", MOST_VISITORS) == full
    assert claim("new", "eve", MOST_VISITORS) == full
    assert all(claims.claim(Caller("user", *who), "another") for who in (("small", "k", "ana"), ("new", "k", "eve"), ("large", "k", "u9")))
    assert claims.claim(Caller("user", "large", "k", "u0"), "another") == "", "the oldest of the tenant with most was forgotten"
    now[0] = MOST_SECONDS
    for user in ("ben", "cat", "dan", "eli"):
        assert claim("small", user, MOST_VISITORS) == full
    assert all(claims.claim(Caller("user", "small", "k", user), "another") for user in ("ben", "cat", "dan", "eli")), "what ended made room"


def _other_secret(key: Key) -> str:
    return token(Key(**{**{field: getattr(key, field) for field in key.__struct_fields__}, "secret": "x" * 51}))


def _unsigned(key: Key) -> str:
    head, body, _ = token(key).split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT", "kid": key.id}).encode()).rstrip(b"=").decode()
    assert head
    return f"{none}.{body}."


def _changed_body(key: Key) -> str:
    head, _, signature = token(key).split(".")
    return f"{head}.{token(key, 'u-18').split('.')[1]}.{signature}"


def now() -> int:
    """Now: a token made when the tests were collected would be old when they run."""
    return int(time.time())


BAD: dict[str, Callable[[Key], str]] = {
    "another secret": _other_secret,
    "alg none": _unsigned,
    "a changed body": _changed_body,
    "another algorithm": lambda key: token(key, algorithm="HS512"),
    "no kid": lambda key: token(key, headers={}),
    "half an emoji as the user": lambda key: token(key, "ana\ud83d"),
    "an unknown kid": lambda key: token(key, headers={"kid": "k000000000000"}),
    "a kid that is a path": lambda key: token(key, headers={"kid": "../../etc/passwd"}),
    "expired": lambda key: token(key, iat=now() - 700, exp=now() - 1),
    "too long-lived": lambda key: token(key, exp=now() + 3_600),
    "issued in the future": lambda key: token(key, iat=now() + 300, exp=now() + 900),
    "not valid yet": lambda key: token(key, nbf=now() + 300),
    "another audience": lambda key: token(key, aud="elsewhere"),
    "several audiences": lambda key: token(key, aud=["onramp", "elsewhere"]),
    "another tenant": lambda key: token(key, tenant="default"),
    "no tenant": lambda key: token(key, tenant=None),
    "no expiry": lambda key: token(key, exp=None),
    "no issue": lambda key: token(key, iat=None),
    "no audience": lambda key: token(key, aud=None),
    "no user": lambda key: token(key, sub=None),
    "an empty user": lambda key: token(key, ""),
    "a long user": lambda key: token(key, "u" * 257),
    "a time that is true": lambda key: token(key, iat=True),
    "a huge token": lambda key: token(key, extra="x" * 5_000),
    "half a token": lambda key: token(key)[:-10],
    "garbage": lambda key: "eyJ.e.f",
}


@pytest.mark.filterwarnings("ignore:The HMAC key is")  # HS512 wants a longer one
@pytest.mark.parametrize("name", BAD)
def test_a_token_that_is_no_good_opens_nothing(gateway: Gateway, signing: Key, name: str) -> None:
    assert gateway.post("/v1/events", event(), key=token(signing)).status_code == 202
    gateway.log.records.clear()
    answer = gateway.post("/v1/events", event(), key=BAD[name](signing))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert gateway.log.records == []


def test_two_signing_keys_are_in_rotation_and_a_revoked_one_ends(gateway: Gateway) -> None:
    old, new = (gateway.store.create("signing", tenant="rotates")[0] for _ in range(2))
    tokens = [token(key, tenant="rotates") for key in (old, new)]
    assert [gateway.post("/v1/events", event(tenantId=None), key=each).status_code for each in tokens] == [202, 202]
    gateway.store.revoke(old.id)
    assert [gateway.post("/v1/events", event(tenantId=None), key=each).status_code for each in tokens] == [401, 202]


def test_a_signing_key_and_a_webhook_secret_are_no_credentials(gateway: Gateway) -> None:
    for kind in ("signing", "webhook"):
        text = gateway.store.create(kind, tenant=f"t-{kind}")[1]
        assert gateway.post("/v1/events", event(), key=text).status_code == 401


def test_a_user_has_a_small_rate_of_their_own(gateway: Gateway, signing: Key) -> None:
    batch = [event(f"e{n}", userId="busy") for n in range(200)]
    assert gateway.post("/v1/events", batch, key=token(signing, "busy")).status_code == 202
    assert gateway.post("/v1/events", batch, key=token(signing, "busy")).status_code == 429
    assert gateway.post("/v1/events", event(userId="calm"), key=token(signing, "calm")).status_code == 202
