"""What is remembered of credentials that were checked: little, whatever was sent."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from starlette.types import Scope

from gateway.authentication import Authenticator
from gateway.errors import RefusedError
from gateway.keys import KeyStore


def scope(authorization: bytes) -> Scope:
    return {"headers": [(b"authorization", authorization)]}


def test_a_long_header_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json")
    text = store.create("server")[1].encode()
    authenticator = Authenticator(store)
    for header in (b"Bearer " + text + b" " * 9_000, b"Basic  " + base64.b64encode(text + b":" + b"x" * 9_000)):
        with pytest.raises(RefusedError) as caught:
            authenticator.authenticate(scope(header))
        assert caught.value.status == 401
    assert len(authenticator._remembered) == 0


def test_what_is_remembered_of_a_header_is_short_and_no_secret(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json")
    text = store.create("server")[1].encode()
    authenticator = Authenticator(store)
    for spaces in range(0, 8_000, 1_000):
        assert authenticator.authenticate(scope(b"Bearer " + text + b" " * spaces)).kind == "server"
    assert {len(each) for each in authenticator._remembered} == {32}
