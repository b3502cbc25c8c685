"""``onramp settings``."""

from __future__ import annotations

from cli.support.options import DataDirOption, JsonOption


def settings(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show every setting in force, its origin and its meaning. Secrets are masked.

    Of the directory of a job it shows the catalog that the job has read, and the event log in it, as commands beside the job take them.

    \b
    Example:  onramp settings
              ONRAMP_REDIS_URL=redis://cache:6379/0 onramp settings --json
    """
    from rich.text import Text

    from cli.support.live_job import settings_of_job, with_catalog_of_job
    from flows.settings import load_settings
    from reports.render import lines, out, print_json
    from reports.settings import describe
    from state.plain_text import plain

    loaded = load_settings(data_dir=data_dir)
    found = loaded if loaded.live else with_catalog_of_job(settings_of_job(loaded))  # a live job is started with its own settings
    rows = describe(loaded, loaded if found.data_dir != loaded.data_dir else found)
    if as_json:
        print_json({row.variable: {"value": row.value, "origin": row.origin, "description": row.description} for row in rows})
        return
    console = out()
    for row in rows:
        origin = "  (default)" if row.origin == "default" else f"  (from the {row.origin})"
        console.print(Text.assemble((row.variable, "bold"), " = ", plain(row.value), (origin, "cyan")))
        lines(console, Text(row.description, style="dim"))
