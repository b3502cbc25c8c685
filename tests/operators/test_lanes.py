"""Which worker owns a key, asked of the engine; and how batches are split by it."""

from __future__ import annotations

from collections import defaultdict
from threading import get_ident

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import TestingSink, TestingSource, cluster_main

from operators.lanes import Lanes, by_key, is_lane
from operators.placement import owner, siphash13
from state.ids import Keys

STREAM_KEYS = [Keys(b"a secret").stream_key("default", f"u{number}") for number in range(100)]
HASHED = {
    b"onramp": 11515573659533790700,
    b"0": 5313149338359954478,
    b"a key of 16 byte": 4627704465622830107,
    b"a longer key, of more than three words": 7797313618379215222,
}
"""Hashes that CPython 3.11 gives with ``PYTHONHASHSEED=0``: its hash of bytes is SipHash-1-3, too."""
OTHERS = ["", "0", "default|stuck:errors", "tenant:default", "ü" * 9, "naïve – ключ", "x" * 300]


def placed(keys: list[str], workers: int) -> dict[str, int]:
    """The thread of the worker that the engine gives each key. Bytewax places keys by worker, whether they are threads or processes."""
    found: dict[str, int] = {}

    class Noting(StatefulBatchLogic[str, None, None]):
        def on_batch(self, values: list[str]) -> tuple[list[None], bool]:
            found[values[0]] = get_ident()
            return [], False

        def snapshot(self) -> None:
            return None

    flow = Dataflow("placement")
    items = op.input("items", flow, TestingSource([(key, key) for key in keys]))
    op.output("out", op.stateful_batch("own", items, lambda _nothing: Noting()), TestingSink(list[tuple[str, None]]()))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    return found


@pytest.mark.parametrize("workers", range(2, 9))
def test_lanes_are_where_the_engine_puts_the_keys(workers: int) -> None:
    lanes = Lanes(workers)
    keys = [*STREAM_KEYS, *OTHERS]
    found = placed(list(dict.fromkeys([*keys, *map(lanes.of, keys), *lanes.every])), workers)
    assert {key: found[lanes.of(key)] for key in keys} == {key: found[key] for key in keys}
    assert len({lanes.of(key) for key in keys}) == workers
    assert len({found[lane] for lane in lanes.every}) == workers
    assert all(map(is_lane, (*lanes.every, *map(lanes.of, keys))))
    assert not any(map(is_lane, keys))


def test_as_many_workers_as_a_job_may_have_own_a_lane_each() -> None:
    for workers in range(1, 65):
        assert {owner(lane, workers) for lane in Lanes(workers).every} == set(range(workers))


def test_the_owner_of_a_key_is_one_of_the_workers() -> None:
    assert {owner(key, 5) for key in STREAM_KEYS} == set(range(5))
    assert {owner(key, 1) for key in STREAM_KEYS} == {0}


def test_the_hash_is_siphash_1_3() -> None:
    assert {data: siphash13(data) for data in HASHED} == HASHED


def test_one_worker_takes_the_whole_batch_in_one_lane() -> None:
    batch = [(key, number) for number, key in enumerate(STREAM_KEYS)]
    assert Lanes(1).bundles(batch) == [("lane 0", batch)]
    assert Lanes(1).bundles([]) == []


def test_bundles_keep_what_has_one_key_in_order() -> None:
    lanes = Lanes(4)
    batch = [(STREAM_KEYS[number % 7], number) for number in range(50)]
    split = lanes.bundles(batch)
    assert 1 < len(split) <= 4
    assert sorted((each for _, some in split for each in some), key=lambda each: each[1]) == batch
    for lane, some in split:
        assert {lanes.of(key) for key, _ in some} == {lane}
        assert some == sorted(some, key=lambda each: each[1])


def test_items_of_one_key_become_one_list() -> None:
    expected = defaultdict[str, list[int]](list)
    for number in range(9):
        expected[f"k{number % 2}"].append(number)
    assert by_key((f"k{number % 2}", number) for number in range(9)) == list(expected.items())
    assert by_key(iter(())) == []
