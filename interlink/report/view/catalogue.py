"""The catalogue of a build: what `interlink view` looks things up in, so that no page reads whole tables.

`update` makes it or brings it up to date: partitions whose tables are as they were are copied from the catalogue
before. Costs about 0.2 ms per document from scratch. A build never needs it, and it can be removed at any time.
"""

from __future__ import annotations

from interlink.errors import UserError
from interlink.report.view import place
from interlink.report.view.make import Making, Report
from interlink.report.view.opened import Catalogue, open_current
from interlink.runtime.lock import Lock
from interlink.runtime.workspace import Workspace

__all__ = ("Catalogue", "open_current", "update")


def update(workspace: Workspace, lock: Lock | None = None, report: Report | None = None) -> Catalogue:
    """The catalogue of the build as it is now. Raises UserError where nothing was built."""
    lock = lock or workspace.lock()
    if lock is None:
        raise UserError(f"there is no build in {workspace.storage.url}", "give a recipe: interlink build RECIPE", 2)
    making = Making.of(workspace, lock)
    folder = place.folder_of(workspace.storage)
    before = open_current(workspace, lock)
    if before is not None and before.meta("state") == making.state:
        return before
    with place.making(folder, making.state) as temporary:
        making.write(temporary, before, report or (lambda done, of: None))
    return Catalogue(folder / making.state)
