"""Events from a real browser: which are sent by themselves, and that none is lost when the network or the page goes away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.fake_gateway import KEY, FakeGateway, Page
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.browser.chromium import HostBrowser


def names(gateway: FakeGateway) -> list[str]:
    return [event["name"] for event in gateway.of_type("track")]


def test_page_views_clicks_and_forms_are_noticed(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    browser.run("history.pushState(null, '', '/pricing?secret=1'); history.replaceState(null, '', '/pricing#part');")
    browser.run("history.pushState(null, '', '/about');")
    browser.sent("page_view", 3)
    browser.run("history.back()")
    browser.sent("page_view", 4)
    browser.click("#anchor")
    browser.sent("form_submit")
    assert [event["payload"]["path"] for event in gateway.of_type("page_view")] == ["/", "/pricing", "/about", "/pricing"]
    assert gateway.of_type("page_view")[0]["payload"]["title"] == "A host"
    assert gateway.of_type("button_click")[0]["payload"] == {"target": "test_connection", "label": "Test connection"}
    assert gateway.of_type("form_submit")[0]["payload"] == {"form": "company"}
    assert len({event["anonymousId"] for event in gateway.events}) == 1
    assert "secret" not in str(gateway.events)


def paths(gateway: FakeGateway) -> list[str]:
    return [event["payload"]["path"] for event in gateway.of_type("page_view")]


def test_a_page_view_has_the_title_of_its_page(browser: HostBrowser, gateway: FakeGateway) -> None:
    """A router changes the path first, and the title when the page is there."""
    browser.open_host(None)
    browser.run("history.pushState(null, '', '/settings'); document.title = 'Settings';")
    browser.sent("page_view", 2)
    browser.run("history.pushState(null, '', '/billing'); setTimeout(() => { document.title = 'Billing'; }, 20);")
    browser.sent("page_view", 3)
    browser.run("history.pushState(null, '', '/last'); document.title = 'Last';")
    browser.leave()
    views = browser.sent("page_view", 4)
    assert [event["payload"]["title"] for event in views] == ["A host", "Settings", "Billing", "Last"]
    assert paths(gateway) == ["/", "/settings", "/billing", "/last"]


def test_a_page_view_that_the_page_sends_is_followed_by_none_of_the_same_page(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    browser.run("onramp.page('/virtual'); history.replaceState({ scroll: 1 }, ''); history.replaceState({ scroll: 2 }, '');")
    browser.run("history.pushState(null, '', '/next')")
    browser.sent("page_view", 3)
    assert paths(gateway) == ["/", "/virtual", "/next"]


def test_a_page_that_comes_back_from_the_cache_is_a_page_view(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    browser.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    browser.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    browser.sent("page_view", 2)
    assert paths(gateway) == ["/", "/"]


def test_a_prerendered_page_is_a_page_view_once_somebody_sees_it(browser: HostBrowser, gateway: FakeGateway) -> None:
    state = "let hidden = true; Object.defineProperty(document, 'prerendering', { get: () => hidden });"
    gateway.pages["/host.js"] = Page(state + gateway.pages["/host.js"].body, "text/javascript")
    browser.open("/")
    browser.run("onramp.track('prerendered'); history.replaceState(null, '', '/?moved'); return onramp.flush()")
    browser.sent("track")
    assert paths(gateway) == []
    browser.run("hidden = false; document.dispatchEvent(new Event('prerenderingchange'));")
    browser.sent("page_view")
    assert paths(gateway) == ["/"]


def test_a_long_label_is_cut_between_characters(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    browser.run("document.querySelector('#anchor').textContent = ' x' + '🙂'.repeat(300)")
    browser.run("document.querySelector('#anchor').click()")
    (click,) = browser.sent("button_click")
    assert click["payload"]["label"] == "x" + "🙂" * 199


def test_events_of_a_time_without_network_arrive_when_it_is_back(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    browser.sent("page_view")
    browser.network(offline=True)
    browser.run("for (const name of ['a', 'b', 'c']) onramp.track(name)")
    browser.until("return Object.keys(localStorage).filter((each) => each.includes(':q:')).length === 3", "the events on disk")
    assert names(gateway) == []
    browser.network(offline=False)
    wait_until(lambda: len(names(gateway)) == 3, "the events")
    assert names(gateway) == ["a", "b", "c"]
    browser.until("return !Object.keys(localStorage).some((each) => each.includes(':q:'))", "an empty queue")


def test_events_that_a_page_could_not_send_are_sent_by_the_next(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    browser.sent("page_view")
    gateway.answers[:] = [None] * 1_000
    browser.run("for (const name of ['a', 'b']) onramp.track(name)")
    browser.leave()
    gateway.answers.clear()
    browser.open_host(None)
    wait_until(lambda: len(names(gateway)) == 2, "the events of the page before")
    assert names(gateway) == ["a", "b"]


def test_an_event_with_half_an_emoji_that_a_page_left_is_sent_by_the_next(browser: HostBrowser, gateway: FakeGateway) -> None:
    event = {"eventId": "left", "eventType": "track", "name": "left \ud83d", "userId": "u-1", "timestamp": "2026-03-02T09:00:00Z"}
    browser.run("localStorage.setItem(arguments[0], arguments[1])", f"onramp:{KEY[-12:]}:q:left", json.dumps(event))
    browser.open_host(None)
    wait_until(lambda: names(gateway) == ["left \ufffd"], "the event of the page before")
    browser.until("return !Object.keys(localStorage).some((each) => each.includes(':q:'))", "an empty queue")


def test_what_one_publishable_key_could_not_send_is_never_sent_with_another(browser: HostBrowser, gateway: FakeGateway) -> None:
    """Two keys of one gateway may belong to two tenants: neither gets the events or the visitor of the other."""
    browser.open_host(None)
    (first,) = browser.sent("page_view")
    gateway.answers[:] = [None] * 1_000
    browser.run("for (const name of ['a', 'b']) onramp.track(name)")
    browser.leave()
    gateway.answers.clear()
    other = "pk_live_9876543210"
    gateway.keys.add(other)
    page = gateway.pages["/host.js"]
    gateway.pages["/host.js"] = Page(page.body.replace(KEY, other), page.content_type)
    browser.open_host(None)
    browser.run("return onramp.flush()")
    second = browser.sent("page_view", 2)[1]
    assert second["anonymousId"] != first["anonymousId"]
    assert names(gateway) == []
    gateway.pages["/host.js"] = page
    browser.open_host(None)
    wait_until(lambda: len(names(gateway)) == 2, "the events of the first key")
    assert names(gateway) == ["a", "b"]
    assert {event["anonymousId"] for event in gateway.of_type("track")} == {first["anonymousId"]}


def test_an_event_of_the_last_moment_is_not_lost(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    browser.sent("page_view")
    browser.run("localStorage.clear(); onramp.track('last'); location.href = '/elsewhere';")
    wait_until(lambda: names(gateway) == ["last"], "the event of the page that was left")
    browser.open_host(None)
    browser.click("#away")
    wait_until(
        lambda: [event["payload"]["target"] for event in gateway.of_type("button_click")] == ["leave"], "the click that left the page"
    )


def test_a_frame_without_storage_sends_all_the_same(browser: HostBrowser, gateway: FakeGateway) -> None:
    frame = "<!doctype html><title>Frame</title><script src='/onramp.js'></script><script src='/frame.js'></script>"
    gateway.pages["/frame"] = Page(frame)
    gateway.pages["/frame.js"] = Page(f"onramp.init({{ host: '{gateway.url}', key: '{KEY}' }}); onramp.track('framed');", "text/javascript")
    gateway.pages["/outer"] = Page("<!doctype html><title>Outer</title><iframe sandbox='allow-scripts' src='/frame'></iframe>")
    browser.open("/outer")
    wait_until(lambda: names(gateway) == ["framed"], "the event of the frame")


def test_a_visitor_who_signs_in_is_merged_with_the_token_of_the_user(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    (visit,) = browser.sent("page_view")
    browser.open_host("u-7")
    (merge,) = browser.sent("identity_merged")
    assert merge["userId"] == "u-7"
    assert merge["payload"] == {"previousId": visit["anonymousId"]}
    browser.open_host("u-7")
    browser.sent("page_view", 3)
    assert len(gateway.of_type("identity_merged")) == 1
    assert browser.run("return problems") == []


def test_what_waits_for_a_merge_leaves_with_the_page_and_the_next_page_sends_the_merge(browser: HostBrowser, gateway: FakeGateway) -> None:
    """The next page may be on another origin, where nothing of it is kept."""
    browser.open_host(None)
    browser.sent("page_view")
    browser.run(
        "onramp.init({ ...options, token: () => new Promise(() => undefined) });"
        "onramp.identify('u-7', { persona: 'analyst' }); onramp.send('signup', { traits: {} });"
    )
    browser.leave()
    browser.sent("signup")
    assert [event["eventType"] for event in gateway.events if event.get("userId") == "u-7"] == ["identify", "signup"]
    browser.open_host("u-7")
    browser.sent("identity_merged")
    browser.until("return !Object.keys(localStorage).some((each) => /:[qu]:/.test(each))", "an empty queue")
    assert len(gateway.of_type("signup")) == 1


#: A page with Segment's library, as its snippet and the library itself appear to other scripts. `load` is called when it has arrived.
SEGMENT = """
const visitors = [localStorage.segment ?? "ajs-1"]; let known = localStorage.segmentUser ?? null; const waiting = []; const heard = {};
window.analytics = Object.assign([], { ready: (then) => waiting.push(then) });
const library = {
  user: () => ({ id: () => known, anonymousId: () => visitors.at(-1) }),
  ready: (then) => setTimeout(then), on: (name, then) => (heard[name] ??= []).push(then),
  identify(user) { known = localStorage.segmentUser = user; for (const each of heard.identify ?? []) each(); },
  reset() { known = null; visitors.push("ajs-2"); localStorage.removeItem("segmentUser"); for (const each of heard.reset ?? []) each(); },
};
window.load = () => { window.analytics = library; for (const each of waiting) each(); };
const token = async () => (await (await fetch("/token?user=" + onramp.user)).json()).token;
"""


def segment_page(gateway: FakeGateway) -> None:
    """Serve a host page whose visitor is that of Segment's library."""
    own = gateway.pages["/host.js"].body.replace("onramp.init(options)", "onramp.init({ ...options, token })")
    gateway.pages["/host.js"] = Page(SEGMENT + own, "text/javascript")


