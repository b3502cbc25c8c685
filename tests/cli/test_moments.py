"""Times on the command line: a sentence for what is no time, or none of the calendar."""

from __future__ import annotations

import pytest
import typer

from cli.support.options import moment_of
from reports.values import shown_moment


@pytest.mark.parametrize(
    "text",
    ["999999999d", "9" * 400 + "d", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01", "", "-1h", "now", "9" * 5000],
)
def test_a_time_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is neither a time|is not within the years 1 to 9999"):
        moment_of(text)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ("2026-03-02T09:00:00+01:00", 1772438400000),
    ],
)
def test_a_time_of_the_calendar_is_read(text: str, milliseconds: int) -> None:
    assert moment_of(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-05T08:00:00.123Z", "2026-01-05 08:00:00"),
        ("2026-01-05T09:30:00+01:00", "2026-01-05 08:30:00"),
        ("", ""),
        ("no time, of a file that others may write", "no time, of a file "),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00"),
    ],
)
def test_a_time_is_shown_to_the_second_in_utc_and_other_text_as_it_is(text: str, shown: str) -> None:
    assert shown_moment(text) == shown
