"""``onramp gateway``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.support.options import DataDirOption

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from flows.settings import Settings
    from gateway.keys import KeyStore
    from gateway.log import Log
    from local.data_dir import DataDir
    from state.catalog.model import Catalog

DEMO_NOTE = "demo page"
"""The note on the keys that a demo made for itself."""
_DEMO_TENANT = "default"
DEMO_STEPS: Final = frozenset("tour_sample connect_source build_dashboard add_charts invite_team share_dashboard".split())
"""The steps that the demo page can do (gateway/browser/demo/demo.mjs): those of the sample's path ``first_dashboard``."""
_HostOption = Annotated[str | None, typer.Option("--host", help="Address to listen on. [default: 127.0.0.1]", show_default=False)]
_PortOption = Annotated[
    int | None, typer.Option("--port", min=0, max=65_535, help="Port to listen on; 0 takes a free one. [default: 8080]", show_default=False)
]


_DemoOption = Annotated[
    bool, typer.Option("--demo", help="Serve the demo page at /demo/ too, to browsers on this machine, and sign tokens for its users.")
]
DemoForAllOption = Annotated[
    bool,
    typer.Option(
        "--demo-for-all", help="Serve the demo page to everyone who reaches the gateway: each gets the key of the page, and a token."
    ),
]


def gateway(
    host: _HostOption = None,
    port: _PortOption = None,
    demo: _DemoOption = False,
    demo_for_all: DemoForAllOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Serve events in and guidance out over HTTP, until you stop it. Ctrl-C ends it in order.

    Events go into the event log (ONRAMP_EVENT_LOG) or into Kafka (ONRAMP_KAFKA_BROKERS), and are acknowledged when they are stored there.
    Create a key first.

    \b
    Example:  onramp gateway --port 9000
              ONRAMP_EVENT_LOG=.onramp/log onramp gateway
              ONRAMP_KAFKA_BROKERS=kafka:9092 ONRAMP_REDIS_URL=redis://cache:6379/0 onramp gateway --host 0.0.0.0
    """
    import logging

    from cli.support.options import load
    from flows.catalogs import load_plans
    from gateway.app import GatewayParts, build
    from gateway.keys import KeyStore
    from gateway.serve import listen, serve
    from gateway.stopping import Stopping
    from local.data_dir import DataDir
    from local.secret import secret_of_job
    from state.ids import Keys

    settings = load(service=True, data_dir=data_dir, gateway_host=host, gateway_port=port)
    directory = DataDir.create(settings.data_dir)
    signing = settings.signing_keys()
    secret = signing[0] if signing else secret_of_job(directory, given=settings.secret_text(), embedded=settings.embedded)
    store = KeyStore(directory.keys)
    plans = load_plans(settings.catalog)
    plan = plans.find(_DEMO_TENANT)
    if (demo or demo_for_all) and not fits_the_demo(None if plan is None else plan.catalog):
        logging.getLogger("gateway").warning("the demo page is for the sample product only, and the catalog here is another")
    with listen(settings.gateway_host, settings.gateway_port) as bound:
        stopping = Stopping()
        parts = GatewayParts(
            log=_log(settings),
            store=store,
            keys=Keys(secret, signing),
            redis_url=_redis_url(settings, directory),
            stopping=stopping,
            more_routes=_demo(store, directory, for_all=demo_for_all) if demo or demo_for_all else (),
            plans=plans,
            clickhouse_url=_clickhouse_url(settings, directory),
            database=settings.database(),
            events_per_second=settings.gateway_events_per_second,
            events_per_day=settings.gateway_events_per_day,
        )
        logging.getLogger("gateway").info("listening on http://%s:%s", *bound.getsockname()[:2])
        serve(build(parts), bound, stopping, parts.refusals)


def _demo(store: KeyStore, directory: DataDir, *, for_all: bool) -> list[BaseRoute]:
    """Return the routes of the demo page, with keys for it. The text of the page's key is kept, so that open pages outlast a restart.

    There are none once that key was revoked, and no other signing key is made once the demo had one: what was revoked stays so.
    """
    import logging

    from gateway.browser_routes import demo_routes
    from system.private_files import write_private

    made = [key for key in store.all_keys() if key.note == DEMO_NOTE]
    text = kept_demo_key(directory)
    if store.ring().find(text) is None:
        if text and any(key.kind == "publishable" and key.revoked_at is not None for key in made):
            sentence = "the key of the demo page was revoked, so the page is not served; remove %s to make another one"
            logging.getLogger("gateway").warning(sentence, directory.demo_key)
            return []
        _, text = store.create("publishable", tenant=_DEMO_TENANT, note=DEMO_NOTE)
        write_private(directory.demo_key, f"{text}\n".encode())
    signing = [key for key in store.all_keys() if key.kind == "signing" and key.tenant == _DEMO_TENANT]
    if not any(key.revoked_at is None or key.note == DEMO_NOTE for key in signing):
        store.create("signing", tenant=_DEMO_TENANT, note=DEMO_NOTE)
    return demo_routes(store, publishable_key=text, tenant=_DEMO_TENANT, for_all=for_all)


def fits_the_demo(catalog: Catalog | None) -> bool:
    """Whether the demo page is of the product of ``catalog``: elsewhere it leads nowhere, and adds made-up users to the figures."""
    return catalog is not None and any(path.id == "first_dashboard" and set(path.steps) == DEMO_STEPS for path in catalog.paths)


def kept_demo_key(directory: DataDir) -> str:
    """The text of the demo page's key, in force or not; empty where there was no demo page yet."""
    return directory.demo_key.read_text().strip() if directory.demo_key.exists() else ""


def _redis_url(settings: Settings, directory: DataDir) -> Callable[[], str | None]:
    """Return how to find the server of recommendations: that of the settings, or the one that a job runs in the data directory."""
    from local.valkey import published_url

    url = settings.redis_address()
    return lambda: url if url is not None else published_url(directory.valkey)


def _clickhouse_url(settings: Settings, directory: DataDir) -> Callable[[], str | None]:
    """Return how to find ClickHouse: that of the settings, or the embedded one while a job or a command uses it."""
    from local.clickhouse import EmbeddedClickHouse

    if settings.clickhouse_url is not None:
        url = settings.clickhouse_url.get_secret_value()
        return lambda: url
    return EmbeddedClickHouse(directory.clickhouse).running_url


def _log(settings: Settings) -> Log:
    """Open the log of the settings. Raises ``SettingsError`` if they name none."""
    from flows.open_event_log import open_event_log
    from flows.settings import SettingsError
    from gateway.group_commit import GroupCommitLog
    from gateway.kafka_log import KafkaLog
    from sources.errors import LogError

    seconds = settings.gateway_acknowledge_seconds
    if settings.kafka_brokers is not None:
        return KafkaLog(settings.kafka_client_config(), settings.kafka_topic, acknowledge_seconds=seconds)
    if settings.event_log is None:
        raise SettingsError(
            "there is nowhere to store events: set ONRAMP_EVENT_LOG to a directory, which the job reads too, or ONRAMP_KAFKA_BROKERS for "
            "Kafka."
        )
    return GroupCommitLog(open_event_log(settings), acknowledge_seconds=seconds, failures=(LogError,))
