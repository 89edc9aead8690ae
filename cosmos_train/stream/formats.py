"""From the members of a sample to a document: text and frames in order, whoever wrote the shard.

The layout is told from what is there: our interleaved documents (json with `segments`), MMC4 (`text_list` and
`image_info`), OBELICS and MINT-1T (`texts` with None at image slots), video with `clips` or with one text (WebVid),
and one image with one text (img2dataset and any other webdataset). Costs the parsing of its json.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_train.stream.matching import match
from cosmos_train.stream.tar import Members

IMAGES = ("jpg", "jpeg", "png", "webp")
VIDEOS = ("mp4", "webm", "mkv", "mov", "avi", "gif")
TEXTS = ("txt", "text", "caption")
_FIELDS = ("caption", "text", "name", "title")  # where a pair's json holds its text: img2dataset, WebVid's table


@dataclass(frozen=True)
class Clip:
    """A text and the frames it is about: JPEG (PNG, WebP) bytes with their times in seconds, or a span of the video.

    Either may be missing: text before the first image of a page, an image followed by another.
    """

    text: str
    times: tuple[float, ...] = ()
    images: tuple[bytes, ...] = ()
    span: tuple[float, float] | None = None  # seconds; end = inf: to the end

    @property
    def seen(self) -> bool:
        """Whether it has frames."""
        return bool(self.images) or self.span is not None


@dataclass(frozen=True)
class Matching:
    """An MMC4 page: which image belongs to which sentence is drawn anew, with noise on their similarity."""

    sentences: tuple[str, ...]
    images: tuple[bytes, ...]
    similarity: np.ndarray[Any, np.dtype[np.float64]]  # (images, sentences)
    threshold: float
    noise: float

    def clips(self, random: np.random.Generator | None) -> tuple[Clip, ...]:
        """Images before their sentences; those below the threshold are left out. Without `random`: no noise."""
        similarity = self.similarity
        if random is not None and self.noise:
            similarity = similarity + np.clip(random.normal(0, self.noise, similarity.shape), -0.08, 0.08)
        before: dict[int, list[bytes]] = {}
        for image, sentence in match(similarity):
            if self.similarity[image, sentence] >= self.threshold:
                before.setdefault(sentence, []).append(self.images[image])
        slots: list[str | bytes] = []
        for number, text in enumerate(self.sentences):
            slots += before.get(number, [])
            slots.append(text)
        return _clips(slots)


@dataclass(frozen=True)
class Document:
    """What one sample of a shard holds. `fixed`: its clips, unless a matching draws them. page: a web page."""

    fixed: tuple[Clip, ...] = ()
    video: bytes = b""
    matching: Matching | None = None
    page: bool = False

    def clips(self, random: np.random.Generator | None) -> tuple[Clip, ...]:
        return self.fixed if self.matching is None else self.matching.clips(random)


def read(members: Members, roles: Sequence[str], threshold: float, noise: float) -> Document:
    """The document in a sample's members. Raises ValueError (or KeyError, TypeError) where there is none.

    roles: which text of our documents' clips to take, the first that is there. threshold, noise: of MMC4's matching.
    """
    about = _json(members)
    if "segments" in about:
        return Document(_interleaved(about, members, roles))
    if "text_list" in about and "image_info" in about:
        return _mmc4(about, members, threshold, noise)
    if isinstance(about.get("texts"), list):
        return Document(_clips(_page(about, members)), page=True)
    video = next((bytes(members[suffix]) for suffix in VIDEOS if suffix in members), b"")
    if video and "clips" in about:
        return Document(_cut(about["clips"]), video)
    text = _text(members, about)
    if video:
        return Document((Clip(text, span=(0.0, float("inf"))),) if text else (), video)
    image = next((members[suffix] for suffix in IMAGES if suffix in members), None)
    if image is None:
        image = next((data for suffix, data in members.items() if suffix.rpartition(".")[2] in IMAGES), None)
    if image is None:
        raise ValueError(f"holds neither a document, nor a video, nor an image, but {', '.join(sorted(members))}")
    return Document((Clip(text, (0.0,), (bytes(image),)),) if text else ())


def _json(members: Members) -> dict[str, Any]:
    if "json" not in members:
        return {}
    found = json.loads(bytes(members["json"]))
    if not isinstance(found, dict):
        raise ValueError(f"its json is a {type(found).__name__}, not an object")
    return found


def _text(members: Members, about: dict[str, Any]) -> str:
    """A pair's text: a member, or a field of its json. Of `original<tab>generated` the first is taken."""
    for suffix in TEXTS:
        if suffix in members:
            return _line(bytes(members[suffix]).decode("utf-8", "replace").partition("\t")[0])
    return next((_line(str(about[field])) for field in _FIELDS if about.get(field)), "")


def _line(text: str) -> str:
    return " ".join(text.split())


