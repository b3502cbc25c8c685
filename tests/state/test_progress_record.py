"""The progress that the app reads: published whenever it changes, and only then."""

from __future__ import annotations

from itertools import pairwise

from state.duration import HOUR, MINUTE
from state.records.progress import Progress, PublishProgress, decode_progress, encode_progress
from state.times import rfc3339
from tests.state.lives import START, Life, anonymously, event, signup, track


def published(life: Life) -> list[Progress | None]:
    """The records of ``life`` in order."""
    return [each.progress for each in life.outputs if isinstance(each, PublishProgress)]


def statuses(record: Progress | None) -> dict[str, str]:
    assert record is not None
    return {step.id: step.status for step in record.steps}


def test_a_record_tells_path_steps_and_what_is_next() -> None:
    life = Life()
    life.see(signup(), track("connected", 5 * MINUTE))
    first, second = published(life)
    assert statuses(first) == {"connect": "current", "explore": "open", "invite": "open", "share": "open"}
    assert statuses(second) == {"connect": "done", "explore": "current", "invite": "open", "share": "open"}
    assert second is not None
    assert (second.path_id, second.path_title, second.next_step, second.activated_at) == ("analysts", "Analysts", "explore", None)
    assert second.steps[0].completed_at == second.updated_at == rfc3339(START + 5 * MINUTE)
    assert (second.steps[1].title, second.steps[1].link, second.steps[1].completed_at) == ("ask three questions", "/explore", None)
    assert decode_progress(encode_progress(second)) == second


def test_events_without_progress_publish_nothing() -> None:
    life = Life()
    life.see(signup(), *[event("page_view", at * MINUTE, path="/connect") for at in range(1, 20)])
    assert len(published(life)) == 1


def test_a_named_step_is_completed_like_one_whose_matcher_matched() -> None:
    life = Life()
    life.see(signup(), event("step_completed", MINUTE, step="explore"), event("step_completed", 2 * MINUTE, step="connect"))
    waiting, both = published(life)[1:]
    assert statuses(waiting) == {"connect": "current", "explore": "open", "invite": "open", "share": "open"}
    assert statuses(both) == {"connect": "done", "explore": "done", "invite": "current", "share": "open"}
    assert both is not None
    assert both.steps[1].completed_at == rfc3339(START + 2 * MINUTE), "not before the step that it requires"


def test_what_the_app_waits_for_is_published_though_nothing_changed() -> None:
    life = Life()
    life.see(signup(), signup(MINUTE), event("step_completed", 2 * MINUTE, step="no such step"))
    life.see(event("step_completed", 3 * MINUTE, step="invite"), event("step_completed", 4 * MINUTE, step="invite"))
    records = [each for each in published(life) if each is not None]
    assert all(earlier.version < later.version for earlier, later in pairwise(records))
    assert [statuses(each)["invite"] for each in records] == ["open", "open", "open", "done", "done"]
    life.see(event("step_completed", 4 * MINUTE, step="invite"))
    assert len(published(life)) == 5, "a repetition tells nothing"


def test_activation_and_the_end_of_the_path_are_told() -> None:
    life = Life()
    life.see(signup(), track("connected", MINUTE), *[track("explored", at * MINUTE) for at in (2, 3, 4)])
    activated = published(life)[-1]
    assert activated is not None
    assert activated.activated_at == rfc3339(START + 4 * MINUTE)
    life.see(event("form_submit", HOUR, form="invite"), track("shared", 2 * HOUR, public=True))
    last = published(life)[-1]
    assert last is not None
    assert (set(statuses(last).values()), last.next_step) == ({"done"}, None)


def test_an_earlier_time_of_completion_is_told_too() -> None:
    life = Life()
    life.see(signup(), track("connected", 10 * MINUTE), track("connected", 5 * MINUTE, log=11 * MINUTE, ident="late"))
    last = published(life)[-1]
    assert last is not None
    assert last.steps[0].completed_at == rfc3339(START + 5 * MINUTE)


def test_versions_grow_and_a_new_path_has_its_own_steps() -> None:
    life = Life()
    life.see(signup(), track("connected", MINUTE), event("identify", 2 * MINUTE, traits={"persona": "builder"}))
    records = [each for each in published(life) if each is not None]
    assert all(older.version < newer.version for older, newer in pairwise(records))
    assert statuses(records[-1]) == {"invite": "current", "connect": "done"}


def test_a_merged_visitor_s_progress_is_removed() -> None:
    life = Life()
    life.see(anonymously(signup()), anonymously(track("connected", MINUTE)))
    life.become("known", 2 * MINUTE)
    assert published(life)[-1] is None


def test_who_has_no_path_has_no_progress() -> None:
    life = Life()
    life.see(signup(persona="nobody"))
    assert [each for each in published(life) if each is not None] == []
