"""From a recipe and a root to what is left to do: plans of stages, what they wait for, partitions with work, commit.

Costs a few small reads for each partition and stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from interlink.errors import UserError
from interlink.fetch.exclusions import NOTHING, Exclusions
from interlink.fingerprints import adopted
from interlink.recipe import Recipe, StageBlock
from interlink.runtime.isolate import StageSpec
from interlink.runtime.lease import Fence
from interlink.runtime.lock import NAME, ROOT_VERSION, Lock, encode
from interlink.runtime.partition import Partition
from interlink.runtime.plan import Event, Report, Retry, StagePlan, given_together
from interlink.runtime.work import Work, runs_of
from interlink.runtime.workspace import Workspace
from interlink.stage import Context

VERSIONED = ("interlink", "av", "numpy", "pillow", "pyarrow", "simplejpeg", "torch", "transformers", "yt-dlp")

Partitions = Sequence[tuple[str, int]]  # (name, ids let in), in order


@dataclass(frozen=True)
class Redo:
    """Costly rows that a changed setting would make again, and the seconds of work that they took."""

    stage: str
    rows: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Plans:
    """The stages of one run. every: of the recipe; chosen: those that run, in order."""

    workspace: Workspace
    every: tuple[StagePlan, ...]
    chosen: tuple[StagePlan, ...]

    def partition(self, plan: StagePlan, name: str) -> Partition:
        return self.workspace.partition(plan.name, plan.fingerprint, name, plan.schema)


def partition_of(workspace: Workspace, block: StageBlock, fingerprint: str, name: str) -> Partition:
    """One partition of a stage's table."""
    return workspace.partition(block.name, fingerprint, name, block.cls.table_schema(block.name))


def lock_of(recipe: Recipe, old: Lock | None, fresh: Sequence[str], exclusions: Exclusions = NOTHING) -> Lock:
    """The lock of a build: the recipe with every default, fingerprints, versions of what shapes bytes.

    old: the root's lock so far. fresh: stages to compute again. exclusions: what the recipe's list excludes.
    """
    counts = dict(old.fresh) if old else {}
    for name in fresh:
        counts[name] = counts.get(name, 0) + 1
    known = adopted_by(old) if old else {}
    found = recipe.fingerprints(counts, exclusions.digest)
    prints = {stage: known.get(print_, print_) for stage, print_ in found.items()}
    versions = {}
    for name in VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Lock(
        root_version=ROOT_VERSION,
        recipe=recipe.dump(),
        fingerprints=prints,
        adopted=known,
        fresh=counts,
        versions=versions,
        shards=f"shards/{prints['shard']}" if "shard" in prints else "",
    )


def adopted_by(lock: Lock) -> dict[str, str]:
    """Fingerprint of today's rule → the folder that a root of version 1 has for the same rows.

    Raises UserError where the root's recipe cannot be read any more.
    """
    if lock.root_version > 1:
        return lock.adopted
    try:
        shapes = Recipe.load(lock.recipe).shapes()
    except UserError as error:
        raise UserError(
            f"this root was built by an earlier version, with a recipe that this one cannot read: {error.what}",
            "build into a new --root, or go on with the earlier version",
        ) from error
    return adopted(shapes, lock.fresh, lock.fingerprints)


def costly_redo(workspace: Workspace, recipe: Recipe, old: Mapping[str, str], new: Mapping[str, str]) -> list[Redo]:
    """Costly stages with rows under their old fingerprint and none under the new one."""
    found = []
    for block in recipe.blocks:
        before = old.get(block.name)
        if before is None or before == new[block.name] or not block.cls.costly(block.settings):
            continue
        names = [name for name, _ in workspace.partitions()]
        partitions = [partition_of(workspace, block, before, name) for name in names]
        summaries = [partition.summary() for partition in partitions]
        there = partition_of(workspace, block, new[block.name], names[0]).summary()
        rows = sum(sum(s.counts[k] for k in ("ok", "dropped", "failed")) for s in summaries if s)
        if rows and there is None:
            seconds = sum(
                spent for p, s in zip(partitions, summaries, strict=True) if s for _, spent in p.ledger().values()
            )
            found.append(Redo(block.name, rows, seconds))
    return found


