"""Who stays awake: people who are active again soon."""

from __future__ import annotations

import threading

import pytest

from operators.awake import AT_ONCE, AwakePeople
from tests.support.waiting import join


class Somebody:
    """A person that says whether it is awake, and how often it was encoded. As in the dataflow, an encoded one is not encoded again."""

    def __init__(self, people: AwakePeople) -> None:
        """Nobody was active yet."""
        self.awake, self.changed, self.encodings, self.asked = False, False, 0, 0
        self._people = people

    def active(self) -> None:
        """What the dataflow does for each activity."""
        self.awake = self.changed = True
        self._people.active(self)

    def snapshot(self) -> bytes:
        self.asked += 1
        self.encodings += self.changed
        self.changed = False
        self._people.encoded(self)
        return b""

    def rest(self) -> None:
        self.snapshot()
        self.awake = False


def crowd(people: AwakePeople, count: int) -> list[Somebody]:
    """People of whom each was active once, one after the other."""
    found = [Somebody(people) for _ in range(count)]
    for each in found:
        each.active()
    return found


def awake(of: list[Somebody]) -> list[int]:
    """The places of those who are awake."""
    return [place for place, each in enumerate(of) if each.awake]


def test_who_was_never_active_before_comes_to_rest_encoded() -> None:
    people = crowd(AwakePeople(5), 3)
    assert awake(people) == []
    assert [each.encodings for each in people] == [1, 1, 1]


def test_nobody_at_rest_is_asked_for_a_snapshot_while_there_is_nothing_else_to_do() -> None:
    keeper = AwakePeople(5)
    people = crowd(keeper, 3)
    people[0].active()
    asked = [each.asked for each in people]
    keeper.encode_some()
    keeper.encode_some()
    assert [each.asked for each in people] == [asked[0] + 1, *asked[1:]]


def test_who_returns_before_so_many_others_came_to_rest_stays_awake_and_is_not_encoded() -> None:
    people = crowd(AwakePeople(5), 5)
    for each in people:
        each.active()
    assert awake(people) == [0, 1, 2, 3, 4]
    assert [each.encodings for each in people] == [1] * 5
    for each in people * 3:
        each.active()
    assert [each.encodings for each in people] == [1] * 5


def test_who_returns_later_comes_to_rest_again() -> None:
    people = crowd(AwakePeople(4), 5)
    for each in people * 2:
        each.active()
    assert awake(people) == []
    assert [each.encodings for each in people] == [3] * 5


def test_people_who_come_once_displace_nobody() -> None:
    keeper = AwakePeople(2)
    (regular,) = crowd(keeper, 1)
    regular.active()
    assert awake(crowd(keeper, 100)) == []
    regular.active()
    assert (regular.awake, regular.encodings) == (True, 1)


def test_the_one_whose_activity_is_longest_ago_makes_room() -> None:
    keeper = AwakePeople(2)
    first, second, third = people = [Somebody(keeper) for _ in range(3)]
    for each in (first, first, second, second, first):
        each.active()
    assert awake(people) == [0, 1]
    third.active()
    assert awake(people) == [0, 1]
    third.active()
    assert awake(people) == [0, 2]
    assert (second.encodings, second.changed) == (2, False)
    second.active()
    assert awake(people) == [0, 2], "who made room begins again"
    second.active()
    assert awake(people) == [1, 2]


def test_with_room_for_nobody_everybody_rests() -> None:
    people = crowd(AwakePeople(0), 1)
    people[0].active()
    assert awake(people) == []


def test_who_stays_awake_is_encoded_while_there_is_nothing_else_to_do() -> None:
    keeper = AwakePeople()
    people = crowd(keeper, AT_ONCE + 1)
    for each in people:
        each.active()
    keeper.encode_some()
    assert [each.encodings for each in people] == [2] * AT_ONCE + [1]
    people[0].active()
    keeper.encode_some()
    keeper.encode_some()
    assert [each.encodings for each in people] == [3] + [2] * AT_ONCE
    assert len(awake(people)) == AT_ONCE + 1


@pytest.mark.timing
def test_each_worker_has_people_of_its_own() -> None:
    keeper = AwakePeople(1)
    mine, other = Somebody(keeper), Somebody(keeper)

    def live(somebody: Somebody) -> None:
        somebody.active()
        somebody.active()

    live(mine)
    worker = threading.Thread(target=live, args=(other,), daemon=True)
    worker.start()
    join(worker, "the other worker")
    assert mine.awake
    assert other.awake
