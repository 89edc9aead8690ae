"""The pages of a folder of documents: a list, one document, its pictures."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from interlink.report.view.fill import lead_of, words_of
from interlink.report.view.model import model_reads
from interlink.report.view.pages import pretty, tabs
from interlink.report.view.render import optional_whole, page, url, whole
from interlink.report.view.shelf import UNREADABLE, Opened, Shelf, picture_type
from interlink.report.view.site import Site

PAGE = 24
COVER = 6
_READ_FOR_TOKENS = 50  # documents that a tokenizer is trained on: each is a read


def _shelf(request: Request) -> Shelf:
    site: Site = request.app.state.site
    found = site.shelves.get(request.path_params["shelf"])
    if found is None:
        raise HTTPException(404, "there is no such folder here")
    return found


def _opened(shelf: Shelf, number: int) -> Opened:
    """A document; 404 where there is none of this number, or it cannot be read."""
    try:
        return shelf.open(number)
    except IndexError:
        raise HTTPException(404, "there is no document of this number") from None
    except UNREADABLE as error:
        raise HTTPException(404, f"this sample cannot be shown: {error}") from None


def documents(request: Request) -> Response:
    """Documents in the order of the files."""
    shelf = _shelf(request)
    begin = optional_whole(request, "from") or 0
    cards = []
    for number in range(begin, min(begin + PAGE, len(shelf))):
        try:
            opened = shelf.open(number)
            title, said = words_of(opened.document)
            pictures, clips = list(opened.pictures)[:COVER], len(opened.document["clips"])
            card = {"title": title, "lead": lead_of(said), "pictures": pictures, "clips": clips}
        except UNREADABLE as error:
            card = {"title": f"sample {number}", "lead": str(error), "pictures": [], "clips": 0}
        cards.append({"number": number, **card})
    base = f"/read/{shelf.name}/"
    return page(
        request, "shelf.html", shelf=shelf, cards=cards, begin=begin,
        older=url(base, {"from": max(0, begin - PAGE)}) if begin else "",
        newer=url(base, {"from": begin + PAGE}) if begin + PAGE < len(shelf) else "",
    )  # fmt: skip


def document(request: Request) -> Response:
    """One document, as a person and a model read it."""
    shelf = _shelf(request)
    number = whole(request.path_params["number"], "number")
    opened = _opened(shelf, number)
    way = request.query_params.get("as", "person")
    if way not in ("person", "model", "json"):
        raise HTTPException(400, "as is person, model or json")
    own = f"/read/{shelf.name}/document/{number}"

    def texts() -> Any:
        for other in islice(range(len(shelf)), _READ_FOR_TOKENS):
            try:
                yield from words_of(shelf.open(other).document)[1].split("\n")
            except UNREADABLE:
                continue

    most = optional_whole(request, "max_tokens")
    tokenizer = request.app.state.site.tokenizer
    return page(
        request, "shelf_document.html", shelf=shelf, number=number, document=opened.document, way=way,
        title=words_of(opened.document)[0], tabs=tabs(own, {}), text=pretty(opened.document) if way == "json" else "",
        reading=model_reads(shelf.url, texts, tokenizer, opened.document, most) if way == "model" else None,
        previous=f"/read/{shelf.name}/document/{number - 1}" if number else "",
        next=f"/read/{shelf.name}/document/{number + 1}" if number + 1 < len(shelf) else "",
    )  # fmt: skip


def picture(request: Request) -> Response:
    """A picture of a document."""
    name = request.path_params["name"]
    data = _opened(_shelf(request), whole(request.path_params["number"], "number")).pictures.get(name)
    if data is None or not picture_type(name):
        raise HTTPException(404, "this document has no such picture")
    tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    headers = {"etag": tag, "cache-control": "private, max-age=3600"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=picture_type(name), headers=headers)
