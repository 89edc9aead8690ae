"""Text, tables and data as HTML. Nothing of a build becomes markup."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from interlink.report.visible import visible


class Html(str):
    """Markup: what is not of this type is escaped before it is written."""

    __slots__ = ()

    def __html__(self) -> str:
        """For templates, which do not escape it."""
        return self


def text(value: object) -> Html:
    """A text as it is read; of what cannot be seen an escape."""
    return value if isinstance(value, Html) else Html(html.escape(visible(str(value), "\n")))


def tag(name: str, *inner: object, **attributes: object) -> Html:
    """An element; attributes as keywords (class_, data_column). Values and inner texts are escaped."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{''.join(map(text, inner))}</{name}>")


def table(heads: Sequence[object], rows: Iterable[Sequence[object]], caption: str, classes: Sequence[str] = ()) -> Html:
    """The first cell of a row is its heading. caption: for those who do not see it. classes: of the cells, in order;
    with them the heads are for those too."""
    head = tag(
        "thead", tag("tr", *(tag("th", one, scope="col") for one in heads)), **({"class_": "hidden"} if classes else {})
    )
    kinds = [{"class_": one} if one else {} for one in classes] or [{}] * len(heads)
    body = tag(
        "tbody",
        *(
            tag(
                "tr",
                tag("th", row[0], scope="row"),
                *(tag("td", c, **kind) for c, kind in zip(row[1:], kinds, strict=False)),
            )
            for row in rows
        ),
    )
    kind = "funnel" if classes else "data"
    return tag(
        "div", tag("table", head, body, class_=kind), class_="scroll", tabindex="0", role="group", aria_label=caption
    )


def section(identity: str, title: str, *inner: object, hint: object = "") -> Html:
    said = tag("p", hint, class_="quiet") if hint else ""
    return tag("section", tag("h2", title), said, *inner, id=identity, class_="panel")


def listed(items: Iterable[object], kind: str, **attributes: object) -> Html:
    return tag("ul", *(tag("li", one) for one in items), class_=kind, **attributes)


def picture(jpeg: bytes, described: str) -> Html:
    data = base64.b64encode(jpeg).decode()
    return Html(f'<img src="data:image/jpeg;base64,{data}" alt="{text(described)}">')


def embedded(identity: str, data: Any) -> Html:
    """JSON for the page's script: a block that no text in it can end."""
    written = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return Html(f'<script type="application/json" id="{identity}">{written}</script>')


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """A policy that forbids every request, and every script and style but these."""
    parts = ["default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'"]
    for kind, sources in (("script-src", scripts), ("style-src", styles)):
        hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in sources)
        parts.append(" ".join((kind, *(f"'sha256-{one}'" for one in hashes))))
    return "; ".join(parts)
