"""Builds from Python: `Build(recipe, root).run()`, `.status()`, `.documents()`, `.retry()`, `.verify()`.

    >>> from interlink.api import Build
    >>> build = Build("folder", "out", sets=["source.path=clips"])
    >>> build.run().status.documents

The command line calls only this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlink.errors import FAILURES, UserError
from interlink.fetch.exclusions import read_exclusions
from interlink.recipe import Recipe, differences
from interlink.redaction import redacted_keys
from interlink.report.advice import advice
from interlink.report.excluded import exclusion_counts
from interlink.report.status import Status, Trouble, build_status, troubles
from interlink.runtime.choosing import choose
from interlink.runtime.lease import Lease
from interlink.runtime.lock import Lock
from interlink.runtime.plan import Event, Report
from interlink.runtime.planning import (
    Left,
    Partitions,
    Plans,
    Redo,
    check_inputs,
    check_ready,
    commit_shards,
    costly_redo,
    execute,
    lock_of,
    partition_of,
    plan_stages,
)
from interlink.runtime.workspace import Workspace
from interlink.storage import Storage

if TYPE_CHECKING:
    from interlink.release import Made, ReleaseSettings
    from interlink.report.why import Why
    from interlink.shards.verify import Problem

COLLECT = "collect"
__all__ = ("Build", "Outcome", "Redo")


@dataclass(frozen=True)
class Outcome:
    """Result of a run. new: ids that `collect` added. worked: whether any stage had something to do. changed: stages
    with other settings (or another version of their code) than in the build before."""

    status: Status
    new: int
    worked: bool
    failed_share: float
    within_limit: bool  # failed_share <= max_failed_share of the recipe
    changed: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # `key: old → new` of settings that differ from those of the build before
    advice: str = ""  # the next step where most items have no text

    def check(self, stages: Sequence[str] = ()) -> None:
        """Raises UserError where a run counts as failed, by one rule: every item failed, more failed than the recipe
        allows, or the build holds no document although it makes documents.

        stages: those that the run was restricted to; documents are not asked of them.
        """
        if self.failed_share >= 1:
            raise UserError("every item failed", "see the classes above; `interlink status ROOT --rows` lists them")
        if not self.within_limit:
            raise UserError(
                f"{self.failed_share:.0%} of the items failed, more than max_failed_share",
                "see the classes above; `interlink retry --class NAME` tries some again",
            )
        if not stages and "interleave" in self.status.stages and not self.status.documents:
            raise UserError(
                "no item became a document",
                self.advice or "`interlink status ROOT --rows` and `interlink why ROOT ID` say why",
            )


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
            recipe = lock.recipe
        self.recipe = Recipe.load(recipe, sets)

    # -- looking ------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        lock = self.workspace.lock() or Lock()
        status = build_status(self.workspace, self.recipe.blocks, lock.fingerprints, lock.shards)
        status.excluded = lock.excluded
        return status

    def advice(self) -> str:
        """The next step where most items end without text; else empty."""
        return advice(self.recipe, self.status())

    def troubles(self) -> Iterator[Trouble]:
        """Every row that failed, was dropped or is partial, with its message."""
        lock = self.workspace.lock() or Lock()
        return troubles(self.workspace, self.recipe.blocks, lock.fingerprints)

    def documents(self) -> Iterator[dict[str, Any]]:
        """Every finished document, in the order of the shards."""
        fingerprint = (self.workspace.lock() or Lock()).fingerprints.get("interleave")
        return self.workspace.documents(fingerprint) if fingerprint else iter(())

    def verify(self) -> list[Problem]:
        """What is wrong with the shards; an empty list when nothing is."""
        from interlink.shards.verify import verify

        lock = self.workspace.lock()
        if not lock or not lock.shards or not self.workspace.storage.exists(f"{lock.shards}/MANIFEST.json"):
            raise UserError(f"{self.workspace.storage.url} holds no finished shards", "finish them: interlink build")
        return verify(self.workspace.storage, lock.shards).problems

    def why(self, name: str, frames: Path | None = None) -> Why:
        """The result of an item or document at every stage, with reasons. frames: a folder for pictures."""
        from interlink.report.why import draw, why

        lock = self.workspace.lock() or Lock()
        found = why(self.workspace, self.recipe.blocks, lock.fingerprints, lock.shards, name)
        if frames is not None:
            draw(self.workspace.storage, found, frames)
        return found

    def release(
        self,
        formats: Sequence[str],
        out: str,
        settings: ReleaseSettings | None = None,
        report: Callable[[int, int], None] | None = None,
        keep: bool = False,
    ) -> Made:
        """Writes the finished shards in these formats to `out`, with a dataset card; see `interlink.release`."""
        from interlink.release import ReleaseSettings, release

        lock = (self.workspace.lock() or Lock()).model_dump(mode="json")
        stages = self.status().json()["stages"]
        settings = settings or ReleaseSettings()
        return release(self.workspace.storage, lock, stages, formats, out, settings, report, keep)

    # -- doing --------------------------------------------------------------------------------------------------

    def run(
        self,
        stages: Sequence[str] = (),
        limit: int | None = None,
        fresh: Sequence[str] = (),
        confirm: Callable[[list[Redo]], bool] | None = None,
        report: Report | None = None,
    ) -> Outcome:
        """Does what is left to do. stages: only these; limit: only the first so many ids; fresh: compute these again.

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
                    partition = partition_of(self.workspace, block, lock.fingerprints[block.name], name)
                    failed = [k for k, row in partition.rows().items() if row["error_class"] in classes]
                    if failed:
                        partition.reopen(lease.epoch, failed)
            return self._run(lease.epoch, (), None, (), None, report)

    def outdated(self) -> list[str]:
        """Folders of tables and shards that the lock no longer names: what earlier settings made."""
        lock = self.workspace.lock() or Lock()
        storage = self.workspace.storage
        tables = [
            f"tables/{stage}/{print_}"
            for stage in storage.names("tables")
            for print_ in storage.names(f"tables/{stage}")
        ]
        shards = [f"shards/{print_}" for print_ in storage.names("shards")]
        kept = {f"tables/{stage}/{print_}" for stage, print_ in lock.fingerprints.items()} | {lock.shards}
        return [folder for folder in [*tables, *shards] if folder not in kept]

    def prune(self) -> list[str]:
        """Removes what `outdated` lists; going back to those settings then computes their rows again."""
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
        if unstored := list(redacted_keys(self.recipe.base.model_dump(mode="json"))):
            raise UserError(
                f"the root does not store {', '.join(unstored)}, which may be secret",
                f"give it again: --set {unstored[0]}=…, or go on without it: --set {unstored[0]}=null",
            )
        old = self.workspace.lock()
        exclusions = read_exclusions(self.recipe.base.source.exclude_ids)
        lock = lock_of(self.recipe, old, fresh, exclusions)
        before = old.fingerprints if old else {}
        self._confirm(before, lock.fingerprints, confirm)
        if report is not None and not self.workspace.generations:
            from interlink.report.survey import survey

            for line in survey(self.recipe).lines(self.recipe):
                report(Event("", "note", text=line))
        # A root without items has to look at its source, whichever stages are asked for.
        new = self._collect() if not stages or COLLECT in stages or not self.workspace.generations else 0
        lock = lock.model_copy(update={"excluded": exclusion_counts(self.workspace, exclusions)})
        self.workspace.write_lock(lock)
        partitions = self.workspace.partitions(limit)
        if not partitions:
            raise UserError(
                f"the source {self.recipe.base.source.path} has no items", "check source.path and source.kind"
            )
        plans = plan_stages(self.workspace, self.recipe, lock, epoch, stages, exclusions)
        check_inputs(plans, partitions)
        worked = self._work(plans, partitions, report or (lambda event: None))
        commit_shards(self.workspace, self.recipe, partitions, lock, epoch)
        status = self.status()
        missing = {p.name: status.stages[p.name].pending for p in plans.chosen if status.stages[p.name].pending}
        if missing and limit is None:  # every id that reached a stage has a row there
            raise AssertionError(f"rows were lost: {missing}")
        share = status.failed_items / max(1, sum(count for _, count in partitions))
        return Outcome(
            status,
            new,
            worked=worked,
            failed_share=share,
            within_limit=share <= self.recipe.base.max_failed_share,
            changed=tuple(s for s, print_ in lock.fingerprints.items() if before.get(s, print_) != print_),
            settings=tuple(differences(old.recipe, lock.recipe)) if old else (),
            advice=advice(self.recipe, status),
        )

    # -- steps of a run -----------------------------------------------------------------------------------------

    def _confirm(
        self, before: Mapping[str, str], after: Mapping[str, str], confirm: Callable[[list[Redo]], bool] | None
    ) -> None:
        """Raises UserError unless costly rows may be computed again. before, after: fingerprints by stage."""
        redo = costly_redo(self.workspace, self.recipe, before, after)
        if redo and not (confirm and confirm(redo)):
            from interlink.report.terminal import redo_text

            what = f"this change recomputes costly rows: {redo_text(redo)}"
            raise UserError(what, "add --yes to go ahead, or undo the change")

    def _work(self, plans: Plans, partitions: Partitions, listen: Report) -> bool:
        """Runs what is left of the chosen stages. Returns whether there was anything."""
        left = Left(plans, partitions)
        work = left.find()
        if not work.partitions and not work.runs:
            left.announce(work, listen)
            return False
        choice = choose(self.recipe, plans, work, left.stages)
        check_ready(self.recipe, plans, left.stages, choice.kind == "ray")
        listen(Event("", "note", text=f"executor: {choice.kind} ({choice.why})"))
        left.announce(work, listen)
        execute(self.recipe, plans, work, listen, choice.kind == "ray")
        return True

    @contextmanager
    def _lease(self) -> Iterator[Lease]:
        try:
            lease = Lease.acquire(self.workspace.storage)
        except OSError as error:
            raise UserError(
                f"cannot write below {self.workspace.storage.url}: {error}",
                "choose another --root, or fix its permissions",
            ) from error
        try:
            self.workspace.remove_leftovers()
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

    def _collect(self) -> int:
        from interlink.fetch.counts import SourceCounts
        from interlink.stages.collect import scan

        counts = SourceCounts()
        rows = scan(self.recipe.base.source, counts)
        new, _ = self.workspace.append(rows, self.recipe.base.seed, counts)
        return new
