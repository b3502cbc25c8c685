"""Which tests share a process: those of one file, or of a directory with a ``conftest.py``, whose shared things are made once."""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler.loadscope import LoadScopeScheduling

_ROOT = Path(__file__).parents[2]


def group_of(nodeid: str) -> str:
    """The group of a test: the name of its file, or of its directory."""
    file = Path(nodeid.partition("::")[0])
    shares = file.parent != Path("tests") and (_ROOT / file.parent / "conftest.py").exists()
    return str(file.parent if shares else file)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # the plugin has no types
    """Gives each process whole groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
