"""The overview of a build, its documents, and one document."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from interlink.report.view import drawing
from interlink.report.view.document import scored, video_of
from interlink.report.view.funnel import video_funnel
from interlink.report.view.model import ModelReads, model_reads, texts_of
from interlink.report.view.query import COLUMNS, PAGE, Asked
from interlink.report.view.quick import quick_funnel
from interlink.report.view.render import build_of, looked_of, optional_whole, page, real, url, whole
from interlink.report.view.similar import similar_frames
from interlink.report.view.site import Looked, Shown
from interlink.report.view.timeline import timeline

FACETS = ("tokens", "clips", "seconds", "sharpness", "light", "similarity", "agreement")
_TABS = (("person", "As a person reads"), ("model", "As the model reads"), ("json", "JSON"))
_MOST_QUERY = 400  # characters


def home(request: Request) -> Response:
    _, address = request.app.state.site.addresses[0]
    return RedirectResponse(address, 307)


def overview(request: Request) -> Response:
    """Tiles, both funnels, histograms. From the summaries alone while the catalogue is being made."""
    build = build_of(request)
    looked = build.looked
    if looked is None:
        return page(request, "making.html", build=build, funnel=quick_funnel(build.workspace), done=build.progress)
    catalogue = looked.catalogue
    status = catalogue.meta("status")
    tiles = [
        ("documents", status["documents"]),
        ("clips in them", status["clips"]),
        ("frames", status["frames"]),
        ("tokens", status["text_tokens"]),
        ("videos", sum(status["stages"]["collect"][name] for name in ("ok", "dropped", "failed"))),
    ]

    def link(column: str) -> Any:
        return lambda least, most: _documents_url(build, {f"{column}_min": least, f"{column}_max": most})

    clips, docs = catalogue.meta("clip_histograms"), catalogue.meta("doc_histograms")
    return page(
        request, "overview.html", build=build, tiles=tiles, status=status,
        funnel=video_funnel(status, catalogue.meta("stops")), clips=catalogue.meta("clip_funnel"), histograms=clips,
        doc_histograms={name: docs[name] for name in ("clips", "frames", "tokens", "seconds") if name in docs},
        link=link, explorer=looked.settings is not None,
    )  # fmt: skip


def progress(request: Request) -> Response:
    """How far the catalogue is, for the page that waits for it."""
    build = build_of(request)
    done, of = build.progress
    return JSONResponse({"ready": build.looked is not None, "done": done, "of": of, "problem": build.problem})


def asked_of(request: Request) -> Asked:
    """The search in the query. 400 where a value cannot be one."""
    query = request.query_params
    sort = query.get("sort", "")
    if sort and sort not in COLUMNS:
        raise HTTPException(400, "documents have no such column")
    if query.get("dir", "desc") not in ("asc", "desc"):
        raise HTTPException(400, "dir is asc or desc")
    ranges = {}
    for name in COLUMNS:
        bounds = real(request, f"{name}_min"), real(request, f"{name}_max")
        if bounds != (None, None):
            ranges[name] = bounds
    return Asked(
        query.get("q", "")[:_MOST_QUERY], sort, query.get("dir", "desc") == "desc", ranges,
        optional_whole(request, "after"), optional_whole(request, "before"),
    )  # fmt: skip


def kept(asked: Asked) -> dict[str, Any]:
    """The search as values of a query, without the page."""
    found: dict[str, Any] = {"q": asked.q, "sort": asked.sort, "dir": "" if asked.descending else "asc"}
    for name, (least, most) in asked.ranges.items():
        found |= {f"{name}_min": least, f"{name}_max": most}
    return found


def documents(request: Request) -> Response:
    """Cards of documents under filters, in an order, page by page."""
    build = build_of(request)
    looked = looked_of(build)
    asked = asked_of(request)
    started = time.perf_counter()
    found = looked.finder.page(asked)
    spent = 1000 * (time.perf_counter() - started)
    values = kept(asked)
    all_histograms = looked.catalogue.meta("doc_histograms")
    facets = [
        (name, all_histograms[name], *asked.ranges.get(name, (None, None)), _facet_link(build, values, name))
        for name in dict.fromkeys((*FACETS, *asked.ranges))
        if name in all_histograms
    ]
    base = f"/{build.name}/documents"
    older = url(base, {**values, "before": found.cards[0].number}) if found.first and found.cards else ""
    newer = url(base, {**values, "after": found.cards[-1].number}) if found.more and found.cards else ""
    return page(
        request, "documents.html", build=build, asked=asked, found=found, facets=facets, columns=COLUMNS, spent=spent,
        q=asked.q, older=older, newer=newer, base=base, size=PAGE, active=_active(build, asked, values),
        document_url=lambda card: url(f"{base[:-1]}/{quote(card.key, safe='')}", values),
    )  # fmt: skip


def _documents_url(build: Shown, values: Mapping[str, Any]) -> str:
    return url(f"/{build.name}/documents", values)


def _facet_link(build: Shown, values: Mapping[str, Any], name: str) -> Any:
    return lambda least, most: _documents_url(build, {**values, f"{name}_min": least, f"{name}_max": most})


def _active(build: Shown, asked: Asked, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The filters in force, each with the address without it."""
    found = [(f"“{asked.q}”", _documents_url(build, {**values, "q": ""}))] if asked.q else []
    for name, (least, most) in asked.ranges.items():
        bounds = (
            f"{name} {drawing.number(least)}–{drawing.number(most)}" if least is not None and most is not None
            else f"{name} ≥ {drawing.number(least)}" if least is not None
            else f"{name} ≤ {drawing.number(most or 0.0)}"
        )  # fmt: skip
        found.append((bounds, _documents_url(build, {**values, f"{name}_min": "", f"{name}_max": ""})))
    return found


