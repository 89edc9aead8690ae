"""Draws the objects; each is recognisable at 64 × 64 pixels. Costs 5 ms per sprite, cached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from interlink.sample import world
from interlink.sample.pen import INK, RGB, Pen, mix

GREY: RGB = (124, 122, 120)  # of distractors
WOOD: RGB = (120, 78, 46)


@dataclass(frozen=True)
class Tones:
    """One colour in several tones, for light and shadow."""

    base: RGB
    dark: RGB
    light: RGB


def tones(colour: str) -> Tones:
    """The tones of a colour's name, or of "grey"."""
    base = GREY if colour == "grey" else world.COLOURS[colour]
    return Tones(base, mix(base, INK, 0.32), mix(base, (255, 255, 255), 0.38))


def _apple(pen: Pen, t: Tones) -> None:
    pen.line([(50, 34), (51, 22), (57, 10)], WOOD, 6)
    pen.polygon([(56, 22), (66, 9), (86, 8), (76, 22)], t.dark)
    pen.ellipse(10, 26, 60, 84, t.base)
    pen.ellipse(40, 26, 90, 84, t.base)
    pen.ellipse(20, 40, 80, 94, t.base)
    pen.ellipse(19, 38, 33, 58, t.light)


def _mug(pen: Pen, t: Tones) -> None:
    pen.ellipse(50, 32, 96, 78, t.base)
    pen.hole(64, 44, 84, 66)
    pen.box(10, 22, 68, 92, t.base, 9)
    pen.ellipse(10, 12, 68, 34, t.light)
    pen.ellipse(16, 16, 62, 30, t.dark)
    pen.box(10, 62, 68, 72, t.light)


def _fish(pen: Pen, t: Tones) -> None:
    pen.polygon([(60, 52), (98, 22), (90, 52), (98, 82)], t.dark)
    pen.polygon([(24, 32), (46, 10), (62, 34)], t.dark)
    pen.ellipse(2, 26, 78, 80, t.base)
    pen.chord(2, 26, 78, 80, 30, 150, t.light)
    pen.line([(30, 40), (36, 53), (30, 66)], t.dark, 3.5)
    pen.ellipse(11, 40, 23, 52, (255, 255, 255))
    pen.ellipse(14, 43, 20, 49, INK)


def _bottle(pen: Pen, t: Tones) -> None:
    pen.polygon([(28, 52), (41, 30), (59, 30), (72, 52)], t.base)
    pen.box(41, 8, 59, 36, t.base, 2)
    pen.box(28, 46, 72, 97, t.base, 7)
    pen.box(38, 2, 62, 13, t.dark, 3)
    pen.box(28, 58, 72, 80, t.light)
    pen.box(28, 66, 72, 72, t.dark)


def _hat(pen: Pen, t: Tones) -> None:
    pen.ellipse(1, 60, 99, 92, t.base)
    pen.polygon([(26, 76), (30, 14), (70, 14), (74, 76)], t.base)
    pen.ellipse(26, 66, 74, 84, t.base)
    pen.ellipse(30, 8, 70, 24, t.light)
    pen.polygon([(27, 60), (26, 76), (74, 76), (73, 60)], t.dark)
    pen.chord(26, 68, 74, 84, 0, 180, t.dark)


def _boot(pen: Pen, t: Tones) -> None:
    pen.box(20, 8, 58, 88, t.base, 3)
    pen.polygon([(40, 50), (58, 48), (90, 62), (97, 76), (97, 86), (40, 86)], t.base)
    pen.box(17, 5, 61, 22, t.light, 4)
    pen.box(17, 84, 99, 95, t.dark, 3)
    for y in (36, 46, 56):
        pen.line([(48, y), (62, y + 3)], t.light, 3.5)


def _key(pen: Pen, t: Tones) -> None:
    pen.box(36, 42, 98, 57, t.base, 3)
    pen.box(68, 50, 79, 76, t.base, 2)
    pen.box(87, 50, 98, 82, t.base, 2)
    pen.ellipse(0, 22, 54, 76, t.base)
    pen.ellipse(7, 29, 47, 69, t.light)
    pen.ellipse(11, 33, 43, 65, t.base)
    pen.hole(16, 38, 38, 60)


def _chair(pen: Pen, t: Tones) -> None:
    pen.box(18, 3, 31, 98, t.base, 3)
    pen.box(18, 8, 29, 46, t.light, 3)
    pen.box(18, 50, 88, 64, t.base, 4)
    pen.box(26, 44, 90, 54, t.light, 5)
    pen.box(74, 58, 86, 98, t.base, 3)
    pen.box(26, 76, 78, 83, t.dark)


def _mushroom(pen: Pen, t: Tones) -> None:
    pen.box(37, 44, 63, 95, t.light, 10)
    pen.ellipse(32, 76, 68, 97, t.light)
    pen.chord(3, 6, 97, 104, 180, 360, t.base)
    pen.ellipse(3, 48, 97, 62, t.dark)
    pen.chord(3, 6, 97, 104, 182, 358, t.base)
    for x, y, r in ((30, 34, 8), (55, 22, 7), (74, 40, 7)):
        pen.ellipse(x - r, y - r, x + r, y + r, t.light)


def _guitar(pen: Pen, t: Tones) -> None:
    pen.box(45, -2, 55, 44, WOOD, 1)
    pen.box(41, -4, 59, 10, t.dark, 3)
    pen.ellipse(30, 32, 70, 66, t.base)
    pen.ellipse(20, 48, 80, 96, t.base)
    pen.ellipse(40, 48, 60, 68, INK)
    pen.box(37, 79, 63, 84, t.dark, 2)
    pen.line([(50, 4), (50, 80)], t.light, 1.6)
    pen.turn(38)


def _boat(pen: Pen, t: Tones) -> None:
    pen.box(44, 4, 50, 70, WOOD, 1)
    pen.polygon([(54, 8), (54, 60), (94, 60)], t.base)
    pen.polygon([(40, 16), (40, 60), (10, 60)], t.light)
    pen.polygon([(1, 66), (99, 66), (82, 94), (18, 94)], t.base)
    pen.polygon([(1, 66), (99, 66), (95, 74), (5, 74)], t.dark)


def _ladder(pen: Pen, t: Tones) -> None:
    for y in (12, 32, 52, 72):
        pen.box(28, y, 72, y + 9, t.light)
    pen.box(20, 1, 34, 98, t.base, 3)
    pen.box(66, 1, 80, 98, t.base, 3)


_SHAPES: dict[str, Callable[[Pen, Tones], None]] = {
    "apple": _apple,
    "mug": _mug,
    "fish": _fish,
    "bottle": _bottle,
    "hat": _hat,
    "boot": _boot,
    "key": _key,
    "chair": _chair,
    "mushroom": _mushroom,
    "guitar": _guitar,
    "boat": _boat,
    "ladder": _ladder,
}


@lru_cache(maxsize=256)
def _master(kind: str, colour: str) -> Image.Image:
    pen = Pen()
    _SHAPES[kind](pen, tones(colour))
    return pen.sprite()


@lru_cache(maxsize=256)
def sprite(kind: str, colour: str, size: int) -> Image.Image:
    """An object (RGBA, size × size pixels). kind: of world.OBJECTS; colour: of world.COLOURS, or "grey"."""
    return _master(kind, colour).resize((size, size), Image.Resampling.LANCZOS)
