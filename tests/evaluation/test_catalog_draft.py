"""Drafting a catalog from made-up logs: which steps, in which order, which are optional, what activates."""

from __future__ import annotations

import re
from collections.abc import Iterable
from random import Random

import pytest

from evaluation.catalog_draft import DOZENS, MOST_STEPS, Draft, DraftError, draft, nine_of_ten
from evaluation.catalog_draft_text import catalog_text, quoted
from evaluation.catalog_fit import CatalogFit
from evaluation.drafted_ids import drafted_ids
from evaluation.event_histories import MOST_VALUES, EventHistories, Kind
from state.catalog.parse import parse
from state.catalog.set_measured import set_measured
from state.catalog.yaml_text import read
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.event import Event
from tests.state.lives import START, anonymously, event, signup, track


def drafted(events: Iterable[Event]) -> Draft:
    log = EventHistories()
    for each in events:
        log.add(each)
    return draft(log)


def life(user: int, *names: str, minutes: int = 10) -> list[Event]:
    """A sign-up, then one named event after the other."""
    who = f"u{user}"
    return [signup(user=who), *(track(name, (at + 1) * minutes * MINUTE, user=who) for at, name in enumerate(names))]


def lives(*kinds: tuple[int, str]) -> list[Event]:
    """So many users with these steps each, in words."""
    numbers = iter(range(10_000))
    return [each for many, names in kinds for _ in range(many) for each in life(next(numbers), *names.split())]


def ids(found: Draft) -> list[str]:
    return [step.id for step in found.steps]


def reasons(found: Draft) -> dict[str, str]:
    return {each.kind.subject: each.why for each in found.left_out}


def test_steps_stand_in_the_order_of_most_users_who_did_both() -> None:
    found = drafted(lives((30, "zeta alpha mid"), (8, "alpha zeta mid"), (5, "mid zeta"), (9, "zeta")))
    assert ids(found) == ["zeta", "alpha", "mid"]
    assert (found.activates, found.early) == ("mid", 5)
    assert "    # 5 of them did it while an earlier step was open" in catalog_text(found, "P")
    assert [step.users for step in found.steps] == [52, 38, 43]


@pytest.mark.parametrize(("others", "said"), [(11, True), (9, True), (6, False), (0, False)])
def test_of_two_steps_in_a_row_that_have_no_order_a_comment_says_so(others: int, said: bool) -> None:
    """Ten users do one first, so many the other."""
    found = drafted(lives((10, "logo bank end"), (others, "bank logo end")))
    (one, other, _) = ids(found)
    pairs = [(one, other, max(10, others), 10 + others)] if said else []
    assert found.no_order == pairs
    comment = f"    # {max(10, others)} of {10 + others} who did {one} and {other} did {one} first, about half: no order."
    assert (comment in catalog_text(found, "P")) == said


@pytest.mark.parametrize(("minutes", "said"), [(10, "10m"), (7 * 60, "")])
def test_where_steps_take_less_than_the_cooldown_a_comment_says_so(minutes: int, said: str) -> None:
    found = drafted(each for n in range(20) for each in life(n, "one", "two", minutes=minutes))
    text = catalog_text(found, "P")
    assert f"`limits: {{cooldown: {said}}}`, and `daily_cap` above 3." in text if said else "cooldown" not in text
    parse(text, "")


def test_a_circle_of_preferences_and_a_tie_give_one_order_whatever_the_order_of_users() -> None:
    people = [
        life(n, *names) for n, names in enumerate([("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")] * 10 + [("x", "y"), ("y", "x")] * 9)
    ]
    first = drafted([each for one in people for each in one])
    Random(3).shuffle(people)
    assert drafted([each for one in people for each in one]) == first
    assert sorted(ids(first)) == ["a", "b", "c", "x", "y"]


