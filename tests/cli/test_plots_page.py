"""``index.html`` beside the plots: readable on a phone and by a screen reader."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from evaluation.evidence import Evidence
from reports.plots import draw_all
from reports.run_report import build_report
from state.duration import DAY
from tests.cli.effect_people import BOTH, LEARNED, people
from tests.evaluation.cases import START
from tests.evaluation.groups import catalog

REASON = 'cooldown <b>&"'


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(tmp_path: Path) -> _Page:
    """The page of a report with two plots, one of which names a reason that looks like HTML."""
    declined = {
        "decision_id": "d", "user_id": "u", "trigger": "signup", "step_id": "s", "segment": "*", "experiment_group": "adaptive",
        "path_id": "p", "outcome": "declined", "reason": REASON, "arm": "", "propensity": 0.0, "arms": [], "propensities": [],
        "decided_at": START,
    }  # fmt: skip
    shares = catalog("p@1", holdout=0.5, rules=0.0)
    evidence = Evidence.of(until=START + 30 * DAY, people=people(BOTH), catalogs=[shares], decisions=[declined])
    drawn = draw_all(build_report(evidence, LEARNED), tmp_path)
    assert [path.name for path in drawn] == ["lift.svg", "reasons.svg"]
    return _Page((tmp_path / "index.html").read_text(encoding="utf-8"))


def test_the_page_is_as_wide_as_the_screen(page: _Page) -> None:
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert {"name": "color-scheme", "content": "light"} in page.all("meta"), "the pictures are"


def test_a_picture_is_described_by_its_finding_and_opens_alone(page: _Page) -> None:
    texts = [image["alt"] for image in page.all("img")]
    assert texts == [
        "No effect of guidance is proven yet: +0.0 points (−100.0 to +100.0)",
        f"The most frequent reason for showing nothing is {REASON}: 100% of all",
    ]
    assert [link["href"] for link in page.all("a")] == [image["src"] for image in page.all("img")] == ["lift.svg", "reasons.svg"]
    assert not page.all("b")


def test_it_has_a_language_and_one_heading(page: _Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("title")) == len(page.all("main")) == 1
