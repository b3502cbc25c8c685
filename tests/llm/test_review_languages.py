"""In the languages that the catalog names, or that have no list of claims, a text is served only after a person approved it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from redis import Redis

from llm.answer import Answer
from llm.cache.answer_cache import entry_name
from llm.review_queue import ReviewEntry
from llm.service import WordingService
from state.catalog.plan import Plan
from tests.llm.wording_requests import PLAN, request_for, saas
from tests.llm.wording_service import GOOD, a_request, model, redis, run, service, spent, tenant, valkey
from tests.support import model_server as scripts
from tests.support.model_server import ModelServer
from tests.support.valkey import Valkey

__all__ = ["model", "redis", "tenant", "valkey"]  # fixtures

REVIEWED = saas(review_languages=["en"])
OTHER = "Whenever you have a moment, you can {step} and look around."
NOTE = "E42 the warehouse said no"
DANISH = "Tag den tid, du skal bruge, {firstName}. Så kan du gå videre med {step}."


async def reason(made: WordingService, tenant: str, place: int = 0) -> str:
    return (await made.answer(a_request(tenant, place=place))).reason


async def waiting(made: WordingService, tenant: str) -> ReviewEntry:
    """The one text that waits."""
    (found,) = (await made.review_queue.waiting(tenant)).entries
    return found


def test_a_text_waits_although_all_checks_passed_and_serves_once_a_person_approved_it(
    valkey: Valkey, model: ModelServer, tenant: str, redis: Redis
) -> None:
    model.script = scripts.changed(text=GOOD)

    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED, keeps_calls=True) as made:
            first = await made.answer(a_request(tenant, "ann"))
            assert (first.reason, first.text, first.source) == ("needs_approval", "", "call")
            assert [each.check for each in first.checks if each.reason] == ["approval"]
            assert first.exchange is not None
            assert (first.exchange.status, first.exchange.refused_by) == ("rejected", "approval")
            assert redis.get(entry_name(tenant, (await waiting(made, tenant)).key)) is None
            later = [await made.answer(a_request(tenant, user)) for user in ("ben", "cem", "dan", "eva")]
            assert {(each.reason, each.source, each.usage.cost_micros) for each in later} == {("approval_pending", "", 0)}
            assert spent(redis, tenant) == first.usage.input_tokens + first.usage.output_tokens
            async with service(valkey.url, model, plan=REVIEWED) as another:  # another process, or the job after a restart
                assert await reason(another, tenant) == "approval_pending"
                entry = await waiting(made, tenant)
                assert (entry.text, entry.reason, entry.language, entry.scope) == (GOOD, "needs_approval", "en", "shared")
                assert (await made.review_queue.approve(tenant, entry.id, "eve")).promoted
                for each in (made, another):
                    served = await each.answer(a_request(tenant, "ben", of=request_for(traits={"firstName": "Ben"})))
                    assert (served.reason, served.source) == ("", "cache")
                    assert "Ben. Then you can connect a data source." in served.text
            assert made.counts == {"needs_approval": 1, "approval_pending": 4, "cache": 1}

    run(test)
    assert len(model.requests) == 1


def test_requests_at_the_same_time_share_the_call_whose_text_waits(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED) as made:
            answers = await asyncio.gather(*(made.answer(a_request(tenant, f"u{number}")) for number in range(5)))
            assert {each.reason for each in answers} == {"needs_approval"}
            assert (await made.review_queue.waiting(tenant)).total == 1

    run(test)
    assert len(model.requests) == 1


def test_after_a_rejection_one_new_text_is_asked_for(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED) as made:
            for text in (GOOD, OTHER, "Open the page for this step and {step}.", "In your own time, {step}."):
                model.script = scripts.changed(text=text)
                assert [await reason(made, tenant) for _ in range(3)] == ["needs_approval", "approval_pending", "approval_pending"]
                await made.review_queue.reject(tenant, (await waiting(made, tenant)).id, "eve")

    run(test)
    assert len(model.requests) == 4


def test_an_approval_that_is_taken_back_asks_for_one_new_text(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED) as made:
            model.script = scripts.changed(text=GOOD)
            await made.answer(a_request(tenant))
            entry = await waiting(made, tenant)
            await made.review_queue.approve(tenant, entry.id, "eve")
            assert await reason(made, tenant) == ""
            await made.review_queue.reject(tenant, entry.id, "eve")
            model.script = scripts.changed(text=OTHER)
            assert [await reason(made, tenant) for _ in range(2)] == ["needs_approval", "approval_pending"]

    run(test)
    assert len(model.requests) == 2


def test_a_model_that_repeats_a_rejected_text_is_asked_three_times(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script = scripts.changed(text=GOOD)

    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED, keeps_calls=True) as made:
            await made.answer(a_request(tenant))
            await made.review_queue.reject(tenant, (await waiting(made, tenant)).id, "eve")
            found = [await made.answer(a_request(tenant)) for _ in range(5)]
            assert [each.reason for each in found] == ["rejected_by_person"] * 3 + ["blocked"] * 2
            kept = found[0].exchange
            assert kept is not None
            assert (kept.status, kept.reason, kept.refused_by) == ("rejected", "rejected_by_person", "")
            assert (await made.review_queue.waiting(tenant)).total == 0

    run(test)
    assert len(model.requests) == 4


def test_a_text_that_another_check_refuses_does_not_wait(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script = scripts.changed(text="This is free, so {step}.")

    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED) as made:
            assert [await reason(made, tenant) for _ in range(4)] == ["forbidden_claim"] * 3 + ["blocked"]
            assert (await made.review_queue.waiting(tenant)).total == 0

    run(test)


def test_a_text_that_the_model_is_unsure_of_holds_its_place_too(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script = scripts.changed(text=GOOD, confidence=0.2)

    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED) as made:
            assert [await reason(made, tenant) for _ in range(2)] == ["low_confidence", "approval_pending"]
            await made.review_queue.approve(tenant, (await waiting(made, tenant)).id, "eve")
            assert await reason(made, tenant) == ""
        async with service(valkey.url, model) as made:
            assert [await reason(made, tenant, place=1) for _ in range(4)] == ["low_confidence"] * 3 + ["blocked"], "as without a review"

    run(test)


def test_a_cached_text_that_nobody_approved_is_not_served_once_its_language_is_reviewed(
    valkey: Valkey, model: ModelServer, tenant: str
) -> None:
    """Also where the version of the catalog did not change."""
    model.script = scripts.changed(text=GOOD)

    async def test() -> None:
        async with service(valkey.url, model) as made:
            assert await reason(made, tenant) == ""
        async with service(valkey.url, model, plan=REVIEWED) as made:
            model.script = scripts.changed(text=OTHER)
            assert [await reason(made, tenant) for _ in range(2)] == ["needs_approval", "approval_pending"]
            await made.review_queue.approve(tenant, (await waiting(made, tenant)).id, "eve")
            served = await made.answer(a_request(tenant))
            assert (served.source, served.text.startswith("Whenever you have a moment")) == ("cache", True)
        async with service(valkey.url, model) as made:
            assert (await made.answer(a_request(tenant))).text == served.text, "an approved text serves without the setting too"

    run(test)
    assert len(model.requests) == 2


def test_a_personal_request_from_before_the_setting_calls_nobody(valkey: Valkey, model: ModelServer, tenant: str, redis: Redis) -> None:
    """As one that is read from a snapshot. Nobody could approve its text in time."""

    async def test() -> None:
        async with service(valkey.url, model) as made:
            assert (await made.answer(a_request(tenant, "ann", NOTE))).reason == ""
        async with service(valkey.url, model, plan=REVIEWED) as made:
            for user in ("ann", "ben"):
                found = await made.answer(a_request(tenant, user, NOTE))
                assert (found.reason, found.text, found.source, found.checks) == ("needs_approval", "", "", ())
            assert (await made.review_queue.waiting(tenant)).total == 0

    run(test)
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (saas(languages=["en", "da"]), "needs_approval"),
        (saas(languages=["en", "da"], review_languages=["en"]), ""),
        (saas(languages=["en", "da"], review_languages=[]), ""),
    ],
)
def test_by_default_texts_in_languages_without_a_list_of_claims_wait(
    valkey: Valkey, model: ModelServer, tenant: str, plan: Plan, expected: str
) -> None:
    model.script = scripts.changed(text=DANISH)

    async def test() -> None:
        async with service(valkey.url, model, plan=plan) as made:
            found = await made.answer(a_request(tenant, of=request_for(locale="da")))
            assert (found.reason, found.source) == (expected, "call")
            assert [each.language for each in (await made.review_queue.waiting(tenant)).entries] == ["da"] * bool(expected)

    run(test)


def test_english_needs_no_approval_unless_the_catalog_says_so(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    async def test() -> Answer:
        async with service(valkey.url, model) as made:
            return await made.answer(a_request(tenant))

    found = run(test)
    assert found.reason == ""
    assert "approval" not in {each.check for each in found.checks}
    assert PLAN.catalog.wording is not None
    assert PLAN.catalog.wording.review_languages is None


def test_a_preview_says_that_the_text_would_wait(valkey: Valkey, model: ModelServer, tenant: str, redis: Redis) -> None:
    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED) as made:
            for confidence, why in ((0.9, "needs_approval"), (0.1, "low_confidence")):
                model.script = scripts.changed(text=GOOD, confidence=confidence)
                found = await made.preview(a_request(tenant))
                assert (found.answer.reason, found.refused, found.unfilled, found.waits) == (why, GOOD, "", True)
            model.script = scripts.changed(text="This is free, so {step}.")
            assert not (await made.preview(a_request(tenant))).waits

    run(test)
    assert not list(redis.scan_iter(match=f"*{{{tenant}}}*"))


def test_a_text_waits_for_its_own_version_of_the_catalog(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    """Else the text for the old version, which cannot be approved any more, would keep the new one waiting."""
    newer = Plan(REVIEWED.catalog.model_copy(update={"version": "2"}))

    async def test() -> None:
        async with service(valkey.url, model, plan=REVIEWED) as made:
            assert await reason(made, tenant) == "needs_approval"
        async with service(valkey.url, model, plan=newer) as made:
            moved = msgspec.structs.replace(a_request(tenant), catalog=newer.version)
            assert [(await made.answer(moved)).reason for _ in range(2)] == ["needs_approval", "approval_pending"]
            assert {each.catalog for each in (await made.review_queue.waiting(tenant)).entries} == {REVIEWED.version, newer.version}

    run(test)