def test_a_step_that_many_skip_while_they_go_on_is_optional() -> None:
    found = drafted(lives((40, "one two three"), (30, "one three"), (20, "one")))
    assert [(step.id, step.optional, step.skipped) for step in found.steps] == [("one", False, 0), ("two", True, 30), ("three", False, 0)]
    said = catalog_text(found, "P")
    assert "    optional: true  # 30 users went on without it\n    # Who leaves it out may wait here for long" in said
    assert said.count("`alarms: false`") == 1


def test_the_few_of_a_side_branch_make_no_main_step_optional() -> None:
    late = [track("side", 100 * MINUTE, user=f"side{n}") for n in range(9)]
    found = drafted([*lives((100, "one two")), *(signup(user=f"side{n}") for n in range(9)), *late])
    assert [(step.id, step.optional) for step in found.steps] == [("one", False), ("two", False), ("side", False)]
    assert found.activates == "two"


def test_what_is_repeated_rare_or_the_beginning_is_no_step() -> None:
    users = [each for n in range(40) for each in life(n, "opened", "built")]
    beats = [track("beat", at * 15 * SECOND, user=f"u{n}") for n in range(40) for at in range(4, 4 + DOZENS)]
    hello = [track("hello", 0, user=f"u{n}", ident=f"hello{n}") for n in range(40)]
    found = drafted([*users, *beats, *hello, *life(1, "odd")])
    assert ids(found) == ["opened", "built"]
    assert reasons(found) == {"hello": "users begin with it", "beat": "repeated, 12 times by the median user", "odd": "too few users"}
    assert "#   track beat: 40 of 40 users (100 %); repeated" in catalog_text(found, "P")


def test_one_time_less_than_dozens_is_a_step() -> None:
    beats = [track("beat", at * MINUTE, user=f"u{n}") for n in range(20) for at in range(1, DOZENS)]
    assert ids(drafted([*lives((20, "opened")), *beats])) == ["beat", "opened"]


def test_of_a_form_and_its_event_the_event_is_the_step() -> None:
    forms = [event("form_submit", 10 * MINUTE - 300, user=f"u{n}", form="company") for n in range(20)]
    found = drafted([*lives((20, "company_saved used")), *forms])
    assert ids(found) == ["company_saved", "used"]
    assert reasons(found) == {"company": "comes together with company_saved"}


def test_pages_are_steps_only_where_there_is_nothing_else() -> None:
    pages = [event("page_view", at * MINUTE, user=f"u{n}", path=path) for n in range(12) for at, path in enumerate(("/a", "/b", "/c"))]
    found = drafted(pages)
    assert [(step.kind.type, step.kind.subject) for step in found.steps] == [("page_view", "/b"), ("page_view", "/c")]
    assert {step.kind.type for step in drafted([*pages, *lives((12, "made"))]).steps} == {"track"}
    clicks = [event("button_click", 5 * MINUTE, user=f"u{n}", target="go") for n in range(12)]
    assert ids(drafted([*pages, *clicks])) == ["go"]


def test_at_most_so_many_steps_the_most_common() -> None:
    names = [f"s{n}" for n in range(MOST_STEPS + 3)]
    found = drafted(each for n in range(60) for each in life(n, *names[: 1 + n % len(names)]))
    assert ids(found) == names[:MOST_STEPS]
    assert set(reasons(found).values()) == {f"not among the {MOST_STEPS} most common"}


def test_users_who_never_sign_up_are_only_observed() -> None:
    old = [track("used", MINUTE, user=f"old{n}") for n in range(30)]
    found = drafted([*lives((25, "made used")), *old])
    assert (found.users, found.others) == (25, 30)
    text = catalog_text(found, "P")
    assert "starts: {when: signup}\n" in text
    assert "30 more never signed up" in text


def test_a_sign_up_after_looking_around_is_a_step() -> None:
    seen = [event("page_view", -9 * MINUTE, user=f"u{n}", path="/") for n in range(20)]
    found = drafted([*seen, *lives((20, "made"))])
    assert ids(found) == ["signup", "made"]
    assert found.steps[0].calendar == [9 * MINUTE] * 20
    assert parse(catalog_text(found, "P"), "").steps[0].complete[0].type == "signup"


