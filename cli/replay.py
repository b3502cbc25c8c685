"""``onramp replay``: rebuilds one user from the log, runs a range of the log again into files, or tries another catalog on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.run import readable
from cli.support.audit_options import ByOption
from cli.support.options import DataDirOption, JsonOption, TenantOption, moment_of, require_catalogs, stored_at

if TYPE_CHECKING:
    from flows.replay import Input
    from flows.settings import Settings

_CatalogOption = Annotated[
    str | None,
    typer.Option(
        "--catalog",
        metavar="FILE|DIR",
        help="With --user or --into: the catalog. Alone: another catalog, to show what it would have changed.",
        callback=require_catalogs,
        show_default=False,
    ),
]
_AgainstOption = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="FILE|DIR",
        help="The catalog to compare with. [default: ONRAMP_CATALOG, or that of the job in the data directory]",
        callback=require_catalogs,
        show_default=False,
    ),
]
_UserOption = Annotated[str | None, typer.Option("--user", help="Rebuild this user, and compare.", show_default=False)]
_FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="T",
        help="Log time, or a duration back, like 24h: from now, with --input from the file's end. [default: the beginning]",
        show_default=False,
    ),
]
_ToOption = Annotated[str | None, typer.Option("--to", metavar="T", help="Like --from, exclusive. [default: the end]", show_default=False)]
_IntoOption = Annotated[Path | None, typer.Option("--into", metavar="DIR", help="A new directory for the results.", show_default=False)]


def _file(path: Path | None) -> Path | None:
    """Refuse, as wrong usage, an input that is not a file: a replay reads it more than once."""
    found = readable(path)
    if found is not None and not found.is_file():
        raise typer.BadParameter("a replay reads its input more than once; save it to a file, and name that.")
    return found


_InputOption = Annotated[
    Path | None,
    typer.Option(
        "--input", metavar="FILE", help="The file that a run on files read, as it keeps no log.", callback=_file, show_default=False
    ),
]


_ArchiveOption = Annotated[
    str | None,
    typer.Option(
        "--archive",
        metavar="DIR",
        help="An archive of the log, or its s3:// address, for what the log has deleted already.",
        show_default=False,
    ),
]


def replay(
    user: _UserOption = None,
    tenant: TenantOption = "default",
    since: _FromOption = None,
    to: _ToOption = None,
    into: _IntoOption = None,
    input_path: _InputOption = None,
    archive: _ArchiveOption = None,
    catalog: _CatalogOption = None,
    against: _AgainstOption = None,
    by: ByOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Rebuild a user and show what differs from the live progress; run a range of the log again into files; or try another catalog on it.

    With --catalog alone the range runs twice, with the catalog in force and with the other one. It shows who would have been treated
    differently and why, what it costs, and which reward to expect by the logged probabilities. What users would have done after other
    guidance is not in the log: where the two draw different arms, the other catalog learns from what was shown as if it were its own.

    Nothing here changes anything that apps or analysts read. With --user the arm that was drawn is not compared, as it depends on all
    users, and the exit code is 1 if the user differs. With a range every user starts with empty state, and the audit log records the run.
    A range without a message is an error.

    \b
    Example:  onramp replay --user u-17
              onramp replay --from 2026-03-02T00:00:00Z --to 2026-03-03T00:00:00Z --into monday
              onramp replay --catalog next.yaml --from 2026-03-02T00:00:00Z --to 2026-03-09T00:00:00Z
    """
    from cli.support.demo_dir import for_reading
    from cli.support.live_job import settings_of_job, with_catalog_of_job
    from cli.support.options import load
    from flows.bound_input import require_input
    from flows.replay import Input

    other = catalog if user is None and into is None else None
    if (user is not None and into is not None) or (user is None and into is None and other is None):
        raise typer.BadParameter("give --user, or --into with a range, or --catalog with a range.", param_hint="'--user'")
    if against is not None and other is None:
        raise typer.BadParameter("it belongs to --catalog without --user and --into; leave it out.", param_hint="'--against'")
    if user is not None and (since is not None or to is not None):
        raise typer.BadParameter("a user is rebuilt from the whole log; leave out --from and --to.", param_hint="'--from'")
    if input_path is not None and archive is not None:
        raise typer.BadParameter("a run on files has no archive; leave one of them out.", param_hint="'--archive'")
    loaded = load(data_dir=data_dir, catalog=catalog if other is None else against)
    settings = settings_of_job(loaded)
    settings = with_catalog_of_job(for_reading(settings) if settings is loaded else settings)
    given = Input(input_path, None if archive is None else stored_at(archive, "'--archive'") or Path(archive))
    if input_path is None and archive is None:
        require_input(settings)
    if user is not None:
        _rebuild(settings, tenant, user, given, as_json=as_json)
        return
    first, end = _range(settings, given, since, to)
    if into is not None:
        _rerun(settings, first, end, into, given, by, as_json=as_json)
    elif other is not None:
        _try(settings, other, tenant, first, end, given, by, as_json=as_json)


def _range(settings: Settings, given: Input, since: str | None, to: str | None) -> tuple[int | None, int | None]:
    """Return both ends of the range (ms). Durations count back from now, with a file from its last message: files are often old."""
    from functools import cache

    from flows.replay import ReplayError, log_span

    if given.file is None:
        return moment_of(since), moment_of(to)

    @cache
    def end() -> int:
        span = log_span(settings, given)
        if span is None:
            raise ReplayError("the log is empty.")
        return span[1]

    return moment_of(since, end=end), moment_of(to, end=end)


