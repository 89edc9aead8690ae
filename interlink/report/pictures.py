"""A document as a picture: each clip's frames in a row, its texts below. Costs a few milliseconds a frame."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from interlink.report.visible import visible

FRAME_HEIGHT = 150  # pixels
MOST_WIDTH = 8 * FRAME_HEIGHT  # of a frame
TITLE_LINES, TEXT_LINES = 3, 60  # most lines of each
MARGIN = 14
FONT = 15
COLOURS = {"caption": "#1d4e89", "speech": "#444444", "narration": "#1d4e89", "ocr": "#7a4419"}


def draw_document(document: Mapping[str, Any], images: Mapping[str, bytes], path: Path, columns: int = 90) -> None:
    """Writes a PNG of one document. images: name in the document -> JPEG; columns: characters a line of text holds."""
    font = ImageFont.load_default(FONT)
    bands = [_title(document, font, columns)]
    for segment in document["segments"]:
        if segment["type"] == "frames":
            bands.append(_frames(segment, images, font))
        else:
            bands.append(_text(segment, font, columns))
    width = max(band.width for band in bands) + 2 * MARGIN
    page = Image.new("RGB", (width, sum(band.height + MARGIN for band in bands) + MARGIN), "white")
    top = MARGIN
    for band in bands:
        page.paste(band, (MARGIN, top))
        top += band.height + MARGIN
    page.save(path)


def _title(document: Mapping[str, Any], font: Any, columns: int) -> Image.Image:
    text = f"{document['id']}   {document['source'].get('title') or ''}"
    return _lines(_wrapped(text, columns, TITLE_LINES), font, "black")


def _frames(segment: Mapping[str, Any], images: Mapping[str, bytes], font: Any) -> Image.Image:
    pictures = []
    for name, time in zip(segment["images"], segment["times"], strict=True):
        picture = Image.open(io.BytesIO(images[name])).convert("RGB")
        width = round(picture.width * FRAME_HEIGHT / picture.height)
        picture = picture.resize((min(max(1, width), MOST_WIDTH), FRAME_HEIGHT))
        drawing = ImageDraw.Draw(picture)
        drawing.rectangle((0, 0, 62, FONT + 6), fill="black")
        drawing.text((4, 2), f"{time:.2f} s", fill="white", font=font)
        pictures.append(picture)
    band = Image.new("RGB", (sum(p.width + 6 for p in pictures), FRAME_HEIGHT), "white")
    left = 0
    for picture in pictures:
        band.paste(picture, (left, 0))
        left += picture.width + 6
    return band


def _text(segment: Mapping[str, Any], font: Any, columns: int) -> Image.Image:
    lines = _wrapped(f"{segment['role']}: {segment['text']}", columns, TEXT_LINES)
    return _lines(lines, font, COLOURS.get(segment["role"], "black"))


def _wrapped(text: str, columns: int, most: int) -> list[str]:
    """Lines of at most `columns` characters, at most `most` of them: a title may be as long and as odd as it likes."""
    text = visible(" ".join(text[: 2 * columns * most].split()))
    return textwrap.wrap(text, columns, max_lines=most, placeholder=" …") or [""]


def _lines(lines: list[str], font: Any, colour: str) -> Image.Image:
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    width = max(int(ruler.textlength(line, font=font)) for line in lines) + 2
    band = Image.new("RGB", (width, len(lines) * (FONT + 5)), "white")
    drawing = ImageDraw.Draw(band)
    for number, line in enumerate(lines):
        drawing.text((0, number * (FONT + 5)), line, fill=colour, font=font)
    return band
