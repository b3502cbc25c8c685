"""Where a demo lives: ``demo/`` in the data directory, a data directory of its own, so that it never mixes with anybody's data.

It is cleared before each demo; ``demo.json`` in it says that it may be. Commands that read find it where no job has run beside it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local.data_dir import DataDir, DataDirError
from local.private_files import write_private

if TYPE_CHECKING:
    from flows.settings import Settings

_NAME: Final = "demo"
_MARK: Final = "demo.json"
_LOCKS: Final = frozenset({"job.lock", "server.lock"})  # another process may be waiting for them


def is_demo(path: Path) -> bool:
    """Whether ``path`` is the directory of a demo."""
    return (path / _MARK).is_file()


def demo_catalog(path: Path) -> str | None:
    """The catalog that the demo in ``path`` was asked to use; None where there is no demo."""
    try:
        asked = json.loads((path / _MARK).read_bytes())
    except (OSError, ValueError):
        return None
    name = asked.get("catalog") if isinstance(asked, dict) else None
    return name if isinstance(name, str) else None


def embedded(settings: Settings, data_dir: Path) -> Settings:
    """The same settings on ``data_dir``, with no service outside this machine."""
    return settings.model_copy(update={"kafka_brokers": None, "redis_url": None, "clickhouse_url": None, "data_dir": data_dir})


def for_reading(settings: Settings) -> Settings:
    """The settings for a command that reads: the demo's, where the data directory names a demo or holds nothing but one."""
    if is_demo(settings.data_dir):
        return embedded(settings, settings.data_dir)
    demo = settings.data_dir / _NAME
    if settings.embedded and is_demo(demo) and not (settings.data_dir / "state").exists():
        return embedded(settings, demo)
    return settings


def for_demo(settings: Settings, what: dict[str, Any], model: dict[str, Any] | None = None) -> Settings:
    """Make the demo's directory ready, cleared of an earlier demo. Raises ``DataDirError`` when it is in use or no demo's.

    ``model`` are the settings of a model that was asked for. Without them none is asked, whatever the environment names: a demo must not
    spend money by oversight.
    """
    demo = DataDir.create(settings.data_dir).path / _NAME
    if demo.exists() and not is_demo(demo) and any(demo.iterdir()):
        raise DataDirError(f"{demo} holds something that is no demo; move it away, or choose another directory with --data-dir.")
    data_dir = DataDir.create(demo) if not is_demo(demo) else DataDir.open(demo)
    with data_dir.lock("onramp demo"):
        _clear(demo)
        write_private(demo / _MARK, json.dumps(what).encode() + b"\n")
    return embedded(settings, demo).model_copy(update=model if model is not None else {"llm_url": None, "llm_api_key": None})


def refuse_demo(settings: Settings) -> None:
    """Keep people's data out of a demo's directory, which the next demo clears. Raises ``DataDirError``."""
    if is_demo(settings.data_dir):
        raise DataDirError(f"{settings.data_dir} belongs to the demo, and the next demo clears it; choose another with --data-dir.")


def option_to_read(settings: Settings, demo: Settings) -> list[str]:
    """The arguments that make another command read ``demo``; none where it does so by itself."""
    from flows.settings import load_settings

    default = load_settings()
    if for_reading(default).data_dir.resolve() == demo.data_dir.resolve():
        return []
    alone = for_reading(settings).data_dir == demo.data_dir
    return ["--data-dir", str(settings.data_dir if alone else demo.data_dir)]


def _clear(demo: Path) -> None:
    """Remove everything that a demo wrote; ``FORMAT`` and the mark stay, so that a crash in here leaves a directory that is a demo's."""
    for entry in sorted(demo.iterdir()):
        if entry.name == "valkey":
            _remove(file for file in entry.iterdir() if file.name not in _LOCKS)
        elif entry.name not in {"FORMAT", ".gitignore", _MARK} | _LOCKS:
            _remove([entry])
    DataDir.create(demo)


def _remove(entries: Iterable[Path]) -> None:
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
