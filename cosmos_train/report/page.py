"""One HTML file that compares training runs: it opens from a disk, without a network, and contains its own script.

Its policy forbids every request, and every script and style but those of this package, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cosmos_train.errors import UserError
from cosmos_train.report import sections
from cosmos_train.report.curves import data
from cosmos_train.report.html import Html, embedded, section, text
from cosmos_train.report.runs import Run, load
from interlink.storage import Storage

LIMIT = 15_000_000  # bytes of the file
_ROOM = 13_000_000  # for the curves; tables and pictures have the rest

_ASSETS = Path(__file__).parent / "assets"
_SECTIONS = (
    sections.overview, sections.evaluations, sections.time, sections.exposure, sections.samples, sections.recipes,
    sections.every_number,
)  # fmt: skip


def write(runs: Sequence[Path], out: Path) -> Path:
    """Writes the report of the runs, whole or not at all. Raises UserError: no run, or `out` cannot be written."""
    if out.is_dir():
        raise UserError(f"{out} is a folder", "give a file: -o report.html", 2)
    made = page(load(runs)).encode("utf-8", "replace")
    try:
        Storage(str(out.parent)).write(out.name, made)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error}", "give another file with -o", 2) from error
    return out


def page(runs: Sequence[Run], limit: int = LIMIT) -> str:
    """The whole file, of at most `limit` bytes as far as curves can be shortened."""
    parts = {made.__name__: made(runs) for made in _SECTIONS}
    fixed = sum(len(one.encode("utf-8", "replace")) for one in parts.values()) + 200_000
    found = data(runs, max(limit - fixed, limit // 10) if fixed > limit - _ROOM else _ROOM * limit // LIMIT)
    curves = (
        section("curves", "Curves", _controls(found), Html('<div id="charts"></div>')) if found["groups"] else Html("")
    )
    body = [parts.pop("overview"), curves, *parts.values()]
    names = {"runs": "Runs", "curves": "Curves", "evaluations": "Evaluations", "time": "Time", "exposure": "Exposure",
             "samples": "Samples", "recipe": "Recipe", "numbers": "Numbers"}  # fmt: skip
    links = "".join(
        f'<li><a href="#{one}">{title}</a></li>'
        for one, title in names.items()
        if any(part.startswith(f'<section id="{one}"') for part in body)
    )
    many = f"{len(runs)} runs" if len(runs) != 1 else text(runs[0].name)
    scripts = [_asset("uPlot.iife.min.js"), _asset("report.js")] if found["groups"] else []
    styles = [_asset("uPlot.min.css"), _asset("report.css")]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts, styles)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{many}: training report</title>{''.join(f'<style>{one}</style>' for one in styles)}</head>\n"
        f"<body><header><h1>Training report <bdi>{many}</bdi></h1></header>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><main>{"".join(body)}</main>'
        f"<footer>Made by cosmos_train report. Charts: uPlot 1.6.32, © Leon Sorokin, MIT licence.</footer>"
        f'<div id="tip" hidden></div>{embedded("data", found)}'
        f"{''.join(f'<script>{one}</script>' for one in scripts)}</body></html>\n"
    )


def _controls(found: dict[str, object]) -> Html:
    radios = "".join(
        f'<label><input type="radio" name="axis" value="{one}" autocomplete="off"'
        f"{' checked' if one == 'step' else ''}>{shown}</label>"
        for one, shown in (("step", "step"), ("samples", "samples"), ("seconds", "time"))
    )
    return Html(
        f'<div class="controls"><fieldset><legend>By</legend>{radios}</fieldset>'
        '<label>Smoothing <input type="range" id="smoothing" min="0" max="0.99" step="0.01" value="0" '
        'autocomplete="off">'
        '<output id="smoothed" for="smoothing">0.00</output></label>'
        '<label><input type="checkbox" id="log" autocomplete="off">log scale</label>'
        '<label>Find <input type="search" id="search" autocomplete="off" placeholder="loss, time/…"></label>'
        '<button type="button" id="whole">Whole range</button></div>'
        '<p class="hint">Drag in a chart to enlarge a range in all of them. Long curves keep the lowest and highest '
        'point of each part.</p><p class="empty" id="none" hidden>No number has this name.</p>'
        "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>"
    )


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Forbids all but these scripts and styles, and pictures in the file."""
    allowed = {"script-src": scripts, "style-src": styles}
    hashes = "; ".join(
        f"{kind} {' '.join(map(_hash, those)) or chr(39) + 'none' + chr(39)}" for kind, those in allowed.items()
    )
    return f"default-src 'none'; {hashes}; img-src data:; base-uri 'none'; form-action 'none'"


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
