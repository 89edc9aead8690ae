"""The document: one JSON per sample, in which frames and text alternate. The format that everything else agrees on.

Validation is pydantic plus the laws that types cannot say; about 30 µs per clip.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from interlink.tables import FORMAT_VERSION

Role = Literal["narration", "caption", "speech", "ocr"]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Frames(_Part):
    """Images of one clip. images: member suffixes (`000.jpg`); times: their presentation times, seconds."""

    type: Literal["frames"] = "frames"
    images: list[str]
    times: list[float]
    clip: int


class Text(_Part):
    """Words of one clip. start, end: seconds that the words speak of, or in which they were said."""

    type: Literal["text"] = "text"
    text: str
    role: Role
    start: float
    end: float
    clip: int


class Region(_Part):
    """Words for a part of a picture. box: left, top, right, bottom as shares of width and height (0..1).

    time: of the frame it lies in, seconds. score: the model's confidence, 0..1, where it tells one.
    """

    box: tuple[float, float, float, float]
    text: str
    score: float | None = None
    time: float | None = None


class File(_Part):
    """A clip as a member of its own. name: member suffix (`c0.mp4`); start, end: seconds that it holds.

    how: `copy` (from keyframe to keyframe), `exact`, or the kind of sound, `m4a` or `flac`.
    """

    name: str
    how: Literal["copy", "exact", "m4a", "flac"]
    start: float
    end: float


class Clip(_Part):
    """A span of the video, seconds, and what is known of it. None: the build had no stage for it."""

    start: float
    end: float
    caption: str | None = None
    narration: str | None = None
    speech: str | None = None
    ocr: str | None = None
    regions: list[Region] | None = None
    scores: dict[str, float] | None = None
    files: list[File] | None = None


class Source(_Part):
    """Where it comes from. path: relative to the source folder, for local files; url: for all others.

    start: time of the video's first picture, seconds, where it is far enough from 0 to change whole seconds: all times
    of the document are in the container's clock, and a player shows `time - start`.
    """

    video_id: str
    url: str = ""
    path: str = ""
    title: str = ""
    category: str = ""
    licence: str = ""
    dataset: str = ""
    start: float | None = None


class Provenance(_Part):
    """What made it. fingerprint: of the interleave stage; models: stage -> `id@revision`; prompts: stage -> hash."""

    recipe: str = ""
    fingerprint: str = ""
    models: dict[str, str] = Field(default_factory=dict)
    prompts: dict[str, str] = Field(default_factory=dict)


class Document(_Part):
    """One document.

    Its laws: every clip's segments name a clip that is there; images are named once; frame times never go back; text
    never goes back within its role; start <= end everywhere.
    """

    format_version: str = FORMAT_VERSION
    id: str
    source: Source
    segments: list[Annotated[Frames | Text, Field(discriminator="type")]]
    clips: list[Clip]
    provenance: Provenance

    @model_validator(mode="after")
    def _laws(self) -> Document:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format version {self.format_version!r}; this program reads {FORMAT_VERSION!r}")
        last_frame = float("-inf")
        last_start: dict[str, float] = {}
        images: set[str] = set()
        for number, clip in enumerate(self.clips):
            if clip.start > clip.end:
                raise ValueError(f"clip {number} ends before it starts")
        files = self.files()
        if len(set(files)) < len(files):
            raise ValueError("a clip's file is named twice")
        for number, segment in enumerate(self.segments):
            if not 0 <= segment.clip < len(self.clips):
                raise ValueError(f"segment {number} names clip {segment.clip} of {len(self.clips)}")
            if isinstance(segment, Text):
                if segment.start > segment.end:
                    raise ValueError(f"segment {number} ends before it starts")
                if segment.start < last_start.get(segment.role, float("-inf")):
                    raise ValueError(f"segment {number}: {segment.role} goes back in time to {segment.start} s")
                last_start[segment.role] = segment.start
                continue
            if len(segment.images) != len(segment.times):
                raise ValueError(f"segment {number} has {len(segment.images)} images and {len(segment.times)} times")
            for image, time in zip(segment.images, segment.times, strict=True):
                if image in images:
                    raise ValueError(f"image {image} is named twice")
                if time < last_frame:
                    raise ValueError(f"segment {number}: frames go back in time to {time} s")
                images.add(image)
                last_frame = time
        return self

    def images(self) -> list[str]:
        """The names of all images, in order."""
        return [image for segment in self.segments if isinstance(segment, Frames) for image in segment.images]

    def files(self) -> list[str]:
        """The names of all clip files, in order."""
        return [file.name for clip in self.clips for file in clip.files or ()]

    def text_tokens(self) -> int:
        """The sum of `count_tokens` over the text segments."""
        return sum(count_tokens(segment.text) for segment in self.segments if isinstance(segment, Text))

    def dump(self) -> str:
        """Canonical JSON: sorted keys, no spaces, UTF-8, times to the microsecond, what is None left out."""
        return canonical(rounded(self.model_dump(exclude_none=True)))


def canonical(plain: dict[str, Any]) -> str:
    """A document's plain data, `rounded`, as canonical JSON. Raises ValueError for numbers that JSON does not have."""
    return _ENCODER.encode(plain)


def load(data: bytes | str) -> Document:
    """The document in `data`. Raises ValueError with one line that says what is wrong and where."""
    try:
        return Document.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error


def image_name(number: int) -> str:
    """The suffix under which a document's image lies in its tar: `000.jpg`."""
    return f"{number:03d}.jpg"


def count_tokens(text: str) -> int:
    """Words and punctuation marks: a size that needs no tokenizer (about 0.8 of an English BPE count)."""
    return len(_TOKEN.findall(text))


def join(texts: Iterable[str]) -> str:
    """Several texts as one: white space runs become one space, empty ones vanish."""
    return " ".join(" ".join(texts).split())


def rounded(value: Any) -> Any:
    """Plain data with its numbers as documents have them: to the sixth place (times: to the microsecond)."""
    if isinstance(value, float):
        return round(value, 6) + 0.0  # + 0.0: no "-0.0"
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return value