def test_what_a_visitor_did_counts_for_the_user() -> None:
    events = []
    for n in range(10):
        looked = track("looked", MINUTE, user=f"c{n}")
        events += [anonymously(each) for each in (event("page_view", 0, user=f"c{n}", path="/"), looked)]
        events += [event("identity_merged", 2 * MINUTE, user=f"u{n}", previousId=f"c{n}"), track("made", 3 * MINUTE, user=f"u{n}")]
    found = drafted(events)
    assert (found.users, ids(found)) == (10, ["looked", "made"])
    assert found.steps[1].calendar == [2 * MINUTE] * 10
    assert found.steps[1].active == [MINUTE] * 10  # from the merge on, as in the engine


def test_a_deleted_user_is_forgotten() -> None:
    assert drafted([*lives((3, "a b")), event("user_deleted", 60 * MINUTE, user="u1")]).users == 2


@pytest.mark.parametrize(
    ("events", "words"),
    [([], "has no users"), ([signup()], "no event that could be a step"), ([track(" ", 0)], "no event that could be a step")],
)
def test_a_log_without_steps_is_refused(events: list[Event], words: str) -> None:
    with pytest.raises(DraftError, match=words):
        drafted(events)


def test_one_user_is_enough_for_a_draft_without_times() -> None:
    found = drafted(life(1, "made"))
    catalog = parse(catalog_text(found, "P"), "")
    assert [(step.id, step.usual) for step in catalog.steps] == [("made", None)]


def test_times_are_those_of_the_current_step() -> None:
    found = drafted(lives((60, "one two"), (10, "two one")))
    one, two = found.steps
    assert (one.completions, two.completions) == (60, 60)  # who did the second first has left the first
    assert set(one.calendar) == set(two.active) == {10 * MINUTE}
    step = parse(catalog_text(found, "P"), "").steps[0]
    assert (step.typical, step.usual) == (10 * MINUTE, 10 * MINUTE)


def test_who_does_a_step_with_the_first_event_was_never_at_it() -> None:
    first = [event("page_view", 0, user=f"u{n}", path="/") for n in range(12)]
    later = (track("one", MINUTE if n < 12 else 0, user=f"u{n}") for n in range(60))
    found = drafted([*first, *later, *(track("two", 5 * MINUTE, user=f"u{n}") for n in range(60))])
    one, two = found.steps
    assert (one.users, one.at_once, one.calendar, two.at_once, len(two.calendar)) == (60, 48, [MINUTE] * 12, 0, 60)
    assert "    # 60 of 60 users (100 %) did it, 48 of them with their first event: nobody waited.\n" in catalog_text(found, "P")


def test_a_visitor_who_does_a_step_with_the_first_event_was_never_at_it_as_a_user() -> None:
    events = []
    for n in range(20):
        seen = event("page_view", 0, user=f"c{n}", path="/") if n < 8 else track("one", 0, user=f"c{n}")
        events += [anonymously(seen), event("identity_merged", 2 * MINUTE, user=f"u{n}", previousId=f"c{n}")]
        events += [track("one", 3 * MINUTE, user=f"u{n}"), track("two", 5 * MINUTE, user=f"u{n}")]
    one, two = drafted(events).steps
    assert (one.id, one.users, one.at_once, one.calendar) == ("one", 20, 12, [3 * MINUTE] * 8)
    assert (two.at_once, len(two.calendar)) == (0, 20)


def test_a_second_device_does_not_bring_the_first_event_of_a_user() -> None:
    events = []
    for n in range(40):
        looked = [event("page_view", 0, user=f"u{n}", path="/")] if n < 10 else []
        device = anonymously(event("page_view", 2 * MINUTE, user=f"c{n}", path="/x"))
        events += [*looked, track("one", MINUTE, user=f"u{n}"), track("two", 2 * MINUTE, user=f"u{n}"), device]
        events += [event("identity_merged", 3 * MINUTE, user=f"u{n}", previousId=f"c{n}"), track("three", 5 * MINUTE, user=f"u{n}")]
    one = drafted(events).steps[0]
    assert (one.id, one.at_once, one.calendar) == ("one", 30, [MINUTE] * 10)


