"""Objects in S3: whole or not there, read across cut connections, and every failure one sentence without a secret."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sources.errors import ObjectExistsError, ObjectMissingError, ObjectStoreError
from sources.s3 import transfer
from sources.s3.bucket import Bucket
from sources.s3.location import Location, LocationError, is_s3, parse_location
from sources.s3.transfer import downloading, uploading
from tests.support.s3 import SECRET, Fault, S3Server, point_to, s3_server


@pytest.fixture(scope="module")
def running_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(running_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    point_to(running_server, monkeypatch)
    running_server.seen.clear()
    yield running_server
    running_server.faults.clear()


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest) -> Iterator[Bucket]:
    bucket = server.bucket(f"t-{abs(hash(request.node.name))}")
    yield bucket
    bucket.close()


def nothing(_size: int) -> None:
    pass


def written(path: Path, size: int) -> bytes:
    data = os.urandom(size)
    path.write_bytes(data)
    return data


def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PART", 5 * 1024 * 1024)  # the least that S3 takes


# ---------------------------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("s3://company-backups", Location("company-backups", "")),
        ("S3://company.backups/", Location("company.backups", "")),
        ("s3://abc/a/b/", Location("abc", "a/b/")),
        ("s3://abc/a b/ä.tar.gz", Location("abc", "a b/ä.tar.gz")),
    ],
)
def test_an_address_names_a_bucket_and_an_object_or_a_place(text: str, location: Location) -> None:
    assert is_s3(text)
    assert parse_location(text) == location
    assert location.is_place == text.rstrip("s").endswith(("/", "backup"))


@pytest.mark.parametrize(
    "text",
    ["s3://", "s3://ab", "s3://UPPER/x", "s3://a..b/x", "s3://-ab/x", "s3://abc//x", "s3://abc/../x", "s3://abc/a\nb", "s3://abc/./x",
     "s3://abc/\udcff", f"s3://abc/{'x' * 1025}", "s3://key:secret@abc/x", "s3:///x", "s3:/abc/x", "s3:abc"],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(LocationError) as caught:
        parse_location(text)
    assert "secret@" not in str(caught.value)


def test_a_name_in_a_place_has_one_slash_before_it() -> None:
    assert [str(parse_location(f"s3://abc{place}").child("x")) for place in ("", "/", "/p/")] == [
        "s3://abc/x",
        "s3://abc/x",
        "s3://abc/p/x",
    ]


# ---------------------------------------------------------------------------------------------------------------------- transfers


def test_a_file_of_many_parts_comes_back_as_it_was(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)
    data = written(tmp_path / "f", 12_000_001)
    sent: list[int] = []
    with uploading(Location(bucket.name, "a/f")) as upload:
        upload.send(tmp_path / "f", sent.append)
    assert (sum(sent), len(sent)) == (len(data), 3)
    with downloading(Location(bucket.name, "a/f")) as file:
        assert file.read() == data


def test_an_empty_file_is_an_object(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with uploading(Location(bucket.name, "f")) as upload:
        upload.send(tmp_path / "f", nothing)
    assert bucket.get("f")[0] == b""


def test_an_upload_that_fails_leaves_no_object_and_no_parts(
    server: S3Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    written(tmp_path / "f", 11_000_000)
    server.faults.append(
        Fault(lambda method, where: method == "PUT" and "partNumber=2" in where, "refuse", "AccessDenied", "403 Forbidden")
    )
    with pytest.raises(ObjectStoreError, match="do not allow"), uploading(Location(bucket.name, "f")) as upload:
        upload.send(tmp_path / "f", nothing)
    assert list(bucket.list("")) == []
    assert "Uploads" not in bucket.request("list_multipart_uploads")


def test_parts_whose_answer_is_lost_are_sent_again(
    server: S3Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(tmp_path / "f", 100)
    for sign in ("partNumber=1", "uploads", "uploadId="):
        server.faults.append(Fault(lambda method, where, sign=sign: method in {"PUT", "POST"} and sign in where, "lose"))  # type: ignore[misc]
    server.faults.append(Fault(lambda method, where: method == "POST" and "uploadId=" in where, "lose"))  # the end, too
    with uploading(Location(bucket.name, "f")) as upload:
        upload.send(tmp_path / "f", nothing)
    assert bucket.get("f")[0] == data
    assert all(fault.times == 0 for fault in server.faults)


def test_a_store_that_knows_no_condition_at_the_end_of_an_upload_gets_it_without_one(
    server: S3Server, bucket: Bucket, tmp_path: Path
) -> None:
    def no_conditions() -> Fault:
        return Fault(lambda method, where: method == "POST" and "uploadId=" in where, "refuse", "NotImplemented", "501 Not Implemented")

    data = written(tmp_path / "f", 100)
    server.faults.append(no_conditions())
    with uploading(Location(bucket.name, "f")) as upload:
        upload.send(tmp_path / "f", nothing)
    assert bucket.get("f")[0] == data
    server.faults.append(no_conditions())
    with uploading(Location(bucket.name, "g")) as upload:
        bucket.put("g", b"first")
        with pytest.raises(ObjectExistsError):
            upload.send(tmp_path / "f", nothing)
    assert bucket.get("g")[0] == b"first"


def test_content_that_changed_on_its_way_is_refused(server: S3Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.s3.bucket.checksum_of", lambda _data: "YQ==")
    with pytest.raises(ObjectStoreError, match="damaged on its way"):
        bucket.put("k", b"1")


def test_an_object_that_is_there_is_not_replaced(server: S3Server, bucket: Bucket, tmp_path: Path) -> None:
    written(tmp_path / "f", 100)
    bucket.put("f", b"first")
    with pytest.raises(ObjectExistsError, match="exists already"), uploading(Location(bucket.name, "f")):
        raise AssertionError("nothing may be done before")
    late = Fault(lambda method, where: method == "POST" and "uploadId=" in where, "wait", meanwhile=lambda: bucket.put("g", b"first"))
    server.faults.append(late)
    with pytest.raises(ObjectExistsError), uploading(Location(bucket.name, "g")) as upload:
        upload.send(tmp_path / "f", nothing)
    assert (bucket.get("f")[0], bucket.get("g")[0]) == (b"first", b"first")


def test_a_read_goes_on_where_the_connection_was_cut(server: S3Server, bucket: Bucket) -> None:
    data = os.urandom(3_000_000)
    bucket.put("f", data)
    server.faults.append(Fault(lambda method, where: method == "GET" and where.endswith("/f"), "cut", times=3))
    with downloading(Location(bucket.name, "f")) as file:
        assert file.read() == data
    assert sum(method == "GET" for method, _ in server.seen) == 4


def test_a_read_of_an_object_that_was_replaced_meanwhile_ends(server: S3Server, bucket: Bucket) -> None:
    bucket.put("f", bytes(3_000_000))
    server.faults.append(Fault(lambda method, where: method == "GET" and where.endswith("/f"), "cut"))
    with downloading(Location(bucket.name, "f")) as file:
        assert file.read(1000) == bytes(1000)
        bucket.put("f", bytes(2_999_999) + b"1")
        with pytest.raises(ObjectStoreError):
            file.read()


def test_a_read_that_is_cut_at_the_same_byte_every_time_ends(server: S3Server, bucket: Bucket) -> None:
    bucket.put("f", b"1")
    server.faults.append(Fault(lambda method, where: method == "GET" and where.endswith("/f"), "cut", times=99))
    with downloading(Location(bucket.name, "f")) as file, pytest.raises(ObjectStoreError):
        file.read()


# ------------------------------------------------------------------------------------------------------------- objects and conditions


def test_conditions_keep_an_object_from_being_replaced(bucket: Bucket) -> None:
    tag = bucket.put("k", b"1", new=True)
    with pytest.raises(ObjectExistsError):
        bucket.put("k", b"2", new=True)
    assert bucket.get("k") == (b"1", tag)
    other = bucket.put("k", b"3", instead_of=tag)
    with pytest.raises(ObjectExistsError):
        bucket.put("k", b"4", instead_of=tag)
    assert bucket.get("k") == (b"3", other)
    bucket.remove("k")
    bucket.remove("k")
    with pytest.raises(ObjectMissingError):
        bucket.get("k")


def test_a_list_has_all_objects_of_a_place_however_many(server: S3Server, bucket: Bucket) -> None:
    from moto.s3.models import s3_backends

    backend = s3_backends["123456789012"]["global"]
    for number in range(1_001):
        backend.put_object(bucket.name, f"p/{number:04d}", b"12")
    bucket.put("other", b"1")
    found = list(bucket.list("p/"))
    assert [each.key for each in found] == [f"p/{number:04d}" for number in range(1_001)]
    assert {each.size for each in found} == {2}
    assert sum("list-type=2" in where for _, where in server.seen) == 2


# ----------------------------------------------------------------------------------------------------------------------- failures


def refused(code: str, status: str = "403 Forbidden") -> Callable[[S3Server, pytest.MonkeyPatch], None]:
    return lambda server, _patch: server.faults.append(Fault(lambda _method, _where: True, "refuse", code, status, times=99))


def without_credentials(_server: S3Server, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("AWS_ACCESS_KEY_ID")
    patch.delenv("AWS_SECRET_ACCESS_KEY")


def setting(name: str, value: str) -> Callable[[S3Server, pytest.MonkeyPatch], None]:
    return lambda _server, patch: patch.setenv(name, value)


def no_fault(_server: S3Server, _patch: pytest.MonkeyPatch) -> None:
    pass


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (no_fault, "There is no bucket no-such-bucket at http://127.0.0.1:"),
        (without_credentials, "There are no credentials for .*set AWS_ACCESS_KEY_ID"),
        (setting("AWS_PROFILE", "nobody"), "There are no credentials for .*AWS_PROFILE"),
        (setting("AWS_ENDPOINT_URL", f"http://user:{SECRET}@127.0.0.1:1"), "http://127.0.0.1:1 does not answer"),
        (setting("AWS_ENDPOINT_URL", "nonsense"), "AWS_ENDPOINT_URL is no address"),
        (refused("AccessDenied"), "do not allow"),
        (refused("InvalidAccessKeyId"), "are refused .InvalidAccessKeyId.*set AWS_ACCESS_KEY_ID"),
        (refused("SignatureDoesNotMatch"), "are refused .SignatureDoesNotMatch"),
        (refused("RequestTimeTooSkewed"), "The clock of this machine .*set the clock"),
        (refused("AuthorizationHeaderMalformed", "400 Bad Request"), "another region; set AWS_REGION"),
        (refused("EntityTooLarge", "400 Bad Request"), "refuses .*EntityTooLarge"),
    ],
)  # fmt: skip
def test_every_failure_is_one_sentence_without_a_secret(
    fault: Callable[[S3Server, pytest.MonkeyPatch], None], says: str, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(server, monkeypatch)
    with pytest.raises(ObjectStoreError, match=says) as caught, uploading(Location("no-such-bucket", "x")):
        raise AssertionError("nothing may be done before")
    assert SECRET not in repr(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_store_that_fails_for_a_while_is_asked_again(server: S3Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda _self, _context: 0.0)
    server.faults.append(Fault(lambda method, _where: method == "PUT", "refuse", "SlowDown", "503 Slow Down", times=4))
    bucket.put("k", b"1")
    server.faults.append(Fault(lambda method, _where: method == "PUT", "refuse", "SlowDown", "503 Slow Down", times=99))
    with pytest.raises(ObjectStoreError, match="fails for now"):
        bucket.put("k", b"2")


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real: Any = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("botocore"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ObjectStoreError, match=r"install onramp\[s3\]"):
        Bucket("abc")
