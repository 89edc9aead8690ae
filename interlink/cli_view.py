"""The commands that show a build in a browser: view, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interlink.cli_options import Root, console_of


def view(
    root: Root = ".",
    others: Annotated[list[str] | None, typer.Argument(metavar="[OTHER…]", help="Builds to compare with.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: any free one. [default: from 8321 on]")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
    tokenizer: Annotated[str, typer.Option(help="Folder or hub id, for “as the model reads”.")] = "",
) -> None:
    """Look at builds, releases or tars in the browser: documents, videos, thresholds. It only reads."""
    from interlink.report.view.serve import serve

    def started(address: str, notes: list[str]) -> None:
        console = console_of()
        for line in (address, *notes, "stop with Ctrl+C"):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        if open_:
            import webbrowser

            webbrowser.open(address)

    serve([root, *(others or [])], host, port, tokenizer, started)


def report(
    root: Root = ".",
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")] = Path("report.html"),
) -> None:
    """Write a build as one HTML file to share: funnels, scores, thresholds to try, documents with frames, the recipe.

    It has at most 15 MB and opens without a network.
    """
    from rich.progress import Progress

    from interlink.api import Build
    from interlink.doctor import read_ceiling
    from interlink.report.advice import advice
    from interlink.report.page.make import write
    from interlink.report.summary import caption_line

    made = Build(None, root)
    found = made.status()
    remarks = [caption_line(found, read_ceiling(made.workspace.storage)), advice(made.recipe, found)]
    with Progress(console=console_of(True), transient=True) as bar:
        task = bar.add_task("reading the build", total=None)
        path = write(made.workspace, out, remarks, lambda done, of: bar.update(task, completed=done, total=of))
    print(path)
