"""What each error of each version of Redis means: for every code, bare and as a script reports it."""

from __future__ import annotations

import ssl

import pytest
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sinks.redis.errors import CODES, Verdict, code_of, describe, is_transient, meaning_of
from tests.support.redis_errors import received

DIGEST = "8d31cb2ba4d6e48a1ec9eb9a1e0e2e9e9c1d5f0a"

WAITS = {
    "READONLY": "You can't write against a read only replica.",
    "OOM": "command not allowed when used memory > 'maxmemory'.",
    "MISCONF": "Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS": "Not enough good replicas to write.",
    "CLUSTERDOWN": "The cluster is down",
    "LOADING": "Redis is loading the dataset in memory",
    "MASTERDOWN": "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "TRYAGAIN": "Multiple keys request during rehashing of slot",
    "BUSY": "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "UNKILLABLE": "Sorry the script already executed write commands against the dataset.",
    "NOSCRIPT": "No matching script. Please use EVAL.",
}
SETTINGS = {
    "NOPERM": "this user has no permissions to run the 'evalsha' command or its subcommand",
    "WRONGPASS": "invalid username-password pair or user is disabled.",
    "NOAUTH": "Authentication required.",
    "DENIED": "Redis is running in protected mode because protected mode is enabled",
}

SHAPES = {
    "bare": "{code} {text}",
    "6.2": "ERR Error running script (call to f_{digest}): @user_script: 22: -{code} {text} ",
    "6.2, raised": "ERR Error running script (call to f_{digest}): @user_script:22: {code} {text} ",
    "6.2, raised twice": "ERR Error running script (call to f_{digest}): @user_script:22: @user_script: 22: -{code} {text} ",
    "7 and newer": "{code} {text} script: {digest}, on @user_script:22.",
}


def shaped(shape: str, code: str, text: str) -> RedisError:
    return received(SHAPES[shape].format(code=code, text=text, digest=DIGEST))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", WAITS)
def test_what_passes_is_waited_for_however_it_is_wrapped(shape: str, code: str) -> None:
    error = shaped(shape, code, WAITS[code])
    assert (code_of(error), is_transient(error, in_cluster=False)) == (code, True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", SETTINGS)
def test_what_an_operator_must_change_is_not(shape: str, code: str) -> None:
    error = shaped(shape, code, SETTINGS[code])
    assert code_of(error) == code
    assert meaning_of(error, in_cluster=False).verdict is Verdict.SETTING


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Lua script attempted to execute a command while the cluster is down", "CLUSTERDOWN"),
        ("Lua script attempted to execute a write command while the cluster is down and readonly", "CLUSTERDOWN"),
        ("Lua script attempted to access a non local key in a cluster node", "TRYAGAIN"),
        ("The user executing the script can't run this command or subcommand", "NOPERM"),
        ("ACL failure in script: User app has no permissions to run the 'set' command", "NOPERM"),
        ("The user executing the script can't access at least one of the keys mentioned in the command arguments", "NOPERM"),
    ],
)
@pytest.mark.parametrize("shape", ["6.2", "7 and newer"])
def test_sentences_without_a_code_have_the_code_that_other_versions_report(shape: str, text: str, code: str) -> None:
    said = SHAPES[shape].format(code="", text=text, digest=DIGEST).replace("-  ", "").replace("- ", "").strip()
    assert code_of(received(said if said.startswith("ERR") else f"ERR {said}")) == code


def test_too_many_clients_are_waited_for() -> None:
    assert is_transient(received("ERR max number of clients reached"), in_cluster=False)


@pytest.mark.parametrize(
    "text", ["ERR unknown command 'EVALSHA'", "ERR DB index is out of range", "CROSSSLOT Keys in request", "NEWCODE x"]
)
def test_what_nobody_can_wait_for_stops_the_job(text: str) -> None:
    assert not is_transient(received(text), in_cluster=False)


def test_the_words_of_a_user_are_no_code() -> None:
    """An error may quote what was sent: only its beginning counts."""
    assert code_of(received("ERR Protocol error: READONLY OOM -LOADING")) == "ERR"
    assert code_of(received(f"ERR Error running script (call to f_{DIGEST}): @user_script:2: bad -OOM text")) == "ERR"


@pytest.mark.parametrize(
    "error", [RedisConnectionError("Error 111 connecting"), RedisTimeoutError("Timeout reading"), OSError(104, "reset")]
)
def test_a_server_that_is_away_is_waited_for(error: RedisError) -> None:
    assert is_transient(error, in_cluster=False)


def test_a_redirection_is_a_wrong_address_unless_the_client_knows_the_cluster() -> None:
    moved = received("MOVED 3999 127.0.0.1:6381")
    assert not is_transient(moved, in_cluster=False)
    assert "redis+cluster://" in describe(moved, "redis://h", "x", in_cluster=False)
    assert is_transient(moved, in_cluster=True)
    for code in ("MOVED", "ASK"):
        said = describe(received(f"{code} 3999 127.0.0.1:6381"), "redis+cluster://h", "wait", in_cluster=True)
        assert said.endswith("; wait.")


def test_a_wrong_password_is_no_connection_problem() -> None:
    assert not is_transient(AuthenticationError("invalid username-password pair"), in_cluster=False)


def test_a_certificate_is_a_setting_also_where_the_client_hides_it() -> None:
    hidden = RedisConnectionError("Error 1 connecting to localhost:6379")
    hidden.__context__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    assert not is_transient(hidden, in_cluster=False)
    assert "ssl_ca_certs=" in describe(hidden, "rediss://h", "x", in_cluster=False)


def test_every_advice_is_the_end_of_a_sentence() -> None:
    for code, meaning in CODES.items():
        assert not meaning.advice.endswith("."), code
        assert describe(received(f"{code} 1 host:1"), "redis://h", "wait", in_cluster=False).endswith(f"; {meaning.advice or 'wait'}.")
        assert meaning.verdict is Verdict.WAIT or meaning.advice, code