def plan_stages(
    workspace: Workspace,
    recipe: Recipe,
    lock: Lock,
    epoch: int,
    stages: Sequence[str] = (),
    exclusions: Exclusions = NOTHING,
) -> Plans:
    """A plan for each stage of the recipe. stages: the names of those that run; empty = all."""
    context = Context(workspace.storage, recipe.base.seed, recipe.name, lock.fingerprints, lock.fresh, exclusions.clips)
    schemas = {block.name: block.cls.schema for block in recipe.blocks if block.cls.schema is not None}
    every = tuple(_plan(recipe, block, context, schemas, epoch, exclusions.videos) for block in recipe.blocks)
    return Plans(workspace, every, tuple(plan for plan in every if not stages or plan.name in stages))


def _plan(
    recipe: Recipe,
    block: StageBlock,
    context: Context,
    schemas: Mapping[str, Any],
    epoch: int,
    excluded: frozenset[str],
) -> StagePlan:
    executor, retry = recipe.base.executor, recipe.base.retry
    cls, settings = block.cls, block.settings
    return StagePlan(
        name=block.name,
        spec=StageSpec(block.implementation, settings.model_dump(), context),
        fingerprint=context.fingerprints[block.name],
        needs={table: context.fingerprints[table] for table in block.needs},
        schema=cls.table_schema(block.name),
        epoch=epoch,
        isolated=cls.isolated,
        scope=cls.scope,
        claims=cls.isolated or cls.costly(settings),
        resources=cls.resources(settings),
        retry=Retry(retry.max_attempts, retry.base_seconds, retry.longest_seconds),
        memory_mb=executor.memory_mb,
        flush_seconds=executor.flush_seconds,
        schemas={table: schemas[table] for table in block.needs if table in schemas},
        together=cls.together(settings),
        excluded=excluded,
    )


def check_inputs(plans: Plans, partitions: Partitions) -> None:
    """A stage run alone needs its tables whole. UserError says which stage to run first."""
    names = [plan.name for plan in plans.chosen]
    for plan in plans.chosen:
        for table in plan.needs:
            if table in names:
                continue
            source = next(p for p in plans.every if p.name == table)
            todo = sum(plans.partition(source, name).summary() is None for name, _ in partitions)
            if todo:
                raise UserError(
                    f"{plan.name} reads {table}, which is unfinished in {todo} of {len(partitions)} partitions",
                    f"run it first: interlink build --stage={table}",
                    2,
                )


