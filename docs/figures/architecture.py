"""Draws the layers of both packages from tests/test_layers.py as SVG.

python docs/figures/architecture.py > docs/figures/architecture.svg
"""

from __future__ import annotations

import runpy
from html import escape
from pathlib import Path

LAYERS = runpy.run_path(str(Path(__file__).parents[2] / "tests" / "test_layers.py"))
WIDTH, HEIGHT, GAP, MARGIN, PER_ROW = 560, 34, 12, 20, 5
SAID = {  # what a layer does, at its right
    "cli": "commands: parse, call, print", "api": "Build(recipe, root)", "doctor": "what a part does by itself",
    "cli_options": "what the commands share",
    "runtime": "runs, looks at, exports a build", "recipe": "checked settings", "stages": "rows in, rows out",
    "segment": "what stages are made of", "shards": "the format that both packages share",
    "stage": "contracts and storage",
    "commands": "one module a group of commands", "experiments": "chains, ablations, plots",
    "train": "the loop; judging a model", "families": "CosMo, COSMOS, CuMo, third parties",
    "models": "blocks, formulas, data", "settings": "contracts",
}  # fmt: skip


def boxes(title: str, layers: tuple[tuple[str, ...], ...], left: int) -> tuple[list[str], int]:
    """SVG of one package, and its height."""
    parts, top = [f'<text x="{left}" y="{MARGIN + 16}" class="title">{title}</text>'], MARGIN + 34
    for number, names in enumerate(layers):
        names = tuple(name for name in names if name != "__main__")
        if not names:
            continue
        rows = [names[first : first + PER_ROW] for first in range(0, len(names), PER_ROW)]
        tall = len(rows) * (HEIGHT - 8) + 14
        parts.append(f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{tall}" rx="6"/>')
        for place, row in enumerate(rows):
            parts.append(
                f'<text x="{left + 12}" y="{top + 24 + place * (HEIGHT - 8)}">{escape("  ·  ".join(row))}</text>'
            )
        if said := SAID.get(names[0]):
            parts.append(f'<text x="{left + WIDTH - 10}" y="{top + tall - 10}" class="said">{escape(said)}</text>')
        top += tall
        if number < len(layers) - 1:
            middle = left + WIDTH // 2
            parts.append(f'<path d="M{middle} {top} v{GAP - 4}" marker-end="url(#arrow)"/>')
        top += GAP
    return parts, top


def picture() -> str:
    one, low = boxes("interlink", LAYERS["INTERLINK"], MARGIN)
    other, deep = boxes("cosmos_train", LAYERS["COSMOS_TRAIN"], WIDTH + 3 * MARGIN)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH + 4 * MARGIN} {max(low, deep) + MARGIN}" '
            'font-family="sans-serif" font-size="14">',
            "<style>rect{fill:#eef3fa;stroke:#5b7aa8}path{stroke:#5b7aa8;fill:none}text{fill:#1c2733;white-space:pre}"
            ".title{font-size:18px;font-weight:bold}.said{font-size:12px;fill:#5b6b7b;text-anchor:end}</style>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#5b7aa8;stroke:none"/></marker></defs>',
            '<rect width="100%" height="100%" style="fill:#ffffff;stroke:none"/>',
            *one,
            *other,
            "</svg>",
        ]
    )


if __name__ == "__main__":
    print(picture())
