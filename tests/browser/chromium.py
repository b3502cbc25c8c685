"""A headless Chromium that opens pages of the fake gateway: a host page with a strict policy, and the demo."""

from __future__ import annotations

import json
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.support.fake_gateway import KEY, FakeGateway, Page
from tests.support.waiting import wait_until

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none';"
    " form-action 'self'; require-trusted-types-for 'script'"
)
"""What a careful page sets: nothing inline, no markup from text."""

HOST_SCRIPT: Final = f"""
window.complaints = []; window.problems = [];
addEventListener("error", (event) => complaints.push(String(event.message)));
addEventListener("unhandledrejection", (event) => complaints.push(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) => complaints.push(event.violatedDirective + " " + event.blockedURI));
const asked = new URLSearchParams(location.search);
const user = asked.get("user") ?? undefined;
const options = {{
  host: location.origin, key: "{KEY}", user,
  token: user && (async () => (await (await fetch("/token?user=" + encodeURIComponent(user))).json()).token),
  onError: (problem) => problems.push(problem),
  ui: {{ checklist: asked.get("checklist") === "floating" ? true : asked.get("checklist") ?? undefined }},
}};
addEventListener("submit", (event) => event.preventDefault());
onramp.init(options);
"""

HOST_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A host</title><link rel="stylesheet" href="/host.css">
<meta name="viewport" content="width=device-width">
<script src="/onramp.js" defer></script><script src="/host.js" defer></script></head>
<body><main><h1>A host</h1><p>Text of the host.</p>
<p><a href="/elsewhere" id="away" data-onramp-click="leave">Leave</a></p>
<form data-onramp-form="company"><label>Company <input id="field"></label>
<button id="anchor" data-onramp-step="connect_source" data-onramp-click="test_connection">Test connection</button></form>
<div id="list"></div></main></body></html>"""

#: The host's own styles, as rude as they get: none of them may reach what the snippet renders.
HOST_STYLE: Final = """
* { color: rgb(120, 0, 0) !important; font-size: 20px !important; letter-spacing: 3px; }
body > * { margin: 10px; } h2, p { text-transform: uppercase; } button { line-height: 3; }
"""

_FIND: Final = """
const roots = [...document.querySelectorAll("[data-onramp]")].map((host) => host.shadowRoot).filter(Boolean);
const find = (selector) => roots.map((root) => root.querySelector(selector)).find(Boolean) ?? null;
"""


class Browser:
    """A headless Chromium. Methods that wait name what they wait for."""

    def __init__(self, url: str, *, chromium: str, driver: str) -> None:
        """Start it for pages below ``url``; blocks for some seconds."""
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        # No sandbox: tests may run as root, in a container. The pages are our own.
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1100,800"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        self.driver.set_page_load_timeout(60)
        self.driver.set_script_timeout(60)
        self.url = url
        self.first = self.driver.current_window_handle

    def quit(self) -> None:
        """End the browser."""
        self.driver.quit()

    def _log(self) -> list[dict[str, Any]]:
        """What the browser has logged since the last call."""
        found: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return found

    def complaints(self) -> list[str]:
        """Errors of the page and breaches of its policy."""
        logged = [entry["message"] for entry in self._log() if entry["level"] == "SEVERE"]
        own = self.run("return window.complaints ?? [];")
        # A request that fails is logged by the browser itself; no script can keep it from that.
        return [*own, *(each for each in logged if "Failed to load resource" not in each and "net::ERR_" not in each)]

    # ---------------------------------------------------------------------------------------------------------------- conditions

    def network(self, *, offline: bool) -> None:
        """Switch the browser's network."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def media(self, **features: str) -> None:
        """Emulate media features, like ``prefers_color_scheme="dark"``."""
        found = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": found})

    def width(self, width: int, height: int) -> None:
        """Set the size of the page in CSS pixels."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        )

    # --------------------------------------------------------------------------------------------------------------------- pages

    def open(self, path: str) -> None:
        """Load a page."""
        self.driver.get(self.url + path)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; ``find(selector)`` in it looks into what the snippet rendered."""
        return self.driver.execute_script(_FIND + script, *arguments)

    def until(self, script: str, what: str) -> Any:
        """Wait until a script returns something true."""
        return wait_until(lambda: self.run(script), what, every=0.02)

    def shown(self, selector: str = ".guide") -> str:
        """Wait until the snippet shows something; return its message."""
        text: str = self.until(f"return find({json.dumps(selector)})?.querySelector('p').textContent", f"{selector} on the screen")
        return text

    def gone(self, selector: str = ".guide") -> None:
        """Wait until nothing is shown."""
        self.until(f"return !find({json.dumps(selector)})", f"the end of {selector}")

    def click(self, selector: str) -> None:
        """Click with the mouse on something that the snippet rendered, or else the page."""
        element = self.run("return find(arguments[0]) ?? document.querySelector(arguments[0]);", selector)
        ActionChains(self.driver).move_to_element(element).click().perform()

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        actions = ActionChains(self.driver)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def chord(self, *keys: str) -> None:
        """Hold all keys but the last, and press that."""
        actions = ActionChains(self.driver)
        for key in keys[:-1]:
            actions.key_down(key)
        actions.send_keys(keys[-1])
        for key in reversed(keys[:-1]):
            actions.key_up(key)
        actions.perform()

    def focus_text(self) -> str:
        """Text of what has the focus, wherever it is; the tag's name where it has no text."""
        text: str = self.run(
            "let element = document.activeElement;"
            "while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;"
            "return element.getAttribute('aria-label') || element.textContent.trim() || element.tagName;"
        )
        return text

    def tab_to(self, text: str, *, most: int = 40) -> None:
        """Press Tab until the focus is on what has this text."""
        seen = []
        for _ in range(most):
            self.press(Keys.TAB)
            seen.append(self.focus_text()[:60])
            if text in seen[-1]:
                return
        raise AssertionError(f"Tab does not lead to {text!r}, but to {seen}")


