"""The web application: routes to pages, and errors as pages."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from interlink.errors import UserError
from interlink.report.view import pages, shelf_pages
from interlink.report.view.compare import compare
from interlink.report.view.explore import explore
from interlink.report.view.items import item, items
from interlink.report.view.media import frame, media
from interlink.report.view.render import HERE, page
from interlink.report.view.security import Guard
from interlink.report.view.site import Site


def application(site: Site, token: str, hosts: frozenset[str], cookie: str = "interlink_view") -> Starlette:
    """The viewer of these builds. token: what a browser must show; hosts: the names it answers to."""
    app = Starlette(
        routes=[
            Route("/", pages.home),
            Route("/compare", compare),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
            Route("/read/{shelf}/", shelf_pages.documents),
            Route("/read/{shelf}/document/{number}", shelf_pages.document),
            Route("/read/{shelf}/picture/{number}/{name}", shelf_pages.picture),
            Route("/{build}/", pages.overview),
            Route("/{build}/progress", pages.progress),
            Route("/{build}/documents", pages.documents),
            Route("/{build}/document/{key:path}", pages.document),
            Route("/{build}/items", items),
            Route("/{build}/item/{item:path}", item),
            Route("/{build}/explore", explore),
            Route("/{build}/marks", pages.marks),
            Route("/{build}/frame/{item:path}/{clip}/{frame}.jpg", frame),
            Route("/{build}/similar/{item:path}/{clip}/{frame}", pages.similar),
            Route("/{build}/media/{item:path}", media),
        ],
        middleware=[Middleware(Guard, token=token, hosts=hosts, cookie=cookie)],
        exception_handlers={HTTPException: _refused, UserError: _gone, OSError: _gone},
    )
    app.state.site = site
    return app


def _gone(request: Request, error: Exception) -> Response:
    """Tables that were there when the catalogue was made, and are not now: a build that was pruned or goes on."""
    said = error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return page(request, "error.html", 503, code=503, said_of=f"the files of this build cannot be read ({said})")


def _refused(request: Request, error: Exception) -> Response:
    """A page that says what was wrong with the address."""
    assert isinstance(error, HTTPException)
    return page(request, "error.html", error.status_code, code=error.status_code, said_of=error.detail)
