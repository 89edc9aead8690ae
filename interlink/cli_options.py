"""Arguments and small helpers that the commands of `interlink` share. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from interlink.errors import UserError
from interlink.report.lines import print_line

if TYPE_CHECKING:
    from interlink.api import Build, Outcome

STOPPED = 130  # exit code after Ctrl-C, as in shells
MOST_SETTINGS = 12  # changed settings that a build lists

Root = Annotated[str, typer.Argument(help="Folder or URL (s3://…) of a build; this folder when left out.")]
RecipeName = Annotated[
    str | None,
    typer.Argument(
        help="A file, or a bundled recipe ({}); left out: interlink.yaml here, or the one frozen in the root."
    ),
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="key.sub=value, over the recipe or the root's own; repeatable.")
]
Executor = Annotated[
    str | None, typer.Option(help="ray or inline; left out: inline for work below about a minute, else ray.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class Commands(TyperGroup):
    """The commands. Ctrl-C ends one with a message (typer by itself prints nothing), and so does what is no bug: a full
    disk, missing permissions, object storage that refuses or cannot be reached."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError:
            raise
        except Exception as error:
            from interlink.surroundings import described

            if found := described(error):
                raise found from error
            raise
        except KeyboardInterrupt as error:
            raise UserError("stopped", "committed rows are kept; the same command continues", STOPPED) from error


def listing(parameter: str, lists: str) -> type[TyperCommand]:
    """A command with names in the help of one parameter, in place of `{}`: those that module:function returns."""

    class Listing(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            module, _, function = lists.partition(":")
            listed: Callable[[], list[str]] = getattr(import_module(module), function)
            described: list[Any] = list(self.params)
            for one in described:
                if one.name == parameter:
                    one.help = one.help.replace("{}", ", ".join(listed()))
            super().format_help(ctx, formatter)

    return Listing


def recipe_and_root(recipe: str | None, root: str | None) -> tuple[str | None, str | None]:
    from interlink.recipe import FILE_NAME
    from interlink.runtime.lock import NAME

    if recipe is None and root is None and Path(NAME).exists():
        return None, "."
    if recipe is None and (root is None or not holds_build(root)):
        if not Path(FILE_NAME).exists():
            raise UserError(
                f"no recipe: there is no {FILE_NAME} here and no build to continue",
                "give one: interlink build folder --set source.path=CLIPS",
                2,
            )
        return FILE_NAME, root
    return recipe, root


def holds_build(root: str) -> bool:
    from interlink.runtime.workspace import Workspace
    from interlink.storage import Storage

    return Workspace(Storage(root)).lock() is not None


def default_root(recipe: str | None, sets: list[str]) -> str:
    from interlink.recipe import Recipe

    return f"builds/{Recipe.load(recipe, sets).name}" if recipe else "."


def split_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def console_of(quiet: bool = False) -> Any:
    """Where people read; with --json it moves to stderr so that stdout stays a program's."""
    from rich.console import Console

    return Console(stderr=quiet)


def print_outcome(console: Any, build: Build, outcome: Outcome) -> None:
    """What `build` and `retry` say at their end: the stages, what changed, totals, where things lie."""
    from interlink.report.summary import totals_line
    from interlink.report.terminal import print_status

    print_status(console, outcome.status, build.troubles())
    if outcome.changed:
        names = ", ".join(outcome.changed)
        print_line(console, f"changed since the last build: {names}")
    for setting in outcome.settings[:MOST_SETTINGS]:
        print_line(console, f"  {setting}")
    if len(outcome.settings) > MOST_SETTINGS:
        print_line(console, f"  and {len(outcome.settings) - MOST_SETTINGS} more settings")
    if not outcome.worked:
        print_line(console, "nothing to do: every item is final at every stage")
    print_line(console, totals_line(outcome.status))
    if outcome.advice:
        print_line(console, outcome.advice)
    print_line(console, f"root: {build.workspace.storage.url}")
    if lock := build.workspace.lock():
        print_line(console, f"shards: {build.workspace.storage.full(lock.shards)}")