def who(gateway: FakeGateway) -> list[tuple[str, str]]:
    return [(event["eventType"], event.get("userId") or event["anonymousId"]) for event in gateway.events]


def test_a_visitor_of_segment_is_merged_when_segment_identifies_them(browser: HostBrowser, gateway: FakeGateway) -> None:
    segment_page(gateway)
    browser.open_host(None)
    browser.run("load()")
    browser.sent("page_view")
    browser.run("analytics.identify('u-7')")
    (merge,) = browser.sent("identity_merged")
    assert (merge["userId"], merge["payload"]) == ("u-7", {"previousId": "ajs-1"})
    browser.until("return onramp.connection === 'stream'", "the stream of the user")
    browser.run("onramp.reset(); analytics.reset();")
    assert browser.run("return [onramp.user, onramp.connection]") == [None, "off"]
    browser.run("onramp.track('next')")
    browser.sent("track")
    assert who(gateway) == [("page_view", "ajs-1"), ("identity_merged", "u-7"), ("track", "ajs-2")]


def test_events_wait_until_segment_says_who_the_visitor_is(browser: HostBrowser, gateway: FakeGateway) -> None:
    segment_page(gateway)
    browser.run("localStorage.segmentUser = 'u-7'")
    browser.open_host(None)
    browser.run("const properties = { charts: 1 }; onramp.track('early', properties); properties.charts = 2;")
    browser.run("return onramp.flush()")
    assert gateway.events == []
    browser.run("load()")
    (track,) = browser.sent("track")
    assert track["payload"] == {"charts": 1}
    assert who(gateway) == [("identity_merged", "u-7"), ("page_view", "u-7"), ("track", "u-7")]


