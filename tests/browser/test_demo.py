"""The demo page: a newcomer gets stuck, gets help, completes the path, and sees beside it what the engine saw and why it decided so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.demo_engine import STEPS, DemoEngine
from tests.support.fake_gateway import FakeGateway

if TYPE_CHECKING:
    from tests.browser.chromium import HostBrowser


def begin(browser: HostBrowser, gateway: FakeGateway, name: str = "Grace") -> None:
    gateway.react = DemoEngine(gateway)
    browser.open("/demo/")
    browser.until("return document.querySelector('#first-name')", "the welcome")
    browser.run("document.querySelector('#first-name').value = arguments[0]", name)
    browser.click("#view button")
    browser.shown()


def test_stuck_help_click_complete_next_and_the_reason_for_each(browser: HostBrowser, gateway: FakeGateway) -> None:
    begin(browser, gateway)
    assert "Grace has just signed up. Show a tooltip." in browser.run("return document.getElementById('decision').textContent")
    browser.click(".guide .row a")
    browser.until("return document.querySelector('#view h2').textContent === 'Last week at a glance'", "the page of the step")
    browser.click("#view button")  # finish the tour
    assert browser.shown(".side").endswith("connect a data source.")
    browser.click(".guide .row a")
    browser.until("return document.querySelector('#host')", "the page of the next step")
    before = 0.0
    for attempt in (1, 2, 3):
        before = browser.run("return performance.now()")
        browser.click("#view form button")
        browser.sent("error", attempt)
    browser.shown("dialog")
    seconds = browser.run("return document.querySelector('.feed .decided .text').textContent.match(/([\\d.]+) s after/)[1]")
    assert 0 < float(seconds) <= (browser.run("return performance.now()") - before) / 1_000 + 0.01, "it is counted from the last event"
    decision = browser.run("return document.getElementById('decision').textContent")
    assert "the step fails again and again" in decision
    assert "moderate_modal" in decision
    browser.click("dialog .row button")
    browser.gone("dialog")
    browser.run("document.getElementById('kind').value = 'file'")
    browser.click("#view form button")
    browser.shown(".side")
    assert "completed: connect a data source" in browser.run("return document.getElementById('feed').textContent")
    browser.until("return !document.getElementById('feed').textContent.includes('sending')", "the acknowledgement of every event")


def test_every_step_can_be_completed_to_the_end(browser: HostBrowser, gateway: FakeGateway) -> None:
    begin(browser, gateway)
    for number, _ in enumerate(STEPS, 1):
        browser.run("document.getElementById('complete').click()")
        browser.until(
            f"return onramp_done() === {number}; function onramp_done() {{ return document.querySelectorAll('#progress .done').length }}",
            "a step",
        )
    assert browser.run("return document.getElementById('play-step').textContent") == "all steps are done"
    browser.until("return document.getElementById('decision').textContent.includes('Show nothing')", "the withdrawal")


def test_it_fits_on_a_phone(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.width(360, 740)
    begin(browser, gateway)
    for page in ("/home", "/sample/details", "/sources/new", "/dashboards/new", "/dashboards/recent", "/settings/people"):
        browser.run(f"location.hash = '{page}'")
        browser.until(f"return location.hash === '#{page}'", page)
        assert browser.run("return document.documentElement.scrollWidth") == 360
        inside = "const {left, right} = find('.guide').getBoundingClientRect(); return left >= 0 && right <= 360"
        browser.until(inside, "the guidance inside of the screen")


def test_what_is_typed_into_it_stays_text(browser: HostBrowser, gateway: FakeGateway) -> None:
    attack = "<img src=x onerror=window.owned=1>"
    begin(browser, gateway, attack)
    assert attack in browser.run("return document.querySelector('#view h2').textContent")
    for page, field in (("/sources/new", "host"), ("/dashboards/new", "title"), ("/settings/people", "address")):
        browser.run(f"location.hash = '{page}'")
        browser.until(f"return document.getElementById('{field}')", page)
        browser.run(
            "document.getElementById(arguments[0]).value = arguments[1]; document.querySelector('#view form button').click()", field, attack
        )
    browser.sent("error", 2)
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert browser.run("return window.owned ?? null") is None


def test_a_reload_goes_on_as_the_same_user_and_starting_over_as_another(browser: HostBrowser, gateway: FakeGateway) -> None:
    begin(browser, gateway)
    user = browser.run("return document.getElementById('user').textContent")
    browser.driver.refresh()
    browser.until("return document.querySelectorAll('#progress li').length", "the progress")
    assert browser.run("return document.getElementById('user').textContent") == user
    browser.click("#again")
    browser.until("return document.querySelector('#first-name')", "the welcome")
    assert len(gateway.of_type("signup")) == 1