def test_an_event_that_comes_late_may_be_the_first_one() -> None:
    late = [event("page_view", 0, user=f"u{n}", path="/") for n in range(20)]
    found = drafted([*(track("one", 5 * MINUTE, user=f"u{n}") for n in range(20)), *late])
    assert [(step.id, step.at_once, step.calendar) for step in found.steps] == [("one", 0, [5 * MINUTE] * 20)]


def test_the_first_event_counts_also_where_the_sign_up_is_a_step() -> None:
    first = [event("page_view", -10 * MINUTE, user=f"u{n}", path="/") for n in range(8)]
    before = [track("one", -9 * MINUTE, user=f"u{n}") for n in range(20)]
    one, signed_up, _ = drafted([*first, *before, *lives((20, "two"))]).steps
    assert (one.id, one.at_once, one.calendar) == ("one", 12, [MINUTE] * 8)
    assert (signed_up.id, signed_up.at_once, signed_up.calendar) == ("signup", 0, [9 * MINUTE] * 20)


def test_who_does_a_step_before_the_sign_up_was_never_at_it() -> None:
    early = [event("page_view", -9 * MINUTE, user=f"u{n}", path="/") for n in range(6)]
    early += [track("one", -5 * MINUTE, user=f"u{n}") for n in range(6)]
    others = [track("used", MINUTE, user=f"old{n}") for n in range(30)]
    events = [*early, *lives((60, "one two")), *others]
    found = drafted(events)
    assert (found.users, found.signup) == (60, True)
    assert [(step.id, step.at_once, step.completions) for step in found.steps] == [("one", 0, 54), ("two", 0, 60)]
    fit = CatalogFit(parse(catalog_text(found, "P"), ""))
    for each in events:
        fit.add(each)
    assert [step.completions for step in fit.steps()] == [54, 60], "as in the engine"


@pytest.mark.parametrize("signs_up", [True, False])
def test_a_step_done_at_the_moment_of_the_beginning_gives_no_time_with_a_sign_up_as_without(signs_up: bool) -> None:
    waiting = [each for n in range(100, 160) for each in life(n, "one", "two")]
    at_once = [each for n in range(100) for each in (signup(user=f"u{n}"), track("one", user=f"u{n}"), track("two", HOUR, user=f"u{n}"))]
    begun = [*waiting, *(event("page_view", user=f"u{n}", path="/") for n in range(100, 160)), *at_once]
    events = [each for each in sorted(begun, key=lambda each: each.log_time) if signs_up or each.type != "signup"]
    found = drafted(events)
    assert [(step.at_once, step.completions) for step in found.steps] == [(100, 60), (0, 160)]
    assert found.steps[0].calendar == [10 * MINUTE] * 60
    fit = CatalogFit(parse(catalog_text(found, "P"), ""))
    for each in events:
        fit.add(each)
    assert [step.completions for step in fit.steps()] == [160 if signs_up else 60, 160], (
        "as in the engine, for which a sign-up is a beginning"
    )


def test_alternatives_are_one_step() -> None:
    found = drafted(lives((50, "open register_small use"), (40, "open register_big use"), (10, "open register_huge use"), (5, "open")))
    assert ids(found) == ["open", "register", "use"]
    register = found.steps[1]
    assert [(kind.subject, users) for kind, users in register.alternatives] == [
        ("register_small", 50),
        ("register_big", 40),
        ("register_huge", 10),
    ]
    assert (register.users, register.optional, register.completions) == (100, False, 100)
    text = catalog_text(found, "P")
    assert "    # Alternatives, a user does one of them: register_small 50, register_big 40, register_huge 10. " in text
    assert [each.name for each in parse(text, "").steps[1].complete] == ["register_small", "register_big", "register_huge"]