@dataclass
class Left:
    """What is left of a build. stages: names of those with something to do."""

    plans: Plans
    partitions: Partitions
    stages: set[str] = field(default_factory=set)
    _rows: dict[tuple[str, str], str | None] = field(default_factory=dict)  # (table, partition) -> its rows file

    def find(self) -> Work:
        """The partitions and runs in which any chosen stage has something to do."""
        found: set[tuple[str, int]] = set()
        for plan in self.plans.chosen:
            # What reads a table that is about to change has something to do as well.
            if self.stages & plan.needs.keys():
                self.stages.add(plan.name)
            for group in self._groups(plan):
                found |= self._open(plan, group, found)
        left = [partition for partition in self.partitions if partition in found]
        if left and any(plan.scope == "build" for plan in self.plans.chosen):
            left = list(self.partitions)  # its rows may change in any of them; what has not changed is passed over
        wanted = set(left)
        runs = tuple(run for run in runs_of(self.partitions) if wanted & set(run))
        return Work(tuple(left), runs, tuple(self.partitions))

    def announce(self, work: Work, report: Report) -> None:
        """Reports how many ids each stage may expect, and what is final in partitions that are passed over."""
        in_runs = {partition for run in work.runs for partition in run}
        for plan in self.plans.chosen:
            waiting = set(work.partitions) if plan.scope == "item" else in_runs
            for name, _ in (p for p in self.partitions if p not in waiting):
                summary = self.plans.partition(plan, name).summary()
                count = sum(summary.counts[k] for k in ("ok", "dropped", "failed")) if summary else 0
                report(Event(plan.name, "open", count, count))
            report(Event(plan.name, "expect", sum(admitted for _, admitted in waiting)))

    def _groups(self, plan: StagePlan) -> Sequence[Partitions]:
        """Partitions that a stage is given at once."""
        if plan.scope == "run":
            return runs_of(self.partitions)
        if plan.scope == "build":
            return [tuple(self.partitions)]
        return [(partition,) for partition in self.partitions]

    def _open(self, plan: StagePlan, group: Partitions, found: set[tuple[str, int]]) -> set[tuple[str, int]]:
        """The partitions of a group in which a stage has something to do; those `found` already are not looked at."""
        if plan.name in self.stages and all(partition in found for partition in group):
            return set()
        inputs = {name: self._inputs(plan, name, admitted) for name, admitted in group}
        shared = {} if plan.scope == "item" else {"together": given_together(inputs)}
        fresh = set()
        for name, admitted in group:
            if plan.name in self.stages and (name, admitted) in found:
                continue
            mine = {**inputs[name], **shared}
            if None in mine.values() or not self.plans.partition(plan, name).is_done(mine, plan.excluded):
                self.stages.add(plan.name)
                fresh.add((name, admitted))
        return fresh

    def _inputs(self, plan: StagePlan, name: str, admitted: int) -> dict[str, Any]:
        for table, fingerprint in plan.needs.items():
            if (table, name) not in self._rows:
                summary = self.plans.workspace.partition(table, fingerprint, name, plan.schemas.get(table)).summary()
                self._rows[table, name] = summary.rows if summary else None
        return {"collect": admitted, **{table: self._rows[table, name] for table in plan.needs}}


def check_ready(recipe: Recipe, plans: Plans, stages: set[str], on_ray: bool) -> None:
    """Asks the stages with something to do whether all they need is there. Raises UserError before any of them runs."""
    contexts = {plan.name: plan.spec.context for plan in plans.chosen}
    for block in recipe.blocks:
        if block.name not in stages:
            continue
        try:
            block.cls.check(block.settings, contexts[block.name])
        except UserError as error:
            if not on_ray:
                raise
            where = "checked on this machine; the machines of the Ray cluster need it too"
            raise UserError(error.what, f"{error.do} ({where})", error.code) from error


def execute(recipe: Recipe, plans: Plans, work: Work, report: Report, on_ray: bool) -> None:
    """Finishes `work` on Ray, or in this process."""
    if on_ray:
        from interlink.runtime import ray

        ray.run(plans.chosen, work, report, recipe.base.executor)
    else:
        from interlink.runtime import inline

        inline.run(plans.chosen, work, report)


def commit_shards(workspace: Workspace, recipe: Recipe, partitions: Partitions, lock: Lock, epoch: int) -> None:
    """Writes the manifest once every partition's shards are there. Raises Lost where a later epoch holds the root."""
    from interlink.shards import manifest

    fingerprint = lock.fingerprints.get("shard")
    if fingerprint is None:
        return
    names: set[str] = set()
    for name, _ in partitions:
        partition = workspace.partition("shard", fingerprint, name)
        if partition.summary() is None:
            return
        for row in partition.rows().values():
            names.update(entry["shard"] for entry in row["shards"] or ())
    folder, storage = lock.shards, workspace.storage
    made = manifest.build_manifest(storage, folder, names, fingerprint, recipe.name)
    with storage.committing():
        Fence(storage, epoch).check()
        storage.write(f"{folder}/{NAME}", encode(lock.for_shards()))
        manifest.commit(storage, folder, made)
