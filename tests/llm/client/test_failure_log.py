"""Why calls fail is said once for each reason, then seldom, and never with what is secret."""

from __future__ import annotations

import logging

import pytest

from llm.client.failure_log import AGAIN_SECONDS, FailureLog, masked
from llm.client.failures import REASONS, SENTENCES, ModelFailure


def test_every_reason_of_a_call_that_was_made_has_a_sentence() -> None:
    assert set(REASONS) - set(SENTENCES) == {"breaker_open", "over_rate", "over_budget", "budget_unknown"}


def test_a_reason_is_logged_at_once_and_again_only_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog("http://models:8000/v1")
    away, denied = (
        ModelFailure("unreachable", "no connection within 2 s"),
        ModelFailure("denied", "the server answered 401", advice="check the key"),
    )
    for failure, now in ((away, 10.0), (away, 11.0), (denied, 12.0), (away, 9.0 + AGAIN_SECONDS), (away, 10.0 + AGAIN_SECONDS)):
        failures.log(failure, now)
    failures.log(ModelFailure("over_rate", "no turn"), 1e6)
    said = [record.getMessage() for record in caplog.records]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3
    assert (
        said[0]
        == said[2]
        == (
            "calls of the model at http://models:8000/v1: the model server does not answer at its address: check the address, and that"
            " the server runs (unreachable, no connection within 2 s); templates stay meanwhile"
        )
    )
    assert "/v1: check the key (denied, the server answered 401); templates" in said[1]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:hunter2@h:8000/v1?k=hunter2#hunter2", "http://h:8000/v1"),
        ("https://[::1]:1/v1", "https://[::1]:1/v1"),
        ("http://h", "http://h"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert masked(url) == shown
