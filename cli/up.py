"""``onramp up``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.gateway import DemoForAllOption, fits_the_demo
from cli.support.live_job import LIVE
from cli.support.options import CatalogsOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.catalogs import CatalogFile
    from flows.settings import Settings
    from gateway.keys import KeyStore
    from local.data_dir import DataDir
    from local.supervisor import Part

_JOB_STOP_SECONDS: Final = 60.0  # the last snapshot, and the rows that are on their way
_GATEWAY_STOP_SECONDS: Final = 15.0  # longer than it lets requests end
_ASK_SECONDS: Final = 1.0
_METRICS_PORT: Final = 9464  # the usual one of programs that serve metrics themselves
_ARCHIVE_METRICS_PORT: Final = 9465
_ARCHIVE_STOP_SECONDS: Final = 30.0  # what is in memory is written
_HostOption = Annotated[str | None, typer.Option("--host", help="Address of the gateway. [default: 127.0.0.1]", show_default=False)]
_PortOption = Annotated[
    int | None, typer.Option("--port", min=1, max=65_535, help="Port of the gateway. [default: 8080]", show_default=False)
]
_DemoOption = Annotated[
    bool | None,
    typer.Option(
        "--demo/--no-demo",
        help="Whether to serve the demo page. Only browsers on this machine get it, whatever --host is. [default: demo]",
        show_default=False,
    ),
]
_FOR_ALL: Final = ("--demo-for-all",)
_EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 -- names of it, not a choice

_ArchiveOption = Annotated[
    bool,
    typer.Option("--archive", help="Also keep the log as Parquet files, as `onramp archive` does; they are kept until you delete them."),
]


def up(
    host: _HostOption = None,
    port: _PortOption = None,
    demo: _DemoOption = None,
    demo_for_all: DemoForAllOption = False,
    archive: _ArchiveOption = False,
    catalog: CatalogsOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Run everything live on this machine: the gateway, the job, its stores, a durable event log, and a demo page of the sample product.

    It prints the addresses, and the keys that it created. A part that dies is started again. Ctrl-C stops all in order, and the same
    command goes on where it stopped. Catalogs are read once: an edit comes into force when it is started again. Its data is in
    .onramp/live unless --data-dir names another directory. Servers that are set (ONRAMP_KAFKA_BROKERS, ONRAMP_REDIS_URL,
    ONRAMP_CLICKHOUSE_URL) are used instead of local ones.

    With a --host that other machines reach, requests need a key, and the demo page, which gives keys to its visitors, stays for browsers
    on this machine. --demo-for-all opens it to everyone, for a trial in a network that you trust.

    With --archive the log is kept as Parquet files too. That is off unless you ask for it: nothing deletes them, and they hold data about
    users.

    \b
    Example:  onramp up
              onramp up --catalog product.yaml --port 9000
    """
    from cli.gateway import kept_demo_key
    from cli.support.demo_dir import refuse_demo
    from cli.support.failures import say
    from cli.support.options import load
    from flows.bound_input import EVENT_LOG, check_log, input_name
    from flows.catalogs import by_tenant, read_catalogs
    from flows.settings import SettingsError
    from flows.stop import StopRequest
    from gateway.keys import KeyStore
    from gateway.serve import listen
    from local.data_dir import DataDir, DataDirInUseError
    from local.supervisor import Supervisor

    if demo_for_all and demo is False:
        raise typer.BadParameter("it opens the demo page, which --no-demo leaves out; give one of them.", param_hint="'--demo-for-all'")
    settings = load(data_dir=data_dir, catalog=catalog, gateway_host=host, gateway_port=port)
    if settings.gateway_port == 0:
        raise SettingsError("the gateway needs a port that stays the same when it is started again: set --port or ONRAMP_GATEWAY_PORT.")
    catalogs = read_catalogs(settings.catalog)  # what is wrong with it is said here, and not in a log
    in_force = by_tenant(catalogs)
    ids = in_force.map(lambda each: each.id)
    if ids.find("default") is None:
        say(
            "no catalog is for the tenant default, to which the first keys belong: its events will be rejected. Make "
            "keys for a tenant with a catalog: `onramp keys create server --tenant TENANT`."
        )
    refuse_demo(settings)
    directory = DataDir.create(settings.data_dir)
    if settings.origin("data_dir") == "default":
        directory = DataDir.create(directory.path / LIVE)  # apart from runs on files, which have another secret, and often another catalog
    directory.require_writable()
    directory.check_input(input_name(settings, None) if settings.live else EVENT_LOG)
    if settings.kafka_brokers is None and not settings.event_log_accept_gap:
        check_log(directory, settings.event_log or directory.event_log)
    directory.check_catalogs(ids)
    if directory.is_running():
        raise DataDirInUseError(f"{directory.describe_owner()}; stop it first, or choose another directory with --data-dir.")
    listen(settings.gateway_host, settings.gateway_port).close()  # the same for a port in use
    metrics = settings.metrics_address or _free_address(_METRICS_PORT)
    archive_metrics = (settings.archive_metrics_address or _free_address(_ARCHIVE_METRICS_PORT)) if archive else None
    host_part = f"[{settings.gateway_host}]" if ":" in settings.gateway_host else settings.gateway_host
    address = f"http://{host_part}:{settings.gateway_port}"
    given = _catalog_of_parts(settings, directory, catalogs)
    options = _demo_options(demo=demo, for_all=demo_for_all, fits=fits_the_demo(in_force.find("default")))
    if (warning := _warning(settings.gateway_host, options)) is not None:
        say(warning)
    stop = StopRequest()

    def ready() -> None:
        keys = KeyStore(directory.keys)
        created = _first_keys(keys)  # not before: a start that fails would never show them
        page = _demo_page(settings, address, for_all=demo_for_all) if options and keys.ring().find(kept_demo_key(directory)) else None
        if as_json:
            from reports.render import print_json

            shown = {"address": address, "demo": page, "metrics": f"http://{metrics}/metrics"}
            if archive_metrics is not None:
                shown["archiveMetrics"] = f"http://{archive_metrics}/metrics"
            print_json({**shown, "keys": created, "dataDir": str(directory.path)})
        else:
            _show(address, page, metrics, archive_metrics, created, directory)

    if not as_json:
        say("starting; the first time this takes some seconds.")
    with stop.on_signals():
        parts = _parts(settings, directory, given, address, metrics, options)
        if archive_metrics is not None:
            parts.append(_archive(settings, directory, archive_metrics))
        Supervisor(parts, say).run(stop, on_ready=ready)
    if not as_json:
        say("stopped. The same command goes on from here.")


