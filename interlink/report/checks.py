"""What `interlink verify` says: of a build, of a folder with a manifest, or of tars of any origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from interlink.report.lines import count
from interlink.shards.foreign import ShardReport, examine, tars_at
from interlink.shards.names import MANIFEST
from interlink.shards.resolve import LOCK
from interlink.shards.verify import Problem, verify
from interlink.storage import Storage


@dataclass
class Checked:
    """problems: of a build or a folder with a manifest. shards: a report for each tar of another origin."""

    problems: list[Problem] = field(default_factory=list)
    shards: list[ShardReport] = field(default_factory=list)

    @property
    def damaged(self) -> bool:
        return bool(self.problems or any(shard.problems.counts for shard in self.shards))

    def lines(self) -> list[str]:
        if not self.shards:
            last = f"{len(self.problems)} problems" if self.problems else "every shard is whole"
            return [*map(str, self.problems), last]
        damaged = sum(bool(shard.problems.counts) for shard in self.shards)
        total = f"{count(len(self.shards), 'tar')}, {count(sum(shard.samples for shard in self.shards), 'sample')}"
        last = f"{total}; {damaged} of the tars have problems" if damaged else f"{total}; no problems"
        return [*(line for shard in self.shards for line in shard.lines()), last]

    def json(self) -> Any:
        """Problems as a list of texts; of foreign tars a list of objects."""
        return [shard.json() for shard in self.shards] if self.shards else [str(problem) for problem in self.problems]


def check(path: str, of_build: Callable[[], list[Problem]]) -> Checked:
    """Checks what a path names. of_build: checks a build's root. Raises UserError where there are no shards."""
    if not path.endswith(".tar") and not any(mark in path for mark in "*?[{"):
        storage = Storage(path)
        if storage.exists(LOCK):
            return Checked(problems=of_build())
        if storage.exists(MANIFEST):
            return Checked(problems=verify(storage, "").problems)
    if tars := tars_at(path):
        return Checked(shards=[examine(tar) for tar in tars])
    return Checked(problems=of_build())
