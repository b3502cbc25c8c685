"""Measures horizons on fewer people, so that runs in tests are fast."""

from __future__ import annotations

import pytest

from population import behaviour


@pytest.fixture(autouse=True, scope="package")
def _few_people_for_horizons() -> object:
    patch = pytest.MonkeyPatch()
    patch.setattr(behaviour, "HORIZON_PEOPLE", 400)
    yield
    patch.undo()
