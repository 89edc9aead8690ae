"""Rooms: a wall and a table in muted colours, so that the object stands out. Cached by size."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw

from interlink.sample.pen import RGB, mix

HORIZON = 0.66  # height of the table's edge, as a share of the picture's height

WHITE: RGB = (255, 255, 255)
BLACK: RGB = (0, 0, 0)

Painter = Callable[[ImageDraw.ImageDraw, int, int, int, RGB], None]


@lru_cache(maxsize=128)
def room(wall: int, table: int, width: int, height: int) -> Image.Image:
    """The empty room (RGB, width × height). wall, table: numbers of WALL_KINDS and TABLE_KINDS."""
    image = Image.new("RGB", (width, height))
    horizon = round(height * HORIZON)
    for (painter, colour), top, bottom in ((WALL_KINDS[wall], 0, horizon), (TABLE_KINDS[table], horizon, height)):
        part = Image.new("RGB", (width, bottom - top), colour)
        painter(ImageDraw.Draw(part), width, bottom - top, min(width, height), colour)
        image.paste(part, (0, top))
    edge = max(2, height // 64)
    ImageDraw.Draw(image).rectangle(
        (0, horizon, width, horizon + edge - 1), fill=mix(TABLE_KINDS[table][1], BLACK, 0.35)
    )
    light = Image.linear_gradient("L").resize((width, height)).point([round(255 - 0.18 * v) for v in range(256)])
    return Image.composite(image, Image.new("RGB", image.size), light)


def _plain(draw: ImageDraw.ImageDraw, width: int, height: int, unit: int, colour: RGB) -> None:
    draw.rectangle((0, height - unit // 24, width, height), fill=mix(colour, BLACK, 0.12))


def _tiles(draw: ImageDraw.ImageDraw, width: int, height: int, unit: int, colour: RGB) -> None:
    step, thick = unit // 6, max(1, unit // 100)
    for x in range(step // 2, width, step):
        draw.rectangle((x, 0, x + thick - 1, height), fill=mix(colour, WHITE, 0.22))
    for y in range(step // 2, height, step):
        draw.rectangle((0, y, width, y + thick - 1), fill=mix(colour, WHITE, 0.22))


def _stripes(draw: ImageDraw.ImageDraw, width: int, height: int, unit: int, colour: RGB) -> None:
    step = unit // 8
    for x in range(0, width, 2 * step):
        draw.rectangle((x, 0, x + step - 1, height), fill=mix(colour, WHITE, 0.10))


def _dots(draw: ImageDraw.ImageDraw, width: int, height: int, unit: int, colour: RGB) -> None:
    step, radius = unit // 9, unit // 52
    for row, y in enumerate(range(step // 2, height, step)):
        for x in range(step // 2 * (row % 2), width, step):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=mix(colour, WHITE, 0.18))


def _bricks(draw: ImageDraw.ImageDraw, width: int, height: int, unit: int, colour: RGB) -> None:
    tall, thick = unit // 13, max(1, unit // 128)
    for row, y in enumerate(range(0, height, tall)):
        draw.rectangle((0, y, width, y + thick - 1), fill=mix(colour, BLACK, 0.22))
        for x in range(-tall * (row % 2), width, 2 * tall):
            draw.rectangle((x, y, x + thick - 1, y + tall), fill=mix(colour, BLACK, 0.22))


def _planks(draw: ImageDraw.ImageDraw, width: int, height: int, unit: int, colour: RGB) -> None:
    step, thick = unit // 11, max(1, unit // 128)
    for row, y in enumerate(range(0, height, step)):
        if row % 2:
            draw.rectangle((0, y, width, y + step - 1), fill=mix(colour, BLACK, 0.08))
        draw.rectangle((0, y, width, y + thick - 1), fill=mix(colour, BLACK, 0.3))
        joint = (row * 137 + 60) % max(1, width)
        draw.rectangle((joint, y, joint + thick - 1, y + step), fill=mix(colour, BLACK, 0.3))


def _checks(draw: ImageDraw.ImageDraw, width: int, height: int, unit: int, colour: RGB) -> None:
    step = unit // 12
    for row, y in enumerate(range(0, height, step)):
        for x in range(step * (row % 2), width, 2 * step):
            draw.rectangle((x, y, x + step - 1, y + step - 1), fill=mix(colour, WHITE, 0.14))


# Even numbers are light, odd ones dark (plan.DARK_WALLS): a cut always switches between them.
WALL_KINDS: tuple[tuple[Painter, RGB], ...] = (
    (_plain, (200, 194, 180)),
    (_bricks, (98, 82, 76)),
    (_tiles, (176, 190, 194)),
    (_stripes, (70, 82, 96)),
    (_stripes, (196, 184, 188)),
    (_dots, (76, 90, 82)),
    (_dots, (186, 194, 172)),
    (_plain, (66, 62, 72)),
)

TABLE_KINDS: tuple[tuple[Painter, RGB], ...] = (
    (_planks, (150, 122, 94)),
    (_plain, (168, 166, 162)),
    (_checks, (112, 122, 132)),
    (_planks, (96, 78, 66)),
    (_tiles, (136, 142, 132)),
    (_stripes, (158, 146, 132)),
)
