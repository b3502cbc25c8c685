"""The ``onramp`` command: ``app`` lists the commands. A file is one command or one group, under its name.

What they share is in ``support``; its ``failures`` turns exceptions into messages and exit codes. Heavy imports happen inside the commands,
so that ``--help`` is fast.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_COLLECT_AFTER: Final = 50_000
"""New objects until the collector runs: what a command imports stays, and looking for garbage in it takes a tenth of a short command."""
_SOON: Final = 0.01
"""Seconds after which the callback has usually ended. If it has not, the interrupt comes here again."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    0: success. 1: a failure of Onramp, of a service or of the data. 2: wrong usage. 130: interrupted. 141: the output's reader went away.
    """
    gc.set_threshold(_COLLECT_AFTER)
    sys.unraisablehook = _interrupt_again
    try:
        from cli.app import invoke

        code = invoke(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        code = 130
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the interpreter ends would print a traceback
    sys.exit(code)


def _interrupt_again(told: UnraisableHookArgs) -> None:
    """Handle a Ctrl-C that came during a callback which cannot raise, as many do while modules are imported.

    Python would print a traceback, and the command would go on.
    """
    if told.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(told)
        return
    from threading import Timer

    again = Timer(_SOON, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()
