"""``onramp report``: every section about one tenant, as tables or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from reports import bandit, effect, funnel, llm, non_decisions, observing, stuck, switches, trust
from reports.evidence import load
from reports.render import lines
from reports.report_json import report_json
from reports.run_report import RunReport, build_report, read_learned
from reports.values import json_value
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from reports.facts import Facts

_VIEWS: Final = (
    "activation",
    "activation_by_cohort",
    "experiment_groups",
    "funnel_by_step",
    "drop_off_rate_by_step",
    "guidance_performance",
    "arm_share",
    "arm_posteriors_latest",
    "non_decisions_by_reason",
    "stuck_signals_by_trigger",
    "stuck_signals_by_step",
    "llm_cost_per_activation",
    "llm_hit_rate",
    "llm_rejections",
    "llm_prompts",
    "model_against_template",
    "exposures_ignored_by_reason",
    "dead_letters_by_reason",
    "freshness",
)
_WITHOUT_TENANT: Final = frozenset({"dead_letters_by_reason", "freshness"})
_MOST_TENANTS: Final = 8


def build(facts: Facts, tenant: str) -> RunReport:
    """Read the evidence of ``tenant`` and build its report."""
    return build_report(load(facts.frame, tenant), read_learned(facts.frame, tenant))


def as_json(facts: Facts, report: RunReport | None, tenant: str, *, only: bool) -> dict[str, Any]:
    """All views and unknown time zones (of ``tenant`` alone where ``only``); guidance, the report and texts by a model, of ``tenant``."""
    observed = None if report is None else observing.observed_json(report)
    return {
        **{view: _rows(facts, view, tenant if only else None) for view in _VIEWS},
        "unknownTimeZones": trust.unknown_zones(facts, tenant if only else None),
        "guidance": {"tenantId": tenant, **switches.read(facts, tenant)},
        "verdict": None if report is None else {"tenantId": tenant, **report_json(report)},
        "observed": None if observed is None else {"tenantId": tenant, **observed},
        "llm": None if report is None else llm.as_record(llm.read(facts, tenant), report.model),
    }


def _rows(facts: Facts, view: str, tenant: str | None) -> list[dict[str, Any]]:
    if tenant is None or view in _WITHOUT_TENANT:
        found = facts.table(f"SELECT * FROM {view}")  # noqa: S608 -- one of the names above
    else:
        found = facts.table(f"SELECT * FROM {view} WHERE tenant_id = {{tenant:String}}", tenant=tenant)  # noqa: S608
    return [json_value(row) for row in found.records()]


def show(console: Console, facts: Facts, report: RunReport, tenant: str) -> None:
    """Print every section that has something to show."""
    with console.capture() as first:
        switches.show(console, switches.read(facts, tenant))
        observing.show_observed(console, report) if report.observed is not None else effect.show_effect(console, report)
    console.file.write(first.get().removeprefix("\n"))  # every section begins with an empty line; nothing stands above this one
    funnel.show_activation(console, facts, tenant)
    funnel.show_time_to_activation(console, facts, tenant)
    funnel.show_funnels(console, facts, tenant)
    if report.observed is None:
        stuck.show_stuck(console, report)
        stuck.show_alarms_by_step(console, report)
    stuck.show_stuck_by_step(console, facts, tenant)
    stuck.show_step_durations(console, report)
    bandit.show_choices(console, report)
    bandit.show_stopped_arms(console, report)
    bandit.show_arms(console, facts, tenant)
    bandit.show_arms_by_trigger(console, facts, tenant)
    llm.show(console, llm.read(facts, tenant), report.model)
    non_decisions.show_non_decisions(console, facts, tenant)
    trust.show_trust(console, report)
    trust.show_ignored_exposures(console, facts, tenant)
    trust.show_unknown_zones(console, trust.unknown_zones(facts, tenant))


def show_rest(console: Console, facts: Facts, tenant: str, known: list[str], drawn: list[Path]) -> None:
    """Print what belongs to no tenant: dead letters, where the plots are, and which other tenants there are."""
    non_decisions.show_dead_letters(console, facts)
    if drawn:
        console.print()
        page = plain(drawn[0].parent / "index.html")
        lines(console, Text.assemble("Plots: ", (page, "cyan"), (f"  {count(len(drawn), 'picture')}", "dim")))
    if others := [plain(each) for each in known if each != tenant]:
        more = " …" if len(others) > _MOST_TENANTS else ""
        console.print()
        console.print(Text(f"This is tenant {plain(tenant)}. Others (--tenant): {', '.join(others[:_MOST_TENANTS])}{more}"))
    console.print()
