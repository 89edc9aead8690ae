"""The structure that two looks share, against its definition written out block by block."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from interlink.media.look import Look
from interlink.segment.structure import structure, without_bars

Luma = NDArray[np.uint8]


def picture(seed: int, contrast: float = 1.0) -> Luma:
    chance = np.random.default_rng(seed)
    coarse = np.kron(chance.uniform(60, 190, (10, 16)), np.ones((4, 4)))
    return np.clip(128 + (coarse - 128 + chance.normal(0, 5, (40, 64))) * contrast, 0, 255).astype(np.uint8)


def inner(a: Luma, b: Luma) -> tuple[range, range]:
    """Rows and columns between black bars (luma up to 24 in both), if at least 12 of each are left."""
    rows = [y for y in range(40) if any(max(int(a[y, x]), int(b[y, x])) > 24 for x in range(64))]
    columns = [x for x in range(64) if any(max(int(a[y, x]), int(b[y, x])) > 24 for y in range(40))]
    if not rows or min(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 < 12:
        return range(40), range(64)
    return range(rows[0], rows[-1] + 1), range(columns[0], columns[-1] + 1)


def expected(a: Luma, b: Luma, changed: bool = False) -> float:
    rows, columns = inner(a, b)
    whole = same = 0.0
    for top in range(0, 40, 8):
        for left in range(0, 64, 8):
            aa = bb = ab = apart = 0.0
            for y in range(top, top + 8):
                for x in range(left, left + 8):
                    apart += (float(a[y, x]) - float(b[y, x])) ** 2
                    if not (rows[0] + 2 <= y < rows[-1] - 1 and columns[0] + 2 <= x < columns[-1] - 1):
                        continue
                    for one, two in (((y, x + 1), (y, x - 1)), ((y + 1, x), (y - 1, x))):
                        p, q = float(a[one]) - float(a[two]), float(b[one]) - float(b[two])
                        aa, bb, ab = aa + p * p, bb + q * q, ab + p * q
            weight = math.sqrt(max(aa, bb)) if max(aa, bb) > 16 * 64 else 0.0
            if changed and apart <= 6 * 6 * 64:
                weight = 0.0
            whole += weight
            same += weight * (ab > 0.5 * math.sqrt((aa + 512) * (bb + 512)))
    return same / whole if whole else 0.0


def mixed(share: float, part: int = 32) -> tuple[Luma, Luma]:
    """A picture, and the same mixed with another in its right part."""
    a, b = picture(1), picture(2)
    other = a.copy()
    other[:, part:] = ((1 - share) * a[:, part:] + share * b[:, part:]).astype(np.uint8)
    return a, other


def barred(luma: Luma, rows: int, columns: int, black: int = 24) -> Luma:
    found = luma.copy()
    if rows:
        found[:rows] = found[-rows:] = black
    if columns:
        found[:, :columns] = found[:, -columns:] = black
    return found


CASES: dict[str, Any] = {
    "the same": (picture(1), picture(1)),
    "another": (picture(1), picture(2)),
    "brighter": (picture(1, 0.5), picture(1, 0.9)),
    "six levels brighter": (picture(1), picture(1) + np.uint8(6)),
    "seven levels brighter": (picture(1), picture(1) + np.uint8(7)),
    "turned over": (picture(1), 255 - picture(1)),
    "half": mixed(1.0),
    "a third": mixed(0.3),
    "two thirds": mixed(0.65),
    "faint": (picture(1, 0.08), picture(1, 0.09)),
    "faint and strong": (picture(1, 0.06), picture(1)),
    "flat": (np.full((40, 64), 128, np.uint8), np.full((40, 64), 90, np.uint8)),
    "bars": (barred(picture(1), 6, 0), barred(picture(2), 6, 0)),
    "bars on all sides": (barred(picture(1), 5, 9), barred(picture(1), 5, 9)),
    "bars of one": (barred(picture(1), 6, 0), picture(1)),
    "bars that are not black": (barred(picture(1), 6, 0, 25), barred(picture(2), 6, 0, 25)),
    "a slit": (barred(picture(1), 15, 0), barred(picture(2), 15, 0)),
    "a narrow picture": (barred(picture(1), 14, 0), barred(picture(2), 14, 0)),
    "eleven rows": tuple(
        np.vstack([np.full((15, 64), 9, np.uint8), picture(n)[15:26], np.full((14, 64), 9, np.uint8)]) for n in (1, 2)
    ),
    "dark": (np.full((40, 64), 24, np.uint8), np.full((40, 64), 10, np.uint8)),
}


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_shared_structure_is_what_its_definition_says(name: str, changed: bool) -> None:
    a, b = CASES[name]
    assert structure(a, b, changed) == pytest.approx(expected(a, b, changed), abs=1e-5)


def test_the_same_has_all_of_it_and_another_scene_little() -> None:
    assert structure(*CASES["the same"]) == 1.0
    assert structure(*CASES["brighter"]) > 0.9
    assert structure(*CASES["another"]) < 0.3
    assert structure(*CASES["flat"]) == 0.0
    assert structure(*CASES["the same"], changed=True) == 0.0


@pytest.mark.parametrize(
    ("rows", "columns", "shape"),
    [(0, 0, (40, 64)), (6, 0, (28, 64)), (0, 9, (40, 46)), (14, 26, (12, 12)), (15, 0, (40, 64)), (0, 27, (40, 64))],
)
def test_bars_are_cut_off_unless_too_little_is_left(rows: int, columns: int, shape: tuple[int, int]) -> None:
    chroma = np.zeros((2, 20, 32), np.uint8)
    one, other = (Look(1.0, barred(picture(n), rows, columns), chroma) for n in (1, 2))
    for cut, look in zip(without_bars(one, other), (one, other), strict=True):
        assert cut.luma.shape == shape
        assert (cut.time, cut.chroma is chroma) == (1.0, True)
        if shape != (40, 64):
            assert np.array_equal(cut.luma, look.luma[rows : 40 - rows, columns : 64 - columns])
