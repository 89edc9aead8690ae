"""The commands of `interlink`: parse, call interlink.api, print. Imports are lazy: `--help` answers in half a second.

Exit codes: 0 done, 1 it failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from interlink.cli_options import (
    Commands,
    Executor,
    Json,
    RecipeName,
    Root,
    Sets,
    console_of,
    default_root,
    listing,
    print_outcome,
    recipe_and_root,
    split_names,
)
from interlink.cli_view import report, view
from interlink.errors import UserError
from interlink.report.lines import count, print_line
from interlink.report.visible import visible

app = typer.Typer(
    name="interlink",
    help="Turn instructional video into interleaved frame-and-text documents in webdataset shards.",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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
    with Progress(console=console_of(), transient=True) as bar:
        task = bar.add_task("rendering", total=videos)
        paths = render(folder, videos, seed, chosen, progress=lambda done: bar.update(task, completed=done))
    print_line(console_of(), f"{count(len(paths), 'video')} with subtitles and truth.json in {folder}")


@app.command(
    epilog="Example: interlink init my_videos; then: interlink build --root out",
    cls=listing("recipe", "interlink.recipe:recipe_names"),
)
def init(
    path: Annotated[str, typer.Argument(help="A folder of videos, a video, or a list of ids, URLs or paths.")] = ".",
    recipe: Annotated[str, typer.Option(help="The recipe to begin with: {}.")] = "folder",
    set_: Sets = None,
) -> None:
    """Look at a source: what is in it, what the recipe makes of it, what is missing. Writes interlink.yaml here."""
    from interlink.recipe import FILE_NAME, Recipe, begin_recipe
    from interlink.report.survey import survey

    chosen = Recipe.load(recipe, [*(set_ or []), f"source.path={path}"])
    console = console_of()
    for line in survey(chosen).lines(chosen):
        print_line(console, line)
    if Path(FILE_NAME).exists():
        print_line(console, f"{FILE_NAME} is there already and was left as it is")
    else:
        Path(FILE_NAME).write_text(begin_recipe(chosen))
        print_line(console, f"wrote {FILE_NAME}")
    print_line(console, "next: interlink build --root out")


@app.command(
    epilog="Example: interlink build folder --set source.path=clips --root out",
    cls=listing("recipe", "interlink.recipe:recipe_names"),
)
def build(
    recipe: RecipeName = None,
    root: Annotated[str | None, typer.Option(help="Folder or URL of the build. [default: builds/NAME]")] = None,
    stage: Annotated[str, typer.Option(help="Only these stages, separated by commas.")] = "",
    set_: Sets = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N items of the order.")] = None,
    executor: Executor = None,
    fresh: Annotated[str, typer.Option(help="Compute these stages again, separated by commas.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Go ahead where costly rows are computed again.")] = False,
    json_: Json = False,
) -> None:
    """Build: start, resume, finish or extend it. The command is always the same.

    Exit code 1: every item that was tried failed, or the root holds no document although `interleave` ran.
    """
    from interlink.api import Build, Redo
    from interlink.report import terminal
    from interlink.report.progress import BuildProgress

    sets = [*(set_ or []), *([f"executor.kind={executor}"] if executor else [])]
    chosen, where = recipe_and_root(recipe, root)
    made = Build(chosen, where or default_root(chosen, sets), sets)
    console = console_of(json_)

    def confirm(redo: list[Redo]) -> bool:
        if yes or not sys.stdin.isatty():
            return yes
        return typer.confirm(f"This change recomputes costly rows: {terminal.redo_text(redo)}. Go ahead?", err=True)

    with BuildProgress(console) as progress:
        outcome = made.run(split_names(stage), limit, split_names(fresh), confirm, progress.report)
    if json_:
        terminal.print_json(outcome.status.json())
    else:
        print_outcome(console, made, outcome)
    outcome.check(split_names(stage))


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
    from interlink.report.advice import advice
    from interlink.report.summary import caption_line, totals_line

    made = Build(None, root)
    if rows:
        troubles = made.troubles()
        if json_:
            terminal.print_json(terminal.troubles_json(troubles))
        else:
            terminal.print_troubles(console_of(), troubles)
        return
    found = made.status()
    if json_:
        terminal.print_json(found.json())
        return
    console = console_of()
    terminal.print_status(console, found, made.troubles())
    print_line(console, totals_line(found))
    if line := caption_line(found, read_ceiling(made.workspace.storage)):
        print_line(console, line)
    if line := advice(made.recipe, found):
        print_line(console, line)


@app.command(
    epilog="Example: interlink doctor --captioner --root out",
    cls=listing("recipe", "interlink.recipe:recipe_names"),
)
def doctor(
    recipe: RecipeName = None,
    root: Annotated[str | None, typer.Option(help="Folder or URL of a build to take frames from.")] = None,
    captioner: Annotated[bool, typer.Option("--captioner", help="Clips/s and tokens/s of the caption engine.")] = False,
    set_: Sets = None,
    frames: Annotated[Path | None, typer.Option(help="Folder of JPEGs to caption instead.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to measure.")] = 20.0,
    json_: Json = False,
) -> None:
    """Measure the top speed of a part of a build by itself; `interlink status` compares the build with it."""
    from dataclasses import asdict

    from interlink.api import Build
    from interlink.doctor import captioner_ceiling, missing_parts
    from interlink.report import terminal
    from interlink.report.summary import rates

    if not captioner:
        raise UserError("doctor needs to know what to look at", "for example: interlink doctor --captioner", 2)
    chosen, where = recipe_and_root(recipe, root)
    made = Build(chosen, where or default_root(chosen, set_ or []), set_ or [])
    found = captioner_ceiling(made, seconds, frames)
    if json_:
        more = {"clips_per_second": found.clips_per_second, "tokens_per_second": found.tokens_per_second}
        terminal.print_json({**asdict(found), **more})
        return
    measured = rates(found.clips_per_second, found.tokens_per_second)
    name = " ".join(filter(None, (found.engine, found.model)))
    print_line(
        console_of(),
        f"{name}: {measured} ({count(found.clips, 'clip')} in {found.seconds:.1f} s with its batches full; "
        f"opening took {found.opening:.1f} s)",
    )
    for line in missing_parts():
        print_line(console_of(), line)


@app.command(epilog="Example: interlink retry out --class throttled,network")
def retry(
    root: Root = ".",
    class_: Annotated[str, typer.Option("--class", help="Failure classes, separated by commas.")] = "",
    stage: Annotated[str, typer.Option(help="Only rows of these stages.")] = "",
    executor: Executor = None,
    json_: Json = False,
) -> None:
    """Try failed rows of the named classes again, then build on."""
    from interlink.api import Build
    from interlink.report import terminal
    from interlink.report.progress import BuildProgress

    if not class_:
        raise UserError("retry needs --class", "for example --class throttled,network", 2)
    console = console_of(json_)
    made = Build(None, root, [f"executor.kind={executor}"] if executor else [])
    with BuildProgress(console) as progress:
        outcome = made.retry(split_names(class_), split_names(stage), progress.report)
    if json_:
        terminal.print_json(outcome.status.json())
    else:
        print_outcome(console, made, outcome)
    outcome.check()


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
        print_line(console_of(), folder)
    outcome = "removed" if yes else "would be removed; add --yes"
    print_line(console_of(), f"{count(len(folders), 'folder')} {outcome}" if folders else "nothing is outdated")


@app.command(epilog="Example: interlink stages")
def stages(json_: Json = False) -> None:
    """Every key of a recipe: what each stage reads and writes, and its options."""
    from interlink.report import terminal
    from interlink.report.tables import stage_descriptions, stages_tables

    if json_:
        terminal.print_json(stage_descriptions())
        return
    for table in stages_tables():
        console_of().print(table)


@app.command(epilog="Example: interlink verify out; interlink verify shards/00000.tar")
def verify(
    path: Annotated[str, typer.Argument(help="A build's root, a folder of shards, a tar or a glob.")] = ".",
    json_: Json = False,
) -> None:
    """Check every shard of a build, or any tars: sums, complete documents, members, texts, pictures."""
    from interlink.api import Build
    from interlink.report import terminal
    from interlink.report.checks import check

    found = check(path, lambda: Build(None, path).verify())
    if json_:
        terminal.print_json(found.json())
    else:
        console = console_of()
        for line in found.lines():
            print_line(console, line)
    if found.damaged:
        raise typer.Exit(1)


@app.command(
    epilog="Example: interlink release out --format howto,datasets --out release",
    cls=listing("format_", "interlink.release.formats:format_names"),
)
def release(
    root: Root = ".",
    format_: Annotated[str, typer.Option("--format", help="One or more, separated by commas: {}.")] = "",
    out: Annotated[str, typer.Option(help="Folder or URL that is empty or absent.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, see docs/how-to/release.md; repeatable.")
    ] = None,
    push: Annotated[str, typer.Option(metavar="OWNER/NAME", help="Also upload it: a dataset of the Hub.")] = "",
    public: Annotated[bool, typer.Option("--public", help="With --push: visible to everybody.")] = False,
    json_: Json = False,
) -> None:
    """Export the documents in formats of other tools, with a dataset card."""
    from dataclasses import asdict

    from rich.progress import Progress

    from interlink.api import Build
    from interlink.release import ReleaseSettings
    from interlink.release import push as hub
    from interlink.report import terminal

    if not out:
        raise UserError("release needs --out", "for example --out release", 2)
    hub.check_request(push, public, out)
    settings = ReleaseSettings.load(set_ or [])
    with Progress(console=console_of(json_), transient=True) as bar:
        task = bar.add_task("releasing", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        made = Build(None, root).release(split_names(format_), out, settings, report, keep=bool(push))
        if push:
            bar.update(task, description=f"uploading to {push}", completed=0, total=None)
        pushed = hub.push(Path(made.url), push, public, report=report) if push else None
    if json_:
        terminal.print_json(asdict(made) | ({"pushed": asdict(pushed)} if pushed else {}))
        return
    console = console_of()
    for name, records in made.formats.items():
        records_by_split = ", ".join(f"{split} {count:,}" for split, count in sorted(records.items()))
        print_line(console, f"{name:<9} {records_by_split}")
    for note in made.notes:
        print_line(console, note)
    print_line(console, f"{count(made.files, 'file')}, {made.bytes / 1e6:,.1f} MB: {made.url}")
    if pushed:
        print_line(console, pushed.line())


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
    from interlink.report.advice import remedies

    made = Build(None, root)
    found = made.why(name, frames)
    if json_:
        terminal.print_json(found.json())
        return
    for line in found.lines():
        print_line(console_of(), line)
    if found.verdict.endswith("(no_text)"):
        for option in remedies(made.recipe):
            print_line(console_of(), option)


app.command(epilog="Example: interlink view out; interlink view out other_out")(view)
app.command(epilog="Example: interlink report out -o report.html")(report)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"interlink {version('interlink')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Turn instructional video into interleaved frame-and-text documents in webdataset shards."""


def main() -> None:
    """The entry point: a UserError becomes two lines (with --json one object on stdout) and its exit code."""
    try:
        app()
    except UserError as error:
        if "--json" in sys.argv:
            from interlink.report.terminal import print_json

            print_json({"error": error.what, "do": error.do, "code": error.code})
        else:
            console = console_of(quiet=True)
            print_line(console, f"interlink: {visible(error.what)}")
            if error.do:
                print_line(console, f"  {visible(error.do)}")
        sys.exit(error.code)