def _demo_options(*, demo: bool | None, for_all: bool, fits: bool) -> tuple[str, ...]:
    """The options of the gateway for the demo page. Says it on standard error if the page was asked for and does not fit the catalog."""
    from cli.support.failures import say

    if demo is False or not fits:
        if demo or for_all:
            say("the demo page is not served: it is for the sample product only, and the catalog of the tenant default is another.")
        return ()
    return _FOR_ALL if for_all else ("--demo",)


def _warning(host: str, demo: tuple[str, ...]) -> str | None:
    """A sentence for a gateway that other machines reach; None for one that they do not."""
    from gateway.browser_routes import is_loopback

    if is_loopback(host):
        return None
    where = "every address of this machine" if host in _EVERY_ADDRESS else host
    if demo == _FOR_ALL:
        return (
            f"the gateway listens on {where}, and the demo page is open to everyone who reaches it: each gets a key, with which "
            "events of any user can be sent, and a token. Use it in a network that you trust."
        )
    rest = " The demo page is for this machine only." if demo else ""
    return f"the gateway listens on {where}, which other machines may reach: they need a key.{rest}"


def _demo_page(settings: Settings, address: str, *, for_all: bool) -> str | None:
    """Where to open the demo page; None if no name of this machine leads to the gateway."""
    from gateway.browser_routes import is_loopback

    if settings.gateway_host in _EVERY_ADDRESS:
        return f"http://localhost:{settings.gateway_port}/demo/"
    return f"{address}/demo/" if for_all or is_loopback(settings.gateway_host) else None


def _free_address(usual: int) -> str:
    """The usual port of these metrics, or another one where that is taken: two of these may run on one machine."""
    import socket

    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return f"127.0.0.1:{probe.getsockname()[1]}"
    raise OSError("no port of this machine is free")


def _catalog_of_parts(settings: Settings, directory: DataDir, read: list[CatalogFile]) -> str:
    """The catalog that the parts are given: a copy of what was ``read``, so that one that starts again reads no file that was edited since.

    Without a catalog it is the sample for one person who tries it: guidance for everybody, and no pause between two decisions.
    """
    from flows.catalogs import built_in, copy_catalogs, sample_at_once
    from system.private_files import write_private

    directory.process_logs.mkdir(exist_ok=True, mode=0o700)
    if settings.origin("catalog") == "default":
        path = directory.process_logs / "catalog.yaml"
        write_private(path, sample_at_once().encode())
        return str(path)
    if settings.catalog in built_in():
        return settings.catalog
    return copy_catalogs(settings.catalog, read, directory.process_logs / "catalogs")


