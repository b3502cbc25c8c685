"""Finds in the recovery store whose users have state there. It needs the standard library only."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from local.durable_epoch import part_files

LEARNERS: Final = "onboarding.choose"
"""The step whose keys are a tenant and a trigger. It has state of each tenant of whom anybody has begun (``CatalogMet``)."""


def tenants_with_users(state: Path) -> set[str]:
    """Return the tenants who have had users, with or without a running job; none where there is no store. Raises ``sqlite3.Error``."""
    tenants = set[str]()
    for file in part_files(state):
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)) as part:
            for (key,) in part.execute("SELECT DISTINCT state_key FROM snaps WHERE step_id = ?", [LEARNERS]):
                tenants.add(key.rpartition("|")[0])
    return tenants
