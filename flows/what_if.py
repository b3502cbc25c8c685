"""Runs a range of the log twice, with the catalog in force and with another one, and collects what each decided."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from flows.catalogs import catalog_of, is_directory, load_catalog, load_catalogs, named
from flows.replay import Input, Taking, run_range
from flows.settings import Settings
from local.data_dir import DataDir
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.catalog.template import render
from state.ids import Keys
from state.records.facts import DecisionFact, RecommendationFact

Decided = list[dict[str, Any]]
"""Rows of ``decisions``, those without a decision too; each with the ``text`` that the user would have read. ``same_text`` says of each of
its ``arms`` whether both catalogs show the same there."""


def decide_twice(
    settings: Settings, keys: Keys, other: str, given: Input, *, tenant: str, since: int | None, until: int | None
) -> tuple[Decided, Decided]:
    """Return what was decided with the catalog that ``tenant`` has in the settings and with ``other``, whatever tenants that file names.

    Nothing else is changed or kept.

    Times are in milliseconds of log time, ``until`` exclusive; every user starts with empty state. Raises ``DataDirError`` if the data
    directory belongs to another catalog than that of the settings, ``ReplayError``, ``SourceError`` and the errors of the catalogs.
    """
    catalogs = load_catalogs(settings.catalog)
    DataDir(settings.data_dir).check_catalogs(catalogs.map(lambda catalog: catalog.id), option="--against")
    tried = catalog_of(other, tenant) if is_directory(other) else load_catalog(other)
    plans = [Plan(named(catalogs, settings.catalog, tenant)), Plan(tried)]

    @cache
    def is_same(trigger: str, step: str, arm: str) -> bool:
        before, after = (_shown(plan, trigger, step, arm) for plan in plans)
        return before == after

    def decide(plan: Plan) -> Decided:
        rows = _decide(settings, keys, plan, given, tenant, since, until)
        return [{**row, "same_text": [is_same(row["trigger"], row["step_id"], arm) for arm in row["arms"]]} for row in rows]

    return decide(plans[0]), decide(plans[1])


def _shown(plan: Plan, trigger: str, step_id: str, arm: str) -> tuple[object, ...] | None:
    """What users may read where ``arm`` is shown, without their own traits; None where the catalog cannot show it.

    A text of a model, which the job may have used, counts as the same if all is that its prompt is made of, and the rules for such texts.
    """
    catalog = plan.catalog
    try:
        template, step, component = plan.template(trigger, step_id, arm), plan.steps[step_id], plan.component[arm]
    except KeyError:
        return None
    slots = {name: slot for name, slot in catalog.slots.items() if f"{{{name}}}" in template}
    shown = (component, render(template, catalog, step.title, {}), step.link, slots)
    if catalog.wording is None:
        return shown
    tones = {each.id: each.tone for each in catalog.arms}
    paths = {path.id: path.title for path in catalog.paths if step_id in path.steps}
    return *shown, catalog.wording, step.facts, catalog.product, catalog.description, catalog.slots, tones[arm], paths


def _decide(settings: Settings, keys: Keys, plan: Plan, given: Input, tenant: str, since: int | None, until: int | None) -> Decided:
    decided: list[DecisionFact] = []
    texts: dict[str, str] = {}

    def take_row(row: Any) -> None:
        if isinstance(row, DecisionFact) and row.tenant_id == tenant:
            decided.append(row)
        elif isinstance(row, RecommendationFact) and row.tenant_id == tenant and row.ui_component != "none":
            texts.setdefault(row.decision_id, f"{row.ui_component}: {row.message} ({row.deep_link})")

    def ignore(_result: Any) -> None:
        """Effects and rejected messages: apps and operators got them when the job ran."""

    run_range(settings, keys, ByTenant(plan), given, Taking(ignore, take_row, ignore), since, until, tenant=tenant)
    return [{**msgspec.structs.asdict(row), "text": texts.get(row.decision_id, "")} for row in decided]