def _parts(settings: Settings, directory: DataDir, catalog: str, address: str, metrics: str, demo: tuple[str, ...]) -> list[Part]:
    """The job first: the gateway reads what it publishes."""
    import sys

    from local.supervisor import Part
    from local.valkey import is_alive, published_url

    environment = {**_environment(settings, directory), "ONRAMP_CATALOG": catalog}
    own_redis = settings.redis_url is None

    def job_is_healthy() -> bool:
        if not own_redis:
            return directory.is_running()
        url = published_url(directory.valkey)
        return url is not None and is_alive(url)

    onramp = (sys.executable, "-m", "cli")
    return [
        Part(
            name="the job",
            command=(*onramp, "run", "--json"),
            log=directory.process_logs / "job.log",
            environment={**environment, "ONRAMP_METRICS_ADDRESS": metrics},
            healthy=job_is_healthy,
            stop_seconds=_JOB_STOP_SECONDS,
        ),
        Part(
            name="the gateway",
            command=(*onramp, "gateway", *demo, "--host", settings.gateway_host, "--port", str(settings.gateway_port)),
            log=directory.process_logs / "gateway.log",
            environment=environment,
            healthy=_answers(f"{address}/readyz"),
            stop_seconds=_GATEWAY_STOP_SECONDS,
        ),
    ]


def _environment(settings: Settings, directory: DataDir) -> dict[str, str]:
    """What every part has: the settings of this process, on the directory and its log."""
    import os

    log = {} if settings.live else {"ONRAMP_EVENT_LOG": str(directory.event_log)}
    return {**os.environ, "ONRAMP_DATA_DIR": str(directory.path), **log}


def _archive(settings: Settings, directory: DataDir, metrics: str) -> Part:
    """The archive, after the job: that creates the log."""
    import sys

    from local.supervisor import Part

    return Part(
        name="the archive",
        command=(sys.executable, "-m", "cli", "archive", "--json"),
        log=directory.process_logs / "archive.log",
        environment={**_environment(settings, directory), "ONRAMP_ARCHIVE_METRICS_ADDRESS": metrics},
        healthy=_answers(f"http://{metrics}/healthz"),
        stop_seconds=_ARCHIVE_STOP_SECONDS,
    )


def _answers(url: str) -> Callable[[], bool]:
    """Return a function that says whether a part answers, and has what it serves."""
    import http.client
    import urllib.request

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the environment does not reach this machine

    def ask() -> bool:
        try:
            with direct.open(url, timeout=_ASK_SECONDS) as answer:
                return bool(json.load(answer)["status"] == "ok")
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False

    return ask


def _first_keys(store: KeyStore) -> dict[str, str]:
    """Create a key for servers and one for pages where there is none yet; return their texts, which nobody can show again."""
    from cli.gateway import DEMO_NOTE

    if any(key.revoked_at is None and key.note != DEMO_NOTE for key in store.all_keys()):
        return {}
    return {kind: store.create(kind, note="onramp up")[1] for kind in ("server", "publishable")}


def _show(address: str, page: str | None, metrics: str, archive_metrics: str | None, created: dict[str, str], directory: DataDir) -> None:
    from shlex import quote

    from rich.text import Text

    from reports.render import lines, out

    key = created.get("server", "$ONRAMP_SERVER_KEY")
    event = {"eventId": "try-1", "userId": "ada", "eventType": "signup", "timestamp": "NOW", "payload": {"traits": {"persona": "analyst"}}}
    body = json.dumps(event).replace('"NOW"', "\"'$(date -u +%FT%TZ)'\"")
    console = out()
    lines(console, Text("Onramp is running. Ctrl-C stops it.", style="bold"))
    rows = [
        *([] if page is None else [("demo page", page)]),
        ("events in", f"{address}/v1/events"),
        ("guidance out", f"{address}/v1/recommendations/USER"),
        ("metrics", f"http://{metrics}/metrics (also /health, /ready)"),
        *([] if archive_metrics is None else [("archive", f"http://{archive_metrics}/metrics")]),
        ("data", str(directory.path)),
        ("logs", str(directory.process_logs)),
    ]
    if created:
        rows += [("server key", created["server"]), ("key for pages", created["publishable"])]
    else:
        rows += [("keys", f"those of before; `onramp keys create server --data-dir {quote(str(directory.path))}` makes another")]
    for name, value in rows:
        console.out(f"  {name:14}{value}", highlight=False)
    if created:
        lines(console, Text("The keys are shown this once. Try it:", style="dim"))
    else:
        lines(console, Text("Try it, with ONRAMP_SERVER_KEY set to your key:", style="dim"))
    authorization = f'-H "Authorization: Bearer {key}"'  # in double quotes the shell fills in a variable
    console.out(f"  curl {authorization} -H 'Content-Type: application/json' \\\n    -d '{body}' {address}/v1/events", highlight=False)
    console.out(f"  curl {authorization} {address}/v1/recommendations/ada", highlight=False)
