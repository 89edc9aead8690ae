"""The tools: one per kind of action, with its own drawing and motion, visible in every frame of the step.

Positions are in units of the target's size, from its centre. `layers` is called for each frame; sprites are cached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from interlink.sample.pen import INK, RGB, Pen, mix, star

STEEL: RGB = (196, 204, 212)
HANDLE: RGB = (146, 92, 48)
CREAM: RGB = (250, 238, 206)
WATER: RGB = (126, 214, 250)


@dataclass(frozen=True)
class Layer:
    """One placed sprite. x, y: its centre; size: its side; all in units of the target's size. angle: clockwise."""

    name: str
    x: float
    y: float
    size: float
    angle: int = 0
    behind: bool = False


def layers(action: str, turn: float) -> Iterator[Layer]:
    """What to draw for an action at `turn` (one back-and-forth of its motion = 1)."""
    return _MOTIONS[action](turn)


@lru_cache(maxsize=1024)
def sprite(name: str, size: int, angle: int) -> Image.Image:
    """A tool's part (RGBA, size × size pixels), turned by about `angle` degrees clockwise (to the nearest 4)."""
    return _turned(name, round(angle / 4) * 4 % 360).resize((size, size), Image.Resampling.BOX)


@lru_cache(maxsize=256)
def _turned(name: str, angle: int) -> Image.Image:
    if angle:
        return _turned(name, 0).rotate(-angle, resample=Image.Resampling.BILINEAR)
    pen = Pen()
    _DRAWINGS[name](pen)
    return pen.sprite(outline=1.6)


def _wave(turn: float) -> float:
    """-1..1, smoothly."""
    return math.sin(2 * math.pi * turn)


# -- drawings: each fills the middle of its 100 × 100 units, so that turning keeps it whole ---------------------------


def _knife(pen: Pen) -> None:
    pen.polygon([(4, 43), (64, 40), (64, 60), (22, 60), (10, 54)], STEEL)
    pen.polygon([(8, 52), (64, 53), (64, 60), (22, 60)], (242, 246, 250))
    pen.box(62, 40, 97, 56, INK, 5)
    for x in (70, 79, 88):
        pen.ellipse(x - 2, 46, x + 2, 50, STEEL)


def _gash(pen: Pen) -> None:
    pen.line([(50, 8), (50, 92)], (255, 255, 255), 6)


def _brush(pen: Pen) -> None:
    pen.polygon([(2, 38), (30, 38), (30, 62), (2, 62), (8, 50)], CREAM)
    pen.box(28, 35, 44, 65, STEEL, 2)
    pen.polygon([(43, 38), (62, 44), (98, 46), (98, 54), (62, 56), (43, 62)], HANDLE)


def _pot(pen: Pen) -> None:
    pen.line([(22, 40), (26, 12), (50, 4), (74, 12), (78, 40)], STEEL, 4)
    pen.polygon([(18, 36), (82, 36), (76, 94), (24, 94)], (150, 158, 166))
    pen.ellipse(18, 26, 82, 46, CREAM)
    pen.polygon([(30, 38), (44, 40), (42, 66), (32, 60)], CREAM)


def _mallet(pen: Pen) -> None:
    pen.box(44, 30, 56, 100, HANDLE, 4)
    pen.box(14, 6, 86, 40, (142, 148, 160), 5)
    pen.box(8, 10, 22, 36, (104, 110, 122), 3)
    pen.box(78, 10, 92, 36, (104, 110, 122), 3)


def _bang(pen: Pen) -> None:
    pen.polygon(star(50, 50, 48, 20, 9), (255, 232, 70))
    pen.polygon(star(50, 50, 28, 12, 9, 20), (255, 255, 240))


def _shower(pen: Pen) -> None:
    pen.box(43, -4, 57, 54, STEEL, 3)
    pen.polygon([(36, 48), (64, 48), (94, 76), (6, 76)], STEEL)
    pen.box(3, 72, 97, 86, (140, 150, 160), 5)


def _drop(pen: Pen) -> None:
    pen.polygon([(50, 2), (76, 56), (24, 56)], WATER)
    pen.ellipse(22, 40, 78, 98, WATER)
    pen.ellipse(34, 60, 48, 82, (240, 252, 255))


def _puddle(pen: Pen) -> None:
    pen.ellipse(0, 38, 100, 64, WATER)
    pen.ellipse(20, 43, 62, 53, (226, 248, 255))


def _flame(pen: Pen) -> None:
    pen.polygon([(50, 0), (74, 34), (84, 66), (16, 66), (30, 40), (38, 48)], (250, 110, 20))
    pen.ellipse(16, 42, 84, 98, (250, 110, 20))
    pen.polygon([(50, 34), (66, 70), (34, 70)], (255, 222, 60))
    pen.ellipse(32, 58, 68, 94, (255, 222, 60))


def _burner(pen: Pen) -> None:
    pen.box(0, 42, 100, 54, (54, 54, 60), 4)
    pen.box(10, 52, 20, 64, (54, 54, 60), 2)
    pen.box(80, 52, 90, 64, (54, 54, 60), 2)


def _tape(pen: Pen) -> None:
    pen.box(-2, 43, 102, 57, (250, 250, 246))
    for x in range(0, 100, 20):
        pen.polygon([(x, 57), (x + 8, 43), (x + 18, 43), (x + 10, 57)], INK)


