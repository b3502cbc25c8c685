"""Addresses of Redis: every part is used or refused, and no refusal quotes a part."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sinks.redis.address import OPTIONS, RedisAddress, parse_redis_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress("server", hosts=(("cache", 6379),))),
        ("redis://cache/", RedisAddress("server", hosts=(("cache", 6379),))),
        ("redis://cache:1/2", RedisAddress("server", hosts=(("cache", 1),), database=2)),
        ("redis://cache/2/", RedisAddress("server", hosts=(("cache", 6379),), database=2)),
        ("redis://cache?db=2", RedisAddress("server", hosts=(("cache", 6379),), database=2)),
        ("redis://[::1]:1/0", RedisAddress("server", hosts=(("::1", 1),))),
        ("redis://u:p%40%2F%23@cache", RedisAddress("server", hosts=(("cache", 6379),), options={"username": "u", "password": "p@/#"})),
        ("redis://:p@ss@cache", RedisAddress("server", hosts=(("cache", 6379),), options={"password": "p@ss"})),
        ("redis://cache?password=p", RedisAddress("server", hosts=(("cache", 6379),), options={"password": "p"})),
        (
            "rediss://cache?ssl_ca_certs=/ca.pem&ssl_check_hostname=no&socket_timeout=1.5",
            RedisAddress(
                "server",
                tls=True,
                hosts=(("cache", 6379),),
                options={"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False, "socket_timeout": 1.5},
            ),
        ),
        ("unix://:p@/a%20b/s?db=3", RedisAddress("socket", path="/a b/s", database=3, options={"password": "p"})),
        ("redis+cluster://a:1,b", RedisAddress("cluster", hosts=(("a", 1), ("b", 6379)))),
        ("rediss+cluster://u:p@a/0", RedisAddress("cluster", tls=True, hosts=(("a", 6379),), options={"username": "u", "password": "p"})),
        (
            "redis+sentinel://:p@a,b:2/main/1?sentinel_username=s&sentinel_password=q",
            RedisAddress(
                "sentinel",
                hosts=(("a", 26379), ("b", 2)),
                service="main",
                database=1,
                options={"password": "p"},
                sentinel_options={"username": "s", "password": "q"},
            ),
        ),
    ],
)
def test_every_part_is_read(url: str, address: RedisAddress) -> None:
    assert parse_redis_address(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("cache:6379", "must begin with redis://"),
        ("http://cache", "must begin with redis://"),
        ("redis://", "no host"),
        ("redis://:hunter2@", "no host"),
        ("redis://cache:0", "valid port"),
        ("redis://cache:66000", "valid port"),
        ("redis://a,b", "no host"),
        ("redis://cache/hunter2", "number of a database"),
        ("redis://cache/1/2", "number of a database"),
        ("redis://cache/-1", "number of a database"),
        ("redis://cache?db=-1", "number of a database"),
        ("redis://cache/1?db=2", "different databases"),
        ("redis://cache#hunter2", "# as %23"),
        ("redis://:hunter2/x@cache", "/ as %2F"),
        ("redis://:hunter2?x@cache", "? as %3F"),
        ("redis://cache:1?a=hunter2@cache", "@ as %40"),
        ("redis://cache?hunter2=1", "not known"),
        ("redis://cache?db", "not complete"),
        ("redis://cache?db=1&db=1", "occurs twice"),
        ("redis://cache?db=hunter2", "option db has no valid value"),
        ("redis://cache?socket_timeout=0", "no valid value"),
        ("redis://cache?socket_timeout=nan", "no valid value"),
        ("rediss://cache?ssl_cert_reqs=hunter2", "no valid value"),
        ("redis://cache?ssl_ca_certs=/x", "begin the address with rediss"),
        ("redis://:hunter2@cache?password=hunter3", "two values for password"),
        ("redis://cache?sentinel_password=hunter2", "redis+sentinel:// only"),
        ("redis+cluster://a/1", "database 0 only"),
        ("redis+sentinel://a", "name the service"),
        ("redis+sentinel://a/", "name the service"),
        ("redis+sentinel://a/s/t", "number of a database"),
        ("unix://", "no path"),
        ("unix://path/to", "begins with /"),
    ],
)
def test_what_cannot_be_used_is_refused_without_quoting_it(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        parse_redis_address(url)
    assert "hunter" not in str(caught.value)


@given(st.text(max_size=60), st.sampled_from(["redis://", "rediss+sentinel://", "redis+cluster://", "unix://", ""]))
@example("[", "redis://")
@example("[::1", "redis+cluster://")
@example("h?" + "&".join("db=1" for _ in range(60)), "redis://")
def test_no_text_does_more_than_be_refused(text: str, scheme: str) -> None:
    try:
        address = parse_redis_address(scheme + text)
    except ValueError:
        return
    assert address.hosts or address.path


def test_an_address_does_not_show_its_secrets() -> None:
    assert "hunter2" not in repr(parse_redis_address("redis+sentinel://u:hunter2@a/s?sentinel_password=hunter2"))


def test_every_option_is_an_argument_of_the_client() -> None:
    """Those of the sentinels lose their prefix, and the number of the database comes last."""
    for name in OPTIONS:
        scheme, value = ("rediss+sentinel", "none" if name == "ssl_cert_reqs" else "1")
        address = parse_redis_address(f"{scheme}://a/s?{name}={value}")
        found = {**address.options, **{f"sentinel_{key}": text for key, text in address.sentinel_options.items()}, "db": address.database}
        assert found[name] not in {None, ""}
