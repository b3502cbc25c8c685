"""``onramp settings``."""

from __future__ import annotations

from cli.options import DataDirOption, JsonOption


def settings(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show every setting in force, its origin and its meaning. Secrets are masked.

    \b
    Example:  onramp settings
              ONRAMP_REDIS_URL=redis://cache:6379/0 onramp settings --json
    """
    from rich.text import Text

    from flows.settings import load_settings
    from reports.render import lines, out, print_json
    from reports.settings import describe
    from state.plain_text import plain

    rows = describe(load_settings(data_dir=data_dir))
    if as_json:
        print_json({row.variable: {"value": row.value, "origin": row.origin, "description": row.description} for row in rows})
        return
    console = out()
    for row in rows:
        origin = "  (default)" if row.origin == "default" else f"  (from the {row.origin})"
        console.print(Text.assemble((row.variable, "bold"), " = ", plain(row.value), (origin, "cyan")))
        lines(console, Text(row.description, style="dim"))
