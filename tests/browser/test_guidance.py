"""The snippet in a real browser, on a page with a strict policy and rude styles: what it shows, reports, and leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.guidance_cases import COMPONENTS, progress
from tests.support.fake_gateway import KEY, FakeGateway, recommendation
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.browser.chromium import HostBrowser

ATTACK = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>{{7*7}}${7*7}" onclick="window.owned=1" style="x'


@pytest.mark.parametrize("component", COMPONENTS)
def test_guidance_is_shown_and_its_fate_is_reported_once(browser: HostBrowser, gateway: FakeGateway, component: str) -> None:
    gateway.recommend("u-1", recommendation("r-1.arm.mac", uiComponent=component, message="Press Test connection."))
    browser.open_host()
    assert browser.shown() == "Press Test connection."
    browser.sent("recommendation_shown")
    browser.open_host()  # loaded again, it is shown again, and not reported again
    browser.shown()
    browser.click(".guide .x")
    browser.gone()
    browser.sent("recommendation_dismissed")
    browser.open_host()
    browser.until("return onramp.recommendation?.recommendationId === 'r-1.arm.mac'", "the record")
    browser.run("return onramp.flush()")
    assert browser.run("return find('.guide')") is None
    exposures = [event for event in gateway.events if event["eventType"].startswith("recommendation_")]
    assert [event["eventType"] for event in exposures] == ["recommendation_shown", "recommendation_dismissed"]
    assert all(event["payload"] == {"recommendationId": "r-1.arm.mac"} and event["userId"] == "u-1" for event in exposures)
    posts = [headers for method, path, headers in gateway.requests if (method, path) == ("POST", "/v1/events")]
    assert {headers["authorization"] for headers in posts} == {f"Bearer {KEY}"}


def test_guidance_that_was_closed_in_one_tab_closes_in_the_others(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.recommend("u-1", recommendation("r-1"))
    browser.open_host()
    browser.shown()
    browser.driver.switch_to.new_window("tab")
    browser.open_host()
    browser.shown()
    browser.click(".guide .x")
    browser.sent("recommendation_dismissed")
    browser.driver.switch_to.window(browser.first)
    browser.gone()
    assert len(gateway.of_type("recommendation_shown")) == 1
    assert len(gateway.of_type("recommendation_dismissed")) == 1


@pytest.mark.parametrize("component", COMPONENTS)
def test_guidance_waits_for_the_end_of_a_dialog_of_the_page(browser: HostBrowser, gateway: FakeGateway, component: str) -> None:
    browser.open_host()
    browser.run(
        "const own = document.createElement('dialog'); own.id = 'own'; own.append('Pay here');document.body.append(own); own.showModal();"
    )
    gateway.recommend("u-1", recommendation("r-1", uiComponent=component))
    browser.until("return onramp.recommendation", "the record")
    browser.run("onramp.track('later'); return onramp.flush();")
    browser.sent("track")
    assert browser.run("return find('.guide')") is None
    browser.run("document.querySelector('#own').close()")
    browser.shown()
    browser.sent("recommendation_shown")


def test_guidance_is_not_reported_as_shown_while_something_lies_over_it(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host()
    browser.run(
        "const cover = document.createElement('div'); cover.id = 'cover'; document.body.append(cover);"
        "Object.assign(cover.style, { position: 'fixed', inset: '0', zIndex: '2147483647' });"
    )
    gateway.recommend("u-1", recommendation("r-1", uiComponent="sidebar_hint"))
    browser.shown()
    browser.run("onramp.track('later'); return onramp.flush();")
    browser.sent("track")
    assert gateway.of_type("recommendation_shown") == []
    browser.run("document.querySelector('#cover').remove()")
    browser.sent("recommendation_shown")


def test_a_click_is_reported_though_the_page_is_left_for_it(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.recommend("u-1", recommendation("r-1", deepLink="/sources/new"))
    browser.open_host()
    browser.shown()
    browser.click(".guide .row a")
    wait_until(lambda: browser.driver.title == "Sources", "the page that the link leads to")
    browser.sent("recommendation_clicked")
    assert gateway.of_type("recommendation_dismissed") == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_text_renders_as_text(browser: HostBrowser, gateway: FakeGateway, component: str) -> None:
    steps = [{"id": "connect_source", "title": ATTACK, "link": "javascript:window.owned=1", "status": "current"}]
    gateway.advance("u-1", {**progress(steps=steps), "pathTitle": ATTACK, "pathId": ATTACK})
    browser.open_host(checklist="floating")
    browser.until("return onramp.progress", "the progress")
    fields = dict.fromkeys(("trigger", "arm", "source", "reason", "pathId"), ATTACK)
    attack = recommendation(ATTACK, uiComponent=component, message=ATTACK, deepLink="javascript:window.owned=1", **fields)
    gateway.recommend("u-1", attack)
    assert browser.shown() == ATTACK
    assert browser.run("return find('.guide h2').textContent") == ATTACK
    assert ATTACK in browser.run("return find('li').textContent")
    assert browser.run("return roots.flatMap((root) => [...root.querySelectorAll('img,script,iframe,a,[onclick]')]).length") == 0
    assert browser.run("return window.owned ?? null") is None
    assert browser.sent("recommendation_shown")[0]["payload"] == {"recommendationId": ATTACK}


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", " java\tscript:alert(1)", "data:text/html,x", "//evil.example/x", "https://evil.example", "http://["]
)
def test_a_link_that_leads_elsewhere_is_left_out(browser: HostBrowser, gateway: FakeGateway, link: str) -> None:
    gateway.recommend("u-1", recommendation("r-1", deepLink=link))
    browser.open_host()
    browser.shown()
    assert browser.run("return find('.guide a')") is None


def test_visible_text_never_changes(browser: HostBrowser, gateway: FakeGateway) -> None:
    """A model's text may replace the template while it is read: the next page shows it."""
    gateway.recommend("u-1", recommendation("r-1", message="The template."))
    browser.open_host()
    assert browser.shown() == "The template."
    gateway.recommend("u-1", recommendation("r-1", message="A better text.", source="llm"))
    browser.until("return onramp.recommendation.source === 'llm'", "the better text")
    assert browser.shown() == "The template."


