"""Composes the frames of a planned video from cached sprites. Costs about 0.7 ms per frame at 320 × 256."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from interlink.sample import objects, scenery, tools
from interlink.sample.plan import Plan, Step, Title

TURNS_PER_SECOND = 0.8  # periods per second of a tool's motion

Box = tuple[int, int, int, int]


def frames(video: Plan) -> Iterator[tuple[int, Image.Image]]:
    """(number on the grid, picture as displayed) of every kept frame, in order."""
    sets = [_set(step, video.width, video.height) for step in video.steps]
    kept = set(video.kept)
    current = 0
    for number in range(video.frames):
        if current + 1 < len(video.steps) and number >= video.steps[current + 1].first:
            current += 1
        if number in kept:
            yield number, _frame(video, sets, current, number)


def title_box(video: Plan, title: Title) -> Box:
    """(left, top, right, bottom) of a title's plate, in displayed pixels."""
    plate = _plate(title.text, video.width, video.height)
    left = (video.width - plate.width) // 2
    margin = round(0.03 * min(video.width, video.height))
    top = margin if title.at == "top" else video.height - margin - plate.height
    return left, top, left + plate.width, top + plate.height


def _frame(video: Plan, sets: list[Image.Image], current: int, number: int) -> Image.Image:
    """One frame; during a transition, mixed with that of the neighbouring step."""
    for before, transition in enumerate(video.transitions):
        start = transition.boundary - transition.frames // 2
        if start <= number < start + transition.frames:
            share = (number - start + 0.5) / transition.frames
            first = _act(video, sets, before, number)
            second = _act(video, sets, before + 1, number)
            if transition.style == "dissolve":
                return Image.blend(first, second, share)
            shown, darkness = (first, 2 * share) if share < 0.5 else (second, 2 - 2 * share)
            return Image.blend(shown, Image.new("RGB", shown.size), darkness)
    return _act(video, sets, current, number)


def _act(video: Plan, sets: list[Image.Image], which: int, number: int) -> Image.Image:
    """A step's picture at a frame: the set, tool parts behind, the target, tool parts in front, the title."""
    step = video.steps[which]
    time = number / video.fps
    image = sets[which].copy()
    side = min(video.width, video.height)
    size = round(step.size * side)
    x, y = step.x * video.width, step.y * video.height
    parts = list(tools.layers(step.combination.action, (time - step.first / video.fps) * TURNS_PER_SECOND + step.phase))
    for layer in parts:
        if layer.behind:
            _put_tool(image, layer, x, y, size)
    _paste(image, objects.sprite(step.combination.object, step.combination.colour, size), x, y)
    for layer in parts:
        if not layer.behind:
            _put_tool(image, layer, x, y, size)
    if step.title and step.title.start <= time < step.title.end:
        plate = _plate(step.title.text, video.width, video.height)
        image.paste(plate, title_box(video, step.title)[:2], plate)
    return image


def _put_tool(image: Image.Image, layer: tools.Layer, x: float, y: float, size: int) -> None:
    side = max(4, round(layer.size * size))
    _paste(image, tools.sprite(layer.name, side, layer.angle), x + layer.x * size, y + layer.y * size)


def _paste(image: Image.Image, sprite: Image.Image, x: float, y: float) -> None:
    image.paste(sprite, (round(x - sprite.width / 2), round(y - sprite.height / 2)), sprite)


def _set(step: Step, width: int, height: int) -> Image.Image:
    """The static parts of a step: the room, the distractors, and all shadows."""
    image = scenery.room(step.wall, step.table, width, height).copy()
    side = min(width, height)
    for other in step.distractors:
        size = round(other.size * side)
        _shade(image, other.x * width, other.y * height + 0.46 * size, size)
        _paste(image, objects.sprite(other.object, other.colour, size), other.x * width, other.y * height)
    size = round(step.size * side)
    _shade(image, step.x * width, step.y * height + 0.47 * size, size)
    return image


def _shade(image: Image.Image, x: float, y: float, size: int) -> None:
    shadow = _shadow(size)
    image.paste((20, 18, 22), (round(x - shadow.width / 2), round(y - shadow.height / 2)), shadow)


@lru_cache(maxsize=256)
def _shadow(size: int) -> Image.Image:
    wide, tall = round(1.1 * size), max(4, round(0.24 * size))
    mask = Image.new("L", (wide, tall), 0)
    ImageDraw.Draw(mask).ellipse((0.08 * wide, 0.2 * tall, 0.92 * wide, 0.8 * tall), fill=110)
    return mask.filter(ImageFilter.GaussianBlur(tall / 10))


@lru_cache(maxsize=256)
def _plate(text: str, width: int, height: int) -> Image.Image:
    """A title: white text on a dark plate with round corners, as large as the width allows."""
    size = round(0.075 * min(width, height))
    font = ImageFont.load_default(size)
    while size > 6 and font.getlength(text) > 0.9 * width:
        size -= 1
        font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, round(0.35 * size))
    plate = Image.new("RGBA", (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad), (0, 0, 0, 0))
    draw = ImageDraw.Draw(plate)
    draw.rounded_rectangle((0, 0, plate.width - 1, plate.height - 1), radius=pad, fill=(24, 24, 30, 255))
    draw.text((pad - left, pad - top), text, font=font, fill=(255, 255, 255, 255))
    return plate
