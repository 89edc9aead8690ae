"""Frames that look like one, by their 64-bit hashes. Costs 5 ms per million frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interlink.report.view.frames import frame_place, item_number
from interlink.report.view.opened import Catalogue

MOST = 48
_ALIKE = 16  # bits; frames that differ in more rarely look alike
_LEAST = 6  # frames that are shown in any case
_BYTES = np.array([n.bit_count() for n in range(256)], np.uint8)


@dataclass(frozen=True)
class Like:
    """A frame. bits: how many of 64 differ; used: whether its clip is in a document."""

    item: str
    title: str
    clip: int
    frame: int
    bits: int
    used: bool


def similar_frames(catalogue: Catalogue, item: str, clip: int, frame: int, most: int = MOST) -> list[Like]:
    """The nearest frames, itself first. KeyError where there is no such frame; empty where it has no hash."""
    place = frame_place(catalogue, item, clip, frame)
    hashes = catalogue.frames["hash"]
    own = hashes[place]
    if not own:
        return []
    differing = np.asarray(hashes ^ own)
    bits = _BYTES[differing.view(np.uint8)].reshape(-1, 8).sum(1, dtype=np.int64)
    bits[np.asarray(hashes) == 0] = 65  # without a hash
    near = np.argpartition(bits, most)[:most] if len(bits) > most else np.arange(len(bits))
    near = near[np.lexsort((near != place, bits[near]))]
    shown = [one for rank, one in enumerate(near) if bits[one] <= _ALIKE or (rank < _LEAST and bits[one] <= 64)]
    return [_like(catalogue, int(one), int(bits[one])) for one in shown]


def _like(catalogue: Catalogue, place: int, bits: int) -> Like:
    clip = int(np.searchsorted(catalogue.first_frames, place, "right")) - 1
    number = item_number(catalogue, int(catalogue.clips["item"][clip]))
    row = catalogue.rows("SELECT id, title FROM items WHERE number = ?", (number,))[0]
    return Like(
        row["id"], row["title"], int(catalogue.clips["number"][clip]), place - int(catalogue.first_frames[clip]), bits,
        bool(catalogue.clips["document"][clip] >= 0),
    )  # fmt: skip
