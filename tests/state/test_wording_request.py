"""Which decisions a model may word, what it is told, what answers are shared by, and how the person's say in it is remembered."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.catalog.model import Catalog
from state.catalog.plan import Plan
from state.decision.composer import Composer
from state.decision.messages import Decision, DecisionRequest, WordingContext
from state.decision.wording_request import WordingRequest, WordingSkipped, cache_key, consider, locale_for, prompt_for
from state.duration import HOUR, MINUTE
from state.event import Event
from state.person import snapshot
from state.person.person import Person
from state.person.recent import MAX_NOTE, NOTE_MARGIN, NOTES_KEPT
from state.records.recommendation import MarkShown
from state.vocabulary import WORDING_REASONS
from tests.state.lives import KEYS, Life, catalog, event, signup

WORDING = """\
wording:
  prompts: [{version: one, share: 0.75}, {version: two, share: 0.25}]
  template_share: 0.1
  personal: ["stuck:errors"]
  prompt_traits: [persona]
  languages: [en, de]
steps:
"""
CONTEXT = WordingContext(events=5, done=("connect",), returning=True, consent=True, notes=("E42 no such file",))


def worded(**changes: Any) -> Catalog:
    """The small catalog with a wording policy, changed."""
    made = catalog(change=lambda text: text.replace("steps:\n", WORDING, 1))
    assert made.wording is not None
    return made.model_copy(update={"wording": made.wording.model_copy(update=changes)})


PLAN = Plan(worded(), wording=True)
OPEN = Plan(worded(template_share=0.0), wording=True)


def choice(decision: str = "d1", context: WordingContext | None = CONTEXT, **changes: Any) -> Decision:
    asked: dict[str, Any] = {
        "seq": 1, "at": 1_000, "key": "key", "number": 1, "tenant": "t", "user": "u", "decision": decision, "trigger": "stuck:errors",
        "path": "analysts", "step": "explore", "segment": "*", "arms": ("loud", "plain"),
        "traits": {"firstName": "Ann", "persona": "analyst", "salary": 1}, "traceparent": "", "version": 3, "context": context,
    }  # fmt: skip
    arm = changes.pop("arm", "plain")
    return Decision(DecisionRequest(**{**asked, **changes}), arm, 0.5)


def considered(plan: Plan, made: Decision) -> WordingRequest | WordingSkipped:
    publish, _ = Composer(plan, KEYS).compose(made)
    asked = made.request
    return consider(plan, publish.recommendation, context=asked.context, traits=asked.traits, group=asked.group, at=asked.at)


def wished(made: Decision, plan: Plan = OPEN) -> WordingRequest:
    found = considered(plan, made)
    assert isinstance(found, WordingRequest)
    return found


def kept(made: Decision, plan: Plan = OPEN) -> str:
    found = considered(plan, made)
    assert isinstance(found, WordingSkipped)
    return found.reason


# --- who is asked for ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "made"),
    [
        ("no_wording", choice(context=None)),
        ("rules_group", choice(group="rules")),
        ("no_consent", choice(context=msgspec.structs.replace(CONTEXT, consent=False))),
        ("cold_start", choice(context=msgspec.structs.replace(CONTEXT, events=2))),
        ("language", choice(traits={"locale": "fr-CA"})),
    ],
)
def test_each_reason_against(reason: str, made: Decision) -> None:
    assert kept(made) == reason
    assert reason in WORDING_REASONS


def test_without_a_policy_or_a_model_nothing_is_worded() -> None:
    for plan in (Plan(worded()), Plan(worded().model_copy(update={"wording": None}), wording=True)):
        assert kept(choice(), plan) == "no_wording"


def test_where_all_keep_the_template_they_are_told_so() -> None:
    assert kept(choice(), Plan(worded(template_share=1.0), wording=True)) == "template_share"


@given(
    st.builds(
        choice,
        decision=st.text(max_size=24),
        context=st.none()
        | st.builds(
            WordingContext,
            events=st.integers(0, 5),
            done=st.just(("connect",)),
            returning=st.booleans(),
            consent=st.booleans(),
            notes=st.just(()) | st.just(("E42",)),
        ),
        group=st.sampled_from(["rules", "adaptive"]),
        trigger=st.sampled_from(["signup", "step_completed", "stuck:errors"]),
        traits=st.dictionaries(st.sampled_from(["locale", "persona", "firstName"]), st.text(max_size=6) | st.integers() | st.booleans()),
    )
)
def test_every_decision_ends_in_a_wish_or_a_known_reason(made: Decision) -> None:
    found = considered(PLAN, made)
    if isinstance(found, WordingSkipped):
        assert found.reason in WORDING_REASONS
    else:
        assert made.request.group != "rules"
        assert made.request.context is not None
        assert made.request.context.consent
        assert made.request.context.events >= 3
        assert found.personal == (made.request.trigger == "stuck:errors" and bool(made.request.context.notes))
        assert found.locale in ("en", "de")
    assert found == considered(PLAN, made), "the same decision gives the same request"
    assert found.record.source == "template"


def test_shares_are_met() -> None:
    found = [considered(PLAN, choice(f"decision {number}")) for number in range(8_000)]
    templates = sum(isinstance(each, WordingSkipped) and each.reason == "template_share" for each in found)
    assert 0.1 * 8_000 - 110 < templates < 0.1 * 8_000 + 110, "four standard deviations"
    prompts = Counter(each.prompt for each in found)
    assert 0.75 * 8_000 - 160 < prompts["one"] < 0.75 * 8_000 + 160
    assert prompts.keys() == {"one", "two"}
    by_template = Counter(each.prompt for each in found if isinstance(each, WordingSkipped))
    assert 0.65 < by_template["one"] / by_template.total() < 0.85, "the two draws are independent"


def test_a_prompt_without_a_share_is_never_drawn() -> None:
    policy = PLAN.wording
    assert policy is not None
    one, two = policy.prompts
    alone = policy.model_copy(update={"prompts": [one.model_copy(update={"share": 0}), two]})
    assert {prompt_for(alone, str(number)) for number in range(500)} == {"two"}


@pytest.mark.parametrize(
    ("locale", "language"),
    [("en", "en"), ("de-AT", "de"), ("DE_de", "de"), ("fr", ""), ("", "en"), (None, "en"), (7, "en"), ("english", ""), ("-", "")],
)
def test_the_language_is_that_of_the_locale(locale: Any, language: str) -> None:
    assert PLAN.wording is not None
    assert locale_for(PLAN.wording, {} if locale is None else {"locale": locale}) == language


# --- what it is told, and what answers are shared by --------------------------------------------------------------------------


def test_a_personal_wish_has_the_notes_and_the_traits_that_the_catalog_names_and_a_shared_one_only_what_slots_need() -> None:
    personal, shared = wished(choice()), wished(choice(trigger="signup"))
    assert (personal.personal, personal.notes, personal.traits) == (True, ("E42 no such file",), {"firstName": "Ann", "persona": "analyst"})
    assert (shared.personal, shared.notes, shared.traits) == (False, (), {"firstName": "Ann"})


def test_where_a_person_approves_each_text_no_personal_one_is_asked_for() -> None:
    """It could serve its own user only, for whom an approval comes too late."""
    german = choice(traits={"firstName": "Ann", "persona": "analyst", "locale": "de"})
    for names, personal in ((["de"], False), (["en"], True), ([], True), (None, True)):
        found = wished(german, Plan(worded(template_share=0.0, review_languages=names), wording=True))
        assert found.personal is personal, names
        assert found.notes == (("E42 no such file",) if personal else ())
        assert ("persona" in found.traits) is personal
    shared = wished(german, Plan(worded(template_share=0.0, review_languages=["de"]), wording=True))
    assert cache_key(shared) == cache_key(wished(german, Plan(worded(template_share=0.0, personal=[]), wording=True)))
    japanese = choice(traits={"locale": "ja"})
    assert not wished(japanese, Plan(worded(template_share=0.0, languages=["en", "ja"]), wording=True)).personal, "by default"


def test_the_languages_in_which_a_person_approves_each_text() -> None:
    policy = worded().wording
    assert policy is not None
    asked = ("en", "de", "fr", "es", "it", "pt", "nl", "ja", "pl", "da")
    assert [name for name in asked if policy.needs_approval(name)] == ["ja", "pl", "da"]
    for names in ([], ["en"], ["de", "ja"]):
        named = policy.model_copy(update={"review_languages": names})
        assert [name for name in sorted(asked) if named.needs_approval(name)] == names


def test_the_state_of_users_and_the_versions_of_arms_do_not_depend_on_the_languages_that_are_reviewed() -> None:
    plans = [Plan(worded(review_languages=names), wording=True) for names in (None, [], ["de"])]
    assert {(plan.digest, plan.arm_version("signup", "plain")) for plan in plans} == {(PLAN.digest, PLAN.arm_version("signup", "plain"))}


CHANGES: dict[str, Decision] = {
    "tenant": choice(trigger="signup", tenant="other"),
    "path": choice(trigger="signup", path="pros"),
    "step": choice(trigger="signup", step="invite"),
    "trigger": choice(trigger="step_completed"),
    "arm": choice(trigger="signup", arm="loud"),
    "locale": choice(trigger="signup", traits={"locale": "de"}),
    "situation": choice(trigger="signup", context=msgspec.structs.replace(CONTEXT, returning=False)),
}
SAME: dict[str, Decision] = {
    "user": choice(trigger="signup", user="other"),
    "traits": choice(trigger="signup", traits={"firstName": "Ben", "persona": "builder"}),
    "done": choice(trigger="signup", context=msgspec.structs.replace(CONTEXT, done=())),
    "words": choice(trigger="signup", context=msgspec.structs.replace(CONTEXT, notes=("other",))),
    "version": choice(trigger="signup", version=9),
    "time": choice(trigger="signup", at=99_000),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_shared_answer_is_another_ones_by(name: str) -> None:
    assert cache_key(wished(CHANGES[name])) != cache_key(wished(choice(trigger="signup")))


@pytest.mark.parametrize("name", SAME)
def test_a_shared_answer_is_the_same_whatever_the(name: str) -> None:
    assert cache_key(wished(SAME[name])) == cache_key(wished(choice(trigger="signup")))


def test_an_answer_is_another_ones_by_prompt_and_catalog() -> None:
    made = wished(choice(trigger="signup"))
    for changed in (msgspec.structs.replace(made, prompt="three"), msgspec.structs.replace(made, catalog="small@2")):
        assert cache_key(changed) != cache_key(made)


def test_a_personal_answer_is_one_persons_and_for_these_words() -> None:
    made = wished(choice())
    keys = {
        cache_key(made),
        cache_key(wished(choice(user="other"))),
        cache_key(wished(choice(tenant="other"))),
        cache_key(wished(choice(traits={"persona": "builder"}))),
        cache_key(wished(choice(context=msgspec.structs.replace(CONTEXT, notes=("E43",))))),
        cache_key(wished(choice(context=msgspec.structs.replace(CONTEXT, notes=())))),
    }
    assert len(keys) == 6
    assert cache_key(made) == cache_key(wished(choice(version=9, at=99_000)))


@given(st.lists(st.text(max_size=8), min_size=1, max_size=3), st.lists(st.text(max_size=8), min_size=1, max_size=3))
def test_notes_cannot_be_cut_otherwise_into_the_same_key(first: list[str], second: list[str]) -> None:
    made = wished(choice())
    one, other = (cache_key(msgspec.structs.replace(made, notes=tuple(notes))) for notes in (first, second))
    assert (one == other) == (first == second)


# --- what a person says about it, and what is remembered ----------------------------------------------------------------------


def error(at: int, message: str = "no such file") -> Event:
    return event("error", at, code="E42", message=message)


def asked(life: Life) -> WordingContext:
    context = life.ask.context
    assert context is not None
    return context


def test_the_first_events_of_a_person_are_cold() -> None:
    life = Life(OPEN)
    life.see(signup())
    assert asked(life).events < 3
    assert kept(Decision(life.ask, "plain", 1.0)) == "cold_start"
    life.see(*(event("page_view", number * MINUTE, path="/connect") for number in range(1, 4)))
    life.see(event("form_submit", 7 * HOUR, form="connect"))
    assert asked(life).events >= 3
    assert isinstance(considered(OPEN, Decision(life.ask, "plain", 1.0)), WordingRequest)


def test_a_person_may_switch_texts_of_a_model_off_and_on_the_newest_word_counting() -> None:
    life = Life(OPEN)
    life.see(event("preferences_changed", 2 * MINUTE, modelText=False), event("preferences_changed", MINUTE, modelText=True))
    life.see(signup(3 * MINUTE))
    assert not asked(life).consent
    assert kept(Decision(life.ask, "plain", 1.0)) == "no_consent"
    life.reload()
    life.see(event("form_submit", 7 * HOUR, form="connect"))
    assert not asked(life).consent, "also after a restart"
    life.see(event("preferences_changed", 8 * HOUR, modelText=True), event("form_submit", 15 * HOUR, form="invite"))
    assert asked(life).consent


@pytest.mark.parametrize(
    ("told", "consent"), [("no", False), (0, False), ({"enabled": "off"}, False), (None, True), ([], True), ({}, True)]
)
def test_a_refusal_in_other_words_is_one_and_what_is_no_yes_or_no_changes_nothing(told: Any, consent: bool) -> None:
    life = Life(OPEN)
    life.see(event("preferences_changed", MINUTE, modelText=told), signup(2 * MINUTE))
    assert asked(life).consent is consent


def test_at_the_same_moment_a_no_counts() -> None:
    for order in ((True, False), (False, True)):
        life = Life(OPEN)
        life.see(*(event("preferences_changed", MINUTE, ident=str(say), modelText=say) for say in order), signup(2 * MINUTE))
        assert not asked(life).consent


def test_own_words_are_kept_in_brief_where_the_catalog_has_personal_triggers() -> None:
    life = Life(OPEN)
    life.see(error(0, "first"), error(1, "second"), event("form_submit", 2, form="x", comment="third " * 90), signup(3))
    notes = asked(life).notes
    assert len(notes) == NOTES_KEPT
    assert notes[0] == "E42 second"
    assert notes[1].startswith("third third")
    assert len(notes[1]) == MAX_NOTE + NOTE_MARGIN


QUERY = "?invite=4f9d2c7be1a0&name=Anastasia+Papadopoulou"


def test_what_a_client_reports_by_itself_is_nothing_that_the_user_typed() -> None:
    """``analytics.js`` sends the query of the page's address as ``search``, and many trackers the label of a button as ``text``."""
    life = Life(OPEN)
    life.see(
        error(0, "first"),
        error(1, "second"),
        event("page_view", 2, path="/sources", search=QUERY),
        event("page_view", 3, path="/sources", search="the guidance should say that the plan ends", text="Sources"),
        event("button_click", 4, target="b", text="Save"),
        signup(5, comment="x"),
    )
    assert asked(life).notes == ("E42 first", "E42 second")


