"""The orientation of a stored picture: its container's display matrix, rounded to the eight right-angled cases.

Costs nothing: only pictures that are already scaled down are turned.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """Transpose first (if `swap`), then mirror left-right and top-bottom."""

    swap: bool = False
    mirror: bool = False
    flip: bool = False

    @property
    def rotation(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270; a mirrored picture counts as its unmirrored turn."""
        if self.swap:
            return 90 if self.mirror else 270
        return 180 if self.flip else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) after turning."""
        return (height, width) if self.swap else (width, height)

    def turn(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, C) as stored to (H', W', C) as shown, a view."""
        if self.swap:
            picture = picture.swapaxes(0, 1)
        if self.mirror:
            picture = picture[:, ::-1]
        if self.flip:
            picture = picture[::-1]
        return picture


UPRIGHT = Orientation()


def from_matrix(matrix: bytes) -> Orientation:
    """The 3 x 3 display matrix (nine little-endian int32, row-major): x' = a x + c y, y' = b x + d y.

    Angles are rounded to multiples of 90 degrees; an invalid matrix leaves the picture unchanged.
    """
    if len(matrix) < 36:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("<5i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def orientation_of(frame: Any) -> Orientation:
    """The orientation of a decoded frame."""
    from av.sidedata.sidedata import Type

    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    return UPRIGHT if matrix is None else from_matrix(bytes(matrix))
