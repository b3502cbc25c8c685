"""``onramp keys``: creates, lists and revokes the keys of the gateway, and sets the quotas of tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.support.audit_options import ByOption
from cli.support.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.keys import Key, KeyKind, KeyStore

_MEANING = {
    "publishable": "sends events; may stand in a page",
    "server": "sends every event and reads every user of its tenant; keep it on your server",
    "signing": "signs user tokens on your server; at most two of a tenant at once",
    "webhook": "receives events from Segment's webhook destination",
}


def _kind(value: str) -> str:
    if value not in _MEANING:
        raise typer.BadParameter(f"there is no kind {value!r}; the kinds are {', '.join(_MEANING)}.")
    return value


def _quota(value: str | None) -> str | None:
    if value is not None and value not in {"none", "default"} and not (value.isascii() and value.isdigit() and len(value) < 20):
        raise typer.BadParameter(f"{value[:64]!r} is no quota; give a number of events, none, or default.")
    return value


_KindArgument = Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(_MEANING)}.", callback=_kind)]
_TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant whose events and users the key is for.")]
_OriginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        help="Origin whose pages may use the tenant, like https://app.example.com; https://*.example.com for all of its subdomains,"
        " `all` for every page. Repeat it. [default: as it is]",
    ),
]
_NoteOption = Annotated[str, typer.Option("--note", help="What the key is for, shown in the list.")]
_OfTenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant.")]
_QuotaArgument = Annotated[
    str | None, typer.Argument(metavar="EVENTS", help="A number of events, none, or default.", callback=_quota, show_default=False)
]
_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, from `onramp keys list`.")]


def create(
    kind: _KindArgument,
    tenant: _TenantOption = "default",
    origin: _OriginOption = None,
    note: _NoteOption = "",
    by: ByOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Create a key and print it. Only its hash is stored, so that it cannot be shown again.

    \b
    publishable  sends events, and nothing else; it may stand in a page
    server       sends every event, reads every user of its tenant; keep it on your server
    signing      signs the tokens of users, on your server; at most two of a tenant at once
    webhook      receives events from Segment's webhook destination

    \b
    Example:  onramp keys create server
              onramp keys create publishable --origin https://app.example.com
    """
    from rich.text import Text

    from cli.support.audit_options import login_name
    from gateway.origins import ALL_PAGES
    from reports.render import lines, out, print_json
    from state.plain_text import plain

    who, store = login_name(by), _store(data_dir, create=True)
    key, text = store.create(_checked(kind), tenant=tenant, origins=origin or (), note=note, by=who)
    _warn_without_catalog(data_dir, tenant)
    if as_json:
        print_json({"id": key.id, "kind": key.kind, "tenant": key.tenant, "key": text, "origins": list(key.origins)})
        return
    console = out()
    console.out(text, highlight=False)  # the first line, so that a script can take it
    pages = "all pages" if ALL_PAGES in key.origins else f"pages of {plain(' '.join(key.origins))}"
    more = f", from {pages}" if key.origins else ""
    lines(console, Text(f"{key.kind} key {key.id} of the tenant {plain(key.tenant)}{more}; it {_MEANING[key.kind]}", style="dim"))
    allowed = store.ring().origins(key.tenant) if key.origins else None
    if allowed is not None:
        said = f"Pages of all origins but {plain(' '.join(sorted(allowed)))} are refused from now on, whatever key they send."
        lines(console, Text(f"{said} `--origin all` lifts that.", style="yellow"))
    if key.kind == "signing":
        lines(console, Text(f"sign tokens with it as HS256, with the header kid = {key.id}", style="dim"))


