"""``onramp report``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flows.cli.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.cli.stores import Facts

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
    "dead_letters_by_reason",
    "freshness",
)
_OF_NO_TENANT: Final = frozenset({"dead_letters_by_reason", "freshness"})


def report(
    tenant: Annotated[str | None, typer.Option("--tenant", help="One tenant; without it the biggest, and in JSON all.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show funnels, activation, arms, stuck signals and non-decisions, from the views that analysts use.

    \b
    Example:  onramp report
              onramp report --json | jq .activation
    """
    from flows.cli.demo_dir import for_reading
    from flows.cli.options import load
    from flows.cli.screen import print_json
    from flows.cli.stores import open_facts

    with open_facts(for_reading(load(data_dir=data_dir)), "onramp report") as facts:
        if as_json:
            print_json({view: _view(facts, view, tenant) for view in _VIEWS})
        else:
            _show(facts, tenant)


def _view(facts: Facts, view: str, tenant: str | None) -> list[dict[str, Any]]:
    from flows.cli.cells import json_value

    if tenant is None or view in _OF_NO_TENANT:
        rows = facts.rows(f"SELECT * FROM {view}")  # noqa: S608 -- one of the names above
    else:
        rows = facts.rows(f"SELECT * FROM {view} WHERE tenant_id = {{tenant:String}}", tenant=tenant)  # noqa: S608
    return [{name: json_value(value) for name, value in row.items()} for row in rows]


def _show(facts: Facts, wanted: str | None) -> None:
    from rich.text import Text

    from flows.cli import views
    from flows.cli.plain import plain
    from flows.cli.screen import out

    console = out()
    tenants = [row["tenant_id"] for row in facts.rows("SELECT tenant_id FROM activation ORDER BY people DESC, tenant_id")]
    tenant = wanted if wanted is not None else next(iter(tenants), "default")
    if tenant not in tenants:
        console.print(Text(f"Nobody is known{f' in tenant {plain(tenant)}' if wanted is not None else ''} yet."))
    else:
        views.show_activation(console, facts, tenant)
        views.show_time_to_activation(console, facts, tenant)
        views.show_funnels(console, facts, tenant)
        views.show_stuck_by_step(console, facts, tenant)
        views.show_arms(console, facts, tenant)
        views.show_arms_by_trigger(console, facts, tenant)
        views.show_non_decisions(console, facts, tenant)
    views.show_dead_letters(console, facts)
    if others := [plain(each) for each in tenants if each != tenant]:
        console.print()
        console.print(Text(f"This is tenant {plain(tenant)}. Others (--tenant): {', '.join(others[:8])}{' …' if len(others) > 8 else ''}"))
    console.print()
