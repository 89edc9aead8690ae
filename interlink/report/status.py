"""How far a build is: rows by outcome for every stage, and the totals of its documents.

Reads summaries; parts only where work is open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from interlink.errors import UserError
from interlink.recipe import StageBlock
from interlink.report.unclaimed import NONE_UNCLAIMED, Unclaimed, UnclaimedSubtitles
from interlink.runtime.workspace import Workspace
from interlink.shards import manifest

TOTALS = ("documents", "clips", "frames", "text_tokens")


@dataclass
class StageStatus:
    """Rows of one stage by outcome; pending = ids that reached it and have no final row; seconds of work, summed."""

    ok: int = 0
    dropped: int = 0
    failed: int = 0
    pending: int = 0
    partial: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)  # what ok rows leave out or flag, by kind and reason
    seconds: float = 0.0
    amounts: Counter[str] = field(default_factory=Counter)  # what its finished rows hold: clips, frames, tokens …

    def a_second(self, what: str) -> float:
        """Of an amount, so many a second of work of one worker; 0 where nothing is known."""
        return self.amounts[what] / self.seconds if self.seconds else 0.0

    def json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in ("ok", "dropped", "failed", "pending", "partial")},
            "reasons": dict(sorted(self.reasons.items())),
            "errors": dict(sorted(self.errors.items())),
            "lost": dict(sorted(self.lost.items())),
            "amounts": dict(sorted(self.amounts.items())),
            "seconds": round(self.seconds, 3),
        }


@dataclass
class Status:
    """The state of a build. `documents` … `text_tokens` count what `interleave` made; the rest is packed."""

    stages: dict[str, StageStatus]
    documents: int = 0
    clips: int = 0
    frames: int = 0
    text_tokens: int = 0
    shards: int = 0
    bytes: int = 0
    failed_items: int = 0  # ids that failed at one stage or more
    source: Mapping[str, Any] = field(default_factory=dict)  # what the source held when items were last added
    excluded: Mapping[str, Any] = field(default_factory=dict)  # counts of what `source.exclude_ids` names, if any
    unclaimed: Unclaimed = NONE_UNCLAIMED  # subtitle files that belong to no item

    def json(self) -> dict[str, Any]:
        totals = {name: getattr(self, name) for name in (*TOTALS, "shards", "bytes")}
        stages = {name: stage.json() for name, stage in self.stages.items()}
        found = {"source": dict(self.source), "stages": stages, **totals}
        return {**found, "excluded": dict(self.excluded), "unclaimed_subtitles": asdict(self.unclaimed)}


@dataclass(frozen=True)
class Trouble:
    """A row that is not simply ok: failed, dropped, or partial; `why` is its class or reason."""

    stage: str
    id: str
    outcome: str
    why: str
    message: str


def troubles(workspace: Workspace, blocks: Sequence[StageBlock], prints: Mapping[str, str]) -> Iterator[Trouble]:
    """Every row of every finished partition that failed, was dropped, or is partial, in the order of the stages."""
    for name, _ in workspace.partitions():
        for row in workspace.source_rows(name).values():
            if row["status"] != "ok" or row["partial"]:
                yield _trouble("collect", row)
    for block in blocks:
        for name, _ in workspace.partitions():
            if block.name not in prints:
                continue
            partition = workspace.partition(block.name, prints[block.name], name, block.cls.table_schema(block.name))
            summary = partition.summary()
            if summary is None or not (
                summary.counts["failed"] or summary.counts["dropped"] or summary.counts["partial"]
            ):
                continue
            for row in partition.rows().values():
                if row["status"] != "ok" or row["partial"]:
                    yield _trouble(block.name, row)


def _trouble(stage: str, row: Mapping[str, Any]) -> Trouble:
    outcome = "partial" if row["status"] == "ok" else row["status"]
    return Trouble(stage, row["id"], outcome, row["error_class"] or row["reason"], row["message"])


def build_status(
    workspace: Workspace, blocks: Sequence[StageBlock], prints: Mapping[str, str], shards_folder: str
) -> Status:
    """Counts over all partitions of the tables that `prints` (stage -> fingerprint) names."""
    status = Status({"collect": StageStatus()} | {block.name: StageStatus() for block in blocks})
    if workspace.generations:
        status.source = workspace.generations[-1].source
    subtitles = UnclaimedSubtitles(blocks)
    for name, _ in workspace.partitions():
        source = workspace.source_rows(name)
        for row in source.values():
            _count(status.stages["collect"], row)
            subtitles.add(row)
        ok: dict[str, set[str]] = {"collect": {key for key, row in source.items() if row["status"] == "ok"}}
        failed = {key for key, row in source.items() if row["status"] == "failed"}
        for block in blocks:
            if block.name not in prints:
                continue
            stage = status.stages[block.name]
            partition = workspace.partition(block.name, prints[block.name], name, block.cls.table_schema(block.name))
            summary = partition.summary()
            names = workspace.storage.names(partition.folder)
            ledger = partition.ledger() if "ledger.json" in names else {}
            reached = set.intersection(ok["collect"], *(ok.get(table, set()) for table in block.needs))
            if summary and not any(n.startswith("part-") for n in names):
                if summary.counts["ok"] == len(ledger):  # all of them: no table need be opened
                    final = dict.fromkeys(ledger, "ok")
                else:
                    final = {key: row["status"] for key, row in partition.rows(["status"]).items()}
                _add(stage, summary.counts, summary.reasons, summary.errors)
                for total, count in summary.totals.items():
                    if " " in total:
                        stage.lost[total] += count
                    else:
                        stage.amounts[total] += count
                        if block.name == "interleave":
                            setattr(status, total, getattr(status, total) + count)
            else:
                entries = partition.load().entries
                final = {key: e.row["status"] for key, e in entries.items() if e.final}
                for key in final:
                    _count(stage, entries[key].row)
            stage.seconds += sum(seconds for _, seconds in ledger.values())
            stage.pending += len(reached - final.keys())
            failed |= {key for key, outcome in final.items() if outcome == "failed"}
            ok[block.name] = {key for key, outcome in final.items() if outcome == "ok"}
        status.failed_items += len(failed)
    status.unclaimed = subtitles.found()
    if shards_folder and workspace.storage.exists(f"{shards_folder}/MANIFEST.json"):
        try:
            totals = manifest.load(workspace.storage, shards_folder).totals
        except UserError:
            return status  # `interlink verify` is there to say what is wrong with it
        status.shards, status.bytes = totals.shards, totals.bytes
    return status


def _add(stage: StageStatus, counts: Mapping[str, int], reasons: Mapping[str, int], errors: Mapping[str, int]) -> None:
    for name in ("ok", "dropped", "failed", "partial"):
        setattr(stage, name, getattr(stage, name) + counts[name])
    stage.reasons.update(reasons)
    stage.errors.update(errors)


def _count(stage: StageStatus, row: Mapping[str, Any]) -> None:
    setattr(stage, row["status"], getattr(stage, row["status"]) + 1)
    stage.partial += bool(row["partial"])
    if row["status"] == "dropped":
        stage.reasons[row["reason"]] += 1
    if row["status"] == "failed":
        stage.errors[row["error_class"]] += 1
