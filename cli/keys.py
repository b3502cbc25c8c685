"""``onramp keys``: creates, lists and revokes the keys of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DataDirOption, JsonOption

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


_KindArgument = Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(_MEANING)}.", callback=_kind)]
_TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant whose events and users the key is for.")]
_OriginOption = Annotated[
    list[str] | None,
    typer.Option("--origin", help="Origin whose pages may use the tenant, like https://app.example.com. Repeat it. [default: all]"),
]
_NoteOption = Annotated[str, typer.Option("--note", help="What the key is for, shown in the list.")]
_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, from `onramp keys list`.")]


def create(
    kind: _KindArgument,
    tenant: _TenantOption = "default",
    origin: _OriginOption = None,
    note: _NoteOption = "",
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

    from reports.render import lines, out, print_json
    from reports.safe_text import plain

    key, text = _store(data_dir, create=True).create(_checked(kind), tenant=tenant, origins=origin or (), note=note)
    if as_json:
        print_json({"id": key.id, "kind": key.kind, "tenant": key.tenant, "key": text, "origins": list(key.origins)})
        return
    console = out()
    console.out(text, highlight=False)  # the first line, so that a script can take it
    more = f", from pages of {plain(' '.join(key.origins))}" if key.origins else ""
    lines(console, Text(f"{key.kind} key {key.id} of the tenant {plain(key.tenant)}{more}; it {_MEANING[key.kind]}", style="dim"))
    if key.kind == "signing":
        lines(console, Text(f"sign tokens with it as HS256, with the header kid = {key.id}", style="dim"))


def list_keys(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List all keys, the oldest first, without their texts.

    \b
    Example:  onramp keys list
    """
    from reports.render import out, print_json, table
    from reports.safe_text import plain

    keys = _store(data_dir).all_keys()
    if as_json:
        print_json({"keys": [_as_json(key) for key in keys]})
        return
    rows = [
        (key.id, key.kind, plain(key.tenant), plain(" ".join(key.origins)), key.created_at, key.revoked_at or "in force", plain(key.note))
        for key in keys
    ]
    out().print(table(("id", "kind", "tenant", "origins", "created", "revoked", "note"), rows))


def revoke(key_id: _IdArgument, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Revoke a key for good. Running gateways refuse it within a second, and end the streams that were opened with it.

    \b
    Example:  onramp keys revoke k1f0c9e7a3b21
    """
    from rich.text import Text

    from reports.render import lines, out, print_json
    from reports.safe_text import plain

    key = _store(data_dir).revoke(key_id)
    if as_json:
        print_json(_as_json(key))
        return
    lines(out(), Text(f"The {key.kind} key {key.id} of the tenant {plain(key.tenant)} is revoked."))


def _store(data_dir: Path | None, *, create: bool = False) -> KeyStore:
    from cli.options import load
    from gateway.keys import KeyStore
    from local.data_dir import DataDir

    settings = load(data_dir=data_dir)
    directory = DataDir.create(settings.data_dir) if create else DataDir.open(settings.data_dir)
    return KeyStore(directory.keys)


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
