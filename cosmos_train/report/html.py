"""Text, numbers and tables as HTML. What a run holds stays text: nothing in it becomes markup."""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NewType

Html = NewType("Html", str)

# Control characters, lone surrogates and marks that change the direction of text: shown as escapes.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def text(value: object) -> Html:
    shown = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value))
    return Html(html.escape(shown))


def number(value: float | None, digits: int = 4) -> Html:
    """A few significant digits, with separators; "–" if unknown."""
    if value is None or not math.isfinite(value):
        return Html("–")
    if value == int(value) and abs(value) < 1e15:
        return Html(f"{int(value):,}")
    if abs(value) >= 10 ** (digits - 1):
        return Html(f"{value:,.0f}")
    return Html(f"{value:.{digits}g}")


def duration(seconds: float | None) -> Html:
    if seconds is None:
        return Html("–")
    whole = round(seconds)
    if whole < 60:
        return Html(f"{seconds:.3g} s")
    if whole < 3600:
        return Html(f"{whole // 60} min {whole % 60} s")
    return Html(f"{whole // 3600:,} h {whole % 3600 // 60} min")


def tag(name: str, *inner: str, **attributes: str) -> Html:
    """An element; attributes as keywords: class_="x", data_run="1". `inner` is HTML."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{''.join(inner)}</{name}>")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str, tight: bool = False) -> Html:
    """heads and cells are HTML; the first cell of a row is its heading. Columns in which nothing is known are left out.

    caption: for those who do not see it. tight: cells are not broken into lines.
    """
    rows = list(rows)
    there = [n for n in range(len(heads)) if n == 0 or any(row[n] != "–" for row in rows)]
    heads, rows = [heads[n] for n in there], [[row[n] for n in there] for row in rows]
    kind = ' class="tight"' if tight else ""
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    return Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table{kind}>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def section(identity: str, title: str, *inner: str, hint: str = "") -> Html:
    said = f'<p class="hint">{text(hint)}</p>' if hint else ""
    return Html(f'<section id="{identity}"><h2>{text(title)}</h2>{said}{"".join(inner)}</section>')


def picture(jpeg: bytes, described: str) -> Html:
    data = base64.b64encode(jpeg).decode()
    return Html(f'<img src="data:image/jpeg;base64,{data}" alt="{text(described)}">')


def embedded(identity: str, data: Any) -> Html:
    """JSON for the page's script: a block that no text in it can end."""
    written = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return Html(f'<script type="application/json" id="{identity}">{written}</script>')
