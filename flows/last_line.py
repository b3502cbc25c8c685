"""Says why the job ended, as the last line of its log: one that begins with ``onramp:``, or one JSON object of the level critical."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Final, NoReturn

from flows.failures import explain_failure, name_of, without_passwords
from flows.logs import JsonFormatter, logs_are_json
from state.plain_text import plain

_LOG: Final = logging.getLogger(__name__)
_LOST: Final = (
    "Another process of the job has ended, so this one ends too: start it again, as a supervisor does; it resumes at the last snapshot."
)


def say(sentence: str, error: BaseException | None = None, *, level: int = logging.CRITICAL) -> None:
    """Write ``sentence`` as the last line, or as an object of this ``level``.

    ``error``: its traceback goes before the line, or into the object.
    """
    if logs_are_json():
        what = (type(error), error, error.__traceback__) if error is not None else None
        record = _LOG.makeRecord(_LOG.name, level, __file__, 0, sentence, (), what)
        print(JsonFormatter().format(record), file=sys.stderr, flush=True)  # noqa: T201 -- the log may not be set up yet
        return
    if error is not None:
        sys.stderr.write(without_passwords("".join(traceback.format_exception(error))))
    print(f"onramp: {plain(sentence)}", file=sys.stderr, flush=True)  # noqa: T201 -- a logger would put a time before it


def end(sentence: str) -> NoReturn:
    """Say why the job cannot run, and end the process."""
    say(sentence)
    sys.exit(1)


class LastLine:
    """An ``excepthook``. ``several``: the job has other processes, and the engine's panic means that one of them has ended."""

    def __init__(self, *, several: bool) -> None:
        self._several = several

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Say what ended the process; an unexpected error with its traceback."""
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        elif self._several and kind.__name__ == "PanicException" and "thread panic" in str(error):
            say(_LOST)
        elif (sentences := explain_failure(error)) is not None:
            say(" ".join(sentences), error if _LOG.isEnabledFor(logging.DEBUG) else None)
        else:
            say(f"this is a bug in onramp ({name_of(error)}); please report it with what the log says before.", error)
