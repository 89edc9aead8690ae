"""What the thresholds of the sparse pass, and of gradual transitions, do: each is varied by itself, on materials made
from other clips than those that results are reported on. Minutes.

The cost is the share of pictures that are decoded, which is the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import sets
from benchmarks.materials import Maker, Material, add_folders, made_maker
from benchmarks.scores import score

if TYPE_CHECKING:
    from interlink.segment.evidence import Thresholds
    from interlink.segment.gradual import Limits

GRID: dict[str, tuple[float, ...]] = {
    "change": (5.0, 8.0, 11.0, 14.0),
    "much": (24.0, 36.0, 48.0),
    "alike": (0.6, 0.75, 0.85),
    "spike": (0.2, 0.35, 0.5),
    "burst": (1.3, 1.7, 2.3),
    "sudden": (1.5, 2.5, 4.0),
    "arrived": (0.2, 0.35, 0.5),
    "parted": (0.3, 0.5, 0.7),
    "hint": (1.2, 1.4, 1.6),
    "gone": (0.75, 0.85, 0.95),
    "moved": (0.35, 0.65, 0.95),
    "same": (0.2, 0.35),
    "activity": (0.1, 0.3, 1.0),
}
GRADUAL: dict[str, tuple[float, ...]] = {
    "least": (14.0, 20.0, 28.0),
    "unlike": (0.3, 0.45, 0.6),
    "residual": (0.13, 0.18, 0.22),
    "fine": (0.2, 0.27, 0.32),
    "step": (0.5, 0.6, 0.75),
    "direct": (0.7, 0.85, 0.95),
}


def run(maker: Maker, folder: Path) -> list[dict[str, Any]]:
    """A row a value: F1 with its interval, and the share of pictures that were decoded."""
    from interlink.segment.evidence import Thresholds
    from interlink.segment.gradual import Limits

    materials = sets.tuned(maker, folder)
    rows = [{"threshold": "as they are", "value": None, **_one(materials, Thresholds(), Limits())}]
    print(rows[-1], file=sys.stderr, flush=True)
    for name, values in {**GRID, **GRADUAL}.items():
        thresholds, limits = Thresholds(), Limits()
        for value in values:
            if value == getattr(limits if name in GRADUAL else thresholds, name):
                continue
            if name in GRADUAL:
                found = _one(materials, thresholds, replace(limits, **{name: value}))
            else:
                found = _one(materials, replace(thresholds, **{name: value}), limits)
            rows.append({"threshold": name, "value": value, **found})
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _one(materials: list[Material], thresholds: Thresholds, limits: Limits) -> dict[str, Any]:
    from interlink.media.look import Looker
    from interlink.media.packets import Packets
    from interlink.media.probe import describe, open_media
    from interlink.media.sparse import Sparse
    from interlink.segment.evidence import Evidence
    from interlink.segment.shots import Shots

    found, decoded, pictures = [], 0, 0
    rates = {}
    for material in materials:
        with open_media(material.path) as container:
            probe = describe(container, material.path)
            packets = Packets(container, probe)
            sparse = Sparse(packets, Looker(), Evidence(float("inf"), cuts=True, thresholds=thresholds))
            shots = Shots(limits)
            verdicts = [verdict for _, look in sparse for verdict in shots.feed(look)] + shots.finish()
            found.append((material, [verdict.time for verdict in verdicts if verdict.boundary]))
            decoded, pictures = decoded + sparse.decoded, pictures + packets.count
            rates[material.name] = packets.count / material.seconds
    scored = score(found, rates)
    return {
        "f1": round(scored.f1, 4),
        "interval": [round(scored.low, 3), round(scored.high, 3)],
        "precision": round(scored.precision, 4),
        "recall": round(scored.recall, 4),
        "decoded": round(decoded / pictures, 4),
        "missed": scored.missed_kinds,
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sweep", description=__doc__)
    add_folders(parser)
    given = parser.parse_args(arguments)
    print(json.dumps(run(made_maker(parser, given), given.folder), indent=1))