def _roll(pen: Pen) -> None:
    pen.ellipse(4, 4, 96, 96, (250, 250, 246))
    for number in range(6):
        pen.polygon(
            [(50, 50), star(50, 50, 46, 46, 12, number * 60)[0], star(50, 50, 46, 46, 12, number * 60 + 30)[0]], INK
        )
    pen.ellipse(26, 26, 74, 74, (206, 160, 100))
    pen.hole(36, 36, 64, 64)


def _ruler(pen: Pen) -> None:
    pen.box(38, -2, 62, 102, (248, 226, 150), 1)
    for number in range(13):
        length = 13 if number % 3 == 0 else 7
        pen.box(38, 1 + number * 8, 38 + length, 3.4 + number * 8, INK)


def _marker(pen: Pen) -> None:
    pen.polygon([(0, 50), (34, 30), (34, 42), (98, 42), (98, 58), (34, 58), (34, 70)], INK)


def _cloth(pen: Pen) -> None:
    outline = Pen()
    corners = (8, 20), (30, 12), (52, 18), (76, 10), (94, 24), (88, 48), (94, 74), (74, 90), (50, 84), (26, 92), (8, 76)
    outline.polygon(corners, INK)
    pen.box(0, 0, 100, 100, (252, 252, 250))
    blue = (84, 110, 150)
    for row in range(5):
        for column in range(5):
            if (row + column) % 2 == 0:
                pen.box(column * 20, row * 20, column * 20 + 20, row * 20 + 20, blue)
            elif row % 2 == 0:
                pen.box(column * 20, row * 20, column * 20 + 20, row * 20 + 20, mix(blue, (255, 255, 255), 0.55))
    pen.clip(outline.image.getchannel("A"))


def _sparkle(pen: Pen) -> None:
    pen.polygon(star(50, 50, 48, 11, 4), (255, 255, 255))


_DRAWINGS: dict[str, Callable[[Pen], None]] = {
    "knife": _knife,
    "gash": _gash,
    "brush": _brush,
    "pot": _pot,
    "mallet": _mallet,
    "bang": _bang,
    "shower": _shower,
    "drop": _drop,
    "puddle": _puddle,
    "flame": _flame,
    "burner": _burner,
    "tape": _tape,
    "roll": _roll,
    "ruler": _ruler,
    "marker": _marker,
    "cloth": _cloth,
    "sparkle": _sparkle,
}


# -- motions ----------------------------------------------------------------------------------------------------------


def _slicing(turn: float) -> Iterator[Layer]:
    yield Layer("gash", -0.20, 0.06, 0.72)
    yield Layer("gash", -0.04, 0.06, 0.72)
    yield Layer("knife", 0.30 + 0.06 * _wave(turn + 0.25), -0.20 + 0.17 * _wave(turn), 1.0, -24)


def _painting(turn: float) -> Iterator[Layer]:
    yield Layer("pot", -0.58, 0.34, 0.40)
    yield Layer("brush", 0.42 + 0.16 * _wave(turn), 0.12 + 0.05 * _wave(2 * turn), 0.86, 32)


def _hammering(turn: float) -> Iterator[Layer]:
    raised = 0.5 + 0.5 * _wave(turn)
    yield Layer("bang", -0.26, -0.30, 0.34 + 0.14 * (1 - raised))
    angle = 40 - round(44 * raised)
    x = -0.50 - 0.10 * raised
    yield Layer("mallet", x, -0.36 - 0.08 * raised, 0.78, angle)


def _washing(turn: float) -> Iterator[Layer]:
    yield Layer("puddle", 0.0, 0.46, 1.16, behind=True)
    yield Layer("shower", 0.0, -0.66, 0.58)
    for column in range(5):
        for row in range(2):
            fall = (turn + 0.5 * row + 0.29 * column) % 1.0
            yield Layer("drop", -0.40 + 0.20 * column, -0.42 + 0.86 * fall, 0.17)


def _heating(turn: float) -> Iterator[Layer]:
    yield Layer("burner", 0.0, 0.57, 1.16)
    for column in range(4):
        size = 0.34 + 0.06 * _wave(turn + 0.37 * column)
        yield Layer("flame", -0.36 + 0.24 * column, 0.57 - size / 2, size, round(6 * _wave(turn + 0.2 * column)))


def _wrapping(turn: float) -> Iterator[Layer]:
    yield Layer("tape", 0.0, 0.20, 0.94, -14)
    yield Layer("roll", 0.52 + 0.05 * _wave(turn), 0.06 + 0.08 * _wave(turn + 0.25), 0.38, round(24 * turn) % 24 * 15)


def _measuring(turn: float) -> Iterator[Layer]:
    yield Layer("ruler", -0.60, 0.0, 1.24)
    yield Layer("marker", -0.42, 0.34 * _wave(turn), 0.24)


def _wiping(turn: float) -> Iterator[Layer]:
    yield Layer("sparkle", -0.34, -0.34, 0.30 + 0.06 * _wave(2 * turn))
    yield Layer("sparkle", 0.40, -0.44, 0.22 - 0.06 * _wave(2 * turn))
    x, y = 0.20 * _wave(turn), 0.16 * _wave(turn + 0.25)
    yield Layer("cloth", 0.10 + x, 0.14 + y, 0.46, round(14 * _wave(turn)))


_MOTIONS: dict[str, Callable[[float], Iterator[Layer]]] = {
    "slice": _slicing,
    "paint": _painting,
    "hammer": _hammering,
    "wash": _washing,
    "heat": _heating,
    "wrap": _wrapping,
    "measure": _measuring,
    "wipe": _wiping,
}
