"""Which events of users are news for the steps of visitors: of one partition only later ones, of another each, and once.

And in which order the others pass.
"""

from __future__ import annotations

import pickle
from threading import Barrier, Thread

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from operators.decode import Decoded
from operators.lanes import Lanes
from operators.link import AddressedMerging, Linked, VisitorIds, link_step
from state.event import Event
from state.messages import Tick
from state.person.link import seen_as_user
from tests.state.lives import KEYS, event
from tests.support.waiting import join

KEY = KEYS.stream_key("t", "u")


def of_user(partition: int, seq: int) -> Event:
    """An event of the user "u" at this place of the input."""
    return msgspec.structs.replace(event("page_view", path="/"), partition=partition, seq=seq)


def test_what_came_before_in_the_same_partition_is_no_news() -> None:
    ids = VisitorIds()
    ids.add(KEY, 1, 100)
    assert ids.take([(KEY, of_user(1, 98))]) == []
    assert [key for key, _ in ids.take([(KEY, of_user(1, 102))])] == [KEY]


def test_partitions_have_no_common_order_so_any_event_of_another_one_is_news() -> None:
    ids = VisitorIds()
    ids.add(KEY, 1, 1_000_000)
    assert len(ids.take([(KEY, of_user(2, 4))])) == 1


def test_after_a_restart_any_event_is_news_and_only_the_first_one() -> None:
    ids = VisitorIds()
    ids.add(KEY)
    assert len(ids.take([(KEY, of_user(0, 2)), (KEY, of_user(0, 4))])) == 1
    assert ids.take([(KEY, of_user(0, 6))]) == []


def test_several_workers_that_meet_a_user_at_once_tell_of_it_once() -> None:
    """Each thread looks at thousands of keys that all of them hold; one that another took in between is no fault."""
    ids, keys = VisitorIds(), [str(number) for number in range(5_000)]
    for key in keys:
        ids.add(key)
    together, found = Barrier(4), list[AddressedMerging]()

    def work() -> None:
        together.wait(30)
        found.extend(ids.take((key, of_user(0, 2)) for key in keys))

    threads = [Thread(target=work, daemon=True) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        join(each, "a worker that looks for users")
    assert sorted(key for key, _ in found) == sorted(keys)


def test_a_deletion_passes_among_the_events_of_its_user_and_goes_to_their_identity_beside() -> None:
    batch, lanes = Decoded(), Lanes(2)
    for seq in range(0, 60, 2):
        key = KEYS.stream_key("t", f"u{seq % 10}")
        if seq % 6:
            batch.events.append((key, of_user(0, seq)))
        else:
            batch.identity.append((key, msgspec.structs.replace(of_user(0, seq), type="user_deleted")))
    passed = list[tuple[str, Linked]]()
    flow = Dataflow("link")
    op.output("out", link_step("link", op.input("in", flow, TestingSource([batch])), VisitorIds(), lanes), TestingSink(passed))
    run_main(flow)  # type: ignore[no-untyped-call]
    assert len({lane for lane, _ in passed}) == len(passed) == 2
    for lane, linked in passed:
        mine = sorted((each for each in [*batch.events, *batch.identity] if lanes.of(each[0]) == lane), key=lambda each: each[1].seq)
        assert linked.arrivals == mine
        assert linked.users == [each for each in batch.identity if lanes.of(each[0]) == lane]


def test_what_passes_arrives_in_another_process_as_it_was_sent() -> None:
    here = Linked(arrivals=[(KEY, of_user(0, 1))], ticks=[Tick(0, 1, 3)])
    here.chained = [seen_as_user(of_user(0, 2), key=KEY, user="u")]
    there: Linked = pickle.loads(pickle.dumps(here))
    for name in ("arrivals", "chained", "ticks", "users", "visitors"):
        assert getattr(there, name) == getattr(here, name)
