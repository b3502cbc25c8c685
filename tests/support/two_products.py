"""Two tenants whose catalogs give the same step ids another meaning, and an input in which both have the same users, who do the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from flows.catalogs import load_catalog
from state.catalog.by_tenant import ByTenant, Plans
from state.catalog.model import Catalog, Completion, Limits, Triggers
from state.catalog.plan import Plan
from state.messages import Message, Tick

ACME, BLUE = "acme", "Blue/../acme"
"""The second one is a tenant's id that no file can have."""
TENANTS: Final = (ACME, BLUE)
LIMITS: Final = {"cooldown": "20m", "daily_cap": 9, "attribution_window": "3h", "recommendation_ttl": "5h", "lateness": "12h"}


def other_product() -> Catalog:
    """The sample with the same id, version and ids of steps and arms: but what completes a step, its texts, and all limits differ."""
    sample = load_catalog("saas")
    swapped = {"connect_source": "build_dashboard", "build_dashboard": "connect_source"}
    more = {"create_workspace": [Completion.model_validate({"type": "page_view", "where": {"path": "/pricing"}})]}
    meant = {step.id: step for step in sample.steps}
    steps = [
        step.model_copy(
            update={
                "title": f"the other {step.title}",
                "typical": 2 * step.typical,
                "complete": [*meant[swapped.get(step.id, step.id)].complete, *more.get(step.id, [])],
                "templates": {},
            }
        )
        for step in sample.steps
    ]
    changes: dict[str, Any] = {
        "product": "Blue",
        "steps": steps,
        "holdout": 0.0,
        "rules": 0.4,
        "segment_by": [],
        "limits": Limits.model_validate(LIMITS),
        "triggers": Triggers.model_validate({"stuck:inactive": {"after": "3h"}, "stuck:errors": {"count": 2, "within": "5m"}}),
    }
    return sample.model_copy(update=changes)


PLANS: Final[Plans] = ByTenant(None, {ACME: Plan(load_catalog("saas")), BLUE: Plan(other_product())})


def of_both(items: Iterable[Message | Tick]) -> list[Message | Tick]:
    """The input, each event once for each tenant, at the same time and with the same ids. What cannot be read is there once."""
    both: list[Message | Tick] = []
    seq = 0
    for item in items:
        seq += 2
        if isinstance(item, Tick):
            both.append(msgspec.structs.replace(item, seq=seq))
            continue
        values = lines_of_both(item.value)
        for value in values:
            both.append(msgspec.structs.replace(item, value=value, seq=seq, offset=seq))
            seq += 2
    return both


def lines_of_both(line: bytes) -> list[bytes]:
    """An event once for each tenant; what is none, once."""
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return [line]
    if "eventType" not in event:
        return [line]
    return [msgspec.json.encode({**event, "tenantId": tenant}) for tenant in TENANTS]


def tenant_of(value: bytes) -> str | None:
    """The tenant that a message names; None for what is no event."""
    try:
        found = msgspec.json.decode(value, type=dict[str, Any]).get("tenantId")
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, str) else None
