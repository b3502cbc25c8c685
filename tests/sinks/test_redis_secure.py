"""Redis behind TLS, with users that have passwords and rights: it runs, and everything that can be wrong is one sentence without a secret.

The servers of the wheels are built without TLS, so a proxy ends it before a real server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from sinks.redis.async_client import connect_async
from sinks.redis.errors import StoreRefusedError
from sinks.redis.reader import RecommendationReader
from sinks.redis.writer import RecommendationWriter
from tests.sinks.recommendation_samples import Time, erase, publish
from tests.support.certificates import Authority, make_authority
from tests.support.tls_proxy import tls_proxy
from tests.support.valkey import Valkey, run_valkey
from tests.support.waiting import run_async

SECRET = "hunter2-hunter2"
RIGHTS = ["+get", "+set", "+del", "+eval", "+evalsha"]


class Secure:
    """A server with a user ``app``, and ports of proxies before it that differ in their certificates."""

    def __init__(self, server: Valkey, authority: Authority, stranger: Authority, stack: ExitStack) -> None:
        self.server, self.authority, self.stranger = server, authority, stranger
        self.client = authority.sign("client")
        self.strange_client = stranger.sign("client")
        port = server.port
        self.good = stack.enter_context(tls_proxy(port, authority.sign("good")))
        self.expired = stack.enter_context(tls_proxy(port, authority.sign("expired", expired=True)))
        self.other_host = stack.enter_context(tls_proxy(port, authority.sign("other", host="elsewhere", address="192.0.2.1")))
        self.mutual = stack.enter_context(tls_proxy(port, authority.sign("mutual"), clients=authority))

    def url(self, port: int, *, host: str = "localhost", user: str = "app", password: str = SECRET, options: str = "") -> str:
        return f"rediss://{user}:{password}@{host}:{port}/0?ssl_ca_certs={self.authority.file}{options}"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    with ExitStack() as stack:
        server = stack.enter_context(run_valkey(tmp_path_factory.mktemp("valkey")))
        with Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "app", "on", f">{SECRET}", "~onramp:*", *RIGHTS)
            client.execute_command("ACL", "SETUSER", "reader", "on", f">{SECRET}", "~onramp:*", "+get")
        authority, stranger = (make_authority(tmp_path_factory.mktemp(name)) for name in ("authority", "stranger"))
        yield Secure(server, authority, stranger, stack)


def test_it_writes_and_reads(secure: Secure) -> None:
    url = secure.url(secure.good)
    writer, reader = RecommendationWriter(url, Time().policy()), RecommendationReader(url)
    writer.write([publish("t", "ada", 1), *(publish("t", f"user-{number}", 1) for number in range(600)), erase("t", "bob", 1)])
    assert getattr(reader.read("t", "ada"), "version", 0) == 1
    assert all(reader.read_raw("t", [f"user-{number}" for number in range(600)]))
    writer.close()
    reader.close()


def test_a_client_can_show_a_certificate(secure: Secure) -> None:
    shown = f"&ssl_certfile={secure.client.certificate}&ssl_keyfile={secure.client.key}"
    writer = RecommendationWriter(secure.url(secure.mutual, options=shown), Time().policy())
    writer.write([publish("t", "eve", 1)])
    writer.close()


def test_the_asynchronous_client_uses_the_same_address(secure: Secure) -> None:
    async def scenario() -> None:
        client = connect_async(secure.url(secure.good), 10.0)
        assert await client.set("onramp:x", 1)
        await client.aclose()
        wrong = connect_async(secure.url(secure.expired), 10.0)
        with pytest.raises(RedisConnectionError):
            await wrong.get("onramp:x")
        await wrong.aclose()

    run_async(scenario())


WRONG: dict[str, tuple[Callable[[Secure], str], str]] = {
    "an unknown authority": (lambda it: it.url(it.good).replace(str(it.authority.file), str(it.stranger.file)), "ssl_ca_certs=/path"),
    "no authority": (lambda it: it.url(it.good).partition("?")[0], "ssl_ca_certs=/path"),
    "an expired certificate": (lambda it: it.url(it.expired), "has expired: renew it"),
    "another host": (lambda it: it.url(it.other_host), "for another host name"),
    "another address": (lambda it: it.url(it.other_host, host="127.0.0.1"), "for another address"),
    "no certificate of the client": (lambda it: it.url(it.mutual), "wants a certificate of the client"),
    "a strange certificate of the client": (
        lambda it: it.url(it.mutual, options=f"&ssl_certfile={it.strange_client.certificate}&ssl_keyfile={it.strange_client.key}"),
        "use a certificate it accepts",
    ),
    "a file that is missing": (lambda it: it.url(it.good, options="&ssl_certfile=/no/such/file"), "cannot be read; correct the path"),
    "a wrong password": (lambda it: it.url(it.good, password=f"wrong-{SECRET}"), "check the user and password"),
    "an unknown user": (lambda it: it.url(it.good, user="nobody"), "check the user and password"),
    "a missing right": (lambda it: it.url(it.good, user="reader"), "grant this user the commands that docs/stores.md lists"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_ends_the_job_at_once_with_what_to_do(secure: Secure, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, advice = WRONG[what]
    time = Time()
    with pytest.raises(StoreRefusedError) as caught:
        RecommendationWriter(make(secure), time.policy()).write([publish("t", "ada", 1)])
    sentence = str(caught.value)
    assert advice in sentence
    assert SECRET not in sentence
    assert "\n" not in sentence
    # A client learns that its certificate is missing or refused after the handshake, and may see the closed connection before the reason.
    assert time.pauses == [] or ("of the client" in what and sum(time.pauses) < 300)
    assert SECRET not in "".join(capfd.readouterr())
