"""``onramp export``: write everything that is held about one user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.support.audit_options import ByOption
from cli.support.options import DataDirOption, TenantOption, UserArgument

_OutOption = Annotated[
    Path | None, typer.Option("--out", help="File to write, which only you may read. [default: standard output]", show_default=False)
]


def export(
    user: UserArgument,
    tenant: TenantOption = "default",
    out: _OutOption = None,
    by: ByOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write everything that is held about a user as one JSON object, earlier visitor ids included.

    \b
    Example:  onramp export u-17 --out u-17.json
    """
    import json

    from cli.support.audit_options import audit_log, login_name
    from cli.support.live_job import settings_for_user_data
    from cli.support.streams import writing
    from flows import forget as job
    from reports.render import out as console
    from reports.values import json_value
    from state.times import rfc3339
    from system.private_files import write_private
    from system.wall_clock import wall_clock

    settings, who = settings_for_user_data(data_dir), login_name(by)
    with job.open_stores(settings) as stores:
        hashed = stores.keys.stream_key(tenant, user)
        with audit_log(settings).of("export", by=who, tenant=tenant, user=hashed):
            subject = job.subject_of(stores, tenant, user)
            held = job.collect(stores, subject)
            job.refuse_unknown_tenant(stores, subject, known=any(held.values()))
            found = {
                "tenantId": tenant,
                "userId": user,
                "visitorIds": list(subject.ids[1:]),
                "exportedAt": rfc3339(wall_clock()),
                "held": held,
                "notIncluded": {name: f"it keeps messages {how}" for name, how in stores.kept.items()},
            }
            text = json.dumps(json_value(found), indent=2, allow_nan=False, default=str)
            if out is None:
                console().out(text, highlight=False)
                return
            with writing(str(out)):
                if out.exists() and not out.is_file():  # a pipe or a device is written to, never replaced
                    out.write_bytes(text.encode() + b"\n")
                else:
                    write_private(out, text.encode() + b"\n")
