"""From the members of a sample to a document: text and frames in order, in any supported shard format.

The members show the format: our interleaved documents (json with `segments`), MMC4 (`text_list` and `image_info`),
OBELICS and MINT-1T (`texts` with None at image slots), video with `clips` or with one text (WebVid), and one image with
one text (img2dataset and any other webdataset). Costs parsing the json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_train.stream.matching import match
from cosmos_train.stream.tar import Members
from interlink.encodings import decode
from interlink.shards import pages
from interlink.shards.names import TEXT_FIELDS
from interlink.shards.names import TEXTS as TEXTS
from interlink.shards.names import VIDEOS as VIDEOS
from interlink.shards.pages import IMAGES as IMAGES
from interlink.shards.pages import line
from interlink.shards.released import whole
from interlink.values import known_text, known_texts, text_of

_CUT_FIELDS = ("caption", "text", "narration")  # of a clip of a whole video


@dataclass(frozen=True)
class Clip:
    """A text and its frames: JPEG (PNG, WebP) bytes with their times in seconds, or a span of the video.

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
    """An MMC4 page. Images are assigned to sentences at each read, with noise on their similarity."""

    sentences: tuple[str, ...]
    images: tuple[bytes, ...]
    similarity: np.ndarray[Any, np.dtype[np.float64]]  # (images, sentences)
    threshold: float
    noise: float

    def clips(self, random: np.random.Generator | None) -> tuple[Clip, ...]:
        """Images before their sentences; leaves out images below the threshold. Without `random`: no noise."""
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
    """The contents of one sample of a shard. `fixed`: its clips, unless a matching draws them. page: a web page."""

    fixed: tuple[Clip, ...] = ()
    video: bytes = b""
    matching: Matching | None = None
    page: bool = False
    lost: tuple[str, ...] = ()  # images of a page that are not used: the reason of each

    def clips(self, random: np.random.Generator | None) -> tuple[Clip, ...]:
        return self.fixed if self.matching is None else self.matching.clips(random)


def read(members: Members, roles: Sequence[str], threshold: float, noise: float, key: str = "") -> Document:
    """Parses a sample's members. Raises ValueError (or KeyError, TypeError) if there is no document.

    roles: the text to take from our documents' clips, the first that exists. threshold, noise: of MMC4's matching.
    key: of the sample.
    """
    about = _json(members)
    if ours := whole(about, members):  # a release of ours: the record carries the document
        about, members = ours[0], {name: memoryview(data) for name, data in ours[1].items()}
    if "segments" in about:
        return Document(_interleaved(about, members, roles))
    if pages.is_mmc4(about):
        return _mmc4(about, members, threshold, noise, key)
    if pages.is_page(about):
        slots = pages.read_page(about, members, key)
        return Document(_clips(_here(slots)), page=True, lost=_lost(slots))
    video = next((bytes(members[suffix]) for suffix in VIDEOS if suffix in members), b"")
    if video and "clips" in about and not _is_span(about["clips"]):
        return Document(_cut(about["clips"]), video)
    text = _text(members, about)
    if video:
        return Document((Clip(text, span=(0.0, float("inf"))),) if text else (), video)
    image = next((members[suffix] for suffix in IMAGES if suffix in members), None)
    if image is None:
        images = [data for suffix, data in members.items() if suffix.rpartition(".")[2] in IMAGES]
        if len(images) > 1:
            raise ValueError(f"holds {len(images)} images, none of them named {', '.join(IMAGES)} alone")
        image = images[0] if images else None
    if image is None:
        raise ValueError(f"holds neither a document, nor a video, nor an image, but {', '.join(sorted(members))}")
    return Document((Clip(text, (0.0,), (bytes(image),)),) if text else ())


def _json(members: Members) -> dict[str, Any]:
    if "json" not in members:
        return {}
    found = json.loads(decoded(members, "json"))
    if not isinstance(found, dict):
        raise ValueError(f"its json is a {type(found).__name__}, not an object")
    return found


