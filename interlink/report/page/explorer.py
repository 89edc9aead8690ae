"""The thresholds of a build as the page's script tries them: clips' scores, and controls.

The script counts as `recount` does, over the same float64 scores, for whole videos of at most `MOST` clips.
"""

from __future__ import annotations

import base64
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from interlink.interleave.settings import FilterSettings, InterleaveSettings
from interlink.report.html import Html, listed, section, table, tag
from interlink.report.view.drawing import histogram, number
from interlink.report.view.opened import Catalogue
from interlink.report.view.recount import RULES, Columns, Names, Rule, approximate, broken, limit_of, recount, values_of
from interlink.report.visible import visible

MOST = 50_000  # clips
_WHOLE = ("tokens",)  # thresholds that are whole numbers
_STOPPED, _FLAGGED = 255, 254  # codes of clips that no threshold can bring back


def chosen(clips: Columns, most: int = MOST) -> np.ndarray:
    """The places of the clips of evenly spread videos, `most` at most; all of them if they are few."""
    items = np.asarray(clips["item"])
    if len(items) <= most:
        return np.arange(len(items))
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    lengths = np.diff(np.append(starts, len(items)))
    wanted = max(1, int(len(starts) * most / len(items)))
    while wanted > 1:
        some = np.unique(np.linspace(0, len(starts) - 1, wanted).round().astype(int))
        if lengths[some].sum() <= most:
            break
        wanted = min(wanted - 1, int(wanted * 0.98))
    else:
        some = np.flatnonzero(lengths <= most)[:1]
    return np.concatenate([np.arange(starts[n], starts[n] + lengths[n]) for n in some] or [np.zeros(0, int)])


def sample(clips: Columns, places: np.ndarray) -> dict[str, np.ndarray]:
    """These clips, with their videos counted from 0."""
    found = {name: np.asarray(column)[places] for name, column in clips.items()}
    found["item"] = np.unique(found["item"], return_inverse=True)[1].astype(np.int32)
    return found


def rules_of(catalogue: Catalogue) -> list[Rule]:
    """The thresholds on scores that this build has."""
    histograms = catalogue.meta("clip_histograms")
    return [rule for rule in RULES if rule.column in histograms]


def explorer(catalogue: Catalogue, built: InterleaveSettings, names: Names, most: int = MOST) -> dict[str, Any]:
    """The script's data. Shape: {"clips", "of", "rules", "columns": {name: base64 of float64}, "codes": base64 of
    uint8, "items": base64 of int32, "before": reasons, …}.

    A code is 0, the place + 1 of a reason in `before` (rules asked before all thresholds), or of a clip that is flagged
    or stopped. Costs 8 bytes per score and clip.
    """
    clips = sample(catalogue.clips, chosen(catalogue.clips, most))
    rules = rules_of(catalogue)
    off = {rule.field: 0 if rule.zero else None for rule in RULES}
    without = built.model_copy(update={"filter": built.filter.model_copy(update=off)})
    codes = np.zeros(len(clips["item"]), np.uint8)
    before: list[str] = []
    for reason, goes in broken(clips, without, names):
        if reason != "flagged":
            before.append(reason)
        codes[goes & (codes == 0)] = _FLAGGED if reason == "flagged" else len(before)
    codes[~clips["reached"].astype(bool)] = _STOPPED
    return {
        "clips": len(codes),
        "of": len(catalogue.clips["item"]),
        "rules": [_rule(rule, built) for rule in rules],
        "columns": {rule.column: _packed(values_of(clips, rule.column), "<f8") for rule in rules},
        "codes": _packed(codes, "u1"),
        "items": _packed(clips["item"], "<i4"),
        "before": before,
        "adjacent_clips": built.adjacent_clips,
        "min_clips": built.min_clips,
        "clips_per_document": built.clips_per_document,
        "built": asdict(recount(clips, built, names)),
    }


def _rule(rule: Rule, built: InterleaveSettings) -> dict[str, Any]:
    return {
        "reason": rule.reason, "field": rule.field, "column": rule.column, "least": rule.is_least, "zero": rule.zero,
        "missing": rule.missing, "whole": rule.field in _WHOLE, "built": limit_of(built, rule),
    }  # fmt: skip


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


