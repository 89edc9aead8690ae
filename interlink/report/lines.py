"""Lines for people: wrapped between words on a terminal, each on one line where the output goes into a file."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

HANGING = 2  # columns that the rest of a wrapped line is moved to the right


def print_line(console: Console, line: str) -> None:
    """Prints one line without markup. On a terminal no word is cut, unless it is longer than a line."""
    if console.is_terminal:
        line = wrapped(line, console.width)
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def wrapped(line: str, width: int) -> str:
    """The line in as many as it takes, the later ones indented by two columns more than the first."""
    indent = " " * (len(line) - len(line.lstrip()) + HANGING)
    pieces = textwrap.wrap(
        line, max(20, width), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(pieces)


def count(number: int, what: str, plural: str = "") -> str:
    """`1 document`, `2 documents`; plural: where it is not the word with an s."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {plural or what + 's'}"
