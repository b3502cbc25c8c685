"""What ``onramp backup`` and ``onramp restore`` show: how far they are, and the manifest of a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flows.backup import Watch

_SAY_SECONDS: Final = 2.0


def watch_at_terminal() -> Watch:
    """Say on standard error, at a terminal, what is being copied and how much has been."""
    import sys
    import time

    from cli.support.failures import say
    from flows.backup import Watch

    copied, said_at, stage = 0, time.monotonic(), ""

    def on_stage(name: str) -> None:
        nonlocal stage, said_at
        stage, said_at = name, time.monotonic()

    def on_bytes(size: int) -> None:
        nonlocal copied, said_at
        copied += size
        if time.monotonic() - said_at >= _SAY_SECONDS:
            said_at = time.monotonic()
            say(f"{copied / 1e6:,.0f} MB; {stage} …")

    return Watch(on_stage, on_bytes) if sys.stderr is not None and sys.stderr.isatty() else Watch()


def shown_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with the number of files instead of the files."""
    return {**manifest, "files": len(manifest["files"])}


def print_manifest(what: str, manifest: dict[str, Any], size: int) -> None:
    from rich.text import Text

    from reports.render import lines, out
    from state.plain_text import plain
    from state.quantity import count

    console = out()
    lines(console, Text(f"{plain(what)}: {size / 1e6:,.1f} MB, made by onramp {plain(manifest['onramp'])}."))
    rows = sum(manifest["rows"].values())
    epoch = "no job has run yet" if manifest["epoch"] is None else f"epoch {manifest['epoch']}"
    held = [epoch, count(manifest["keys"].get("track", 0), "user"), count(rows, "row of tables", "rows of tables")]
    if "messages" in manifest:
        held.append(count(manifest["messages"], "message of the event log", "messages of the event log"))
    lines(console, Text(f"  {', '.join(held)}."))


def print_list(title: str, items: list[str]) -> None:
    from rich.text import Text

    from reports.render import lines, out
    from state.plain_text import plain

    if items:
        lines(out(), Text(title), *(Text(f"  {plain(item)}") for item in items))
