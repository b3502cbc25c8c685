"""A report of several tenants says of which one each figure is."""

from __future__ import annotations

import json

import pytest

from reports import live
from reports.facts import Facts
from sinks.clickhouse.client import ClickHouse
from state.records.facts import EventFact, PersonFact
from tests.sinks.view_rows import STORES, insert
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]


def _person(tenant: str, user: str, group: str = "holdout") -> PersonFact:
    return make(PersonFact, tenant_id=tenant, user_id=user, experiment_group=group)


def _sends_zone(tenant: str, user: str, zone: str) -> EventFact:
    traits = json.dumps({"traits": {"timezone": zone}})
    return make(EventFact, tenant_id=tenant, user_id=user, event_id=user, event_type="identify", payload=traits, status="applied")


def test_the_biggest_tenant_has_most_users_whether_or_not_they_begin_the_onboarding(migrated: ClickHouse) -> None:
    insert(migrated, *(_person("blue", user, "existing") for user in "abc"), *(_person("acme", user) for user in "de"))
    insert(migrated, *(_person("acme", user, "merged") for user in "fg"), _person("zeta", "h"), _person("beta", "i"))
    assert Facts(migrated).tenants() == ["blue", "acme", "beta", "zeta"]


def test_where_nobody_is_known_there_is_no_tenant(migrated: ClickHouse) -> None:
    assert Facts(migrated).tenants() == []


def test_json_names_the_tenant_of_guidance_and_of_unknown_time_zones(migrated: ClickHouse) -> None:
    insert(migrated, _person("acme", "a"), _person("blue", "b"))
    insert(migrated, _sends_zone("acme", "a", "Mars/Olympus"), _sends_zone("blue", "b", "Europe/Nowhere"))
    mars, nowhere = (
        {"tenantId": "acme", "timezone": "Mars/Olympus", "people": 1},
        {"tenantId": "blue", "timezone": "Europe/Nowhere", "people": 1},
    )
    whole = live.as_json(Facts(migrated), None, "acme", only=False)
    assert whole["guidance"] == {"tenantId": "acme", "paused": False, "share": 1.0, "switches": []}
    assert whole["unknownTimeZones"] == [mars, nowhere]
    assert live.as_json(Facts(migrated), None, "blue", only=True)["unknownTimeZones"] == [nowhere]
