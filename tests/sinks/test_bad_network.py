"""Between the job and Redis: a network that cuts replies in the middle, changes bytes, is slow, or is gone for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest

from sinks.redis.reader import RecommendationReader
from sinks.redis.writer import RecommendationWriter
from tests.sinks.recommendation_samples import Time, publish
from tests.support.tcp_proxy import Network, tcp_proxy
from tests.support.valkey import Valkey
from tests.support.valkey_fixtures import valkey

__all__ = ["valkey"]  # fixtures

pytestmark = pytest.mark.timing

USERS = [f"user-{number}" for number in range(40)]


@pytest.fixture
def network(valkey: Valkey) -> Iterator[Network]:
    with tcp_proxy(valkey.port) as found:
        yield found


def written(valkey: Valkey, network: Network, version: int, time: Time) -> list[int | None]:
    """Write a record of each user through the network; return the versions that are in Valkey."""
    through = valkey.url.replace(str(valkey.port), str(network.port))
    with closing(RecommendationWriter(through, time.policy())) as writer, closing(RecommendationReader(valkey.url)) as reader:
        writer.write([publish("t", user, version) for user in USERS])
        return [getattr(reader.read("t", user), "version", None) for user in USERS]


@pytest.mark.parametrize("seed", [1, 6])
def test_a_reply_in_which_a_byte_is_another_one_is_asked_for_again(valkey: Valkey, network: Network, seed: int) -> None:
    network.rng, network.corrupt = Random(seed), 5
    assert written(valkey, network, seed + 1, Time()) == [seed + 1] * len(USERS)
    assert network.corrupted > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_reply_that_is_cut_off_is_asked_for_again(valkey: Valkey, network: Network, seed: int) -> None:
    network.rng, network.cuts, time = Random(seed), 3, Time()
    assert written(valkey, network, 100 + seed, time) == [100 + seed] * len(USERS)
    assert (network.cut, len(time.pauses)) == (3, 3)


def test_a_network_that_is_gone_is_waited_for(valkey: Valkey, network: Network) -> None:
    network.down = True
    time = Time(during=lambda number: setattr(network, "down", number < 4))
    assert written(valkey, network, 200, time) == [200] * len(USERS)
    assert len(time.pauses) == 4