def test_common_events_that_exclude_each_other_are_alternatives_if_nearly_all_do_one() -> None:
    assert ids(drafted(lives((50, "open upload use"), (40, "open connect use")))) == ["open", "upload", "use"]
    assert len(ids(drafted(lives((50, "open upload use"), (40, "open connect use"), (20, "open use"))))) == 4, "not nearly all"
    assert len(ids(drafted(lives((50, "open upload use"), (40, "open connect use"), (9, "open upload connect use"))))) == 4, "some do both"


def test_names_that_few_did_exclude_each_other_by_chance() -> None:
    found = drafted(lives((9, "plan_small"), (9, "plan_big"), (82, "open")))
    assert sorted(ids(found)) == ["open", "plan_big", "plan_small"]


def test_what_always_comes_with_the_last_other_event_is_no_step() -> None:
    reached = [("one",), ("one", "two"), ("one", "two", "three")]
    people = [life(n, *names) for n, names in enumerate(reached * 20)]
    ends = [track("end", each[-1].timestamp - START, user=each[-1].user) for each in people]
    found = drafted([*(each for one in people for each in one), *ends])
    assert ids(found) == ["one", "two", "three"]
    assert reasons(found)["end"].startswith("comes with the last other event of a user")
    assert found.activates == "three"


def test_a_step_that_everybody_does_says_nothing_about_who_stays() -> None:
    assert "says nothing about who stays" in catalog_text(drafted(lives((60, "one two"))), "P")
    assert "says nothing about who stays" not in catalog_text(drafted(lives((60, "one two"), (20, "one"))), "P")


def test_what_comes_with_the_step_before_is_no_step() -> None:
    """It is no double: many do the other without it."""
    with_it = [track("blood", 10 * MINUTE, user=f"u{n}") for n in range(60)]
    later = [track("blood", 15 * MINUTE, user=f"u{n}") for n in range(60, 65)]
    found = drafted([*lives((100, "crp use")), *with_it, *later])
    assert ids(found) == ["crp", "use"]
    assert reasons(found) == {"blood": "comes with the step before; nobody can be helped there"}


def test_old_cases_that_were_closed_together_are_named_and_do_not_set_the_time() -> None:
    def case(user: str, begun: int, took: int) -> list[Event]:
        return [signup(begun, user=user), track("one", begun + took, user=user)]

    old = [case(f"old{n}", n * HOUR, 1_000 * DAY - n * HOUR) for n in range(500)]
    new = [case(f"new{n}", (500 + n) * DAY, (1 + n % 40) * DAY) for n in range(1_000)]
    events = sorted((each for one in (*old, *new) for each in one), key=lambda each: each.log_time)
    found = drafted(events)
    assert nine_of_ten(found.steps[0].calendar) < 40 * DAY
    assert "    # 480 of the last 1,000 completions are of one day, 2028-11-26: closed together?\n" in catalog_text(found, "P")


def test_a_tail_of_times_is_named() -> None:
    people = [life(n, "one", minutes=1 if n % 5 else 1_000) for n in range(100)]
    text = catalog_text(drafted([each for one in people for each in one]), "P")
    assert "    # Nine of ten take 1,000 times as long as half: were they all at it for so long?\n" in text


def test_no_active_time_is_written_where_nobody_has_any() -> None:
    found = drafted(each for n in range(60) for each in life(n, "one", "two", minutes=60))
    text = catalog_text(found, "P")
    assert "; no active time.\n    usual: 60m\n" in text
    assert "typical: " not in text


