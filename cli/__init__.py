"""The ``onramp`` command: one file a command. Nothing heavy is imported before a command runs, so that ``--help`` is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 a fault of ours, of the surroundings or of the data, 2 wrong usage, 130 interrupted."""
    from cli.app import invoke

    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))
