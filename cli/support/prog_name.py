"""Finds the name by which this shell can call the ``onramp`` command."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def prog_name() -> str:
    """Return ``onramp`` if the shell finds this command by that name, else the path that was typed, like ``.venv/bin/onramp``."""
    called = Path(sys.argv[0])
    found = shutil.which("onramp")
    if called.name != "onramp" or (found is not None and called.exists() and called.samefile(found)):
        return "onramp"
    shown = os.path.relpath(called)
    return str(called) if shown.startswith("..") else shown