def list_keys(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List all keys, the oldest first, without their texts.

    \b
    Example:  onramp keys list
    """
    from reports.render import out, print_json, table
    from state.plain_text import plain

    keys = _store(data_dir).all_keys()
    if as_json:
        print_json({"keys": [_as_json(key) for key in keys]})
        return
    rows = [
        (key.id, key.kind, plain(key.tenant), plain(" ".join(key.origins)), key.created_at, key.revoked_at or "in force", plain(key.note))
        for key in keys
    ]
    out().print(table(("id", "kind", "tenant", "origins", "created", "revoked", "note"), rows))


def revoke(key_id: _IdArgument, by: ByOption = None, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Revoke a key for good. Running gateways refuse it within a second, and end the streams that were opened with it.

    \b
    Example:  onramp keys revoke k1f0c9e7a3b21
    """
    from rich.text import Text

    from cli.support.audit_options import login_name
    from reports.render import lines, out, print_json
    from state.plain_text import plain

    key = _store(data_dir).revoke(key_id, by=login_name(by))
    if as_json:
        print_json(_as_json(key))
        return
    lines(out(), Text(f"The {key.kind} key {key.id} of the tenant {plain(key.tenant)} is revoked."))


def quota(
    tenant: _OfTenantArgument,
    events_a_day: _QuotaArgument = None,
    by: ByOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Set how many events a day (UTC) a tenant may store, or show it. Running gateways follow within a second.

    `none` allows any number; `default` lets ONRAMP_GATEWAY_EVENTS_PER_DAY hold again.

    \b
    Example:  onramp keys quota acme 100000
              onramp keys quota acme
    """
    from rich.text import Text

    from cli.support.audit_options import login_name
    from reports.render import lines, out, print_json
    from state.plain_text import plain
    from state.quantity import count

    store = _store(data_dir, create=events_a_day is not None)
    if events_a_day == "default":
        store.remove_quota(tenant, by=login_name(by))
    elif events_a_day is not None:
        store.set_quota(tenant, None if events_a_day == "none" else int(events_a_day), by=login_name(by))
        _warn_without_catalog(data_dir, tenant)
    store.all_keys()  # says what is wrong with a damaged file, where `ring` would go on
    quotas = store.ring().quotas
    if as_json:
        print_json({"tenant": tenant, "own": tenant in quotas, "eventsADay": quotas.get(tenant)})
        return
    most = quotas.get(tenant)
    what = (
        "has no quota of its own; ONRAMP_GATEWAY_EVENTS_PER_DAY holds"
        if tenant not in quotas
        else "may store any number of events"
        if most is None
        else f"may store {count(most, 'event')} a day"
    )
    lines(out(), Text(f"The tenant {plain(tenant)} {what}."))


def _store(data_dir: Path | None, *, create: bool = False) -> KeyStore:
    from cli.support.live_job import settings_of_job
    from cli.support.options import load
    from gateway.keys import KeyStore
    from local.data_dir import DataDir

    settings = settings_of_job(load(data_dir=data_dir))
    directory = DataDir.create(settings.data_dir) if create else DataDir.open(settings.data_dir)
    return KeyStore(directory.keys)


def _warn_without_catalog(data_dir: Path | None, tenant: str) -> None:
    """Say on standard error that no catalog of the job is for the tenant: a name may be mistyped, or the catalog comes later."""
    from contextlib import suppress

    from cli.support.failures import say
    from cli.support.live_job import settings_of_job, with_catalog_of_job
    from cli.support.options import load
    from flows.catalogs import CatalogFileError, built_in, without_catalog
    from state.catalog.parse import CatalogError
    from state.plain_text import plain

    catalog = with_catalog_of_job(settings_of_job(load(data_dir=data_dir))).catalog
    if catalog in built_in():  # they are for every tenant
        return
    with suppress(CatalogError, CatalogFileError):  # the keys may be on another machine than the catalog
        if missing := without_catalog(catalog, tenant):
            say(f"{plain(missing)}; its events are rejected (unknown_tenant) until one is.")


def _checked(kind: str) -> KeyKind:
    from gateway.keys import KINDS

    return next(each for each in KINDS if each == kind)


def _as_json(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "kind": key.kind,
        "tenant": key.tenant,
        "origins": list(key.origins),
        "note": key.note,
        "createdAt": key.created_at,
        "revokedAt": key.revoked_at,
    }
