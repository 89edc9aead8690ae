"""The commands of `interlink`: parse, call interlink.api, print. Imports are lazy: `--help` answers in half a second.

Exit codes: 0 done, 1 it failed, 2 wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from interlink.errors import UserError
from interlink.report.visible import visible

app = typer.Typer(
    name="interlink",
    help="Turn instructional video into interleaved frame-and-text documents in webdataset shards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Root = Annotated[str, typer.Argument(help="Folder or URL (s3://…) of a build; this folder when left out.")]
RecipeName = Annotated[
    str | None,
    typer.Argument(
        help="A file, or a bundled recipe ({}); left out: interlink.yaml here, or the one frozen in the root."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _listing(parameter: str, lists: str) -> type[TyperCommand]:
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


@app.command(epilog="Example: interlink sample clips --videos 20 --seed 0")
def sample(
    folder: Annotated[Path, typer.Argument(help="Where the videos go.")],
    videos: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    seed: Annotated[int, typer.Option(help="Same seed, same videos.")] = 0,
    split: Annotated[str, typer.Option(help="train, or heldout: combinations never seen in train.")] = "train",
) -> None:
    """Render short how-to videos with known truth (cuts, captions, on-screen text, speech)."""
    from rich.progress import Progress

    from interlink.sample import render

    if split not in ("train", "heldout"):
        raise UserError(f"there is no split {split!r}", "splits: train, heldout", 2)
    chosen: Literal["train", "heldout"] = "train" if split == "train" else "heldout"
    with Progress(console=_console(), transient=True) as bar:
        task = bar.add_task("rendering", total=videos)
        paths = render(folder, videos, seed, chosen, progress=lambda done: bar.update(task, completed=done))
    _console().print(f"{len(paths)} videos with subtitles and truth.json in {folder}", highlight=False)


@app.command(
    epilog="Example: interlink build folder --set source.path=clips --root out",
    cls=_listing("recipe", "interlink.recipe:recipe_names"),
)
def build(
    recipe: RecipeName = None,
    root: Annotated[str | None, typer.Option(help="Folder or URL of the build. [default: builds/NAME]")] = None,
    stage: Annotated[str, typer.Option(help="Only these stages, separated by commas.")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.sub=value, over the recipe; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N items of the order.")] = None,
    executor: Annotated[str | None, typer.Option(help="ray or inline.")] = None,
    fresh: Annotated[str, typer.Option(help="Compute these stages again, separated by commas.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Go ahead where costly rows are computed again.")] = False,
    json_: Json = False,
) -> None:
    """Build: start, resume, finish or extend it. The command is always the same."""
    from interlink.api import Build, Redo
    from interlink.report import terminal
    from interlink.report.progress import BuildProgress, totals_line

    sets = [*(set_ or []), *([f"executor.kind={executor}"] if executor else [])]
    chosen, where = _recipe_and_root(recipe, root)
    made = Build(chosen, where or _default_root(chosen, sets), sets)
    console = _console(json_)

    def confirm(redo: list[Redo]) -> bool:
        if yes or not sys.stdin.isatty():
            return yes
        rows = ", ".join(f"{r.stage} ({r.rows} rows)" for r in redo)
        return typer.confirm(f"This change recomputes costly rows: {rows}. Go ahead?", err=True)

    with BuildProgress(console) as progress:
        outcome = made.run(_names(stage), limit, _names(fresh), confirm, progress.report)
    if json_:
        terminal.print_json(outcome.status.json())
    else:
        terminal.print_status(console, outcome.status, made.troubles())
        if outcome.changed:
            names = ", ".join(outcome.changed)
            console.print(f"changed since the last build: {names}", highlight=False, soft_wrap=True)
        if not outcome.worked:
            console.print("nothing to do: every item is final at every stage")
        else:
            console.print(totals_line(outcome.status), highlight=False)
        console.print(f"root: {made.workspace.storage.url}", highlight=False, soft_wrap=True)
        if lock := made.workspace.lock():
            console.print(f"shards: {made.workspace.storage.full(lock.shards)}", highlight=False, soft_wrap=True)
    if not outcome.within_limit:
        raise UserError(
            f"{outcome.failed_share:.0%} of the items failed, more than max_failed_share",
            "see the classes above; `interlink retry --class NAME` tries some again",
        )


@app.command(epilog="Example: interlink status out --json")
def status(
    root: Root = ".",
    json_: Json = False,
    rows: Annotated[bool, typer.Option("--rows", help="List the failed, dropped and partial rows.")] = False,
) -> None:
    """Show how far a build is: rows by outcome for every stage, errors by class, totals."""
    from interlink.api import Build
    from interlink.doctor import read_ceiling
    from interlink.report import terminal
    from interlink.report.progress import caption_line, totals_line

    made = Build(None, root)
    if rows:
        troubles = made.troubles()
        if json_:
            terminal.print_json(terminal.troubles_json(troubles))
        else:
            terminal.print_troubles(_console(), troubles)
        return
    found = made.status()
    if json_:
        terminal.print_json(found.json())
        return
    console = _console()
    terminal.print_status(console, found, made.troubles())
    console.print(totals_line(found), highlight=False)
    if line := caption_line(found, read_ceiling(made.workspace.storage)):
        console.print(line, highlight=False, soft_wrap=True)


@app.command(
    epilog="Example: interlink doctor --captioner --root out",
    cls=_listing("recipe", "interlink.recipe:recipe_names"),
)
def doctor(
    recipe: RecipeName = None,
    root: Annotated[str | None, typer.Option(help="Folder or URL of a build to take frames from.")] = None,
    captioner: Annotated[bool, typer.Option("--captioner", help="Clips/s and tokens/s of the caption engine.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.sub=value, over the recipe; repeatable.")] = None,
    frames: Annotated[Path | None, typer.Option(help="Folder of JPEGs to caption instead.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to measure.")] = 20.0,
    json_: Json = False,
) -> None:
    """Measure the top speed of a part of a build by itself; `interlink status` compares the build with it."""
    from dataclasses import asdict

    from interlink.api import Build
    from interlink.doctor import captioner_ceiling
    from interlink.report import terminal
    from interlink.report.progress import rates

    if not captioner:
        raise UserError("doctor needs to know what to look at", "for example: interlink doctor --captioner", 2)
    chosen, where = _recipe_and_root(recipe, root)
    made = Build(chosen, where or _default_root(chosen, set_ or []), set_ or [])
    found = captioner_ceiling(made, seconds, frames)
    if json_:
        more = {"clips_per_second": found.clips_per_second, "tokens_per_second": found.tokens_per_second}
        terminal.print_json({**asdict(found), **more})
        return
    measured = rates(found.clips_per_second, found.tokens_per_second)
    name = " ".join(filter(None, (found.engine, found.model)))
    _console().print(
        f"{name}: {measured} ({found.clips} clips in {found.seconds:.1f} s with its batches full; "
        f"opening took {found.opening:.1f} s)",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command(epilog="Example: interlink retry out --class throttled,network")
def retry(
    root: Root = ".",
    class_: Annotated[str, typer.Option("--class", help="Failure classes, separated by commas.")] = "",
    stage: Annotated[str, typer.Option(help="Only rows of these stages.")] = "",
    json_: Json = False,
) -> None:
    """Try failed rows of the named classes again, then build on."""
    from interlink.api import Build
    from interlink.report import terminal
    from interlink.report.progress import BuildProgress

    if not class_:
        raise UserError("retry needs --class", "for example --class throttled,network", 2)
    console = _console(json_)
    made = Build(None, root)
    with BuildProgress(console) as progress:
        outcome = made.retry(_names(class_), _names(stage), progress.report)
    if json_:
        terminal.print_json(outcome.status.json())
    else:
        terminal.print_status(console, outcome.status, made.troubles())


@app.command(epilog="Example: interlink prune out --yes")
def prune(
    root: Root = ".",
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it they are only listed.")] = False,
) -> None:
    """Remove the tables and shards that earlier settings made."""
    from interlink.api import Build

    made = Build(None, root)
    folders = made.prune() if yes else made.outdated()
    for folder in folders:
        _console().print(folder, highlight=False)
    outcome = "removed" if yes else "would be removed; add --yes"
    _console().print(f"{len(folders)} folders {outcome}" if folders else "nothing is outdated")


@app.command(epilog="Example: interlink stages")
def stages(json_: Json = False) -> None:
    """Every key of a recipe: what each stage reads and writes, and its options."""
    from interlink.report import terminal
    from interlink.report.tables import stage_descriptions, stages_tables

    if json_:
        terminal.print_json(stage_descriptions())
        return
    for table in stages_tables():
        _console().print(table)


@app.command(epilog="Example: interlink verify out")
def verify(root: Root = ".", json_: Json = False) -> None:
    """Check every shard: sums, complete documents, reading back by index and through stock webdataset."""
    from interlink.api import Build
    from interlink.report import terminal

    problems = Build(None, root).verify()
    if json_:
        terminal.print_json([str(problem) for problem in problems])
    else:
        console = _console()
        for problem in problems:
            console.print(str(problem), highlight=False, soft_wrap=True)
        console.print("every shard is whole" if not problems else f"{len(problems)} problems", highlight=False)
    if problems:
        raise typer.Exit(1)


@app.command(
    epilog="Example: interlink release out --format howto,datasets --out release",
    cls=_listing("format_", "interlink.release.formats:format_names"),
)
def release(
    root: Root = ".",
    format_: Annotated[str, typer.Option("--format", help="One or more, separated by commas: {}.")] = "",
    out: Annotated[str, typer.Option(help="Folder or URL that is empty or absent.")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, see docs/release.md; repeatable.")] = None,
    json_: Json = False,
) -> None:
    """Export the documents in formats of other tools, with a dataset card."""
    from dataclasses import asdict

    from rich.progress import Progress

    from interlink.api import Build
    from interlink.release import ReleaseSettings
    from interlink.report import terminal

    if not out:
        raise UserError("release needs --out", "for example --out release", 2)
    settings = ReleaseSettings.load(set_ or [])
    with Progress(console=_console(json_), transient=True) as bar:
        task = bar.add_task("releasing", total=None)
        made = Build(None, root).release(
            _names(format_), out, settings, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if json_:
        terminal.print_json(asdict(made))
        return
    console = _console()
    for name, records in made.formats.items():
        records_by_split = ", ".join(f"{split} {count:,}" for split, count in sorted(records.items()))
        console.print(f"{name:<9} {records_by_split}", highlight=False)
    console.print(f"{made.files} files, {made.bytes / 1e6:,.1f} MB: {made.url}", highlight=False, soft_wrap=True)


@app.command(epilog="Example: interlink why out dQw4w9WgXcQ --frames sheets")
def why(
    root: Annotated[str, typer.Argument(help="Folder or URL (s3://…) of a build.")],
    name: Annotated[str, typer.Argument(metavar="ID", help="Of an item, a document, or a video.")],
    frames: Annotated[Path | None, typer.Option(help="Write pictures of its frames into this folder.")] = None,
    json_: Json = False,
) -> None:
    """Follow one id: its result and reason at every stage, scores and thresholds, the place of its documents."""
    from interlink.api import Build
    from interlink.report import terminal

    found = Build(None, root).why(name, frames)
    if json_:
        terminal.print_json(found.json())
        return
    for line in found.lines():
        _console().print(line, markup=False, highlight=False, soft_wrap=True)


def _recipe_and_root(recipe: str | None, root: str | None) -> tuple[str | None, str | None]:
    from interlink.recipe import FILE_NAME
    from interlink.runtime.lock import NAME

    if recipe is None and root is None and Path(NAME).exists():
        return None, "."
    if recipe is None and (root is None or not _holds_build(root)):
        if not Path(FILE_NAME).exists():
            raise UserError(
                f"no recipe: there is no {FILE_NAME} here and no build to continue",
                "give one: interlink build folder --set source.path=CLIPS",
                2,
            )
        return FILE_NAME, root
    return recipe, root


def _holds_build(root: str) -> bool:
    from interlink.runtime.workspace import Workspace
    from interlink.storage import Storage

    return Workspace(Storage(root)).lock() is not None


def _default_root(recipe: str | None, sets: list[str]) -> str:
    from interlink.recipe import Recipe

    return f"builds/{Recipe.load(recipe, sets).name}" if recipe else "."


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _console(quiet: bool = False) -> Any:
    """Where people read; with --json it moves to stderr so that stdout stays a program's."""
    from rich.console import Console

    return Console(stderr=quiet)


def main() -> None:
    """The entry point: a UserError becomes two lines and its exit code."""
    try:
        app()
    except UserError as error:
        print(f"interlink: {visible(error.what)}", file=sys.stderr)
        if error.do:
            print(f"  {visible(error.do)}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        print("interlink: stopped; committed rows are kept, the same command continues", file=sys.stderr)
        sys.exit(1)
