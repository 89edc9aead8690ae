"""Makes the report of a build: one HTML file of bounded size that opens from a disk, without a network.

It brings the catalogue of `interlink view` up to date, and costs some 10 ms per document that it shows in addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from interlink.errors import UserError
from interlink.interleave.settings import InterleaveSettings
from interlink.redaction import redact_url
from interlink.report.html import Html, embedded, policy, tag, text
from interlink.report.page import documents, explorer, sections
from interlink.report.status import build_status
from interlink.report.view.catalogue import Catalogue, update
from interlink.report.view.make import Report
from interlink.report.view.recount import Names
from interlink.report.view.tables import Tables
from interlink.runtime.lock import Lock
from interlink.runtime.workspace import Workspace
from interlink.storage import Storage

LIMIT = 15_000_000  # bytes of the file

_SCORES = 7_000_000  # of these at most for the clips' scores; documents take what is left
_ASSETS = Path(__file__).parent / "assets"
_VIEW = Path(__file__).parents[1] / "view" / "static"  # the style of the viewer
_TITLES = {
    "videos": "Videos", "clips": "Clips", "scores": "Scores", "thresholds": "Thresholds", "time": "Time",
    "documents": "Documents", "recipe": "Recipe",
}  # fmt: skip


def write(workspace: Workspace, out: Path, remarks: Sequence[str] = (), report: Report | None = None) -> Path:
    """Writes the report of the build, whole or not at all. remarks: sentences on what bound it. Raises UserError."""
    if out.is_dir():
        raise UserError(f"{out} is a folder", "give a file: -o report.html", 2)
    lock = workspace.lock()
    if lock is None:
        raise UserError(f"there is no build in {workspace.storage.url}", "give a recipe: interlink build RECIPE", 2)
    made = page(workspace, lock, update(workspace, lock, report), remarks).encode("utf-8", "replace")
    try:
        Storage(str(out.parent)).write(out.name, made)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error}", "give another file with -o", 2) from error
    return out


def page(
    workspace: Workspace, lock: Lock, catalogue: Catalogue, remarks: Sequence[str] = (), limit: int = LIMIT
) -> str:
    """The whole file, of at most `limit` bytes."""
    tables = Tables.of(workspace, lock)
    status = build_status(workspace, tables.blocks, lock.fingerprints, lock.shards).json()
    root = redact_url(workspace.storage.url) if not workspace.storage.is_local else workspace.storage.url
    tried, scores = _thresholds(catalogue, tables, root, limit * _SCORES // LIMIT)
    funnels = sections.videos(status, catalogue.meta("stops")) + sections.clips(catalogue.meta("clip_funnel"))
    body = [
        sections.totals(status),
        tag("div", Html(funnels), class_="columns funnels"),
        sections.scores(catalogue.meta("clip_histograms"), "scores", "Scores of all clips"),
        sections.scores(catalogue.meta("doc_histograms"), "lengths", "Documents in numbers"),
        tried,
        sections.time(status, remarks),
        sections.recipe(lock.model_dump(mode="json")),
    ]
    frame = _frame(str(catalogue.meta("name")), lock, body, scores)
    room = limit - len(frame.encode("utf-8", "replace")) - 2_000
    shown = documents.documents(catalogue, tables, workspace.storage, room)
    body.insert(-1, shown)
    return _frame(str(catalogue.meta("name")), lock, body, scores)


def _thresholds(catalogue: Catalogue, tables: Tables, root: str, room: int) -> tuple[Html, Html]:
    """The section and its data; both empty where a third-party stage makes the documents, which nobody can predict."""
    block = tables.block("interleave")
    settings = block.settings if block is not None else None
    if not isinstance(settings, InterleaveSettings):
        return Html(""), Html("")
    names = Names(catalogue.meta("flags"), catalogue.meta("languages"))
    each = 4 * (8 * len(explorer.rules_of(catalogue)) + 5) // 3 + 1  # bytes of a clip, as text
    data = explorer.explorer(catalogue, settings, names, min(explorer.MOST, room // each))
    shown = explorer.controls(catalogue, settings, data, root)
    return shown, embedded("explorer", data) if shown else Html("")


def _frame(name: str, lock: Lock, body: Sequence[Html], data: Html) -> str:
    inner = "".join(body)
    links = [tag("a", title, href=f"#{one}") for one, title in _TITLES.items() if f'id="{one}"' in inner]
    styles = [_asset(_VIEW / "view.css"), _asset(_ASSETS / "page.css")]
    scripts = [_asset(_ASSETS / "explorer.js"), _asset(_ASSETS / "page.js")]
    version = lock.versions.get("interlink", "")
    said = f"Made by interlink report{f'; built with interlink {version}' if version else ''}. Opens without a network."
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(scripts, styles)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(name)}: interlink report</title>{''.join(f'<style>{one}</style>' for one in styles)}</head>\n"
        '<body><a class="skip" href="#main">Skip to the content</a><header>'
        f'<span class="brand">{_asset(_VIEW / "logo.svg")}'
        f'<span>interlink</span></span><nav aria-label="Sections">{"".join(links)}</nav></header>'
        f'<main id="main"><h1><bdi>{text(name)}</bdi> <small>report of a build</small></h1>{inner}</main>'
        f"<footer>{said}</footer>{data}{''.join(f'<script>{one}</script>' for one in scripts)}</body></html>\n"
    )


@cache
def _asset(path: Path) -> str:
    return path.read_text(encoding="utf-8")
