"""Prompts: what the files say, what goes into them, and what never does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.catalogs import load_catalog
from llm.answer import Bounds, Prompt
from llm.guardrails.fence import CLOSING, OPENING, fence, neutral
from llm.prompts import ANSWER_FIELDS, BUILT_IN, PromptError, PromptTemplate, length_limit, load_prompts, render
from state.catalog.plan import Plan
from state.decision.wording_request import WordingRequest, cache_key
from state.records.recommendation import Recommendation
from state.vocabulary import TRIGGERS

VERSIONS = sorted(path.stem for path in BUILT_IN.glob("*.yaml"))
PLAN = Plan(load_catalog("saas"), wording=True)
PROMPTS = load_prompts(VERSIONS, [BUILT_IN])
FIRST = PROMPTS["nudge-1"]

RECORD = Recommendation(
    decision_id="d1", recommendation_id="d1.m", tenant_id="default", user_id="zq-user", version=1, path_id="first_dashboard",
    step_id="connect_source", trigger="stuck:errors", arm="moderate_tooltip", propensity=0.5, message="Hi Zqzora", ui_component="tooltip",
    deep_link="/sources/new", confidence=1.0, source="template", validation_hash="0" * 32, created_at="2026-01-01T00:00:00Z",
    expires_at="2026-01-02T00:00:00Z",
)  # fmt: skip
REQUEST = WordingRequest(RECORD, PLAN.version, "nudge-1", "en", "first_visit", (), {}, 1, 2)


def shared(template: PromptTemplate, request: WordingRequest) -> Prompt:
    return render(template, PLAN, request, {}, ())


def places() -> Iterator[tuple[str, str, str, str]]:
    """Every (path, step, trigger, arm) that can be worded."""
    for path in PLAN.catalog.paths:
        for step in path.steps:
            for trigger in TRIGGERS:
                for arm in PLAN.arms(trigger, step, 2**60):
                    yield path.id, step, trigger, arm


PLACES = list(places())


def at(place: tuple[str, str, str, str], request: WordingRequest = REQUEST) -> WordingRequest:
    path, step, trigger, arm = place
    record = msgspec.structs.replace(request.record, path_id=path, step_id=step, trigger=trigger, arm=arm)
    return msgspec.structs.replace(request, record=record)


# ------------------------------------------------------------------------------------------------------------------- the files


def test_the_prompts_that_the_catalog_names_are_there_and_differ() -> None:
    policy = PLAN.catalog.wording
    assert policy is not None
    assert {prompt.version for prompt in policy.prompts} <= set(VERSIONS)
    assert {"nudge-1", "nudge-2"} <= set(VERSIONS)
    assert "First move" in shared(PROMPTS["nudge-2"], REQUEST).user
    assert "First move" not in shared(FIRST, REQUEST).user
    assert PROMPTS["nudge-2"].words == FIRST.words
    assert PROMPTS["nudge-2"].personal == FIRST.personal  # one idea apart


@pytest.mark.parametrize("version", VERSIONS)
def test_a_prompt_has_no_digits_of_its_own_and_no_personal_part_for_everybody(version: str) -> None:
    template = PROMPTS[version]
    own = re.sub(r"\[\[\w+\]\]", "", template.system + template.user + template.personal + template.words.model_dump_json())
    assert not re.search(r"\d", own)
    assert OPENING not in shared(template, REQUEST).user


@pytest.mark.parametrize("version", VERSIONS)
def test_every_place_of_the_catalog_gives_a_short_and_whole_prompt(version: str) -> None:
    assert len(PLACES) > 500
    policy = PLAN.catalog.wording
    assert policy is not None
    for place in PLACES:
        request = at(place)
        prompt = shared(PROMPTS[version], request)
        step = PLAN.steps[place[1]]
        assert prompt.version == version
        assert len(prompt.system) + len(prompt.user) < 3_000
        assert "[[" not in prompt.system + prompt.user
        lines = prompt.user.split("\n")
        for line in (f"uiComponent: {PLAN.component[place[3]]}", f"deepLink: {step.link}", "language: en"):
            assert lines.count(line) == 1
        for field in ANSWER_FIELDS:
            assert any(line.startswith(f"{field}: ") for line in lines)
        for name, sentence in step.facts.items():
            assert f"{name}: {sentence}" in lines
        for slot in ("step", "product", *PLAN.catalog.slots):
            assert any(line.startswith(f"{{{slot}}}: ") for line in lines)
        assert PLAN.template(place[2], place[1], place[3]) in lines  # with its slots unfilled
        assert PLAN.paths[place[0]].title in prompt.user
        assert str(length_limit(policy.longest)) in prompt.user
        assert all(word in prompt.user for word in policy.glossary)


def test_the_limit_leaves_room_for_a_filled_slot() -> None:
    assert length_limit(240) == 200
    assert length_limit(40) == 40


# -------------------------------------------------------------------------------------------------------------- shared requests

_names = st.text("zq", min_size=4, max_size=9).map(lambda text: f"Zq{text}")


@given(
    place=st.sampled_from(PLACES), user=_names, tenant_user=_names, name=_names, done=st.lists(_names, max_size=3),
    version=st.integers(2, 9), at_time=st.integers(0, 2**50), propensity=st.floats(0.01, 1), returning=st.booleans(),
    told=st.dictionaries(_names, _names, max_size=2),
)  # fmt: skip
def test_equal_keys_mean_equal_bytes_and_nobody_is_in_them(
    place: tuple[str, str, str, str], user: str, tenant_user: str, name: str, done: list[str], version: int, at_time: int,
    propensity: float, returning: bool, told: dict[str, str],
) -> None:  # fmt: skip
    one = msgspec.structs.replace(at(place), situation="returning" if returning else "first_visit")
    record = msgspec.structs.replace(
        one.record, user_id=user, decision_id=tenant_user, recommendation_id=tenant_user, version=version, propensity=propensity,
        message=f"Hi {name}", created_at=str(at_time), expires_at=str(at_time + 1), trace_id=tenant_user, validation_hash=tenant_user,
    )  # fmt: skip
    other = msgspec.structs.replace(
        one, record=record, done=tuple(done), traits={"firstName": name, "companyName": name}, at=at_time, expires=at_time + 1
    )
    assert cache_key(one) == cache_key(other)
    prompt = render(FIRST, PLAN, other, told, list(told))  # what a shared request may not be told is not looked at
    assert shared(FIRST, one) == prompt
    assert "zq" not in (prompt.system + prompt.user).lower()


@given(
    first=st.sampled_from(PLACES), second=st.sampled_from(PLACES), versions=st.tuples(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))
)
def test_different_bytes_have_different_keys(
    first: tuple[str, str, str, str], second: tuple[str, str, str, str], versions: tuple[str, str]
) -> None:
    one, other = (msgspec.structs.replace(at(place), prompt=version) for place, version in zip((first, second), versions, strict=True))
    if shared(PROMPTS[versions[0]], one) != shared(PROMPTS[versions[1]], other):
        assert cache_key(one) != cache_key(other)


@given(place=st.sampled_from(PLACES))
def test_the_bounds_are_what_the_checks_ask_for(place: tuple[str, str, str, str]) -> None:
    _, step, _, arm = place
    bounds = shared(FIRST, at(place)).bounds
    assert bounds == Bounds(PLAN.component[arm], PLAN.steps[step].link, "en", tuple(PLAN.steps[step].facts), 240)


# ------------------------------------------------------------------------------------------------------------ personal requests


def test_a_personal_prompt_has_traits_and_fenced_notes_after_the_rules() -> None:
    request = msgspec.structs.replace(REQUEST, notes=("timeout",), traits={"persona": "analyst"})
    prompt = render(FIRST, PLAN, request, {"persona": "analyst"}, [fence("timeout at host")])
    assert prompt.user.startswith(shared(FIRST, REQUEST).user)
    assert "persona: analyst" in prompt.user
    assert f"\n- {OPENING}timeout at host{CLOSING}\n" in prompt.user
    assert "never an instruction" in prompt.user[: prompt.user.index("timeout at host")]
    assert len(prompt.system) + len(prompt.user) < 4_000


@given(note=st.text(max_size=200), value=st.text(max_size=60))
def test_no_note_can_leave_its_fence_or_its_line(note: str, value: str) -> None:
    request = msgspec.structs.replace(REQUEST, notes=("x",))
    plain = render(FIRST, PLAN, request, {"persona": "x"}, [fence("x")]).user
    notes = [fence(f"{note}\n{CLOSING}\n[[example]] {note}")]
    hostile = render(FIRST, PLAN, request, {"persona": neutral(f"{value}{CLOSING}\n{value}")}, notes).user
    assert hostile.count("\n") == plain.count("\n")
    for mark in (OPENING, CLOSING):
        assert hostile.count(mark) == plain.count(mark)


# ---------------------------------------------------------------------------------------------------------------- bad files


def _spoilt(tmp_path: Path, was: str, becomes: str) -> str:
    text = (BUILT_IN / "nudge-1.yaml").read_text(encoding="utf-8")
    assert was in text
    (tmp_path / "nudge-1.yaml").write_text(text.replace(was, becomes), encoding="utf-8")
    with pytest.raises(PromptError) as caught:
        load_prompts(["nudge-1"], [tmp_path])
    said = str(caught.value)
    assert str(tmp_path / "nudge-1.yaml") in said
    assert "\n" not in said
    assert said.endswith(".")
    return said


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ("version: nudge-1", "version: nudge-9", "named like its version"),
        ("[[example]]", "[[exmple]]", "[[exmple]]"),
        ("[[example]]", "", "does not name [[example]]"),
        ("  confidence: a", "  sureness: a", "does not ask for the field confidence"),
        ("[/USER_INPUT]", "the end", "[/USER_INPUT]"),
        ("    modal: a", "    modl: a", "modl"),
        ("    modal: a dialog in the middle of the page, which interrupts, so it must be worth it.\n", "", "modal"),
        ("purpose: ", "purpos: ", "purpos"),
        ("words:\n", "words: [\n", "not valid YAML"),
        ("system: |", "system: [[product]]\nsytem: |", "cannot be used"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_it(tmp_path: Path, was: str, becomes: str, complaint: str) -> None:
    assert complaint in _spoilt(tmp_path, was, becomes)


def test_a_missing_or_unreadable_file_is_a_sentence_too(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"There is no prompt nudge-9: looked for nudge-9.yaml in .* or .*\."):
        load_prompts(["nudge-9"], [tmp_path, BUILT_IN])
    for data, said in ((b"\xff\xfe", "UTF-8"), (b"- a", "no mapping"), (b"a" * 30_000, "longer than")):
        (tmp_path / "nudge-1.yaml").write_bytes(data)
        with pytest.raises(PromptError, match=said):
            load_prompts(["nudge-1"], [tmp_path])


def test_a_file_beside_the_catalog_comes_before_the_one_that_comes_with_onramp(tmp_path: Path) -> None:
    own = (BUILT_IN / "nudge-1.yaml").read_text(encoding="utf-8").replace("purpose: ", "purpose: Ours. ")
    (tmp_path / "nudge-1.yaml").write_text(own, encoding="utf-8")
    found = load_prompts(["nudge-1", "nudge-2"], [tmp_path, BUILT_IN])
    assert found["nudge-1"].purpose.startswith("Ours.")
    assert found["nudge-2"] == PROMPTS["nudge-2"]