def test_the_fit_takes_out_what_the_draft_said_of_times_that_it_changes() -> None:
    text = catalog_text(drafted(lives((60, "one two"))), "P")
    changed = set_measured(text, {"one": {"usual": "3d"}}, {})
    assert text.count("completions as the current step") == 2
    assert changed.count("completions as the current step") == 1
    assert [line for line in changed.splitlines() if line not in text.splitlines()] == ["    usual: 3d"]
    assert len(text.splitlines()) == len(changed.splitlines()) + 1


def test_nobody_waits_at_a_step_after_the_activating_one() -> None:
    found = drafted(lives((50, "one two three"), (250, "one two")))
    assert (found.activates, found.steps[2].calendar) == ("two", [])
    text = catalog_text(found, "P")
    assert "    # Comes after the step that activates: nobody waits at it.\n" in text
    assert "Too few" not in text


@pytest.mark.parametrize("signs_up", [True, False])
def test_the_engine_takes_the_times_that_were_drafted(signs_up: bool) -> None:
    chance = Random(5)
    events = []
    for n in range(300):
        names = [name for name in ("one", "two", "three", "four") if chance.random() < 0.8]
        chance.shuffle(names) if n % 4 == 0 else None
        events += life(n, *names, minutes=chance.choice((1, 3, 20, 50)))[not signs_up :]
    found = drafted(events)
    fit = CatalogFit(parse(catalog_text(found, "P"), ""))
    for each in events:
        fit.add(each)
    assert [(step.id, step.completions) for step in fit.steps()] == [(step.id, step.completions) for step in found.steps]
    assert sum(step.used >= 50 for step in fit.steps()) >= 3
    assert not any(step.changes.keys() & {"typical", "usual"} for step in fit.steps())


HOSTILE = (
    "true",
    "null",
    "a: b",
    "- x",
    "#c",
    '"',
    "\\",
    "é ü",
    "a\u2028b",
    "\x7f\x85\ufeff",
    "💡",
    "[x]",
    "{y}",
    "it's",
    "12",
    "x" * 200,
    "=",
    "~",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_survives_as_yaml(text: str) -> None:
    assert read(f"[{quoted(text)}, {{a: {quoted(text)}}}]").data == [text, {"a": text}]


def test_any_name_of_an_event_makes_a_valid_step() -> None:
    found = drafted(each for n in range(20) for each in life(n, *HOSTILE[:8]))
    catalog = parse(catalog_text(found, "P: {x}"), "")
    assert [step.complete[0].name for step in catalog.steps] == list(HOSTILE[:8])
    assert catalog.product == "P: {x}"


def test_ids_are_unique_text() -> None:
    found = drafted(each for n in range(20) for each in life(n, "Order-Paid", "order paid", "orderPaid", "2024", "NULL"))
    catalog = parse(catalog_text(found, "P"), "")
    assert [step.id for step in catalog.steps] == ["order_paid", "order_paid_c298", "order_paid_2154", "step_2024", "step_null"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Kontenrahmen gewählt", "kontenrahmen_gewaehlt"),
        ("Größe Übermaß!", "groesse_uebermass"),
        ("Größe".replace("ö", "o\u0308"), "groesse"),
        ("größeGewählt", "groesse_gewaehlt"),
        ("Créé à Łódź", "cree_a_lodz"),
        ("invoiceSent", "invoice_sent"),
        ("HTTPError", "httperror"),
        ("Step", "step"),
        ("404", "step_404"),
        ("Шаг", "step_"),
        ("Шаг 2", "step_2_"),
        ("注册 ok", "ok_"),
        ("🎉", "step_"),
    ],
)
def test_an_id_is_the_name_in_latin_letters_with_a_digest_where_letters_are_lost(name: str, expected: str) -> None:
    (found,) = drafted_ids({Kind("track", name): name}).values()
    assert re.fullmatch(expected + ("[0-9a-f]{4}" if expected.endswith("_") else ""), found)


def test_a_later_draft_has_the_same_ids_for_the_same_names_whatever_came_besides() -> None:
    first = drafted(each for n in range(20) for each in life(n, "Шаг", "注册", "Größe"))
    later = drafted(each for n in range(20) for each in life(n, "开始", "Größe", "注册", "Шаг"))
    before, after = ({step.name: step.id for step in found.steps} for found in (first, later))
    assert len(set(after.values())) == 4
    assert before == {name: after[name] for name in before}


