"""``onramp report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from cli.stores import Facts
    from flows.settings import Settings
    from reports.run_report import RunReport

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
    "dead_letters_by_reason",
    "freshness",
)
_OF_NO_TENANT: Final = frozenset({"dead_letters_by_reason", "freshness"})


def report(
    tenant: Annotated[str | None, typer.Option("--tenant", help="One tenant; without it the biggest, and in JSON all.")] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="DIR", help="Draw plots (SVG) into this directory.", file_okay=False)
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show what is known of a running system: activation by group and the lift with its interval, whether the experiment can be believed,
    funnels, stuck signals judged by held-out people, arms with what is believed of them, how long steps take, what texts by a model
    cost and achieve, and non-decisions.

    \b
    Example:  onramp report
              onramp report --json | jq .verdict.liftInterval
              onramp report --plots pictures
    """
    from cli.demo_dir import for_reading
    from cli.options import load
    from cli.stores import open_facts
    from reports.screen import print_json

    settings = for_reading(load(data_dir=data_dir))
    with open_facts(settings, "onramp report") as facts:
        known = [row["tenant_id"] for row in facts.rows("SELECT tenant_id FROM activation ORDER BY people DESC, tenant_id")]
        chosen = tenant if tenant is not None else next(iter(known), "default")
        verdict = _verdict(facts, settings, chosen) if chosen in known else None
        drawn = _draw(verdict, plots) if verdict is not None and plots is not None else []
        if as_json:
            from reports.run_report_json import seen_json
            from reports.wordings import as_record, read

            views = {view: _view(facts, view, tenant) for view in _VIEWS}
            judged = None if verdict is None else {"tenantId": chosen, **seen_json(verdict)}
            llm = None if verdict is None else as_record(read(facts, chosen), verdict.model)
            print_json({**views, "verdict": judged, "llm": llm, "plots": [str(path) for path in drawn]})
        else:
            _show(facts, verdict, chosen, known, asked=tenant is not None, drawn=drawn)


def _verdict(facts: Facts, settings: Settings, tenant: str) -> RunReport:
    from reports.evidence_reader import load
    from reports.run_report import judge, read_learned

    return judge(load(facts.frame, tenant), read_learned(facts.frame, tenant), design(facts, settings, tenant))


def design(facts: Facts, settings: Settings, tenant: str) -> Any:
    """What the catalog promises, if the one at hand is the one that the newest decision was made with."""
    from cli.demo_dir import demo_catalog
    from flows.catalogs import CatalogFileError, load_catalog
    from reports.run_report import Design
    from state.catalog.parse import CatalogError

    newest = facts.rows(
        "SELECT argMax(catalog_version, decided_at) AS version FROM decisions_final WHERE tenant_id = {tenant:String}", tenant=tenant
    )
    try:
        catalog = load_catalog(demo_catalog(settings.data_dir) or settings.catalog)
    except (CatalogFileError, CatalogError):
        return Design()
    return Design.of(catalog) if newest[0]["version"] == f"{catalog.id}@{catalog.version}" else Design()


def _draw(verdict: RunReport, directory: Path) -> list[Path]:
    from reports.plots import draw_all

    return draw_all(verdict, directory)


def _view(facts: Facts, view: str, tenant: str | None) -> list[dict[str, Any]]:
    from reports.cells import json_value

    if tenant is None or view in _OF_NO_TENANT:
        rows = facts.rows(f"SELECT * FROM {view}")  # noqa: S608 -- one of the names above
    else:
        rows = facts.rows(f"SELECT * FROM {view} WHERE tenant_id = {{tenant:String}}", tenant=tenant)  # noqa: S608
    return [{name: json_value(value) for name, value in row.items()} for row in rows]


def _show(facts: Facts, verdict: RunReport | None, tenant: str, known: list[str], *, asked: bool, drawn: list[Path]) -> None:
    from rich.text import Text

    from reports import findings, views, wordings
    from reports.plain import plain
    from reports.screen import lines, out

    console = out()
    if verdict is None:
        console.print(Text(f"Nobody is known{f' in tenant {plain(tenant)}' if asked else ''} yet."))
    else:
        with console.capture() as first:
            findings.show_effect(console, verdict)
        console.file.write(first.get().removeprefix("\n"))  # every section begins with an empty line; nothing stands above this one
        views.show_activation(console, facts, tenant)
        views.show_time_to_activation(console, facts, tenant)
        views.show_funnels(console, facts, tenant)
        findings.show_stuck(console, verdict)
        views.show_stuck_by_step(console, facts, tenant)
        findings.show_steps(console, verdict)
        views.show_arms(console, facts, tenant)
        views.show_arms_by_trigger(console, facts, tenant)
        findings.show_stops(console, verdict)
        wordings.show(console, wordings.read(facts, tenant), verdict.model)
        views.show_non_decisions(console, facts, tenant)
        findings.show_trust(console, verdict)
    views.show_dead_letters(console, facts)
    if drawn:
        console.print()
        lines(
            console,
            Text.assemble(
                "Plots: ", (plain(drawn[0].parent / "index.html"), "cyan"), (f"  {wordings.several(len(drawn), 'picture')}", "dim")
            ),
        )
    if others := [plain(each) for each in known if each != tenant]:
        console.print()
        console.print(Text(f"This is tenant {plain(tenant)}. Others (--tenant): {', '.join(others[:8])}{' …' if len(others) > 8 else ''}"))
    console.print()