def _interleaved(about: dict[str, Any], members: Members, roles: Sequence[str]) -> tuple[Clip, ...]:
    frames: dict[int, tuple[list[float], list[bytes]]] = {}
    texts: dict[int, dict[str, list[str]]] = {}
    for segment in about["segments"]:
        clip = int(segment["clip"])
        if segment["type"] == "frames":
            times, images = frames.setdefault(clip, ([], []))
            times += [float(time) for time in segment["times"]]
            images += [bytes(members[name]) for name in segment["images"]]
            if len(times) != len(images):
                raise ValueError(f"clip {clip} has {len(images)} frames but {len(times)} times")
        elif segment["type"] == "text" and segment["text"].strip():
            texts.setdefault(clip, {}).setdefault(segment["role"], []).append(segment["text"].strip())
    found = []
    for number, fields in enumerate(about["clips"]):
        times, images = frames.get(number, ([], []))
        spoken = texts.get(number, {})
        text = ""
        for role in roles:
            text = _line(str(fields.get(role) or "")) or _line(" ".join(spoken.get(role, ())))
            if text:
                break
        if text and images:
            found.append(Clip(text, tuple(times), tuple(images)))
    return tuple(found)


def _mmc4(about: dict[str, Any], members: Members, threshold: float, noise: float) -> Document:
    sentences = tuple(_line(str(text)) for text in about["text_list"])
    there = [(number, image) for number, info in enumerate(about["image_info"]) if (image := _picture(info, members))]
    images = tuple(image for _, image in there)
    if not images or not sentences:
        return Document()
    if about.get("similarity_matrix"):
        rows = np.asarray(about["similarity_matrix"], np.float64)
        if rows.shape != (len(about["image_info"]), len(sentences)):
            raise ValueError(f"similarity_matrix is {rows.shape}, not images x sentences")
        similarity = rows[[number for number, _ in there]]
        return Document(matching=Matching(sentences, images, similarity, threshold, noise), page=True)
    slots: list[str | bytes] = []
    for number, text in enumerate(sentences):  # as published: the match is given
        slots += [image for at, image in there if int(about["image_info"][at]["matched_text_index"]) == number]
        slots.append(text)
    return Document(_clips(slots), page=True)


def _page(about: dict[str, Any], members: Members) -> list[str | bytes]:
    """Texts and images of an OBELICS or MINT-1T page, in order; slots whose image is not in the shard are left out."""
    texts = about["texts"]
    infos = about.get("image_info") or about.get("images") or [None] * len(texts)
    if len(infos) != len(texts):
        raise ValueError(f"{len(texts)} texts but {len(infos)} image slots")
    pages = _pages(members)
    loose = [data for suffix, data in sorted(members.items()) if suffix.rpartition(".")[2] in IMAGES]
    empty = [number for number, text in enumerate(texts) if text is None]
    in_order = dict(zip(empty, pages or [bytes(data) for data in loose], strict=False))
    slots: list[str | bytes] = []
    for number, (text, info) in enumerate(zip(texts, infos, strict=True)):
        if text is not None:
            slots.append(_line(str(text)))
            continue
        image = _picture(info, members) or (in_order.get(number) if len(in_order) == len(empty) else None)
        if image:
            slots.append(image)
    return slots


def _pages(members: Members) -> list[bytes]:
    """The images of a multi-page TIFF (MINT-1T's PDF part), as PNG."""
    data = members.get("tiff", members.get("tif"))
    if data is None:
        return []
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as tiff:
            found = []
            for page in ImageSequence.Iterator(tiff):
                buffer = io.BytesIO()
                page.convert("RGB").save(buffer, "PNG", compress_level=0)
                found.append(buffer.getvalue())
            return found
    except UnidentifiedImageError as error:  # it names an address in memory
        raise ValueError("its tiff is none") from error
    except OSError as error:
        raise ValueError(f"its tiff cannot be read: {error}") from error


def _picture(info: Any, members: Members) -> bytes | None:
    """The bytes of one image: base64 in the json, or the member of its name."""
    if isinstance(info, dict):
        encoded = info.get("image_base64")
        if encoded:
            try:
                return base64.b64decode(encoded, validate=True)
            except (binascii.Error, TypeError) as error:
                raise ValueError(f"image_base64 is not base64: {error}") from error
        info = info.get("image_name")
    if isinstance(info, str):
        for suffix, data in members.items():
            if suffix == info.lower() or suffix == info.lower().partition(".")[2]:
                return bytes(data)
    return None


def _clips(slots: Sequence[str | bytes]) -> tuple[Clip, ...]:
    """Each image with the text up to the next one; text before the first image is a clip of its own."""
    found: list[tuple[list[str], bytes | None]] = []
    for slot in slots:
        if isinstance(slot, bytes):
            found.append(([], slot))
        elif slot:
            if not found:
                found.append(([], None))
            found[-1][0].append(slot)
    if not any(image and texts for texts, image in found):
        return ()
    return tuple(Clip(" ".join(texts), (0.0,), (image,)) if image else Clip(" ".join(texts)) for texts, image in found)


def _cut(clips: Any) -> tuple[Clip, ...]:
    """The clips of a whole video: a list, or one as json text, of objects with start, end and a caption."""
    listed = json.loads(clips) if isinstance(clips, str) else clips
    found = []
    for clip in listed:
        text = next((_line(str(clip[field])) for field in ("caption", "text", "narration") if clip.get(field)), "")
        if text:
            found.append(Clip(text, span=(_seconds(clip["start"]), _seconds(clip["end"]))))
    return tuple(found)


def _seconds(time: Any) -> float:
    """Seconds from a number or `hh:mm:ss.mmm`."""
    if not isinstance(time, str):
        return float(time)
    total = 0.0
    for part in time.split(":"):
        total = 60 * total + float(part)
    return total