def controls(catalogue: Catalogue, built: InterleaveSettings, data: Mapping[str, Any], root: str) -> Html:
    """The section with a slider per threshold, and the counts that the script fills."""
    histograms = catalogue.meta("clip_histograms")
    sliders = [_slider(rule, histograms[rule.column], built) for rule in rules_of(catalogue)]
    if not sliders or not data["clips"]:
        return Html("")
    some = "" if data["clips"] == data["of"] else (
        f" Counted over {data['clips']:,} of {data['of']:,} clips, those of evenly spread videos."
    )  # fmt: skip
    left = approximate(built)
    about = f" Not counted: {', '.join(left)}." if left else ""
    tiles = listed(
        (
            Html(tag("b", "–", id=f"now-{what}") + f" {what} " + tag("b", "±0", id=f"change-{what}", class_="same"))
            for what in ("clips", "documents", "videos")
        ),
        "tiles small", aria_live="polite",
    )  # fmt: skip
    reasons = ["stopped", *data["before"], *(rule["reason"] for rule in data["rules"]), *data["built"]["losses"]]
    rows = [
        (
            "stopped before" if name == "stopped" else name.replace("_", " "),
            Html('<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
                 f'<rect class="dropped" id="bar-{name}" width="0" height="8"></rect></svg>'),
            tag("span", "–", id=f"lost-{name}"),
        )
        for name in dict.fromkeys(reasons)
    ]  # fmt: skip
    command = tag("code", "", id="command", tabindex="0", data_root=shlex.quote(visible(root)))
    losses = table(("first broken rule", "share", "clips that go"), rows, "Losses", ("wide", "count"))
    side = tag(
        "div", tiles, tag("p", command, " ", tag("button", "Copy", type="button", id="copy"), class_="command"),
        losses, tag("p", tag("button", "As built", type="button", id="reset")),
    )  # fmt: skip
    return section(
        "thresholds", "Thresholds",
        tag("div", tag("div", *sliders, class_="controls"), side, class_="columns explore"),
        hint=f"Scores are stored: try other thresholds here, nothing is built.{some}{about}",
    )  # fmt: skip


def _slider(rule: Rule, found: Mapping[str, Any], built: InterleaveSettings) -> Html:
    """A threshold: on or off, a number, a slider below the histogram of its score."""
    low, high = found["edges"][0], found["edges"][-1]
    limit = limit_of(built, rule)
    shown = limit if limit is not None else low if rule.is_least else high
    sign, name = "≥" if rule.is_least else "≤", f"filter.{rule.field}"
    least, most = _bounds(rule.field)
    low_end, high_end = max(min(low, shown), least), min(max(high, shown), most)
    step = 1.0 if rule.field in _WHOLE else float(f"{(high - low) / 200:.1g}") or 0.001
    box = f'<input type="checkbox" id="on-{rule.field}" autocomplete="off"{" checked" if limit is not None else ""}>'
    described = f"{name}: {'least' if rule.is_least else 'largest'} {rule.column}"
    top = "" if most == math.inf else f' max="{most!r}"'
    number_ = (
        f'<input type="number" id="number-{rule.field}" value="{shown:g}" step="any" '
        f'min="{least!r}"{top} autocomplete="off" aria-label="{described}">'
    )
    slide = (
        f'<input type="range" id="range-{rule.field}" min="{low_end!r}" max="{high_end!r}" '
        f'step="{step!r}" value="{shown!r}" autocomplete="off" aria-label="{described}, slider">'
    )
    unit = tag("small", f" of {rule.column}") if rule.column != rule.field else ""
    shade = (
        '<svg class="shade" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="gone" id="cut-{rule.field}" x="0" y="0" width="0" height="10"></rect></svg>'
    )
    return tag(
        "fieldset",
        tag("legend", tag("label", Html(box), f" {name} {sign}"), " ", Html(number_), unit),
        tag(
            "div", histogram(rule.column, found), Html(shade), Html(slide), class_="slide", data_low=repr(low),
            data_high=repr(high),
        ),
        tag("p", tag("span", number(low)), tag("span", number(high)), class_="scale"), id=f"rule-{rule.field}",
    )  # fmt: skip


def _bounds(field: str) -> tuple[float, float]:
    """The lowest and highest value that the setting may have."""
    found = FilterSettings.model_json_schema()["properties"][field]
    kinds = found.get("anyOf", [found])
    least, most = ([one[name] for one in kinds if name in one] for name in ("minimum", "maximum"))
    return float(min(least, default=-math.inf)), float(max(most, default=math.inf))
