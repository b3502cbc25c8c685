"""The options ``--scenario`` and ``--population``: in which world simulated people live, and which program plays them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from sources.closed_loop import Program

_NAMED: Final = "baseline, no_effect, drift, new_arm, harmful_arm, bots, messy, cold, misspecified"
"""The scenarios, written out: asking the room that knows them would make every command start later."""


def _known(name: str) -> str:
    from evaluation.scenarios import SCENARIOS

    if name not in SCENARIOS:
        raise typer.BadParameter(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}.")
    return name


def _command(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no command ({error}).") from None
    if not words:
        raise typer.BadParameter("it names no program.")
    return text


ScenarioOption = Annotated[
    str, typer.Option("--scenario", metavar="NAME", help=f"What is special about the world: {_NAMED}.", callback=_known)
]
PopulationOption = Annotated[
    str | None,
    typer.Option(
        "--population",
        metavar="CMD",
        help="A program that plays the people, as docs/population.md describes. [default: ours]",
        show_default=False,
        callback=_command,
    ),
]


@contextmanager
def play(command: str | None) -> Iterator[Program]:
    """Start the people's program, ours by default; end it with the block. Raises ``PopulationError``."""
    from sources.closed_loop import Program

    if command is None:
        with _our_rooms_found():
            people = Program([sys.executable, "-P", "-m", "population"])
    else:
        people = Program(shlex.split(command))
    try:
        yield people
    finally:
        people.close()


@contextmanager
def _our_rooms_found() -> Iterator[None]:
    """For the block, a Python started with ``-P`` finds our rooms wherever we are run from, and nothing of the same name beside them."""
    before = os.environ.get("PYTHONPATH")
    ours = str(Path(__file__).resolve().parents[2])
    os.environ["PYTHONPATH"] = ours if not before else os.pathsep.join([ours, before])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
