"""Prepares the compiled build of the engine (``scripts/compile.sh``), before mypyc runs. pyproject.toml names both hooks."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def missing() -> str:
    """What the machine lacks to compile, in a sentence; empty if nothing."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"The engine cannot be compiled, because there is no C compiler {compiler}: install gcc or clang, or set CC."
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "The engine cannot be compiled, because Python.h is missing: install the headers of this Python (on Debian python3-dev)."
    return ""


class NoStaleLibraries(BuildHookInterface[Any]):
    """Refuses to compile where people edit, and sets the flags of the C compiler."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before anything is compiled. Ends the build with one sentence if it cannot or must not be done here."""
        del build_data
        if version == "editable" or (Path(self.root) / ".git").exists():
            # mypyc puts each library beside its module. Python prefers the library, so edits would have no effect.
            raise SystemExit("The engine is compiled in a copy of the tree, never in a checkout: run `scripts/compile.sh DIRECTORY`.")
        if lack := missing():
            raise SystemExit(lack)
        # On ARM compilers make one instruction of a * b + c by default. It rounds once instead of twice: the last bit would differ.
        # The variable replaces the flags that Python itself was compiled with, so they are repeated (-DNDEBUG, -fwrapv, …).
        flags = os.environ.get("CFLAGS") or sysconfig.get_config_var("CFLAGS") or ""
        os.environ["CFLAGS"] = f"{flags} -ffp-contract=off".strip()
