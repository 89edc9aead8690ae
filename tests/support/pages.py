"""The pages of the documentation, and the blocks in them.

A comment above a command block says who runs it: `<!-- run: SCENARIO -->` (tests/docs/test_commands.py),
`<!-- run: tests/… -->` (another test), or `<!-- not run: REASON -->`.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
PROGRAMS = ("interlink", "cosmos_train")
COMMANDS = (*PROGRAMS, "export", "git", "img2dataset", "make", "pip", "python", "python3", "sbatch", "vllm")

_FENCE = re.compile(r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_INDENTED = re.compile(rf"^ {{4,}}(?:{'|'.join(COMMANDS)}) [^\n]*", re.M)
_NAME = re.compile(r"^(?:\w+=\S* )?([\w./]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block, with the comment above it (empty: none)."""

    page: Path
    line: int
    kind: str
    mark: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Its command lines: continued lines joined, comments removed."""
        joined = self.text.replace("\\\n", " ")
        lines = [re.sub(r"(^|\s)# .*$", "", line).strip() for line in joined.splitlines()]
        return [part.strip() for line in lines for part in line.split(" && ") if part.strip()]

    @property
    def holds_commands(self) -> bool:
        if self.kind in ("bash", "console", "shell"):
            return True
        names = [match[1] for line in self.text.splitlines() if (match := _NAME.match(line))]
        return not self.kind and any(name in COMMANDS for name in names)


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found["kind"], found["mark"] or "", found["text"])
        for found in _FENCE.finditer(text)
    ]


ALL = [block for page in PAGES for block in blocks(page)]


def indented_commands(page: Path) -> list[str]:
    """Commands in indented blocks, where no mark can stand above them."""
    return [found.strip() for found in _INDENTED.findall(_FENCE.sub("", page.read_text()))]


def program_calls() -> list[tuple[str, str, list[str]]]:
    """(place, program, arguments) of every command of ours in the blocks."""
    found = []
    for block in ALL:
        for line in block.commands if block.holds_commands else ():
            if re.match(rf"(\w+=\S+ )?({'|'.join(PROGRAMS)}) ", line):
                words = shlex.split(line)
                program = next(n for n, word in enumerate(words) if word in PROGRAMS)
                found.append((block.where, words[program], words[program + 1 :]))
    return found


def undocumented(metrics: Path) -> set[str]:
    """Names in a run's metrics.jsonl that docs/reference/metrics.md does not have."""
    meanings = yaml.safe_load((ROOT / "docs" / "metrics.yaml").read_text())["training"]
    names = {name for line in metrics.read_text().splitlines() for name in json.loads(line)}
    return {name for name in names if not any(fnmatch(name, one) for one in meanings)}