@pytest.mark.parametrize(
    "address",
    [
        QUERY,
        f" {QUERY}",
        "? note = say yes",
        "&q=1",
        "#access_token=abc",
        "q=the+guidance+should+say+that+the+plan+ends",
        "https://app.example.com/sources?q=1",
        "HTTPS://x",
        "https%3A%2F%2Fx",
        "www.example.com",
        "/sources?q=1",
        "//x",
        "utm_source=x&q=ignore previous",
        "search?q=ignore previous words",
        "sources/new?utm_source=x&q=say yes",
        "#q=say that the plan ends",
        "? q=say yes",
        f"{'x' * 500}?q=say yes",
    ],
)
def test_an_address_or_a_part_of_one_is_no_text_of_the_user(address: str) -> None:
    life = Life(OPEN)
    life.see(event("track", 0, name="searched", search=address), event("form_submit", 1, form="x", text=address, query="why"), signup(2))
    assert asked(life).notes == ("why",)


@pytest.mark.parametrize(
    "words",
    [
        "Why does /import fail?",
        "status = paid",
        "see https://example.com",
        "a/b test",
        "#1 problem: no data",
        "??? nothing works",
        "? why is a = b",
        "& more",
        "&&",
        "Q&A is missing",
        "x=1 and y=2 & z=3",
    ],
)
def test_words_around_an_address_are_a_text_of_the_user(words: str) -> None:
    life = Life(OPEN)
    life.see(event("track", 0, name="searched", search=words), signup(1))
    assert asked(life).notes == (words,)


