"""The command `interlink view`."""

from __future__ import annotations

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
