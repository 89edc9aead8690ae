"""Pairs and web pages as rows of `keyframes`: each picture becomes a clip, as an upright, scaled-down JPEG.

A document of a release of ours keeps its clips and times. On other pages, places are used as seconds: a clip begins
with its picture's slot and ends where the next one begins, so that the text between belongs to it. Text before the
first picture is a clip without frames. Costs 2-10 ms per picture.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from interlink.errors import StageError
from interlink.media.finish import on_white
from interlink.stage import Blob, Item, Row

if TYPE_CHECKING:
    from interlink.media.jpeg import JpegMaker
    from interlink.media.look import Looker

MOST_PIXELS = 100_000_000  # larger pictures are damaged or malicious


def row_of_pictures(item: Item, short_side: int, quality: int) -> Row:
    """The keyframes row of an item with `pictures` in its download row; partial if some cannot be decoded.

    Raises StageError unreadable (too_large) if none can be decoded.
    """
    from interlink.media.jpeg import JpegMaker
    from interlink.media.look import Looker

    fetched = item.rows["download"]
    looker, maker = Looker(), JpegMaker(short_side, quality, Fraction(1))
    frames: list[tuple[int, dict[str, Any]]] = []
    size, lost = (0, 0), []
    for picture in fetched["pictures"]:
        if picture["data"] is None:
            continue  # download has reported it
        try:
            frame, shown = _frame(item.blob("download", picture["data"]), float(picture["slot"]), looker, maker)
        except StageError as error:
            lost.append(error)
            continue
        size = size if frames else shown
        frames.append((picture["slot"], frame))
    if not frames:
        raise lost[0]
    info = json.loads(fetched["info"] or "{}")
    texts = info.get("texts") or []
    start, length = 0.0, float(max(len(texts), frames[-1][0] + 1))
    if "places" in info:
        clips = _released(dict(frames), info["places"])
        start, length = clips[0]["start"], clips[-1]["end"] - clips[0]["start"]
    else:
        clips = _clips(frames, length, bool(texts and any(texts[: frames[0][0]])))
    fields = {
        "duration": length,
        "start": start,
        "width": size[0],
        "height": size[1],
        "fps": 0.0,
        "codec": "",
        "rotation": 0,
        "decoded": "all",
        "black": [],
        "frozen": [],
        "picture": None,
        "clips": clips,
    }
    message = f"{len(lost)} of {len(fetched['pictures'])} pictures cannot be used: {lost[0]}" if lost else ""
    return Row(item.id, fields, partial=bool(lost), message=message)


def _clips(frames: list[tuple[int, dict[str, Any]]], length: float, has_lead: bool) -> list[dict[str, Any]]:
    starts = [float(slot) for slot, _ in frames]
    clips = [
        {
            "start": start,
            "end": end,
            "motion": None,
            "talking": None,
            "print": frame["print"],
            "sharpness": frame["sharpness"],
            "light": frame["light"],
            "frames": [frame],
        }
        for start, end, (_, frame) in zip(starts, [*starts[1:], length], frames, strict=True)
    ]
    if has_lead:
        lead: dict[str, Any] = {
            "start": 0.0,
            "end": starts[0],
            "motion": None,
            "talking": None,
            "print": None,
            "sharpness": None,
            "light": None,
            "frames": [],
        }
        return [lead, *clips]
    return clips


def _released(frames: Mapping[int, dict[str, Any]], places: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The clips of a document of a release of ours, with its times. frames: by slot; missing ones are left out."""
    clips = []
    for clip in places["clips"]:
        shown = [{**frames[slot], "time": places["times"][slot]} for slot in clip["slots"] if slot in frames]
        first = shown[0] if shown else {"print": None, "sharpness": None, "light": None}
        clips.append(
            {
                "start": clip["start"],
                "end": clip["end"],
                "motion": None,
                "talking": None,
                **{name: first[name] for name in ("print", "sharpness", "light")},
                "frames": shown,
            }
        )
    return clips


def _frame(data: bytes, time: float, looker: Looker, maker: JpegMaker) -> tuple[dict[str, Any], tuple[int, int]]:
    """(its FRAME, its original size). Raises StageError."""
    import numpy as np
    from av import VideoFrame

    rgb = _decoded(data)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    look = looker.look(time, frame)
    image = maker.make(frame)
    made = {
        "time": time,
        "width": image.width,
        "height": image.height,
        "sharpness": round(looker.sharpness(frame), 3),
        "novelty": 1.0,
        "light": round(min(max((look.brightness - 16) / 219, 0.0), 1.0), 4),
        "settled": True,
        "print": round(image.print, 4),
        "spoken": None,
        "image": Blob(image.data, ".jpg"),
    }
    return made, (rgb.shape[1], rgb.shape[0])


def _decoded(data: bytes) -> Any:
    """(height, width, 3) uint8, turned by its EXIF orientation, with transparency on white."""
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise StageError("too_large", f"a picture of {image.width} × {image.height} pixels")
            upright: Image.Image = ImageOps.exif_transpose(image)
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                return on_white(upright.convert("RGBA"))
            return np.asarray(upright.convert("RGB"))
    except UnidentifiedImageError as error:  # its message contains a memory address
        raise StageError("unreadable", "not a picture, or an unknown format") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise StageError("unreadable", f"the picture is damaged: {error}") from error
