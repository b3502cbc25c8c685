"""What people say about guidance they want."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from state.duration import HOUR
from state.records.facts import PersonFact
from tests.state.lives import (
    Life,
    connect,
    counts,
    declined,
    event,
    signup,
    withdrawals,
)

NIGHT, NOON = {"start": "22:00", "end": "07:00"}, {"start": "12:00", "end": "13:00"}


def test_an_older_opt_out_is_not_lost_behind_newer_quiet_hours() -> None:
    life = Life()
    life.see(event("preferences_changed", 9, quietHours={"start": "22:00", "end": "07:00"}))
    life.see(event("preferences_changed", 5, log=10, guidance=False))
    assert life.person is not None
    assert (life.person.guidance, life.person.quiet_from, life.person.quiet_to) == (False, 22 * 60, 7 * 60)


def test_a_refusal_from_a_device_whose_clock_is_days_behind_is_not_lost() -> None:
    life = Life()
    life.see(signup(), event("page_view", 72 * HOUR, path="/"))
    told = life.see(event("preferences_changed", HOUR, log=72 * HOUR, guidance=False))
    assert counts(told, "events_ignored") == ["late"]
    assert life.person is not None
    assert life.person.guidance is False
    more = life.see(event("preferences_changed", HOUR + 1, log=72 * HOUR, guidance=True))
    first, second = (each for each in (*told, *more) if isinstance(each, PersonFact))
    assert (first.guidance, second.guidance, second.version > first.version) == (False, True, True), "the newest row of the user counts"
    life.see(event("preferences_changed", HOUR + 2, log=72 * HOUR, guidance=False))
    before = life.person.version
    again = life.see(event("preferences_changed", HOUR + 2, log=72 * HOUR, guidance=False))
    assert (life.person.guidance, life.person.version) == (False, before)
    assert not [row for row in again if isinstance(row, PersonFact)], "it changed nothing"


@pytest.mark.parametrize("said", [{"quietHours": NIGHT}, {"modelText": False}, {"channels": {"in_app": False}}], ids=str)
def test_each_preference_counts_though_it_is_late(said: dict[str, Any]) -> None:
    life, in_time = Life(), Life()
    life.see(signup(), event("page_view", 72 * HOUR, path="/"))
    told = life.see(event("preferences_changed", HOUR, log=72 * HOUR, **said))
    in_time.see(signup(), event("preferences_changed", HOUR, **said))
    assert life.person is not None
    assert in_time.person is not None
    for name in ("quiet_from", "quiet_to", "model_text", "refused"):
        assert getattr(life.person, name) == getattr(in_time.person, name)
    assert [each for each in told if isinstance(each, PersonFact)], "with a row"


def test_a_late_consent_does_not_undo_a_newer_refusal() -> None:
    life = Life()
    life.see(signup(), event("preferences_changed", 2 * HOUR, guidance=False), event("page_view", 72 * HOUR, path="/"))
    life.see(event("preferences_changed", HOUR, log=72 * HOUR, guidance=True))
    assert life.person is not None
    assert life.person.guidance is False


def test_guidance_on_the_screen_is_withdrawn_by_a_late_refusal() -> None:
    life = Life()
    life.see(signup(71 * HOUR), event("page_view", 72 * HOUR, path="/"))
    told = life.see(event("preferences_changed", HOUR, log=72 * HOUR, guidance=False))
    assert [each.reason for each in withdrawals(told)] == ["opted_out"]


def test_a_refusal_from_before_a_deletion_says_nothing_of_the_new_user() -> None:
    life = Life()
    life.see(signup(), event("user_deleted", 2 * HOUR), signup(3 * HOUR))
    life.see(event("preferences_changed", HOUR, log=4 * HOUR, guidance=False))
    assert life.person is not None
    assert life.person.guidance is True


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_of_an_opt_in_and_an_opt_out_at_the_same_instant_the_opt_out_wins(order: tuple[bool, bool]) -> None:
    life = Life()
    life.see(*(event("preferences_changed", 5, guidance=each) for each in order))
    assert life.person is not None
    assert life.person.guidance is False


@pytest.mark.parametrize("order", list(permutations([NIGHT, NOON, None])), ids=str)
def test_of_quiet_hours_at_the_same_instant_the_later_ones_win_and_any_win_over_none(order: tuple[Any, ...]) -> None:
    for length in (2, 3):
        told = order[:length]
        life = Life()
        life.see(*(event("preferences_changed", 5, quietHours=each) for each in told))
        assert life.person is not None
        assert life.person.quiet_from == (22 * 60 if NIGHT in told else 12 * 60)


def test_null_ends_quiet_hours_and_nonsense_leaves_them() -> None:
    life = Life()
    hours = [{"start": "22:00", "end": "07:00"}, {"start": "25:00", "end": "07:00"}, {"start": "22:00"}, "night", None]
    for at, quiet in enumerate(hours):
        told = life.see(event("preferences_changed", at, quietHours=quiet))
        assert life.person is not None
        assert life.person.quiet_from == (-1 if quiet is None else 22 * 60)
        assert counts(told, "values_unread") == (["quietHours"] if 0 < at < 4 else [])


IN_APP_REFUSED = [["email"], [], "email", "none", False, {"in_app": False}, {"inApp": "off", "email": True}, ["push"]]


@pytest.mark.parametrize("channels", IN_APP_REFUSED, ids=str)
def test_who_does_not_want_the_channel_gets_no_guidance_on_it(channels: Any) -> None:
    life = Life()
    assert declined(life.see(event("preferences_changed", 0, channels=channels), signup(1))) == ["opted_out"]
    life.reload()
    assert declined(life.see(event("preferences_changed", 2, channels=["in-app"]), connect(7 * HOUR))) == []
    assert [each.reason for each in withdrawals(life.see(event("preferences_changed", 7 * HOUR + 1, channels=channels)))] == ["opted_out"]


def test_an_object_changes_the_channels_that_it_names_and_undoes_no_other_refusal() -> None:
    life = Life()
    life.see(event("preferences_changed", 1, channels={"in_app": False}), event("preferences_changed", 2, channels={"email": False}))
    assert declined(life.see(signup(3))) == ["opted_out"]
    life.see(event("preferences_changed", 9, channels={"in_app": True}), event("preferences_changed", 8, log=9, channels={"email": True}))
    assert life.person is not None
    assert life.person.refused == []
    life.see(event("preferences_changed", 7, log=9, channels={"email": False}))
    assert life.person.refused == [], "an older refusal than the newest word on that channel"


@pytest.mark.parametrize("channels", [["in_app"], ["email", "inApp"], "all", True, {"email": False}, None, 7, {}, {"sms": False}])
def test_who_wants_the_channel_or_says_nothing_is_guided(channels: Any) -> None:
    life = Life()
    assert declined(life.see(event("preferences_changed", 0, channels=channels), signup(1))) == []
    assert withdrawals(life.see(event("preferences_changed", 2, channels=channels))) == []


@pytest.mark.parametrize("order", [(["email"], ["in_app"]), (["in_app"], ["email"])])
def test_of_two_lists_of_channels_at_the_same_instant_every_refusal_counts(order: tuple[list[str], ...]) -> None:
    life = Life()
    life.see(*(event("preferences_changed", 5, channels=each) for each in order), event("preferences_changed", 4, log=6, channels="all"))
    assert life.person is not None
    assert life.person.refused == ["email", "in_app"]


def test_a_trait_that_cannot_be_read_leaves_the_one_before_and_is_counted() -> None:
    life = Life()
    life.see(event("signup", 0, traits={"firstName": "Ana", "timezone": "europe/berlin", "persona": "analyst"}))
    told = life.see(event("identify", 1, traits={"firstName": "%FNAME%", "timezone": "America", "persona": ["analyst"], "hobby": []}))
    assert life.person is not None
    assert life.person.traits == {"firstName": "Ana", "timezone": "europe/berlin", "persona": "analyst"}
    assert sorted(counts(told, "values_unread")) == ["firstName", "persona", "timezone"]
