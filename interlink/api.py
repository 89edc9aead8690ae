"""Builds from Python: `Build(recipe, root).run()`, `.status()`, `.documents()`, `.retry()`, `.verify()`.

    >>> from interlink.api import Build
    >>> build = Build("folder", "out", sets=["source.path=clips"])
    >>> build.run().status.documents

The command line calls only this module.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlink.errors import FAILURES, UserError
from interlink.recipe import Recipe, StageBlock
from interlink.report.status import Status, Trouble, build_status, troubles
from interlink.runtime.isolate import StageSpec
from interlink.runtime.lease import Lease
from interlink.runtime.work import Work, runs_of
from interlink.runtime.worker import Event, Report, Retry, StagePlan, given_together
from interlink.runtime.workspace import Workspace, encode_lock
from interlink.stage import Context
from interlink.storage import Storage
from interlink.tables import FORMAT_VERSION, SCHEMAS

if TYPE_CHECKING:
    from interlink.release import Made, ReleaseSettings
    from interlink.report.why import Why
    from interlink.shards.verify import Problem

VERSIONED = ("interlink", "av", "numpy", "pillow", "pyarrow", "simplejpeg", "torch", "transformers", "yt-dlp")
COLLECT = "collect"


@dataclass(frozen=True)
class Outcome:
    """What a run did. new: ids that `collect` added; worked: whether any stage had anything to do."""

    status: Status
    new: int
    worked: bool
    failed_share: float
    within_limit: bool  # failed_share <= max_failed_share of the recipe


@dataclass(frozen=True)
class Redo:
    """Costly rows that a changed setting would make again."""

    stage: str
    rows: int


class Build:
    """One build below one root.

    recipe: a file, the name of a bundled one, its data, or None for the one frozen in the root. sets: `key=value`
    overrides.
    """

    def __init__(
        self,
        recipe: str | Path | Mapping[str, Any] | None,
        root: str | Path,
        sets: Sequence[str] = (),
        **storage: Any,
    ) -> None:
        self.workspace = Workspace(Storage(str(root), storage))
        if recipe is None:
            lock = self.workspace.lock()
            if lock is None:
                raise UserError(
                    f"there is no build in {self.workspace.storage.url}", "give a recipe: interlink build RECIPE", 2
                )
            recipe = lock["recipe"]
        self.recipe = Recipe.load(recipe, sets)

    # -- looking ------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        lock = self.workspace.lock() or {"fingerprints": {}, "shards": ""}
        return build_status(self.workspace, self.recipe.blocks, lock["fingerprints"], lock["shards"])

    def troubles(self) -> Iterator[Trouble]:
        """Every row that failed, was dropped or is partial, with its message."""
        lock = self.workspace.lock() or {"fingerprints": {}}
        return troubles(self.workspace, self.recipe.blocks, lock["fingerprints"])

    def documents(self) -> Iterator[dict[str, Any]]:
        """Every finished document, in the order of the shards."""
        fingerprint = (self.workspace.lock() or {}).get("fingerprints", {}).get("interleave")
        return self.workspace.documents(fingerprint) if fingerprint else iter(())

    def verify(self) -> list[Problem]:
        """What is wrong with the shards; an empty list when nothing is."""
        from interlink.shards.verify import verify

        lock = self.workspace.lock()
        if not lock or not lock["shards"] or not self.workspace.storage.exists(f"{lock['shards']}/MANIFEST.json"):
            raise UserError(f"{self.workspace.storage.url} holds no finished shards", "finish them: interlink build")
        return verify(self.workspace.storage, lock["shards"]).problems

    def why(self, name: str, frames: Path | None = None) -> Why:
        """What became of an item or document at every stage, and why. frames: a folder for pictures of its frames."""
        from interlink.report.why import draw, why

        lock = self.workspace.lock() or {"fingerprints": {}, "shards": ""}
        found = why(self.workspace, self.recipe.blocks, lock["fingerprints"], lock["shards"], name)
        if frames is not None:
            draw(self.workspace.storage, found, frames)
        return found

    def release(
        self,
        formats: Sequence[str],
        out: str,
        settings: ReleaseSettings | None = None,
        report: Callable[[int, int], None] | None = None,
    ) -> Made:
        """Writes the finished shards in these formats to `out`, with a dataset card; see `interlink.release`."""
        from interlink.release import ReleaseSettings, release

        lock = self.workspace.lock() or {}
        stages = self.status().json()["stages"]
        return release(self.workspace.storage, lock, stages, formats, out, settings or ReleaseSettings(), report)

    # -- doing --------------------------------------------------------------------------------------------------

    def run(
        self,
        stages: Sequence[str] = (),
        limit: int | None = None,
        fresh: Sequence[str] = (),
        confirm: Callable[[list[Redo]], bool] | None = None,
        report: Report | None = None,
    ) -> Outcome:
        """Does what is left to do. stages: only these; limit: only the first so many ids; fresh: make these anew.

        confirm: asked when a changed setting would redo costly work; without it such a change is a UserError.
        """
        self._check_names([*stages, *fresh])
        with self._lease() as lease:
            return self._run(lease.epoch, stages, limit, fresh, confirm, report)

    def retry(self, classes: Sequence[str], stages: Sequence[str] = (), report: Report | None = None) -> Outcome:
        """Opens the failed rows of these classes again, and runs what is left."""
        for name in classes:
            if name not in FAILURES:
                raise UserError(f"there is no failure class {name!r}", f"classes: {', '.join(FAILURES)}", 2)
        self._check_names(stages)
        lock = self.workspace.lock()
        if lock is None:
            raise UserError(f"there is no build in {self.workspace.storage.url}", "run interlink build first", 2)
        with self._lease() as lease:
            for block in self.recipe.blocks:
                if stages and block.name not in stages:
                    continue
                for name, _ in self.workspace.partitions():
                    partition = self.workspace.partition(
                        block.name, lock["fingerprints"][block.name], name, _schema(block)
                    )
                    failed = [k for k, row in partition.rows().items() if row["error_class"] in classes]
                    if failed:
                        partition.reopen(lease.epoch, failed)
            return self._run(lease.epoch, (), None, (), None, report)

    def outdated(self) -> list[str]:
        """Folders of tables and shards that the lock no longer names: what earlier settings made."""
        lock = self.workspace.lock() or {"fingerprints": {}, "shards": ""}
        storage = self.workspace.storage
        tables = [
            f"tables/{stage}/{print_}"
            for stage in storage.names("tables")
            for print_ in storage.names(f"tables/{stage}")
        ]
        shards = [f"shards/{print_}" for print_ in storage.names("shards")]
        kept = {f"tables/{stage}/{print_}" for stage, print_ in lock["fingerprints"].items()} | {lock["shards"]}
        return [folder for folder in [*tables, *shards] if folder not in kept]

    def prune(self) -> list[str]:
        """Removes what `outdated` lists; going back to those settings then means making their rows anew."""
        with self._lease():
            folders = self.outdated()
            for folder in folders:
                self.workspace.storage.delete_folder(folder)
        return folders

    def _run(
        self,
        epoch: int,
        stages: Sequence[str],
        limit: int | None,
        fresh: Sequence[str],
        confirm: Callable[[list[Redo]], bool] | None,
        report: Report | None,
    ) -> Outcome:
        old = self.workspace.lock() or {}
        counts = dict(old.get("fresh", {}))
        for name in fresh:
            counts[name] = counts.get(name, 0) + 1
        prints = self.recipe.fingerprints(counts)
        redo = self._redo(old.get("fingerprints", {}), prints)
        if redo and not (confirm and confirm(redo)):
            told = ", ".join(f"{r.stage} ({r.rows} rows)" for r in redo)
            raise UserError(f"this change makes costly work anew: {told}", "add --yes to go ahead, or undo the change")
        new = self._collect() if not stages or COLLECT in stages else 0
        lock = self._lock(prints, counts)
        self.workspace.write_lock(lock)
        partitions = self.workspace.partitions(limit)
        if not partitions:
            raise UserError(
                f"the source {self.recipe.base.source.path} has no items", "check source.path and source.kind"
            )
        plans = [self._plan(block, prints, counts, epoch) for block in self.recipe.blocks]
        chosen = [plan for plan in plans if not stages or plan.name in stages]
        self._check_inputs(chosen, plans, partitions)
        tell = report or (lambda event: None)
        work = self._left(chosen, partitions, tell)
        if work.partitions or work.runs:
            self._execute(chosen, work, tell)
        self._commit_shards(prints, partitions, lock)
        status = self.status()
        missing = {plan.name: status.stages[plan.name].pending for plan in chosen if status.stages[plan.name].pending}
        if missing and limit is None:  # Law 1: the count is checked
            raise AssertionError(f"rows were lost: {missing}")
        share = status.failed_items / max(1, sum(count for _, count in partitions))
        return Outcome(
            status, new, bool(work.partitions or work.runs), share, share <= self.recipe.base.max_failed_share
        )

    # -- steps of a run -----------------------------------------------------------------------------------------

    @contextmanager
    def _lease(self) -> Iterator[Lease]:
        try:
            lease = Lease.acquire(self.workspace.storage)
        except OSError as error:
            raise UserError(
                f"cannot write below {self.workspace.storage.url}: {error}",
                "choose another --root, or mend its permissions",
            ) from error
        try:
            yield lease
        finally:
            lease.release()

    def _check_names(self, names: Iterable[str]) -> None:
        import difflib

        valid = [COLLECT, *(block.name for block in self.recipe.blocks)]
        for name in names:
            if name not in valid:
                near = difflib.get_close_matches(name, valid, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"stages of this recipe: {', '.join(valid)}"
                raise UserError(f"this recipe has no stage {name!r}", hint, 2)

    def _redo(self, old: Mapping[str, str], new: Mapping[str, str]) -> list[Redo]:
        found = []
        for block in self.recipe.blocks:
            before = old.get(block.name)
            if not block.cls.costly(block.settings) or before in (None, new[block.name]):
                continue
            summaries = [
                self.workspace.partition(block.name, before, name, _schema(block)).summary()
                for name, _ in self.workspace.partitions()
            ]
            there = self.workspace.partition(block.name, new[block.name], self.workspace.partitions()[0][0]).summary()
            rows = sum(sum(s.counts[k] for k in ("ok", "dropped", "failed")) for s in summaries if s)
            if rows and there is None:
                found.append(Redo(block.name, rows))
        return found

    def _collect(self) -> int:
        from interlink.stages.collect import scan

        new, _ = self.workspace.append(scan(self.recipe.base.source), self.recipe.base.seed)
        return new

    def _lock(self, prints: Mapping[str, str], fresh: Mapping[str, int]) -> dict[str, Any]:
        versions = {}
        for name in VERSIONED:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return {
            "format_version": FORMAT_VERSION,
            "recipe": self.recipe.dump(),
            "fingerprints": dict(prints),
            "fresh": dict(fresh),
            "versions": versions,
            "shards": f"shards/{prints['shard']}" if "shard" in prints else "",
        }

    def _plan(self, block: StageBlock, prints: Mapping[str, str], fresh: Mapping[str, int], epoch: int) -> StagePlan:
        context = Context(self.workspace.storage, self.recipe.base.seed, self.recipe.name, prints, fresh)
        executor, retry = self.recipe.base.executor, self.recipe.base.retry
        return StagePlan(
            name=block.name,
            spec=StageSpec(block.implementation, block.settings.model_dump(), context),
            fingerprint=prints[block.name],
            needs={table: prints[table] for table in block.needs},
            schema=_schema(block),
            epoch=epoch,
            isolated=block.cls.isolated,
            scope=block.cls.scope,
            claims=block.cls.isolated or block.cls.costly(block.settings),
            resources=block.cls.resources(block.settings),
            retry=Retry(retry.max_attempts, retry.base_seconds, retry.longest_seconds),
            memory_mb=executor.memory_mb,
            flush_seconds=executor.flush_seconds,
            together=_together(block),
        )

    def _check_inputs(
        self, chosen: Sequence[StagePlan], plans: Sequence[StagePlan], partitions: Sequence[tuple[str, int]]
    ) -> None:
        """A stage run alone needs its tables whole: says which stage to run first."""
        names = [plan.name for plan in chosen]
        for plan in chosen:
            for table in plan.needs:
                if table in names:
                    continue
                source = next(p for p in plans if p.name == table)
                todo = sum(self._partition(source, name).summary() is None for name, _ in partitions)
                if todo:
                    raise UserError(
                        f"{plan.name} reads {table}, which is unfinished in {todo} of {len(partitions)} partitions",
                        f"run it first: interlink build --stage={table}",
                        2,
                    )

    def _left(self, chosen: Sequence[StagePlan], partitions: Sequence[tuple[str, int]], report: Report) -> Work:
        """The partitions and runs in which any chosen stage has something to do."""
        found: set[tuple[str, int]] = set()  # partitions in which a stage has something to do
        rows: dict[tuple[str, str], str | None] = {}  # (table, partition) -> its rows file

        def inputs_of(plan: StagePlan, name: str, admitted: int) -> dict[str, Any]:
            for table, fingerprint in plan.needs.items():
                if (table, name) not in rows:
                    summary = self.workspace.partition(table, fingerprint, name).summary()
                    rows[table, name] = summary.rows if summary else None
            return {"collect": admitted, **{table: rows[table, name] for table in plan.needs}}

        groups = {"run": runs_of(partitions), "build": [tuple(partitions)]}
        for plan in chosen:
            for group in groups.get(plan.scope) or [(partition,) for partition in partitions]:
                inputs = {name: inputs_of(plan, name, admitted) for name, admitted in group}
                shared = {} if plan.scope == "item" else {"together": given_together(inputs)}
                for name, admitted in group:
                    if (name, admitted) in found:
                        continue
                    mine = {**inputs[name], **shared}
                    partition = self._partition(plan, name)
                    if None in mine.values() or not partition.is_done(mine):
                        found.add((name, admitted))
        left = [partition for partition in partitions if partition in found]
        if left and any(plan.scope == "build" for plan in chosen):
            left = list(partitions)  # its rows may change in any of them; what has not changed is passed over
        wanted = set(left)
        runs = tuple(run for run in runs_of(partitions) if wanted & set(run))
        for plan in chosen:
            waiting = set(left) if plan.scope == "item" else {partition for run in runs for partition in run}
            for name, _ in (p for p in partitions if p not in waiting):
                summary = self._partition(plan, name).summary()
                count = sum(summary.counts[k] for k in ("ok", "dropped", "failed")) if summary else 0
                report(Event(plan.name, "open", count, count))
            report(Event(plan.name, "expect", sum(admitted for _, admitted in waiting)))
        return Work(tuple(left), runs, tuple(partitions))

    def _partition(self, plan: StagePlan, name: str) -> Any:
        return self.workspace.partition(plan.name, plan.fingerprint, name, plan.schema)

    def _execute(self, plans: Sequence[StagePlan], work: Work, report: Report) -> None:
        kind = self.recipe.base.executor.kind
        if kind == "auto":
            kind = "ray" if importlib.util.find_spec("ray") else "inline"
        if kind == "ray":
            if importlib.util.find_spec("ray") is None:
                raise UserError("Ray is not installed", "pip install 'interlink[ray]', or --executor inline", 2)
            from interlink.runtime import ray

            ray.run(plans, work, report, self.recipe.base.executor)
        else:
            from interlink.runtime import inline

            inline.run(plans, work, report)

    def _commit_shards(
        self, prints: Mapping[str, str], partitions: Sequence[tuple[str, int]], lock: Mapping[str, Any]
    ) -> None:
        """Writes the manifest once every partition's shards are there."""
        from interlink.shards import manifest

        if "shard" not in prints:
            return
        names: set[str] = set()
        for name, _ in partitions:
            partition = self.workspace.partition("shard", prints["shard"], name)
            if partition.summary() is None:
                return
            for row in partition.rows().values():
                names.update(entry["shard"] for entry in row["shards"] or ())
        folder, storage = lock["shards"], self.workspace.storage
        made = manifest.build_manifest(storage, folder, names, prints["shard"], self.recipe.name)
        beside = {key: value for key, value in lock.items() if key != "shards"}
        beside["recipe"] = {k: v for k, v in beside["recipe"].items() if k not in ("executor", "retry")}
        storage.write(f"{folder}/recipe.lock.json", encode_lock(beside))
        manifest.commit(storage, folder, made)


def _together(block: StageBlock) -> int:
    wanted = getattr(block.cls, "together", None)
    return int(wanted(block.settings)) if wanted else 1


def _schema(block: StageBlock) -> Any:
    """The table's schema: ours, or what an implementation of others declares."""
    return SCHEMAS.get(block.name) or block.cls.schema  # type: ignore[attr-defined]