def test_events_do_not_wait_for_ever_for_segment(browser: HostBrowser, gateway: FakeGateway) -> None:
    segment_page(gateway)
    browser.open_host(None)
    (first,) = browser.sent("page_view")
    browser.open_host(None)
    browser.run("onramp.track('left')")
    browser.leave()
    (track,) = browser.sent("track")
    assert track["anonymousId"] == first["anonymousId"]


def refused_merge(browser: HostBrowser, gateway: FakeGateway) -> str:
    """A visitor signs in as u-7, and the gateway refuses the merge. Returns the visitor's id."""
    browser.open_host(None)
    (visit,) = browser.sent("page_view")
    gateway.refuse = lambda event: event["eventType"] == "identity_merged"
    browser.open_host("u-7")
    browser.until("return problems.some((each) => each.includes('refused'))", "the refusal")
    visitor: str = visit["anonymousId"]
    return visitor


def test_a_merge_that_was_refused_is_tried_again_by_the_next_page_of_its_user(browser: HostBrowser, gateway: FakeGateway) -> None:
    """A user may bind few visitors at a time. What the visitor did is neither lost nor given to the next one who signs in."""
    visitor = refused_merge(browser, gateway)
    browser.open_host("u-7")
    browser.until("return problems.some((each) => each.includes('refused'))", "the second refusal")
    gateway.refuse = lambda _: False
    browser.open_host("u-8")
    browser.run("onramp.send('preferences_changed', { guidance: true }); return onramp.flush();")  # the page sees the answer
    browser.sent("preferences_changed")
    assert gateway.of_type("identity_merged") == []
    browser.open_host("u-7")
    (merge,) = browser.sent("identity_merged")
    assert (merge["userId"], merge["payload"]) == ("u-7", {"previousId": visitor})
    browser.until("return !Object.keys(localStorage).some((each) => each.includes(':u:'))", "an empty queue")


