"""Commands on a pseudo-terminal, and the screens of docs/figures/screens that show them."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

SCREENS = Path(__file__).parents[2] / "docs" / "figures" / "screens"
HOME = "/home/me/video"  # in place of the folder of a test, of the same length
ROWS = 40
# stage, five counts, and the seconds
_SECONDS_IN_TABLE = re.compile(r"^([a-z]+(?: +[\d·]+){5})( +\d+\.\d)")


@dataclass(frozen=True)
class Shown:
    """live: the screen at the first moment that held what was waited for, or empty. code: exit code."""

    lines: list[str]
    live: list[str]
    code: int


def show(folder: Path, columns: int, *arguments: str, wait_for: str = "", interrupt: bool = False) -> Shown:
    """Runs `interlink` in `folder` on a terminal of so many columns. interrupt: Ctrl-C at what is waited for."""
    import pexpect
    import pyte

    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "TERM")}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "interlink", *arguments],
        dimensions=(ROWS, columns),
        cwd=str(folder),
        env={**environment, "TERM": "xterm-256color"},
        timeout=120,
    )
    screen = pyte.HistoryScreen(columns, ROWS, history=1000)
    stream = pyte.ByteStream(screen)
    live: list[str] = []
    while True:
        try:
            stream.feed(child.read_nonblocking(1 << 16, timeout=120))
        except pexpect.EOF:
            break
        shown = [line.rstrip() for line in screen.display]
        if wait_for and not live and any(wait_for in line for line in shown):
            live = shown
            if interrupt:
                child.sendintr()
    child.close()
    scrolled = ["".join(line[n].data for n in range(columns)).rstrip() for line in screen.history.top]
    return Shown([*scrolled, *(line.rstrip() for line in screen.display)], live, child.exitstatus or 0)


def normal(lines: list[str], folder: Path) -> str:
    """The lines with the folder, seconds and fingerprints of one run replaced by those of all."""
    text = "\n".join(lines).rstrip() + "\n"
    text = text.replace(str(folder), HOME)
    text = re.sub(r"(tables/\w+|shards)/[0-9a-f]{12}", r"\1/0123456789ab", text)
    text = re.sub(r"(attempts?,) \d+\.\d\d s\b", r"\1 0.10 s", text)
    text = re.sub(r"blobs-[0-9a-f]{16}", "blobs-0123456789abcdef", text)
    return "\n".join(_SECONDS_IN_TABLE.sub(_same_width, row) for row in text.split("\n"))


def _same_width(found: re.Match[str]) -> str:
    return found[1] + "0.1".rjust(len(found[2]))