class HostBrowser(Browser):
    """The browser of all tests that share a fake gateway."""

    def __init__(self, gateway: FakeGateway, *, chromium: str, driver: str) -> None:
        """Start it; blocks for some seconds."""
        super().__init__(gateway.url, chromium=chromium, driver=driver)
        self.gateway = gateway

    def reset(self) -> None:
        """Forget what earlier tests left: storage, other windows, emulated conditions."""
        gateway = self.gateway
        gateway.pages.clear()
        gateway.pages["/"] = Page(HOST_PAGE, headers={"content-security-policy": POLICY})
        gateway.pages["/elsewhere"] = Page("<!doctype html><title>Elsewhere</title><p>Elsewhere")
        gateway.pages["/blank"] = Page("<!doctype html><title>Blank</title>")
        gateway.pages["/sources/new"] = Page("<!doctype html><title>Sources</title><p>Sources")
        gateway.pages["/host.js"] = Page(HOST_SCRIPT, "text/javascript")
        gateway.pages["/host.css"] = Page(HOST_STYLE, "text/css")
        for handle in self.driver.window_handles:
            if handle != self.first:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self.first)
        self.network(offline=False)
        self.media()
        self.width(1100, 800)
        self.driver.get(gateway.url + "/blank")
        self.run("localStorage.clear(); sessionStorage.clear();")
        gateway.reset()
        self._log()

    def open_host(self, user: str | None = "u-1", **query: str) -> None:
        """Load the host page for ``user`` and wait until it listens."""
        pairs = {**({"user": user} if user else {}), **query}
        self.open("/?" + "&".join(f"{name}={value}" for name, value in pairs.items()))
        if user:
            self.until("return onramp.connection === 'stream'", "the stream")

    def sent(self, event_type: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many events of a type are stored."""
        wait_until(lambda: len(self.gateway.of_type(event_type)) >= count, f"{count} {event_type}")
        return self.gateway.of_type(event_type)

    def leave(self) -> None:
        """Go to an empty page, so that the page before says its last words."""
        self.open("/blank")
