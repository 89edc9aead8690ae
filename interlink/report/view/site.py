"""The builds that a viewer shows: each with its tables, its catalogue, and the thread that keeps it up to date."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from interlink.errors import UserError
from interlink.interleave.settings import InterleaveSettings
from interlink.report.view.catalogue import Catalogue, open_current, update
from interlink.report.view.query import Finder
from interlink.report.view.recount import Names
from interlink.report.view.shelf import Shelf, is_build, open_shelf
from interlink.report.view.tables import Tables
from interlink.runtime.lock import Lock
from interlink.runtime.workspace import Workspace
from interlink.storage import Storage

REFRESH = 15.0  # seconds between looks at whether a build went on


@dataclass(frozen=True)
class Looked:
    """One state of a build: the lock's tables and their catalogue."""

    tables: Tables
    catalogue: Catalogue
    finder: Finder

    @property
    def names(self) -> Names:
        return Names(self.catalogue.meta("flags"), self.catalogue.meta("languages"))

    @property
    def settings(self) -> InterleaveSettings | None:
        """The build's own settings of interleave; None where another implementation makes its documents."""
        block = self.tables.block("interleave")
        return block.settings if block is not None and isinstance(block.settings, InterleaveSettings) else None


@dataclass
class Shown:
    """A build in the viewer. progress: partitions in the catalogue that is being made, of how many."""

    name: str
    workspace: Workspace
    progress: tuple[int, int] = (0, 0)
    problem: str = ""
    _looked: Looked | None = None
    _changed: threading.Event = field(default_factory=threading.Event)

    @property
    def storage(self) -> Storage:
        return self.workspace.storage

    @property
    def looked(self) -> Looked | None:
        """The newest finished catalogue; None while the first one is being made."""
        return self._looked

    def open(self) -> None:
        """Opens the catalogue that is there. Raises UserError where there is no build."""
        lock = self._lock()
        if (found := open_current(self.workspace, lock)) is not None:
            self._take(lock, found)

    def refresh(self) -> None:
        """Brings the catalogue up to date with the build. What goes wrong is shown in place of the pages."""
        try:
            lock = self._lock()
            found = update(self.workspace, lock, self._report)
            if self._looked is None or found.folder != self._looked.catalogue.folder:
                self._take(lock, found)
            self.problem = ""
        except (UserError, OSError, KeyError, ValueError) as error:
            self.problem = error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}"

    def _lock(self) -> Lock:
        lock = self.workspace.lock()
        if lock is None:
            raise UserError(f"there is no build in {self.storage.url}", "give a recipe: interlink build RECIPE", 2)
        return lock

    def _take(self, lock: Lock, catalogue: Catalogue) -> None:
        self._looked = Looked(Tables.of(self.workspace, lock), catalogue, Finder(catalogue))

    def _report(self, done: int, of: int) -> None:
        self.progress = (done, of)


class Site:
    """All that is open, by the name that stands in its addresses: builds, and folders of documents."""

    def __init__(self, opened: Sequence[Shown | Shelf], tokenizer: str = "") -> None:
        self.builds: Mapping[str, Shown] = {one.name: one for one in opened if isinstance(one, Shown)}
        self.shelves: Mapping[str, Shelf] = {one.name: one for one in opened if isinstance(one, Shelf)}
        self.tokenizer = tokenizer
        self.addresses = [(o.name, f"/{o.name}/" if isinstance(o, Shown) else f"/read/{o.name}/") for o in opened]

    @property
    def first(self) -> Shown:
        """The first build."""
        return next(iter(self.builds.values()))

    def follow(self, stop: Callable[[float], bool] | None = None) -> threading.Thread:
        """Starts the thread that makes and refreshes catalogues. stop: waits so many seconds, says whether to end."""

        def sleep(seconds: float) -> bool:
            time.sleep(seconds)
            return False

        def loop() -> None:
            while True:
                for build in self.builds.values():
                    build.refresh()
                if (stop or sleep)(REFRESH):
                    return

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        return thread


def open_site(paths: Sequence[str], tokenizer: str = "", **storage: Any) -> Site:
    """Opens builds by their roots, and releases and tars by their folders. Raises UserError where there is neither."""
    taken = {"static", "compare", "read"}
    found: list[Shown | Shelf] = []
    for path in paths:
        root = Storage(path, storage)
        name = _name(root.url, taken)
        if is_build(root):
            shown = Shown(name, Workspace(root))
            shown.open()
            found.append(shown)
        else:
            found.append(open_shelf(name, path))
    return Site(found, tokenizer)


def _name(url: str, taken: set[str]) -> str:
    """The last part of a URL, fit for an address and not yet taken."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", url.rstrip("/").rpartition("/")[2]).strip("-") or "build"
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name)
    return name
