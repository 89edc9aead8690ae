"""The sections of a build's report that need no script: totals, funnels, scores, time, recipe, environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from interlink.report.html import Html, listed, section, table, tag, text
from interlink.report.view.drawing import bar, histogram, number
from interlink.report.view.funnel import Stage, video_funnel
from interlink.report.view.schema import SCORES

_TOTALS = (
    ("documents", "documents"), ("clips", "clips in them"), ("frames", "frames"), ("text_tokens", "tokens"),
    ("shards", "shards"),
)  # fmt: skip
_CLIPS = ("wide", "count")
_TIME = ("stage", "share", "seconds of work", "of all", "a video", "rates of one worker")
_SHOWN = 5  # reasons of a stage before the rest is summed


def totals(status: Mapping[str, Any]) -> Html:
    """What the build holds: the numbers of `interlink status`."""
    found = [(f"{status[name]:,}", said) for name, said in _TOTALS]
    found.insert(0, (f"{status['stages']['collect']['ok']:,}", "videos"))
    found.append((f"{status['bytes'] / 1e6:,.1f} MB", "in shards"))
    return listed((Html(tag("b", value) + " " + text(said)) for value, said in found), "tiles")


def videos(status: Mapping[str, Any], stops: Sequence[Sequence[Any]]) -> Html:
    """Where videos go: the rows of each stage, and why the others stopped there."""
    stages = video_funnel(status, stops)
    whole = max((stage.ok + stage.dropped + stage.failed + stage.pending for stage in stages), default=0)
    rows = [_stage(stage, whole) for stage in stages]
    legend = tag("p", *(tag("span", kind, class_=kind) for kind in ("ok", "dropped", "failed")), class_="legend")
    heads = ("stage", "share", "ok", "stopped first here, by reason")
    return section("videos", "Where videos go", table(heads, rows, "Videos", ("wide", "count", "why")), legend)


def _stage(stage: Stage, whole: int) -> tuple[object, ...]:
    parts = [(kind, getattr(stage, kind)) for kind in ("ok", "dropped", "failed", "pending")]
    said = f"{stage.name}: " + ", ".join(f"{count:,} {kind}" for kind, count in parts if count or kind == "ok")
    chips = [tag("span", f"{stop.why.replace('_', ' ')} ", tag("b", f"{stop.count:,}"), class_=f"chip {stop.outcome}")
             for stop in stage.stops[:_SHOWN]]  # fmt: skip
    if more := sum(stop.count for stop in stage.stops[_SHOWN:]):
        chips.append(tag("span", "other reasons ", tag("b", f"{more:,}"), class_="chip"))
    return stage.name, Html(bar(list(parts), whole, said)), f"{stage.ok:,}", Html("".join(chips))


def clips(funnel: Mapping[str, Any]) -> Html:
    """Where clips go, from those that were cut to those in documents."""
    if not funnel["cut"]:
        return Html("")
    lost = [("videos that stopped", funnel["stopped"]), *funnel["left_out"].items()]
    rows: list[tuple[object, ...]] = [_clips("cut", "ok", funnel["cut"], funnel["cut"])]
    rows += [_clips(str(name).replace("_", " "), "dropped", count, funnel["cut"], "−") for name, count in lost if count]
    rows.append(_clips("in documents", "ok", funnel["used"], funnel["cut"]))
    return section("clips", "Where clips go", table(("clips", "share", "number"), rows, "Clips", _CLIPS))


def _clips(name: str, kind: str, count: int, whole: int, sign: str = "") -> tuple[object, ...]:
    return name, Html(bar([(kind, count)], whole, f"{name}: {count:,}")), f"{sign}{count:,}"


def scores(histograms: Mapping[str, Mapping[str, Any]], identity: str, title: str) -> Html:
    """A histogram for each score."""
    drawn = [
        Html(
            tag(
                "h3",
                name.replace("_", " "),
                " ",
                tag("small", f"median {number(found['median'])} {SCORES.get(name, '')}"),
            )
            + histogram(name.replace("_", " "), found)
            + tag("p", tag("span", number(found["least"])), tag("span", number(found["most"])), class_="scale")
            + (tag("small", f"{found['missing']:,} without a value") if found["missing"] else "")
        )
        for name, found in histograms.items()
        if found["bars"]
    ]
    return section(identity, title, listed(drawn, "histograms")) if drawn else Html("")


def time(status: Mapping[str, Any], remarks: Sequence[str]) -> Html:
    """Seconds of work by stage, with rates, and what bound the build."""
    seconds = {name: float(stage["seconds"]) for name, stage in status["stages"].items()}
    whole = sum(seconds.values())
    if not whole:
        return Html("")
    rows = []
    for name, spent in seconds.items():
        stage = status["stages"][name]
        amounts = [
            f"{number(amount / spent)} {what.removeprefix('text_')}/s"
            for what, amount in stage["amounts"].items()
            if spent and amount
        ]
        done = stage["ok"] + stage["dropped"] + stage["failed"]
        each = f"{number(spent / done)} s" if done and spent else "–"
        drawn = Html(bar([("ok", spent)], whole, f"{name}: {spent / whole:.0%} of the work"))
        rows.append((name, drawn, f"{spent:,.1f} s", f"{spent / whole:.1%}", each, ", ".join(amounts)))
    most = max(seconds, key=lambda name: seconds[name])
    bound = f"{most} took the most work: {seconds[most]:,.1f} of {whole:,.1f} s ({seconds[most] / whole:.0%})."
    return section(
        "time", "Time per stage",
        table(_TIME, rows, "Time per stage"),
        tag("p", bound, class_="bound"), *(tag("p", remark, class_="bound") for remark in remarks if remark),
        hint="Work of all workers together, from the tables of the build.",
    )  # fmt: skip


def recipe(lock: Mapping[str, Any]) -> Html:
    """The lock: the frozen recipe, fingerprints, and the versions that made it."""
    frozen = yaml.safe_dump(lock["recipe"], sort_keys=False, allow_unicode=True, width=110)
    prints = table(
        ("stage", "fingerprint"), [(n, tag("code", one)) for n, one in lock["fingerprints"].items()], "Tables"
    )
    versions = table(("package", "version"), sorted(lock["versions"].items()), "Environment")
    return section(
        "recipe", "Recipe and environment",
        tag("details", tag("summary", "Recipe"), tag("pre", frozen, tabindex="0", role="region", aria_label="Recipe")),
        tag("details", tag("summary", "Fingerprints of the tables"), prints),
        tag("details", tag("summary", "Environment: versions that made it"), versions) if lock["versions"] else "",
        hint="The same recipe over the same source gives the same bytes.",
    )  # fmt: skip
