"""ClickHouse behind proxies, behind a path, over HTTPS, busy or broken: rows are kept or rejected for the right reason, and it is said."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from sinks.clickhouse.address import parse_clickhouse_address
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.delivery import FactDelivery
from sinks.clickhouse.errors import CODES, Fault, PermanentInsert, StoreDenied, StoreUnreachable, TransientInsert, code_of, meaning_of
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.read_only_query import query
from state.records.facts import EventFact, OutcomeFact
from state.records.recommendation import Erase
from tests.support.certificates import Authority, make_authority
from tests.support.clickhouse_faults import ANSWERS, FaultProxy, fault_proxy
from tests.support.facts import make
from tests.support.tls_proxy import tls_proxy

pytest_plugins = ["tests.support.clickhouse_stores"]

PASSWORD = "secret-pw"  # of the user ``analyst`` of the test server


@pytest.fixture
def proxy(server_url: str) -> Iterator[FaultProxy]:
    with fault_proxy(server_url) as made:
        yield made


@pytest.fixture
def database() -> str:
    return f"test_{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def behind(server_url: str) -> Iterator[tuple[FaultProxy, ClickHouse]]:
    """A migrated database behind a proxy: migrating takes a second, so the tests of a module share it."""
    with fault_proxy(server_url) as made:
        store = ClickHouse(url=f"http://127.0.0.1:{made.port}", database=f"test_{uuid.uuid4().hex}")
        migrate(store)
        yield made, store
        store.close()


@pytest.fixture
def store(behind: tuple[FaultProxy, ClickHouse]) -> ClickHouse:
    return behind[1]


@pytest.fixture
def faulty(behind: tuple[FaultProxy, ClickHouse]) -> Iterator[FaultProxy]:
    """The proxy of ``store``, without faults and counts of other tests."""
    behind[0].inserts = 0
    yield behind[0]
    behind[0].fault, behind[0].applied, behind[0].largest, behind[0].erasing, behind[0].refusing = "", False, None, "", ""


def insert(store: ClickHouse, ident: str) -> None:
    ClickHouseInserter(store).insert("events", to_frame(EventFact, [make(EventFact, event_id=ident)]))


def events_in(store: ClickHouse, ident: str) -> int:
    return int(query(store, "SELECT count() AS n FROM events_final WHERE event_id = {ident:String}", {"ident": ident}).item())


# -------------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("fault", ["parts", "nocode", "504", "429", "exc200", "readonly", "ok_not_applied", "quotes a code"])
def test_what_a_retry_can_mend_is_retried(store: ClickHouse, faulty: FaultProxy, fault: str) -> None:
    faulty.fault = fault
    with pytest.raises(TransientInsert) as caught:
        insert(store, fault)
    assert "\n" not in str(caught.value)
    faulty.fault = ""
    insert(store, fault)
    assert events_in(store, fault) == 1


@pytest.mark.parametrize("fault", ["38", "38 without its header", "413"])
def test_what_no_retry_can_mend_is_rejected(store: ClickHouse, faulty: FaultProxy, fault: str) -> None:
    faulty.fault = fault
    with pytest.raises(PermanentInsert) as caught:
        insert(store, "never")
    assert ("limit for request bodies" in str(caught.value)) == (fault == "413")


def test_an_insert_that_was_applied_before_the_answer_was_lost_counts_once(store: ClickHouse, faulty: FaultProxy) -> None:
    faulty.fault, faulty.applied = "504", True
    with pytest.raises(TransientInsert):
        insert(store, "once")
    faulty.fault = ""
    insert(store, "once")
    assert (events_in(store, "once"), faulty.inserts) == (1, 2)


def payload(size: int) -> str:
    """Text that no compression makes much smaller."""
    return Random(size).randbytes(size // 2).hex()


def delivered(store: ClickHouse, directory: Path, segments: list[list[EventFact | Erase]]) -> FactDelivery:
    """Deliver some segments once."""
    delivery = FactDelivery(store, directory)
    partition = delivery.sink.build_part("facts", "facts", None)
    for rows in segments:
        partition.write_batch([[*rows]])
        partition.snapshot()
    delivery.sink.flush()
    assert delivery.drain.drain_once()
    delivery.close()
    return delivery


def test_rows_that_are_too_many_for_a_proxy_are_sent_in_parts(store: ClickHouse, faulty: FaultProxy, tmp_path: Path) -> None:
    """Whether they stand in one segment or in several: nothing is wrong with any row. An erasure still comes after all of them."""
    faulty.largest = 100_000
    ids = [f"part-{number}" for number in range(12)]
    rows = [make(EventFact, event_id=ident, payload=payload(40_000 + number), version=1) for number, ident in enumerate(ids)]
    gone = make(EventFact, event_id="part-gone", user_id="gone", payload=payload(39_000), version=1)
    delivery = delivered(store, tmp_path / "spool", [[*rows[:7], gone, Erase(gone.tenant_id, "gone", 2)], [*rows[7:]]])
    assert (delivery.spool.segments_rejected, delivery.spool.segments_ready, delivery.drain.rows_inserted) == (0, 0, 13)
    assert [events_in(store, ident) for ident in [*ids, "part-gone"]] == [1] * 12 + [0]


def test_one_row_that_is_too_large_is_rejected_with_its_segment_alone(store: ClickHouse, faulty: FaultProxy, tmp_path: Path) -> None:
    faulty.largest = 100_000
    segments: list[list[EventFact | Erase]] = [
        [make(EventFact, event_id=f"row-{size}", payload=payload(size)) for size in sizes] for sizes in ((10_000, 20_000), (400_000,))
    ]
    delivery = delivered(store, tmp_path / "spool", segments)
    assert (delivery.spool.segments_rejected, delivery.spool.segments_ready) == (1, 0)
    assert [events_in(store, f"row-{size}") for size in (10_000, 20_000, 400_000)] == [1, 1, 0]
    (error,) = delivery.spool.rejected.glob("*.error.txt")
    assert "raise the limit for request bodies" in error.read_text()


@pytest.mark.parametrize("fault", sorted(ANSWERS))
def test_no_answer_to_a_deletion_makes_it_be_given_up_or_taken_for_done(store: ClickHouse, faulty: FaultProxy, fault: str) -> None:
    faulty.erasing = fault
    with pytest.raises(TransientInsert, match="erasure from") as caught:
        ClickHouseInserter(store).erase([Erase("t", "u", 1)])
    assert "user_id" not in str(caught.value), "what a server quotes may have ids of people"
    assert ("raise the limit for request bodies" in str(caught.value)) == (fault == "413")


def test_a_table_that_refuses_a_deletion_does_not_keep_the_person_in_the_others(store: ClickHouse, faulty: FaultProxy) -> None:
    def outcomes() -> int:
        return int(query(store, "SELECT count() AS n FROM outcomes WHERE user_id = 'leaves'").item())

    ClickHouseInserter(store).insert("outcomes", to_frame(OutcomeFact, [make(OutcomeFact, user_id="leaves")]))
    assert outcomes() == 1
    faulty.erasing, faulty.refusing = "47", "events"
    with pytest.raises(TransientInsert, match="erasure from events"):
        ClickHouseInserter(store).erase([Erase("t", "leaves", 2)])
    assert outcomes() == 0


def test_a_busy_server_does_not_end_the_job_while_it_migrates(proxy: FaultProxy, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ClickHouse(url=f"http://127.0.0.1:{proxy.port}", database=database)
    for code, kind in ((202, StoreUnreachable), (241, StoreUnreachable), (497, StoreDenied)):

        def refuse(*_arguments: object, code: int = code, **_options: object) -> None:
            raise DatabaseError("Received ClickHouse exception", code=code)

        monkeypatch.setattr("clickhouse_connect.driver.httpclient.HttpClient.command", refuse)
        with pytest.raises(kind):
            migrate(store)
    monkeypatch.undo()
    assert migrate(store)
    store.close()


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_means_the_same_over_http_and_embedded(code: int) -> None:
    """Over HTTP it stands in a header, or in the text where a proxy took that; embedded the driver reads it from the text."""
    over_http = DatabaseError(f"Received ClickHouse exception, code: {code}, server response: Code: {code}. DB::Exception", code=code)
    without = DatabaseError(f"HTTP driver received HTTP status 500, server response: Code: {code}. DB::Exception: words")
    embedded = DatabaseError(f"Code: {code}. DB::Exception: words. (NAME)", code=code)
    for error in (over_http, without, embedded):
        assert code_of(error) == code
        assert meaning_of(error) is CODES[code]


def test_an_unknown_code_can_be_mended_on_the_server_and_silence_is_waited_for() -> None:
    assert meaning_of(DatabaseError("x", code=60)).fault is Fault.UNKNOWN
    assert meaning_of(DatabaseError("HTTP driver received HTTP status 500, server response: nothing")).fault is Fault.UNKNOWN
    assert meaning_of(OperationalError("Error HTTPConnectionPool executing HTTP request attempt 1")).fault is Fault.BUSY


# --------------------------------------------------------------------------------------------------------------------- address


def test_the_path_and_the_database_of_an_address_are_used(proxy: FaultProxy, database: str) -> None:
    proxy.prefix = "/clickhouse"
    for path in ("/clickhouse", "/clickhouse/"):
        store = ClickHouse(url=f"http://127.0.0.1:{proxy.port}{path}?database={database}")
        assert store.database == database
        assert store.where.endswith("/clickhouse")
        migrate(store)
        insert(store, path)
        assert events_in(store, path) == 1
        store.close()


def test_a_path_that_leads_nowhere_is_said_at_once(proxy: FaultProxy) -> None:
    proxy.prefix = "/clickhouse"
    with pytest.raises(StoreDenied, match="no ClickHouse at this path: correct the address in ONRAMP_CLICKHOUSE_URL"):
        ClickHouse(url=f"http://127.0.0.1:{proxy.port}/elsewhere").client()


def test_a_user_and_password_may_stand_in_the_options(server_url: str) -> None:
    store = ClickHouse(url=f"{server_url}?user=analyst&password={PASSWORD}", database="default")
    assert store.client().command("SELECT 1") == 1
    store.close()
    with pytest.raises(StoreDenied, match="user or password is wrong") as caught:
        ClickHouse(url=f"{server_url}?user=analyst&password=hunter2", database="default").client()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("clickhouse://h", "must begin with http://"),
        ("http://", "no host"),
        ("http://h:0", "valid port"),
        ("http://u:hunter2/x@h", "/ as %2F"),
        ("http://h#hunter2", "# as %23"),
        ("http://h?hunter2=1", "not known"),
        ("http://h?hunter2", "not complete"),
        ("http://h?database=a&database=a", "occurs twice"),
        ("http://h?database=", "has no value"),
        ("http://u:hunter2@h?password=hunter3", "two values for password"),
        ("http://h?ca_cert=/x", "begin the address with https"),
        ("https://h?client_cert_key=/x", "needs client_cert"),
    ],
)
def test_what_cannot_be_used_is_refused_without_quoting_it(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("?", r"\?")) as caught:
        parse_clickhouse_address(url)
    assert "hunter" not in str(caught.value)


def test_parts_of_an_address() -> None:
    address = parse_clickhouse_address("https://u:p%40%2F@[::1]/a/b/?database=d&ca_cert=/ca.pem")
    assert (address.host, address.port, address.path, address.user, address.password) == ("::1", 8443, "/a/b", "u", "p@/")
    assert (address.database, address.tls, address.where) == ("d", {"ca_cert": "/ca.pem"}, "https://[::1]:8443/a/b")
    assert "p@/" not in repr(address)


# ----------------------------------------------------------------------------------------------------------------------- HTTPS


class Secure:
    """Ports of HTTPS proxies before the server, which differ in their certificates."""

    def __init__(self, port: int, authority: Authority, stranger: Authority, stack: ExitStack) -> None:
        self.authority, self.stranger, self.plain = authority, stranger, port
        self.client = authority.sign("client")
        self.good = stack.enter_context(tls_proxy(port, authority.sign("good")))
        self.expired = stack.enter_context(tls_proxy(port, authority.sign("expired", expired=True)))
        self.other_host = stack.enter_context(tls_proxy(port, authority.sign("other", host="elsewhere", address="192.0.2.1")))
        self.mutual = stack.enter_context(tls_proxy(port, authority.sign("mutual"), clients=authority))

    def url(self, port: int, *, password: str = PASSWORD, options: str = "") -> str:
        return f"https://analyst:{password}@localhost:{port}?ca_cert={self.authority.file}{options}"


@pytest.fixture(scope="module")
def secure(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    authority, stranger = (make_authority(tmp_path_factory.mktemp(name)) for name in ("authority", "stranger"))
    with ExitStack() as stack:
        yield Secure(urlsplit(server_url).port or 0, authority, stranger, stack)


def test_https_with_an_authority_of_ones_own(secure: Secure, database: str) -> None:
    shown = f"&client_cert={secure.client.certificate}&client_cert_key={secure.client.key}"
    for url in (secure.url(secure.good), secure.url(secure.mutual, options=shown)):
        store = ClickHouse(url=url, database=database)
        migrate(store)
        insert(store, "e")
        assert events_in(store, "e") == 1
        store.close()


WRONG: dict[str, tuple[Callable[[Secure], str], str]] = {
    "an unknown authority": (lambda it: it.url(it.good).replace(str(it.authority.file), str(it.stranger.file)), "ca_cert=/path"),
    "no authority": (lambda it: it.url(it.good).partition("?")[0], "ca_cert=/path"),
    "an expired certificate": (lambda it: it.url(it.expired), "has expired: renew it"),
    "another host": (lambda it: it.url(it.other_host), "for another host name"),
    "a file that is missing": (lambda it: it.url(it.good, options="&client_cert=/no/such/file"), "cannot be read; correct the path"),
    "no TLS at the port": (lambda it: it.url(it.plain), "does not speak TLS at this port"),
    "a wrong password": (lambda it: it.url(it.good, password="hunter2"), "user or password is wrong"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_sentence_with_what_to_do(secure: Secure, what: str) -> None:
    url, advice = WRONG[what]
    store = ClickHouse(url=url(secure), database="default")
    with pytest.raises(StoreDenied) as caught:
        store.client()
    sentence = str(caught.value)
    assert advice in sentence
    assert "\n" not in sentence
    assert PASSWORD not in sentence
    assert "hunter2" not in sentence
