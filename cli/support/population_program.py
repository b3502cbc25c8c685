"""The options ``--scenario`` and ``--population``, and the program that simulates users."""

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
"""Written out: importing the room that defines them would make every command start later."""


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
        raise typer.BadParameter(f"{text!r} is not a command ({error}).") from None
    if not words:
        raise typer.BadParameter("it names no program.")
    return text


ScenarioOption = Annotated[
    str, typer.Option("--scenario", metavar="NAME", help=f"What is special about the users: {_NAMED}.", callback=_known)
]
PopulationOption = Annotated[
    str | None,
    typer.Option(
        "--population",
        metavar="CMD",
        help="A program that simulates the users, as described in docs/population.md. [default: the built-in one]",
        show_default=False,
        callback=_command,
    ),
]


@contextmanager
def population_program(command: str | None) -> Iterator[Program]:
    """Run ``command``, or the built-in population, for the block. Raises ``PopulationError``."""
    from sources.closed_loop import Program

    if command is None:
        with _importable():
            people = Program([sys.executable, "-P", "-m", "population"])
    else:
        people = Program(shlex.split(command))
    try:
        yield people
    finally:
        people.close()


@contextmanager
def _importable() -> Iterator[None]:
    """For the block, a Python started with ``-P`` can import our packages from any directory, and none of the same name beside them."""
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
