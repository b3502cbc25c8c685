"""``onramp clickhouse grants``: the statements for a user who may read one tenant."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.support.options import DataDirOption


def grants(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant whose rows may be read.")],
    user: Annotated[list[str] | None, typer.Option("--user", help="A user of ClickHouse who may read it; may be repeated.")] = None,
    sees_all: Annotated[
        list[str] | None,
        typer.Option(
            "--sees-all",
            help="A user who goes on to see every tenant, besides that of ONRAMP_CLICKHOUSE_URL; may be repeated.",
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the SQL that lets users of a ClickHouse server read one tenant and nothing else: a role, and a row policy for each table.

    An administrator of ClickHouse runs it, again after an upgrade of Onramp. Users whom it does not name see no rows any more.

    \b
    Example:  onramp clickhouse grants acme --user acme_reader --sees-all gateway | clickhouse-client --multiquery
    """
    from cli.support.options import load
    from sinks.clickhouse.address import parse_clickhouse_address
    from sinks.clickhouse.grants import tenant_grants

    settings = load(data_dir=data_dir)
    url = settings.clickhouse_url
    if url is None:
        raise typer.BadParameter(
            "it is for a ClickHouse server: set ONRAMP_CLICKHOUSE_URL to that of the job. The embedded one has one user, who sees all.",
            param_hint="ONRAMP_CLICKHOUSE_URL",
        )
    everybody = dict.fromkeys([parse_clickhouse_address(url.get_secret_value()).user or "default", *(sees_all or ())])
    if both := everybody.keys() & set(user or ()):
        raise typer.BadParameter(f"{min(both)} cannot read one tenant and all of them.", param_hint="'--user'")
    for statement in tenant_grants(settings.database(), tenant, users=user or (), see_all=list(everybody)):
        typer.echo(f"{statement};")
