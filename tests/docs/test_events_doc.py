"""The table of fields in the event contract is the code's, and what it shows in code is read or refused as it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.write_event_fields import BEGIN, END, written
from state.event_fields import FIELDS, REQUIRED, Field, as_table, fault_of

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
BY_NAME = {field.name: field for field in FIELDS}


def test_the_page_has_the_table_of_the_code() -> None:
    assert written(PAGE, as_table()) == PAGE, "run `make event-fields`"
    assert PAGE.count(BEGIN) == PAGE.count(END) == 1
    assert written(f"a\n{BEGIN}old\n{END}b\n", "new\n") == f"a\n{BEGIN}new\n{END}b\n"


def test_every_required_field_has_a_row() -> None:
    assert {(name, f"`{kind}`") for kind, name in REQUIRED.items()} <= {(field.name, field.events) for field in FIELDS}


def shown(field: Field) -> list[str]:
    """The values that a row shows as read."""
    return re.findall(r"`([^`]+)`", field.read)


@pytest.mark.parametrize("text", [*shown(BY_NAME["guidance, modelText"])], ids=str)
def test_consents_are_read_as_the_page_says(text: str) -> None:
    value = json.loads(text.replace("…", "0")) if text[0] in "{tf01" else text
    assert not fault_of("preferences_changed", {"guidance": value})


@pytest.mark.parametrize("text", [each for each in shown(BY_NAME["channels"]) if each not in ("in_app", "email")], ids=str)
def test_channels_are_read_as_the_page_says(text: str) -> None:
    value = json.loads(text) if text[0] in "{[tf" else text
    assert not fault_of("preferences_changed", {"channels": value})


@pytest.mark.parametrize("text", [each for each in shown(BY_NAME["quietHours"]) if each not in ("start", "end")], ids=str)
def test_hours_are_read_as_the_page_says(text: str) -> None:
    value = json.loads(text) if text[0] in "{n" else {"start": "01:17", "end": text}
    assert not fault_of("preferences_changed", {"quietHours": value})
