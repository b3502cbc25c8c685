"""Commands that are imported when they are run, or asked for their own help: a list of commands needs their names and one line each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyCommand(TyperCommand):
    """What a list of commands knows of one: its name, and a line about it."""

    def __init__(self, name: str, short_help: str, place: str) -> None:
        """``place`` is the module in ``cli`` and the function of the command, as in ``run:run``."""
        super().__init__(name, short_help=short_help, rich_markup_mode=None)
        self._place = place

    def load(self) -> Any:
        """Import the command, and return it with its options."""
        module, _, function = self._place.partition(":")
        alone = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)
        alone.command(self.name, short_help=self.short_help)(getattr(import_module(f"cli.{module}"), function))
        return get_command(alone)


class LazyGroup(TyperGroup):
    """A list of commands, which loads the one that is run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest

    def add(self, commands: Mapping[str, tuple[str, str]]) -> None:
        """Add commands: name → place and line."""
        for name, (place, short_help) in commands.items():
            self.add_command(LazyCommand(name, short_help, place))


def group(name: str, about: str, commands: Mapping[str, tuple[str, str]]) -> LazyGroup:
    """Return a list of commands with a help of its own."""
    made = LazyGroup(name=name, help=about, rich_markup_mode=None, context_settings=CONTEXT)
    made.add(commands)
    return made
