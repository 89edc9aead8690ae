"""Display matrices turn pictures the way players do."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from interlink.media.orientation import UPRIGHT, from_matrix

ONE = 1 << 16
CORNERS = np.array([[1, 2], [3, 4]], np.uint8)[..., None]


def matrix(a: int, b: int, c: int, d: int) -> bytes:
    return struct.pack("<9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize(
    ("values", "rotation", "shown"),
    [
        ((1, 0, 0, 1), 0, [[1, 2], [3, 4]]),
        ((0, 1, -1, 0), 90, [[3, 1], [4, 2]]),
        ((-1, 0, 0, -1), 180, [[4, 3], [2, 1]]),
        ((0, -1, 1, 0), 270, [[2, 4], [1, 3]]),
        ((-1, 0, 0, 1), 0, [[2, 1], [4, 3]]),
    ],
)
def test_right_angles_and_mirrors(values: tuple[int, int, int, int], rotation: int, shown: list[list[int]]) -> None:
    orientation = from_matrix(matrix(*values))

    assert orientation.rotation == rotation
    assert orientation.turn(CORNERS)[..., 0].tolist() == shown


def test_a_quarter_turn_swaps_the_sides() -> None:
    assert from_matrix(matrix(0, 1, -1, 0)).size(960, 540) == (540, 960)


def test_a_matrix_that_is_none_leaves_the_picture_alone() -> None:
    assert from_matrix(b"short") == UPRIGHT
