"""Two builds side by side: recipes, totals, and the videos whose documents are gone, new or changed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from interlink.report.view.document import video_of
from interlink.report.view.opened import Catalogue
from interlink.report.view.render import looked_of, optional_whole, page, url
from interlink.report.view.site import Looked, Shown, Site

PAGE = 12
KINDS = ("gone", "new", "changed")


@dataclass(frozen=True)
class Side:
    """A video's documents in one build: (key, clips, tokens), lines of text (kind, text), and frames (clip, frame)."""

    documents: list[tuple[str, int, int]]
    lines: list[tuple[str, str]]
    frames: list[tuple[int, int]]


@dataclass(frozen=True)
class Difference:
    """A video whose documents differ."""

    kind: str
    item: str
    title: str
    left: Side
    right: Side


def compare(request: Request) -> Response:
    """The page. 404 where one of the builds is unknown; with one build alone it says how to open two."""
    site: Site = request.app.state.site
    query = request.query_params
    others = list(site.builds)
    if len(others) < 2:
        return page(request, "compare.html", build=site.builds[others[0]] if others else None, left=None)
    chosen = query.get("of") or others[0]
    left = _named(site, chosen)
    right = _named(site, query.get("with") or next(name for name in others if name != chosen))
    a, b = looked_of(left), looked_of(right)
    kinds = differing(a.catalogue, b.catalogue)
    show = query.get("show", "")
    if show and show not in KINDS:
        raise HTTPException(400, f"show is one of {', '.join(KINDS)}")
    wanted = [(item, kind) for item, kind in kinds.items() if show in ("", kind)]
    begin = min(optional_whole(request, "from") or 0, len(wanted))
    base = {"of": left.name, "with": right.name}
    shown = [_difference(a, b, item, kind) for item, kind in wanted[begin : begin + PAGE]]
    more = url("/compare", {**base, "show": show, "from": begin + PAGE}) if begin + PAGE < len(wanted) else ""
    return page(
        request, "compare.html", build=left, left=left, right=right, recipe=recipe_differences(a, b),
        totals=totals(a, b), shown=shown, show=show, more=more,
        counts=[(one, list(kinds.values()).count(one), url("/compare", {**base, "show": one})) for one in KINDS],
    )  # fmt: skip


def _named(site: Site, name: str) -> Shown:
    if name not in site.builds:
        raise HTTPException(404, "there is no such build here")
    return site.builds[name]


def recipe_differences(a: Looked, b: Looked) -> list[tuple[str, str, str]]:
    """(key, value, value) of the keys of both recipes that differ; a key that one lacks has – there."""
    left, right = dict(_flat(a.catalogue.meta("recipe"))), dict(_flat(b.catalogue.meta("recipe")))
    keys = sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))
    return [(key, _value(left, key), _value(right, key)) for key in keys]


def _value(values: Mapping[str, Any], key: str) -> str:
    found = values.get(key)
    return "–" if found is None else found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def totals(a: Looked, b: Looked) -> list[tuple[str, int, int]]:
    """(what, count, count)."""
    before, after = a.catalogue.meta("status"), b.catalogue.meta("status")
    named = (("documents", "documents"), ("clips", "clips"), ("frames", "frames"), ("tokens", "text_tokens"))
    found = [(label, before[name], after[name]) for label, name in named]

    def videos(catalogue: Catalogue) -> int:
        return int(catalogue.rows("SELECT count(DISTINCT item) FROM docs")[0][0])

    return [*found, ("videos in a document", videos(a.catalogue), videos(b.catalogue))]


def differing(a: Catalogue, b: Catalogue) -> dict[str, str]:
    """Item -> gone, new or changed, in the order of the builds. Costs 2 µs per document."""
    left, right = _digests(a), _digests(b)
    found = {}
    for item in dict.fromkeys((*left, *right)):
        if left.get(item) != right.get(item):
            found[item] = "gone" if item not in right else "new" if item not in left else "changed"
    return found


def _digests(catalogue: Catalogue) -> dict[str, list[str]]:
    """What stands for the content of each item's documents."""
    found: dict[str, list[str]] = {}
    for row in catalogue.rows("SELECT item, digest FROM docs ORDER BY partition, number"):
        found.setdefault(row["item"], []).append(row["digest"])
    return found


def _difference(a: Looked, b: Looked, item: str, kind: str) -> Difference:
    left, right = _content(a, item), _content(b, item)
    title = (a if kind != "new" else b).catalogue.rows("SELECT title FROM items WHERE id = ?", (item,))[0]["title"]
    lines: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    matcher = difflib.SequenceMatcher(None, left[1], right[1], autojunk=False)
    for change, from_, to, other_from, other_to in matcher.get_opcodes():
        lines[0].extend(("same" if change == "equal" else "gone", text) for text in left[1][from_:to])
        lines[1].extend(("same" if change == "equal" else "new", text) for text in right[1][other_from:other_to])
    return Difference(kind, item, title, Side(left[0], lines[0], left[2]), Side(right[0], lines[1], right[2]))


_Content = tuple[list[tuple[str, int, int]], list[str], list[tuple[int, int]]]


def _content(looked: Looked, item: str) -> _Content:
    """(documents, lines of text, frames) of an item in one build; nothing where it has no document there."""
    try:
        video = video_of(looked, item)
    except KeyError:
        return [], [], []
    documents, lines = [], []
    for key, document in video.documents.items():
        card = looked.finder.by_key(key)
        documents.append((key, len(document["clips"]), int(card.scores.get("tokens", 0)) if card else 0))
        lines += [segment["text"] for segment in document["segments"] if segment["type"] == "text"]
    frames = [(clip.number, number) for clip in video.clips for number, _, name in clip.frames if name]
    return documents, lines, frames[:8]