def test_guidance_that_is_withdrawn_goes_and_the_next_one_comes(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.recommend("u-1", recommendation("r-1"))
    browser.open_host()
    browser.shown()
    gateway.recommend("u-1", recommendation("", version=2, uiComponent="none", message="", reason="step_completed"))
    browser.gone()
    gateway.recommend("u-1", recommendation("r-3", version=3, message="The next step.", uiComponent="sidebar_hint"))
    assert browser.shown(".side") == "The next step."
    gateway.recommend("u-1", {"version": 4, "deleted": True})
    browser.gone()
    assert gateway.of_type("recommendation_dismissed") == []


def test_guidance_does_not_vanish_while_the_focus_is_in_it(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.recommend("u-1", recommendation("r-1", message="Old."))
    browser.open_host()
    browser.shown()
    assert browser.run("return onramp.focus()") is True
    gateway.recommend("u-1", recommendation("r-2", version=2, message="New."))
    browser.until("return onramp.recommendation.recommendationId === 'r-2'", "the new record")
    assert browser.shown() == "Old."
    browser.run("document.getElementById('field').focus()")
    browser.until("return find('.guide p')?.textContent === 'New.'", "the new guidance")


def test_a_modal_waits_until_nobody_types(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host()
    browser.run("addEventListener('keydown', (event) => (window.typed = event.timeStamp)); document.getElementById('field').focus()")
    browser.press("A", "c", "m", "e")
    gateway.recommend("u-1", recommendation("r-1", uiComponent="modal"))
    browser.shown("dialog")
    assert browser.run("return performance.now() - typed") > 1_490, "1.5 seconds, less what two clocks differ by"
    assert browser.run("return document.getElementById('field').value") == "Acme"


def test_a_tooltip_points_at_its_step_and_follows_it(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.recommend("u-1", recommendation("r-1"))
    browser.open_host()
    browser.shown(".tooltip")
    gap = (
        "const card = find('.tooltip').getBoundingClientRect(), to = document.getElementById('anchor').getBoundingClientRect();"
        "return Math.min(Math.abs(card.top - to.bottom), Math.abs(to.top - card.bottom));"
    )
    beside = gap.replace("return", "const gap =") + "return gap <= 13"
    browser.until(beside, "the tooltip beside its step")  # it moves a little when it appears
    browser.run("document.querySelector('h1').style.height = '230px'")
    browser.until(beside, "the tooltip beside its step again")
    browser.run("document.getElementById('anchor').remove()")
    browser.until("return find('.corner')", "the tooltip in the corner")
    inside = "const {left, right, top, bottom} = find('.guide').getBoundingClientRect();"
    assert browser.run(inside + "return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight")


def test_nothing_in_the_page_moves(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host()
    browser.run(
        "window.shifts = 0; new PerformanceObserver((list) => { for (const each of list.getEntries()) shifts += each.value; })"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    before = browser.run("return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    for version, component in enumerate(COMPONENTS, 1):
        gateway.recommend("u-1", recommendation(f"r-{version}", version=version, uiComponent=component, message=component))
        browser.until(f"return find('.guide p')?.textContent === '{component}'", component)
        assert browser.run("return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == before
        browser.click(".guide .x")
        browser.gone()
    assert browser.run("return shifts") == 0


def test_styles_of_the_host_do_not_reach_it_and_its_own_do_not_leak(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host()
    looks = "const it = getComputedStyle(arguments[0]); return [it.color, it.fontSize, it.letterSpacing, it.textTransform]"
    host = browser.run(looks.replace("arguments[0]", "document.querySelector('h1')"))
    gateway.recommend("u-1", recommendation("r-1"))
    browser.shown()
    assert browser.run(looks.replace("arguments[0]", "find('.guide p')")) == ["rgb(27, 30, 40)", "16px", "normal", "none"]
    assert browser.run(looks.replace("arguments[0]", "document.querySelector('h1')")) == host
    browser.run("document.documentElement.style.setProperty('--onramp-accent', 'rgb(1, 2, 3)')")
    assert browser.run("return getComputedStyle(find('.row a')).backgroundColor") == "rgb(1, 2, 3)"


def test_who_wants_no_motion_gets_none(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.recommend("u-1", recommendation("r-1"))
    browser.open_host()
    browser.shown()
    assert browser.run("return getComputedStyle(find('.guide')).animationName") == "in"
    browser.media(prefers_reduced_motion="reduce")
    assert browser.run("return getComputedStyle(find('.guide')).animationName") == "none"


def test_a_page_may_listen_before_it_starts(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.recommend("u-1", recommendation("r-1"))
    browser.open_host()
    browser.shown()
    browser.run(
        "window.seen = []; const options = { host: location.origin, key: 'pk', user: 'u-1', ui: false,"
        " token: async () => (await (await fetch('/token?user=u-1')).json()).token };"
        "onramp.destroy(); onramp.on('recommendation', (each) => seen.push(each?.recommendationId ?? null)); onramp.init(options);"
    )
    browser.until("return seen.includes('r-1')", "the recommendation")
    browser.run("onramp.destroy()")
    assert browser.run("return seen") == ["r-1", None]
    assert browser.run("return find('.guide')") is None


def test_a_page_that_replaces_its_body_keeps_its_guidance(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host()
    gateway.recommend("u-1", recommendation("r-1"))
    browser.shown()
    browser.run("const body = document.createElement('body'); body.append('Another page'); document.body.replaceWith(body);")
    browser.until("return find('.guide')?.isConnected", "the tooltip in the new body")


def test_a_new_token_is_taken_when_the_old_one_ends(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host()
    assert gateway.minted == 1
    gateway.expire_tokens()
    wait_until(lambda: gateway.minted == 2 and gateway.streams() == 1, "a stream with a new token")
    gateway.recommend("u-1", recommendation("r-1", message="Still here."))
    assert browser.shown() == "Still here."


def test_a_token_of_somebody_else_shows_nothing_and_is_reported(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.recommend("u-2", recommendation("r-2", message="For another user."))
    browser.open_host()
    browser.run(
        "onramp.init({ host: location.origin, key: arguments[0], user: 'u-1', onError: (problem) => problems.push(problem),"
        " token: async () => (await (await fetch('/token?user=u-2')).json()).token });",
        KEY,
    )
    browser.until("return problems.some((each) => each.includes('token of another user'))", "the report")
    assert browser.run("return onramp.record") is None
    assert browser.run("return find('.guide')") is None


def test_what_came_while_the_stream_was_down_is_shown(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host()
    gateway.streaming = False
    gateway.close_streams()
    gateway.recommend("u-1", recommendation("r-1", message="Meanwhile."))
    gateway.streaming = True
    assert browser.shown() == "Meanwhile."
    streams = [headers for _, path, headers in gateway.requests if path == "/v1/stream?userId=u-1"]
    assert len(streams) >= 2
    assert all(headers["authorization"].startswith("Bearer e30.") for headers in streams)
    assert not [path for _, path, _ in gateway.requests if "e30." in path], "a token never stands in an address"
