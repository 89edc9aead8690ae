"""The videos of a build: what stopped them, and everything that is known of one (`interlink why`)."""

from __future__ import annotations

import shlex
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from interlink.errors import UserError
from interlink.report.view.document import scored, video_of
from interlink.report.view.render import build_of, looked_of, optional_whole, page, url
from interlink.report.view.timeline import timeline
from interlink.report.why import why

PAGE = 60
OUTCOMES = ("ok", "partial", "dropped", "failed", "pending")


def items(request: Request) -> Response:
    """Videos by what stopped them."""
    build = build_of(request)
    catalogue = looked_of(build).catalogue
    query = request.query_params
    chosen = {name: query.get(name, "")[:200] for name in ("outcome", "stopped", "why", "q")}
    if chosen["outcome"] and chosen["outcome"] not in OUTCOMES:
        raise HTTPException(400, f"outcome is one of {', '.join(OUTCOMES)}")
    after = optional_whole(request, "after")
    where = [f"{name} = ?" for name in ("outcome", "stopped", "why") if chosen[name]]
    values = [chosen[name] for name in ("outcome", "stopped", "why") if chosen[name]]
    if chosen["q"]:
        where.append("(instr(lower(title), lower(?)) OR instr(lower(id), lower(?)))")
        values += [chosen["q"]] * 2
    said = f" WHERE {' AND '.join(where)}" if where else ""
    total = catalogue.rows(f"SELECT count(*) FROM items{said}", (*values,))[0][0]
    paged = f"{said}{' AND' if said else ' WHERE'} number > ? ORDER BY number LIMIT {PAGE}"
    rows = catalogue.rows(f"SELECT * FROM items{paged}", (*values, -1 if after is None else after))
    groups = catalogue.rows(
        "SELECT outcome, stopped, why, count(*) AS count FROM items GROUP BY 1, 2, 3 ORDER BY outcome != 'ok', 4 DESC"
    )
    base = f"/{build.name}/items"
    more = url(base, {**chosen, "after": rows[-1]["number"]}) if len(rows) == PAGE else ""
    return page(
        request, "items.html", build=build, rows=rows, total=total, groups=groups, chosen=chosen, more=more,
        group_url=lambda row: url(base, {"outcome": row["outcome"], "stopped": row["stopped"], "why": row["why"]}),
        base=base, began=after is not None,
    )  # fmt: skip


def item(request: Request) -> Response:
    """One video: each stage's result, its time line, its clips, and the command that says the same."""
    build = build_of(request)
    looked = looked_of(build)
    name = request.path_params["item"]
    try:
        video = video_of(looked, name)
        lock = looked.tables.lock
        found = why(build.workspace, looked.tables.recipe.blocks, lock.fingerprints, lock.shards, name)
    except KeyError:
        raise HTTPException(404, "there is no such video in this build") from None
    except UserError as error:
        raise HTTPException(404, error.what) from None
    return page(
        request, "item.html", build=build, video=video, found=found, timeline=timeline(video),
        scores=scored(video.clips),
        command=f"interlink why {shlex.quote(build.storage.url)} {shlex.quote(name)}",
        document_url=lambda key: f"/{build.name}/document/{quote(key, safe='')}",
    )  # fmt: skip
