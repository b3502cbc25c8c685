"""One headless Chromium and one fake gateway for all tests of this directory; without a browser these tests are skipped."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_gateway import FakeGateway

if TYPE_CHECKING:
    from tests.browser.chromium import HostBrowser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
HINT = "on Debian: apt-get install chromium chromium-driver"


@pytest.fixture(scope="session")
def gateway_of_all() -> Iterator[FakeGateway]:
    with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
def gateway(gateway_of_all: FakeGateway) -> FakeGateway:
    """A gateway that knows nobody yet."""
    gateway_of_all.reset()
    return gateway_of_all


@pytest.fixture(scope="session")
def browser_of_all(gateway_of_all: FakeGateway) -> Iterator[HostBrowser]:
    if importlib.util.find_spec("selenium") is None:
        pytest.skip("the browser tests need selenium, which is among the packages for development")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip(f"the browser tests need Chromium and its driver; {HINT}")
    from tests.browser.chromium import HostBrowser

    browser = HostBrowser(gateway_of_all, chromium=CHROMIUM, driver=DRIVER)
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture
def browser(browser_of_all: HostBrowser, gateway: FakeGateway) -> Iterator[HostBrowser]:
    """A browser without a past. After the test the page must have had no error and broken no rule of its policy."""
    browser_of_all.reset()
    yield browser_of_all
    assert browser_of_all.complaints() == []
