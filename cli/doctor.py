"""``onramp doctor``."""

from __future__ import annotations

from typing import Final

import typer

from cli.support.options import CatalogsOption, DataDirOption, JsonOption

_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(as_json: JsonOption = False, catalog: CatalogsOption = None, data_dir: DataDirOption = None) -> None:
    """Check everything that the job needs, and say what to do. It changes nothing, and a server that hangs does not hold it up.

    Use the settings of the job. Exits with 1 if a check failed; warnings do not count.

    \b
    Example:  onramp doctor
              onramp doctor --json
    """
    from rich.text import Text

    from cli.support.failures import say
    from cli.support.live_job import settings_of_job, with_catalog_of_job
    from cli.support.options import load
    from flows.doctor.checks import checks_of
    from flows.doctor.finding import run_checks
    from reports.render import out, print_json
    from state.plain_text import plain
    from state.quantity import count

    loaded = load(data_dir=data_dir, catalog=catalog)
    settings = settings_of_job(loaded)
    if not loaded.live:  # a live job needs ONRAMP_CATALOG at every start, so that its settings must have it
        settings = with_catalog_of_job(settings)
    found = run_checks(checks_of(settings))
    failed = sum(each.status == "fail" for each in found)
    if as_json:
        print_json({"ok": not failed, "checks": [each._asdict() for each in found]})
    else:
        console = out()
        for each in found:
            said = f"{plain(each.says)}. {plain(each.advice)}" if each.advice else plain(each.says)
            line = Text.assemble((f"{each.status:4} ", _STYLES[each.status]), (f" {each.check}: ", "bold"), said)
            console.print(line, soft_wrap=True)
    if failed:
        say(f"{count(failed, 'check')} failed; what to do is said beside each.")
        raise typer.Exit(1)