def with_traits(**values: Iterable[object]) -> list[Event]:
    """Users with these traits, by their number, who all do two steps; `-` is none."""
    told = {name: list(each) for name, each in values.items()}
    users = range(max(map(len, told.values())))
    given = [
        event("identify", SECOND, user=f"u{n}", traits={name: each[n] for name, each in told.items() if n < len(each) and each[n] != "-"})
        for n in users
    ]
    return [*(each for n in users for each in life(n, "one", "two")), *given]


def named(found: Draft) -> list[str]:
    return parse(catalog_text(found, "P"), "p.yaml").traits


def test_traits_with_few_values_of_many_users_are_named() -> None:
    found = drafted(with_traits(age=[20, 50, 90] * 40, vip=[True] * 30, tier=["free", "paid"] * 60))
    assert named(found) == ["age", "vip"]
    text = catalog_text(found, "P")
    assert "#   age: 3 values, 120 of 120 users (100 %)\n#   vip: 1 value, 30 of 120 users (25 %)\ntraits: [age, vip]\n" in text


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["ana@example.com", "ben@example.com"] * 40, "may tell who a user is"),
        (["Ana Lopes", "Lopes, Ben"] * 40, "may tell who a user is"),
        (["acct-8273641", "acct-8273642"] * 40, "may tell who a user is"),
        ([8273641, 8273642] * 40, "may tell who a user is"),
        (["3f2a9c1e-77aa-4c1d-9f00-0123456789ab", "x"] * 40, "may tell who a user is"),
        (["a long text that somebody wrote about a problem", "none"] * 40, "may tell who a user is"),
        ([f"team {n % 21}" for n in range(210)], "more than 20 values"),
        ([f"v{n}" for n in range(MOST_VALUES + 9)], "more than 20 values"),
        ([f"v{n}" for n in range(19)], "values that few users have"),
        (["a"] * 50 + ["b"] * 50 + [f"rare {n}" for n in range(6)], "values that few users have"),
        (["same"] * 80, "the same for nearly everybody"),
    ],
)
def test_other_traits_are_not_named_and_no_value_is_told(values: list[object], why: str) -> None:
    found = drafted(with_traits(mine=values))
    assert named(found) == []
    text = catalog_text(found, "P")
    assert f"# No evidence:\n#   mine: {why}\n" in text
    assert not [value for value in map(str, values) if len(value) > 1 and value in text.replace("not among", "") and value != "same"]


def test_a_trait_whose_name_identifies_a_user_is_not_named() -> None:
    assert named(drafted(with_traits(First_Name=["ana", "ben"] * 40, Plan=["pro", "free"] * 40))) == ["Plan"]


def test_the_newest_value_of_a_user_counts_and_that_of_a_deleted_one_does_not() -> None:
    changed = [event("identify", HOUR, user=f"u{n}", traits={"plan": "pro"}) for n in range(60)]
    assert named(drafted([*with_traits(plan=["free", "pro"] * 30), *changed])) == []
    gone = [event("user_deleted", HOUR, user=f"u{n}") for n in range(1, 60, 2)]
    assert named(drafted([*with_traits(plan=["free", "pro"] * 30), *gone])) == []
    assert named(drafted(with_traits(plan=["free", "pro"] * 30))) == ["plan"]


def test_the_traits_of_a_visitor_are_those_of_the_user() -> None:
    seen = [anonymously(event("identify", 0, user=f"v{n}", traits={"plan": ["free", "pro"][n % 2]})) for n in range(40)]
    merged = [event("identity_merged", 1, user=f"u{n}", previousId=f"v{n}") for n in range(40)]
    assert named(drafted([*seen, *merged, *lives((40, "one two"))])) == ["plan"]
