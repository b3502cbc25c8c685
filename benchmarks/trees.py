"""Checks out a commit into a temporary git work tree, or compiles a copy of this one, and runs Python in a tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

_KEPT: Final = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
_SET: Final = {
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ONRAMP_LOG_LEVEL": "error",
}
"""The environment of a run: no other ``ONRAMP_*`` variables, and no ``PYTHONPATH`` of the caller."""


def environment(**more: str) -> dict[str, str]:
    """Return the environment of every run, with ``more`` on top."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | _SET | more


def python(tree: Path, arguments: Sequence[str], *, timeout: float, **more: str) -> bytes:
    """Run ``python`` with ``arguments`` in ``tree``, whose packages come first; return its standard output. Raises ``SystemExit``."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tree,
            env=environment(PYTHONPATH=str(tree), **more),  # for processes that it starts elsewhere
            timeout=timeout,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"python {' '.join(arguments)} in {tree} took more than {timeout:.0f} s.") from None
    if done.returncode:
        raise SystemExit(
            f"python {' '.join(arguments)} in {tree} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')[-2000:]}"
        )
    return done.stdout


def cli(tree: Path) -> str:
    """Return the module of the ``onramp`` command in ``tree``."""
    return "cli" if (tree / "cli" / "__main__.py").is_file() else "flows.cli"


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Check out ``commit`` into a temporary work tree for the duration of the block."""
    _end_in_order()  # else a work tree stays registered
    with tempfile.TemporaryDirectory(prefix="onramp-base-") as directory:
        tree = Path(directory) / "base"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


@contextmanager
def this_tree(*, compiled: bool) -> Iterator[Path]:
    """This tree for the duration of the block, or a temporary copy of it with the engine compiled, which takes about two minutes."""
    if not compiled:
        yield ROOT
        return
    _end_in_order()
    with tempfile.TemporaryDirectory(prefix="onramp-compiled-") as directory:
        command = [str(ROOT / "scripts" / "compile.sh"), directory, sys.executable]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr).strip()[-4000:]}")
        yield Path(directory)


def _end_in_order() -> None:
    """Leave blocks when ``timeout`` ends this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _git(*arguments: str) -> None:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(arguments)} failed: {done.stderr.strip()}")
