"""docs/stores.md says of Redis's codes what the table of the code says, and names every secret that a file may hold."""

from __future__ import annotations

import re
from pathlib import Path

from flows.settings import PREFIX, secret_settings
from sinks.redis.errors import CODES, Verdict, is_transient
from tests.support.redis_errors import received

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")


def codes_whose_row_says(words: str) -> set[str]:
    """The codes of the rows that say ``words`` about the job."""
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("|")]
    return {code for codes, said in rows if words in said for code in re.findall(r"`([A-Z]+)`", codes)}


def test_the_codes_that_the_job_waits_for_and_those_that_end_it_are_the_documented_ones() -> None:
    followed = {code for code in CODES if is_transient(received(f"{code} 1 h:1"), in_cluster=True)} - codes_whose_row_says("it retries")
    of = {verdict: {code for code, meaning in CODES.items() if meaning.verdict is verdict} for verdict in Verdict}
    assert codes_whose_row_says("it retries and reads no further") == of[Verdict.WAIT]
    assert codes_whose_row_says("a cluster client follows") == followed
    assert codes_whose_row_says("with a sentence that says what to change") == of[Verdict.SETTING] - followed
    assert not of[Verdict.BUG] & set(re.findall(r"`([A-Z]+)`", PAGE))


def test_every_secret_that_a_file_may_hold_is_listed() -> None:
    (listed,) = re.findall(r"These settings are (.*?)\. Line breaks", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", listed)) == {PREFIX + name.upper() for name in secret_settings()}