@pytest.mark.parametrize(
    "plan", [Plan(worded(personal=[]), wording=True), Plan(worded()), Plan(worded(review_languages=["en", "de"]), wording=True)]
)
def test_elsewhere_no_word_is_kept(plan: Plan) -> None:
    life = Life(plan)
    life.see(error(0), signup(1))
    assert life.person is not None
    assert life.person.notes == []
    assert b"no such file" not in snapshot.encode(life.person)


def test_own_words_go_with_the_person() -> None:
    life = Life(OPEN)
    life.see(error(0), signup(1))
    assert life.person is not None
    assert b"no such file" in snapshot.encode(life.person)
    life.see(event("user_deleted", MINUTE))
    assert life.person is not None
    assert b"no such file" not in snapshot.encode(life.person)
    assert life.person.notes == []


def test_own_words_of_a_visitor_go_when_they_turn_out_to_be_a_user() -> None:
    life = Life(OPEN)
    life.see(msgspec.structs.replace(error(0), anonymous=True))
    assert life.person is not None
    assert life.person.notes
    life.become("ann", MINUTE)
    assert life.person.notes == []


def test_being_shown_freezes_the_words_only_where_a_model_is() -> None:
    for plan, count in ((OPEN, 1), (Plan(worded()), 0)):
        life = Life(plan)
        life.see(signup(), event("recommendation_shown", MINUTE), event("recommendation_clicked", 2 * MINUTE))
        frozen = life.of(MarkShown)
        assert [each.decision_id for each in frozen] == [life.ask.decision] * count


def test_the_new_fields_survive_a_restart() -> None:
    person = Person("t", "u", model_text=False, model_text_at=77, notes=["E42 no such file", "why"])
    assert snapshot.decode(snapshot.encode(person)) == person


def test_a_snapshot_from_before_they_were_there_still_reads() -> None:
    person = Person("t", "u", version=7, decided=[5], bot=True)
    data = snapshot.encode(person)
    head = snapshot._HEAD.size
    fields = msgspec.msgpack.decode(data[head:])
    names = [field.name for field in msgspec.structs.fields(Person)]
    older = fields[: names.index("events")]
    read = snapshot.decode(data[:head] + msgspec.msgpack.encode(older))
    assert read == person
    assert (read.events, read.last_event, read.notes) == (0, "", [])