def test_a_merge_that_is_refused_a_day_later_is_given_up(browser: HostBrowser, gateway: FakeGateway) -> None:
    refused_merge(browser, gateway)
    browser.run(
        "for (const [name, text] of Object.entries(localStorage)) if (name.includes(':u:'))"
        " localStorage.setItem(name, JSON.stringify({ ...JSON.parse(text), timestamp: new Date(Date.now() - 87e6).toISOString() }))"
    )
    browser.open_host("u-7")
    browser.until("return problems.some((each) => each.includes('refused'))", "the refusal")
    browser.until("return !Object.keys(localStorage).some((each) => each.includes(':u:'))", "an empty queue")


def test_a_tab_that_stayed_open_does_not_go_on_as_a_visitor_who_became_a_user(browser: HostBrowser, gateway: FakeGateway) -> None:
    """In another tab the visitor signed in and out. What the next person does here is theirs."""
    browser.open_host(None)
    (visit,) = browser.sent("page_view")
    browser.driver.switch_to.new_window("tab")
    browser.open_host("u-7")
    browser.sent("identity_merged")
    browser.run("onramp.reset()")
    browser.driver.switch_to.window(browser.first)
    browser.run("onramp.track('next')")
    (following,) = browser.sent("track")
    assert following["anonymousId"] != visit["anonymousId"]
    browser.run(
        "const token = async () => (await (await fetch('/token?user=u-8')).json()).token;onramp.init({ ...options, user: 'u-8', token });"
    )
    merge = browser.sent("identity_merged", 2)[1]
    assert (merge["userId"], merge["payload"]) == ("u-8", {"previousId": following["anonymousId"]})


def test_a_visitor_is_not_merged_by_a_page_that_cannot_send(browser: HostBrowser, gateway: FakeGateway) -> None:
    browser.open_host(None)
    (visit,) = browser.sent("page_view")
    browser.run("onramp.init({ ...options, host: 'ftp://x', user: 'u-7', token: () => 't' })")
    browser.open_host("u-7")
    (merge,) = browser.sent("identity_merged")
    assert merge["payload"] == {"previousId": visit["anonymousId"]}


def test_a_broken_host_page_still_works(browser: HostBrowser, gateway: FakeGateway) -> None:
    """What a page can do wrong is told to onError, and the page goes on."""
    browser.open_host(None)
    said = browser.run(
        "const told = []; const onError = (problem) => told.push(problem);"
        "onramp.init(); onramp.init({ host: 'ftp://x', key: '', onError }); onramp.track('a'); onramp.identify();"
        "onramp.init({ host: location.origin, key: 'pk', user: 'u', onError, token: () => { throw new Error('no') },"
        " ui: { checklist: '#nowhere', targets: 7, strings: null, navigate: 7 } });"
        "onramp.send('track', { self: window }); onramp.destroy(); onramp.destroy(); onramp.track('b'); return told;"
    )
    assert len(said) >= 4
    assert browser.run("return document.title") == "A host"
