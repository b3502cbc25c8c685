"""Everything that the snippet renders, and the demo, by keyboard alone and under axe-core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.guidance_cases import COMPONENTS, STEPS, progress
from tests.support.demo_engine import DemoEngine
from tests.support.fake_gateway import FakeGateway, recommendation
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.browser.chromium import HostBrowser

AXE = Path(__file__).resolve().parents[2] / "scripts" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed; `make browser` installs it")
TAB, ESCAPE, ENTER, SHIFT, ALT = "\ue004", "\ue00c", "\ue007", "\ue008", "\ue00a"  # selenium's Keys, which may not be installed


def serious(browser: HostBrowser) -> list[str]:
    """What axe-core calls serious or critical in the page, shadow trees included."""
    browser.run(AXE.read_text(encoding="utf-8"))
    found = browser.driver.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, { resultTypes: ['violations'] }).then((result) => done(result.violations), (error) => done([String(error)]))"
    )
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found if each["impact"] in {"serious", "critical"}]


@needs_axe
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious_in_what_is_rendered(browser: HostBrowser, gateway: FakeGateway, scheme: str) -> None:
    browser.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    gateway.pages["/host.css"].body = ":root { color-scheme: light dark } a { color: inherit }"
    gateway.pages["/"].headers.clear()  # axe-core itself writes styles into the page
    gateway.advance("u-1", progress())
    browser.open_host(checklist="floating")
    browser.until("return find('.launch')", "the checklist")
    browser.click(".launch")
    for version, component in enumerate(COMPONENTS, 1):
        gateway.recommend("u-1", recommendation(f"r-{version}", version=version, uiComponent=component, message=component))
        browser.until(f"return find('.guide.{'side' if component == 'sidebar_hint' else component}')", component)
        assert serious(browser) == []
        browser.click(".guide .x")


@needs_axe
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious_in_the_demo(browser: HostBrowser, gateway: FakeGateway, scheme: str) -> None:
    browser.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    gateway.react = DemoEngine(gateway)
    browser.open("/demo/")
    browser.until("return document.querySelector('#view button')", "the welcome")
    assert serious(browser) == []
    browser.click("#view button")
    browser.shown(".guide")
    for page in ("/home", "/sample/overview", "/sources/new", "/dashboards/new", "/dashboards/recent", "/settings/people"):
        browser.run(f"location.hash = '{page}'")
        browser.until("return document.querySelector('#nav [aria-current]')", page)
        assert serious(browser) == []


def test_a_modal_holds_the_focus_and_gives_it_back(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host()
    browser.run("document.getElementById('away').focus()")
    gateway.recommend("u-1", recommendation("r-1", uiComponent="modal"))
    browser.shown("dialog")
    seen = set()
    for _ in range(8):
        browser.press(TAB)
        seen.add(browser.focus_text())
    assert {"Show me", "Not now", "Dismiss"} <= seen
    assert seen & {"Leave", "Test connection", "INPUT"} == set(), "the page behind is inert"
    browser.press(ESCAPE)
    browser.gone()
    assert browser.focus_text() == "Leave"
    browser.sent("recommendation_dismissed")


@pytest.mark.parametrize("component", ["tooltip", "sidebar_hint"])
def test_a_hint_takes_no_focus_is_announced_and_is_reached_by_keys(browser: HostBrowser, gateway: FakeGateway, component: str) -> None:
    browser.open_host()
    browser.run("document.getElementById('field').focus()")
    gateway.recommend("u-1", recommendation("r-1", uiComponent=component, message="Press it."))
    browser.shown()
    assert browser.run("return document.activeElement.id") == "field"
    live = browser.until("return find('[aria-live=polite]').textContent", "the announcement")
    assert live == "A suggestion. Press it. Press Alt+Shift+G to go to it."
    browser.press(ESCAPE)  # Escape in a field of the page belongs to the page
    assert browser.shown() == "Press it."
    browser.chord(ALT, SHIFT, "g")
    assert browser.focus_text() == "A suggestion"
    browser.press(TAB)
    assert browser.focus_text() == "Show me"
    browser.press(TAB)
    assert browser.focus_text() == "Not now"
    browser.press(ENTER)
    browser.gone()
    assert browser.run("return document.activeElement.id") == "field"
    browser.sent("recommendation_dismissed")


def test_the_checklist_is_worked_by_keys_and_keeps_the_focus_when_it_changes(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(checklist="floating")
    gateway.recommend("u-1", recommendation("r-0", uiComponent="none", message=""))
    browser.until("return onramp.record", "the record")
    assert browser.run("return find('.launch')?.checkVisibility() ?? false") is False, "nothing to list yet"
    gateway.advance("u-1", progress())
    browser.until("return find('.launch')?.checkVisibility()", "the checklist")
    assert browser.run("return find('.launch').textContent") == "Getting started: 1 of 3 done"
    browser.tab_to("Getting started")
    browser.press(ENTER)
    assert browser.run("return find('.launch').getAttribute('aria-expanded')") == "true"
    browser.tab_to("share a dashboard")
    steps = [STEPS[0], {**STEPS[1], "status": "done"}, {**STEPS[2], "status": "current"}]
    gateway.advance("u-1", progress(2, steps))
    browser.until("return find('li:last-child').getAttribute('aria-current') === 'step'", "the next step")
    assert browser.focus_text() == "share a dashboard"
    assert "connect a data source: done. 2 of 3 done." in browser.until(
        "return roots.map((root) => root.querySelector('[role=status]')?.textContent).join('')", "the announcement"
    )
    browser.press(ESCAPE)
    assert browser.focus_text().startswith("Getting started")
    assert browser.run("return find('.launch').getAttribute('aria-expanded')") == "false"


def test_a_checklist_fills_an_element_of_the_page(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.advance("u-1", progress())
    browser.open_host(checklist="%23list")
    browser.until("return document.querySelector('#list [data-onramp]')?.shadowRoot.querySelectorAll('li').length === 3", "the steps")
    assert browser.run("return [...find('ol').children].map((each) => each.textContent)") == [
        "look around, done",
        "connect a data source, next",
        "share a dashboard",
    ]
    assert browser.run("return [...find('ol').querySelectorAll('a')].map((each) => each.getAttribute('href'))") == [
        f"{gateway.url}/sources/new",
        f"{gateway.url}/share",
    ]


def walk(browser: HostBrowser, gateway: FakeGateway) -> None:
    """Go through the demo by keys: sign up, get stuck, get help, complete, next step."""
    browser.tab_to("Sign up")
    browser.press(ENTER)
    browser.shown(".tooltip")
    browser.sent("recommendation_shown")
    browser.chord(ALT, SHIFT, "g")
    browser.press(TAB, ENTER)  # Show me
    browser.until("return location.hash === '#/sample/overview'", "the page of the step")
    browser.sent("recommendation_clicked")
    browser.tab_to("Fail three times")
    browser.press(ENTER)
    browser.shown("dialog")
    browser.press(TAB, ENTER)
    browser.gone("dialog")
    browser.sent("recommendation_clicked", 2)
    browser.tab_to("Complete this step")
    browser.press(ENTER)
    assert "Nicely done" in browser.shown(".side")
    browser.until("return document.getElementById('play-step').textContent === 'connect a data source'", "the next step")


def test_the_demo_is_walked_through_by_keys_alone(browser: HostBrowser, gateway: FakeGateway) -> None:
    gateway.react = DemoEngine(gateway)
    browser.open("/demo/")
    browser.until("return document.querySelector('#view button')", "the welcome")
    walk(browser, gateway)
    assert gateway.of_type("recommendation_dismissed") == []
    assert len(gateway.of_type("error")) == 3
    wait_until(lambda: len(gateway.of_type("recommendation_shown")) == 3, "three recommendations on the screen")
