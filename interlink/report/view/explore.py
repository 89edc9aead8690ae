"""Other thresholds: what they would leave, which clips are at their edge, and the command that builds it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from interlink.interleave.settings import InterleaveSettings
from interlink.report.view.frames import item_number
from interlink.report.view.recount import RULES, Recount, Rule, approximate, edge, limit_of, recount, values_of
from interlink.report.view.render import build_of, looked_of, page, real
from interlink.report.view.site import Looked, Shown

EDGE = 6  # clips on each side of a threshold
_WHOLE = ("tokens",)  # thresholds that are whole numbers


@dataclass(frozen=True)
class Control:
    """A threshold on the page. limit: None where it is off; shown: where its slider stands."""

    rule: Rule
    histogram: Mapping[str, Any]
    limit: float | None
    built: float | None
    shown: float
    step: float
    about: str

    @property
    def least(self) -> float:
        return float(min(self.histogram["edges"][0], self.shown))

    @property
    def most(self) -> float:
        return float(max(self.histogram["edges"][-1], self.shown))

    @property
    def gone(self) -> tuple[float, float]:
        """(left, width) in percent of the part of the histogram that the threshold takes away."""
        share = 100 * (self.shown - self.least) / ((self.most - self.least) or 1.0)
        if self.limit is None:
            return 0.0, 0.0
        return (0.0, share) if self.rule.is_least else (share, 100 - share)


@dataclass(frozen=True)
class EdgeClip:
    """A clip near a threshold."""

    item: str
    title: str
    clip: int
    frames: int
    value: float


def explore(request: Request) -> Response:
    """The page; its counts also come alone, as the part that the sliders replace (`?part=counts`)."""
    build = build_of(request)
    looked = looked_of(build)
    built = looked.settings
    if built is None:
        raise HTTPException(
            404, "the documents of this build are made by a third-party stage, which nobody can predict"
        )
    tried = _tried(request, built)
    started = time.perf_counter()
    names = looked.names
    now, then = recount(looked.catalogue.clips, tried, names), recount(looked.catalogue.clips, built, names)
    spent = 1000 * (time.perf_counter() - started)
    rule = _rule(request.query_params.get("edge", ""), tried)
    part = request.query_params.get("part") == "counts"
    return page(
        request, "counts.html" if part else "explore.html", build=build, now=now, then=then, spent=spent,
        losses=_losses(now, then), command=command(build, built, tried), approximate=approximate(tried), rule=rule,
        edges=_edges(looked, tried, rule) if rule else [], controls=[] if part else controls(looked, tried, built),
        clips=len(looked.catalogue.clips["item"]), here="explore",
    )  # fmt: skip


def _tried(request: Request, built: InterleaveSettings) -> InterleaveSettings:
    """The build's settings with the thresholds of the query. One that the query leaves out is as built; `off` is off.

    400 where a value is none.
    """
    changes: dict[str, Any] = {}
    for rule in RULES:
        text = request.query_params.get(rule.field, "")
        if text == "off":
            changes[rule.field] = 0 if rule.zero else None
        elif (value := real(request, rule.field)) is not None:
            changes[rule.field] = round(value) if rule.field in _WHOLE else value
    try:
        filters = type(built.filter).model_validate({**built.filter.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise HTTPException(400, f"{first['loc'][0]}: {first['msg']}") from None
    return built.model_copy(update={"filter": filters})


def controls(looked: Looked, tried: InterleaveSettings, built: InterleaveSettings) -> list[Control]:
    """A control for each threshold whose score this build has."""
    histograms = looked.catalogue.meta("clip_histograms")
    found = []
    for rule in RULES:
        histogram = histograms.get(rule.column)
        limit = limit_of(tried, rule)
        if histogram is None or not histogram["bars"]:
            continue
        low, high = histogram["edges"][0], histogram["edges"][-1]
        off = low if rule.is_least else high
        step = 1.0 if rule.field in _WHOLE else float(f"{(high - low) / 200:.1g}") or 0.001
        about = type(built.filter).model_fields[rule.field].description or ""
        shown = limit if limit is not None else off
        found.append(Control(rule, histogram, limit, limit_of(built, rule), shown, step, about))
    return found


def command(build: Shown, built: InterleaveSettings, tried: InterleaveSettings) -> str:
    """The command of the next build with these thresholds: what differs from the root's own recipe."""
    sets = []
    for rule in RULES:
        before, after = getattr(built.filter, rule.field), getattr(tried.filter, rule.field)
        if before != after:
            sets.append(f"--set filter.{rule.field}={'null' if after is None else repr(after)}")
    return " ".join(["interlink build --root", shlex.quote(build.storage.url), *sets])


def _losses(now: Recount, then: Recount) -> list[tuple[str, int, int]]:
    """(reason, clips, change) of both counts."""
    reasons = dict.fromkeys((*now.losses, *then.losses))
    return [
        (reason, now.losses.get(reason, 0), now.losses.get(reason, 0) - then.losses.get(reason, 0))
        for reason in reasons
    ]


def _rule(name: str, tried: InterleaveSettings) -> Rule | None:
    """The rule whose edge is shown: the one that is named, else the first in force. 400 where there is none."""
    if name:
        found = next((rule for rule in RULES if rule.field == name), None)
        if found is None:
            raise HTTPException(400, "edge is the name of a threshold")
        return found
    return next((rule for rule in RULES if limit_of(tried, rule) is not None), None)


def _edges(looked: Looked, tried: InterleaveSettings, rule: Rule) -> list[tuple[str, str, list[EdgeClip]]]:
    """(class, heading, clips) of both sides."""
    clips = looked.catalogue.clips
    below, above = edge(clips, tried, rule, EDGE, looked.names)
    values = values_of(clips, rule.column)
    found = []
    for kind, heading, places in (("goes", "just goes", below), ("stays", "just stays", above)):
        shown = []
        for place in places.tolist():
            number = item_number(looked.catalogue, int(clips["item"][place]))
            row = looked.catalogue.rows("SELECT id, title FROM items WHERE number = ?", (number,))[0]
            value = 0.0 if values[place] != values[place] else float(values[place])
            shown.append(
                EdgeClip(row["id"], row["title"], int(clips["number"][place]), int(clips["frames"][place]), value)
            )
        found.append((kind, heading, shown))
    return found
