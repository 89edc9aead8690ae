"""Pictures drawn by the server as SVG: bars of a histogram, bars of a funnel. Every text in them is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from interlink.report.html import Html

WIDTH, HEIGHT = 216, 44  # of a histogram
_FEWEST = 8  # bars that a histogram has room for


def number(value: float) -> str:
    """A number for people: three digits, thousands with commas."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.1g}"


def histogram(
    name: str, found: Mapping[str, Any], link: Callable[[float | None, float | None], str] | None = None
) -> Html:
    """The bars. link: the address of a filter on a bar, by its bounds; the last bar has no upper one."""
    bars, edges = found["bars"], found["edges"]
    top, step = max(bars), WIDTH / max(len(bars), _FEWEST)  # one value is a narrow bar, not a wall
    parts = []
    for place, count in enumerate(bars):
        if not count:
            continue
        height = max(1.5, HEIGHT * count / top)
        size = f'width="{max(step - 1, 1):.2f}" height="{height:.2f}"'
        rect = f'<rect x="{place * step:.2f}" y="{HEIGHT - height:.2f}" {size}/>'
        least, most = edges[place], edges[place + 1] if place + 1 < len(bars) else None
        said = f"{name} {number(least)} to {number(most)}" if most is not None else f"{name} from {number(least)}"
        label = escape(f"{said}: {count:,}")
        if link is None:
            parts.append(f"<g>{rect}<title>{label}</title></g>")
        else:
            # Not among the stops of the tab key: the fields next to the bars do the same.
            href = escape(link(least, most), quote=True)
            tall = f'<rect class="hit" x="{place * step:.2f}" y="0" width="{step:.2f}" height="{HEIGHT}"/>'
            parts.append(f'<a href="{href}" tabindex="-1" aria-label="{label}">{tall}{rect}<title>{label}</title></a>')
    said = f"{name}: {found['count']:,} values, median {number(found['median'])}"
    return Html(
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="group" '
        f'aria-label="{escape(said)}">{"".join(parts)}</svg>'
    )


def bar(parts: list[tuple[str, float]], whole: float, label: str) -> Html:
    """A bar of parts next to each other. parts: (class, amount)."""
    left, drawn = 0.0, []
    for kind, amount in parts:
        width = 100 * amount / whole if whole else 0
        if amount:
            width = max(width, 0.6)
            drawn.append(
                f'<rect class="{kind}" x="{min(left, 100 - width):.3f}" y="0" width="{width:.3f}" height="8"/>'
            )
        left += width
    return Html(
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f"{''.join(drawn)}</svg>"
    )