def _rebuild(settings: Settings, tenant: str, user: str, given: Input, *, as_json: bool) -> None:
    from rich.text import Text

    from cli.support.failures import say
    from flows import replay as job
    from reports.render import lines, out, print_json
    from state.merge_patch import shown_value
    from state.plain_text import plain
    from state.quantity import count

    found = job.rebuild(settings, _keys(settings), tenant, user, given)
    live, deleted = _live(settings, tenant, user)
    differs = job.differences(found, live)
    same = not differs and (not found.deleted or live is None)
    if as_json:
        print_json(
            {
                "tenantId": tenant,
                "userId": user,
                "ids": sorted(found.ids),
                "messages": found.messages,
                "deleted": found.deleted,
                "liveDeleted": deleted,
                "same": same,
                "rebuilt": found.progress,
                "live": live,
                "differences": [{"path": each.path, "rebuilt": _value(each.before), "live": _value(each.after)} for each in differs],
            }
        )
    else:
        console = out()
        steps = 0 if found.person is None else found.person.steps_completed
        state = "deleted" if found.deleted else f"{count(steps, 'step')} completed"
        lines(console, Text(f"{plain(user)}: {count(found.messages, 'message')} of {count(len(found.ids), 'id')} in the log; {state}."))
        for each in differs:
            lines(console, Text(f"  rebuilt  {plain(each.path or 'progress')}: {plain(shown_value(each.before))}"))
            lines(console, Text(f"  live     {plain(each.path or 'progress')}: {plain(shown_value(each.after))}"))
        lines(console, Text("The live progress is the same." if same else "The live progress differs."))
    if not same:
        say("the live progress differs from what the log gives.")
        raise typer.Exit(1)


def _value(value: Any) -> Any:
    from state.merge_patch import ABSENT

    return None if value is ABSENT else value


def _rerun(settings: Settings, since: int | None, to: int | None, into: Path, given: Input, by: str | None, *, as_json: bool) -> None:
    from cli.support.audit_options import audit_log, login_name
    from flows.replay import rerun
    from reports.render import out, print_json, table
    from state.times import rfc3339_or_none

    who, keys = login_name(by), _keys(settings)
    span = {name: None if at is None else rfc3339_or_none(at) for name, at in (("from", since), ("to", to))}
    with audit_log(settings).of("replay", by=who, **span) as entry:  # the files hold data about people
        written = rerun(settings, keys, since, to, into, given)
        entry["lines"] = written
    if as_json:
        print_json({"into": str(into), "lines": written})
        return
    out().print(table(("file", ">lines"), [(f"{into}/{name}.jsonl", f"{lines:,}") for name, lines in sorted(written.items())]))


def _try(
    settings: Settings, other: str, tenant: str, since: int | None, to: int | None, given: Input, by: str | None, *, as_json: bool
) -> None:
    from cli.support.audit_options import audit_log, login_name
    from flows.what_if import decide_twice
    from reports.render import out, print_json
    from state.times import rfc3339_or_none

    who, keys = login_name(by), _keys(settings)
    span = {name: None if at is None else rfc3339_or_none(at) for name, at in (("from", since), ("to", to))}
    with audit_log(settings).of("replay", by=who, catalog=other, **span):  # what it prints names users
        before, after = decide_twice(settings, keys, other, given, tenant=tenant, since=since, until=to)
    from evaluation.what_if import compare, decisions_frame
    from reports import what_if as report

    frames = decisions_frame(before), decisions_frame(after)
    cost, worth, unknown = _worth(settings, tenant, *frames, since, to)
    what = report.WhatIf(other, settings.catalog, compare(*frames), cost, worth, unknown)
    if as_json:
        print_json({"tenantId": tenant, **report.as_json(what, since, to)})
    else:
        report.show(out(), what)


def _worth(settings: Settings, tenant: str, before: Any, after: Any, since: int | None, to: int | None) -> tuple[Any, Any, str]:
    """What model calls cost, and the value of the other catalog's choices; without logged outcomes a sentence that says so."""
    from cli.support.stores import open_facts
    from evaluation.what_if import worth
    from local.data_dir import DataDir
    from reports.evidence import load as load_evidence
    from reports.what_if import Cost

    if settings.clickhouse_url is None and not DataDir(settings.data_dir).state.exists():
        return Cost(0, 0), None, "No job has written its decisions and their outcomes into ClickHouse."
    with open_facts(settings) as facts:
        evidence = load_evidence(facts.frame, tenant)
    decided = evidence.decisions["outcome"].eq("decided").sum()
    cost = Cost(int(evidence.llm_calls["cost_micros"].sum()), int(decided) if evidence.llm_calls.height else 0)
    return cost, worth(evidence, before, after, since=since, until=to), ""


def _keys(settings: Settings) -> Any:
    from local.data_dir import DataDir
    from local.secret import secret_of_job
    from state.ids import Keys

    return Keys(
        secret_of_job(DataDir(settings.data_dir), given=settings.secret_text(), embedded=settings.embedded), settings.signing_keys()
    )


def _live(settings: Settings, tenant: str, user: str) -> tuple[dict[str, Any] | None, bool]:
    """The progress that the app reads, and whether the record is a tombstone."""
    import json
    from contextlib import closing

    from cli.support.stores import open_redis
    from sinks.redis.reader import RecommendationReader
    from sinks.redis.record import Deleted
    from state.records.progress import encode_progress

    with open_redis(settings) as address, closing(RecommendationReader(address)) as reader:
        progress = reader.read_progress(tenant, user)
        deleted = isinstance(reader.read(tenant, user), Deleted)
    return None if progress is None else json.loads(encode_progress(progress)), deleted
