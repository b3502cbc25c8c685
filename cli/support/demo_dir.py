"""The directory of the demo: ``demo/`` in the data directory. It is a data directory of its own, apart from real data.

Each demo clears it first; the file ``demo.json`` in it allows that.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.support.live_job import LIVE, has_live_job, live_dir, settings_of_job
from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir, DataDirError
from system.private_files import write_private

if TYPE_CHECKING:
    from flows.settings import Settings

_NAME: Final = "demo"
_MARK: Final = "demo.json"
_LOCKS: Final = frozenset({"job.lock", "server.lock", "users.lock"})  # another process may wait for them


def is_demo(path: Path) -> bool:
    """Return whether ``path`` is the directory of a demo."""
    return (path / _MARK).is_file()


def demo_catalog(path: Path) -> str | None:
    """Return the catalog of the demo in ``path``; None if there is no demo."""
    try:
        asked = json.loads((path / _MARK).read_bytes())
    except (OSError, ValueError):
        return None
    name = asked.get("catalog") if isinstance(asked, dict) else None
    return name if isinstance(name, str) else None


def embedded(settings: Settings, data_dir: Path) -> Settings:
    """Return the same settings on ``data_dir``, without external services."""
    return settings.model_copy(
        update={"kafka_brokers": None, "event_log": None, "redis_url": None, "clickhouse_url": None, "data_dir": data_dir}
    )


def for_reading(settings: Settings) -> Settings:
    """Return the settings for a command that reads.

    If no job has run in the data directory itself, they are those of the demo or of the job of ``onramp up`` in it, whichever was started
    last. Where an input or a server is set, they are those of the job of ``onramp up``.
    """
    if is_demo(settings.data_dir):
        return embedded(settings, settings.data_dir)
    if settings.live:
        return settings_of_job(settings)
    if (settings.data_dir / "state").exists():
        return settings
    demo, live = settings.data_dir / _NAME, live_dir(settings)
    demo_fits = settings.embedded and is_demo(demo)  # a demo has no servers
    if live is not None and live.started > (_started(demo) if demo_fits else 0):
        return settings.model_copy(update={"data_dir": live.path})
    return embedded(settings, demo) if demo_fits else settings


def _started(demo: Path) -> float:
    return (demo / _MARK).stat().st_mtime


def beside(settings: Settings) -> list[str]:
    """Say where the users of the demo and of ``onramp up`` are, as far as a command with these settings does not read them."""
    read = settings.data_dir
    around = read.parent if is_demo(read) or read.name == LIVE else read
    demo, live = around / _NAME, around / LIVE
    found = [f"the demo's users are in {demo}"] if demo != read and is_demo(demo) else []
    return found + ([f"those of `onramp up` are in {live}"] if live != read and has_live_job(DataDir(live)) else [])


def for_demo(settings: Settings, what: dict[str, Any], model: dict[str, Any] | None = None) -> Settings:
    """Prepare the demo's directory, without the data of an earlier demo. Raises ``DataDirError`` if it is in use or not a demo.

    ``model`` are the settings of the model that the user chose. Without them no model is called, even if the environment names one: a
    demo must not cost money by accident.
    """
    demo = DataDir.create(settings.data_dir).path / _NAME
    if demo.exists() and not is_demo(demo) and any(demo.iterdir()):
        raise DataDirError(f"{demo} contains files that are not from a demo; move them, or choose another directory with --data-dir.")
    data_dir = DataDir.create(demo) if not is_demo(demo) else DataDir.open(demo)
    with data_dir.lock("onramp demo"), EmbeddedClickHouse(data_dir.clickhouse).stopped():
        _clear(demo)
        write_private(demo / _MARK, json.dumps(what).encode() + b"\n")
    return embedded(settings, demo).model_copy(update=model if model is not None else {"llm_url": None, "llm_api_key": None})


def refuse_demo(settings: Settings) -> None:
    """Refuse to write real data to the directory of a demo, because the next demo clears it. Raises ``DataDirError``."""
    if is_demo(settings.data_dir):
        raise DataDirError(
            f"{settings.data_dir} belongs to the demo, and the next demo clears it; choose another directory with --data-dir."
        )


def option_to_read(settings: Settings, demo: Settings) -> list[str]:
    """Return the arguments with which another command reads ``demo``; none if it does so by default."""
    from flows.settings import load_settings

    default = load_settings()
    if for_reading(default).data_dir.resolve() == demo.data_dir.resolve():
        return []
    alone = for_reading(settings).data_dir == demo.data_dir
    return ["--data-dir", str(settings.data_dir if alone else demo.data_dir)]


def _clear(demo: Path) -> None:
    """Remove everything that a demo wrote, except ``FORMAT`` and ``demo.json``: after a crash here it is still a demo's directory."""
    for entry in sorted(demo.iterdir()):
        if entry.name not in {"FORMAT", ".gitignore", _MARK}:
            _remove(entry)
    DataDir.create(demo)


def _remove(entry: Path) -> None:
    """Remove a file, or a directory with all but the locks in it and in its ``server``."""
    if entry.is_symlink() or not entry.is_dir():
        if entry.name not in _LOCKS:
            entry.unlink()
    elif entry.name in {"valkey", "clickhouse", "server"}:
        for below in entry.iterdir():
            _remove(below)
    else:
        shutil.rmtree(entry)