def document(request: Request) -> Response:
    """One document: its time line and video, and how a person and a model read it."""
    build = build_of(request)
    looked = looked_of(build)
    card = looked.finder.by_key(request.path_params["key"])
    if card is None:
        raise HTTPException(404, "there is no such document in this build")
    asked = asked_of(request)
    video = video_of(looked, card.item)
    if card.key not in video.documents:
        raise HTTPException(404, "this document was made again in the meantime; reload the list")
    shown = video.documents[card.key]
    way = request.query_params.get("as", "person")
    if way not in ("person", "model", "json"):
        raise HTTPException(400, "as is person, model or json")
    values = kept(asked)
    base = f"/{build.name}/document"
    own = f"{base}/{quote(card.key, safe='')}"
    before, after = looked.finder.neighbours(asked, card.number)
    row = looked.catalogue.rows("SELECT number, key FROM docs WHERE number IN (?, ?)", (before or 0, after or 0))
    keys = {found["number"]: found["key"] for found in row}
    places = {  # names of images -> (clip, frame) of the video, and its time
        name.partition(".")[2]: (clip.number, number, seconds)
        for clip in video.clips
        for number, seconds, name in clip.frames
        if name.startswith(f"{card.key}.")
    }
    return page(
        request, "document.html", build=build, card=card, video=video, document=shown, way=way, places=places,
        timeline=timeline(video, card.key), blocks=_blocks(shown, places), q=asked.q,
        previous=url(f"{base}/{quote(keys[before], safe='')}", values) if before in keys else "",
        next=url(f"{base}/{quote(keys[after], safe='')}", values) if after in keys else "",
        tabs=tabs(own, values),
        reading=_reading(request, looked, shown) if way == "model" else None,
        text=pretty(shown) if way == "json" else "",
        clip_scores=scored(video.clips),
    )  # fmt: skip


def tabs(own: str, values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The ways to read a document: (name, label, address)."""
    return [(name, label, url(own, {**values, "as": name if name != "person" else ""})) for name, label in _TABS]


def _reading(request: Request, looked: Looked, shown: Mapping[str, Any]) -> ModelReads:
    key, most = str(looked.catalogue.folder), optional_whole(request, "max_tokens")
    return model_reads(key, lambda: texts_of(looked), request.app.state.site.tokenizer, shown, most)


def _blocks(shown: Mapping[str, Any], places: Mapping[str, tuple[int, int, float]]) -> list[dict[str, Any]]:
    """The document's segments, joined per clip: {clip, parts}; a part is frames or a text."""
    blocks: list[dict[str, Any]] = []
    for segment in shown["segments"]:
        if not blocks or blocks[-1]["clip"] != segment["clip"]:
            blocks.append({"clip": segment["clip"], "parts": []})
        if segment["type"] == "frames":
            named = [places[name] for name in segment["images"] if name in places]
            blocks[-1]["parts"].append({"frames": named})
        else:
            blocks[-1]["parts"].append({"text": segment["text"], "role": segment["role"], "start": segment["start"]})
    return blocks


def pretty(shown: Mapping[str, Any]) -> str:
    """A document as JSON for people."""
    return json.dumps(shown, indent=2, ensure_ascii=False, sort_keys=True)


def marks(request: Request) -> Response:
    """The marks of this browser, which its script lists and exports."""
    return page(request, "marks.html", build=build_of(request))


def similar(request: Request) -> Response:
    """Frames that look like one."""
    build = build_of(request)
    looked = looked_of(build)
    item = request.path_params["item"]
    clip, frame = (whole(request.path_params[name], name) for name in ("clip", "frame"))
    try:
        found = similar_frames(looked.catalogue, item, clip, frame)
    except KeyError:
        raise HTTPException(404, "there is no such frame in this build") from None
    return page(request, "similar.html", build=build, item=item, clip=clip, frame=frame, found=found)