def decoded(members: Members, suffix: str) -> str:
    """The text of a member. Raises ValueError where its encoding is not certain."""
    found = decode(bytes(members[suffix]))
    if found.doubt:
        raise ValueError(f"its {suffix} cannot be decoded with certainty: {found.doubt}")
    return found.text


def _text(members: Members, about: dict[str, Any]) -> str:
    """A pair's text: a member, else a field of its json. Of `original<tab>generated` and of lists the first is used."""
    for suffix in TEXTS:
        if suffix in members and (texts := known_texts(decoded(members, suffix).split("\t"))):
            return line(texts[0])
    return next((line(texts[0]) for field in TEXT_FIELDS if (texts := known_texts(about.get(field)))), "")


Shown = dict[int, tuple[list[float], list[bytes]]]
Said = dict[int, dict[str, list[str]]]


def by_clip(about: dict[str, Any], members: Members) -> tuple[Shown, Said]:
    """The clips of our document: for each clip times and images, and texts by role.

    Raises ValueError if a clip's numbers of times and images differ.
    """
    frames: Shown = {}
    texts: Said = {}
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
    return frames, texts


def _interleaved(about: dict[str, Any], members: Members, roles: Sequence[str]) -> tuple[Clip, ...]:
    frames, texts = by_clip(about, members)
    found = []
    for number, fields in enumerate(about["clips"]):
        times, images = frames.get(number, ([], []))
        spoken = texts.get(number, {})
        text = ""
        for role in roles:
            text = line(text_of(fields.get(role))) or line(" ".join(spoken.get(role, ())))
            if text:
                break
        if text and images:
            found.append(Clip(text, tuple(times), tuple(images)))
    return tuple(found)


def _mmc4(about: dict[str, Any], members: Members, threshold: float, noise: float, key: str) -> Document:
    page = pages.read_mmc4(about, members, key)
    lost = _lost(page.images)
    there = [(number, image.data) for number, image in enumerate(page.images) if image.data]
    if not there or not page.sentences:
        return Document(lost=lost)
    if page.similarity:
        rows = np.asarray(page.similarity, np.float64)
        if rows.shape != (len(page.images), len(page.sentences)):
            raise ValueError(f"similarity_matrix is {rows.shape}, not images x sentences")
        similarity = rows[[number for number, _ in there]]
        images = tuple(image for _, image in there)
        matching = Matching(page.sentences, images, similarity, threshold, noise)
        return Document(matching=matching, page=True, lost=lost)
    if any(page.matched[number] is None for number, _ in there):
        raise ValueError("it has neither a similarity_matrix nor a matched_text_index of every image")
    return Document(_clips(_here(pages.placed(page))), page=True, lost=lost)


def _here(slots: Sequence[str | pages.Slot]) -> list[str | bytes]:
    """Texts and images in order; leaves out images that are not in the shard."""
    found: list[str | bytes] = []
    for slot in slots:
        if isinstance(slot, str):
            found.append(slot)
        elif slot.data:
            found.append(slot.data)
    return found


def _lost(slots: Sequence[str | pages.Slot]) -> tuple[str, ...]:
    missing = [slot for slot in slots if not isinstance(slot, str) and not slot.data]
    return tuple(slot.problem or "no picture of its name or number is in the shard" for slot in missing)


def _clips(slots: Sequence[str | bytes]) -> tuple[Clip, ...]:
    """Each image with the text up to the next one; text before the first image is a separate clip."""
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
        text = next((line(said) for field in _CUT_FIELDS if (said := known_text(clip.get(field)))), "")
        if text:
            found.append(Clip(text, span=(_seconds(clip["start"]), _seconds(clip["end"]))))
    return tuple(found)


def _is_span(clips: Any) -> bool:
    """Whether `clips` is video2dataset's: the [start, end] that this file was cut from, not clips with captions."""
    return isinstance(clips, list) and all(isinstance(clip, list) for clip in clips)


def _seconds(time: Any) -> float:
    """Seconds from a number or `hh:mm:ss.mmm`."""
    if not isinstance(time, str):
        return float(time)
    total = 0.0
    for part in time.split(":"):
        total = 60 * total + float(part)
    return total
