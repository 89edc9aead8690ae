"""Templates and the small things that every page shares: numbers, addresses, errors of parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from interlink.report.view import drawing
from interlink.report.view.site import Looked, Shown, Site

HERE = Path(__file__).parent
_MOST = 2**62  # larger whole numbers fit no database


@cache
def environment() -> Environment:
    """The templates; every value in them is escaped."""
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    found.filters |= {"number": drawing.number, "part": lambda text: quote(str(text), safe=""), "said": said}
    found.globals |= {"histogram": drawing.histogram, "bar": drawing.bar, "frame_url": frame_url}
    return found


def said(name: str) -> str:
    """An identifier as words."""
    return name.replace("_", " ")


def page(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """A whole page. `build`, where there is one, is the build that it is about."""
    site: Site = request.app.state.site
    values = {"site": site, "build": None, "here": template.removesuffix(".html"), "q": "", **values}
    return HTMLResponse(environment().get_template(template).render(**values), status)


def frame_url(build: Shown, item: str, clip: int, frame: int, height: int = 0) -> str:
    """The address of a frame; height: of a thumbnail."""
    address = f"/{build.name}/frame/{quote(item, safe='')}/{clip}/{frame}.jpg"
    return f"{address}?height={height}" if height else address


def url(path: str, values: Mapping[str, Any]) -> str:
    """A path with the values that are not empty."""
    kept = {name: value for name, value in values.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path


def build_of(request: Request) -> Shown:
    """The build in the address. 404 where there is none."""
    site: Site = request.app.state.site
    found = site.builds.get(request.path_params["build"])
    if found is None:
        raise HTTPException(404, "there is no such build here")
    return found


def looked_of(build: Shown) -> Looked:
    """Its catalogue. 503 while the first one is being made."""
    if build.looked is None:
        raise HTTPException(503, "the catalogue of this build is being made")
    return build.looked


def real(request: Request, name: str) -> float | None:
    """A number in the query, or None. 400 where it is none."""
    text = request.query_params.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise HTTPException(400, f"{name} is not a number") from None
    if not math.isfinite(value):
        raise HTTPException(400, f"{name} is not a finite number")
    return value


def whole(text: str, name: str) -> int:
    """A whole number that is not negative. 400 where it is none."""
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > _MOST:
        raise HTTPException(400, f"{name} is not a whole number")
    return int(text)


def optional_whole(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "").strip()
    return whole(text, name) if text else None
