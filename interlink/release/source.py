"""Reads documents from committed shards, with their members and the place of each. One pass over every byte.

Shards are read in spans of some megabytes, so that a remote root costs few round trips. The checksums of the manifest
are verified on the way (1.8 GB/s). Memory: one span.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from interlink.errors import UserError
from interlink.ids import MAX_LENGTH, keyed_hash
from interlink.release.settings import ReleaseSettings, TextKind
from interlink.shards import document as documents
from interlink.shards import index, manifest, tar
from interlink.shards.document import Clip, Document, File, Frames
from interlink.storage import Storage

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")
VIDEO = ("copy", "exact")  # values of a clip file's `how` that mean video; the others are sound
SPAN = 16 * 2**20  # bytes read at once, unless one sample is larger

_KEY = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_-]{{0,{MAX_LENGTH + 20}}}")
_SHARD = re.compile(r"[A-Za-z0-9_-]{1,80}\.tar")
_IMAGE = re.compile(r"[A-Za-z0-9_-]{1,40}\.(jpg|jpeg|png|webp)")
_FILE = re.compile(r"[A-Za-z0-9_-]{1,40}\.(mp4|m4a|flac)")
_REPAIR = "run `interlink verify`, then build the shards again: interlink build --fresh shard"


@dataclass(frozen=True)
class Member:
    """One file of a document, and its place: bytes [offset, offset + size) of the shard hold the data."""

    name: str
    data: bytes
    offset: int
    size: int

    @property
    def suffix(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Picture(Member):
    """One image of a document."""

    @property
    def content_type(self) -> str:
        return f"image/{'jpeg' if self.suffix in ('jpg', 'jpeg') else self.suffix}"


@dataclass(frozen=True)
class Video:
    """The video file of one clip. number: of the clip in its document; sounds: the clip's sound files."""

    number: int
    clip: Clip
    file: File
    data: bytes
    sounds: tuple[Member, ...] = ()


@dataclass(frozen=True)
class Element:
    """One element of a document: a picture or a text. start, end: seconds; both are the time of a picture."""

    clip: int
    start: float
    end: float
    text: str | None = None
    role: str | None = None
    picture: Picture | None = None


@dataclass(frozen=True)
class Sample:
    """A document as stored in a shard. text: its canonical JSON; pictures, files: by name, in the document's order."""

    key: str
    shard: str
    split: Split
    document: Document
    text: str
    offset: int  # of the JSON's bytes in the shard
    pictures: dict[str, Picture]
    files: dict[str, Member] = field(default_factory=dict)  # of the clips: video and sound

    def elements(self) -> list[Element]:
        """The pictures and texts in order, one element each."""
        found: list[Element] = []
        for segment in self.document.segments:
            if isinstance(segment, Frames):
                for name, time in zip(segment.images, segment.times, strict=True):
                    found.append(Element(segment.clip, time, time, picture=self.pictures[name]))
            else:
                found.append(Element(segment.clip, segment.start, segment.end, segment.text, segment.role))
        return found

    def pictures_of_clips(self) -> list[list[tuple[Picture, float]]]:
        """The pictures of each clip, with their times."""
        found: list[list[tuple[Picture, float]]] = [[] for _ in self.document.clips]
        for element in self.elements():
            if element.picture is not None:
                found[element.clip].append((element.picture, element.start))
        return found

    def videos(self) -> list[Video]:
        """The clips that have a video file, in order."""
        found: list[Video] = []
        for number, clip in enumerate(self.document.clips):
            files = clip.files or []
            sounds = tuple(self.files[file.name] for file in files if file.how not in VIDEO)
            found += [
                Video(number, clip, file, self.files[file.name].data, sounds) for file in files if file.how in VIDEO
            ]
        return found


def clip_text(clip: Clip, kinds: Sequence[TextKind]) -> str:
    """The text of a clip in formats with one text per clip: the first kind that is not empty."""
    return next((text for kind in kinds if (text := getattr(clip, kind))), "")


def spaced(pictures: list[tuple[Picture, float]], most: int) -> list[tuple[Picture, float]]:
    """At most `most` of a clip's pictures, evenly spaced (0 = all)."""
    if not most or len(pictures) <= most:
        return pictures
    return [pictures[(2 * n + 1) * len(pictures) // (2 * most)] for n in range(most)]


def split_of(video_id: str, settings: ReleaseSettings) -> Split:
    """The split of a video and all its documents, by keyed hash."""
    # Not the hash that orders a generation: a build with --limit would then be in one split.
    place = int(keyed_hash(settings.seed, f"split:{video_id}")[:13], 16) / 16**13
    return "val" if place < settings.val_share else "train"


def samples(storage: Storage, folder: str, settings: ReleaseSettings) -> Iterator[Sample]:
    """Every document of the committed shards in `folder`, in order.

    Raises UserError where a shard is missing, differs from its manifest, or contains anything but our documents.
    """
    for shard in manifest.load(storage, folder).shards:
        path = f"{folder}/{shard.name}"
        if not _SHARD.fullmatch(shard.name):
            raise UserError(f"the manifest in {storage.full(folder)} names a shard {shard.name!r}", _REPAIR)
        entries = index.read(storage, path).entries
        digest = hashlib.sha256()
        position = 0
        for span in _spans(entries):
            data = _read(storage, path, position, span[-1].offset + span[-1].size)
            digest.update(data)
            for entry in span:
                begin = entry.offset - position
                yield _sample(storage.full(path), shard.name, entry, data[begin : begin + entry.size], settings)
            position += len(data)
        digest.update(_read(storage, path, position, shard.size))
        if digest.hexdigest() != shard.sha256:
            raise UserError(f"{storage.full(path)} differs from MANIFEST.json: wrong sha256", _REPAIR)


def _read(storage: Storage, path: str, begin: int, end: int) -> bytes:
    try:
        return storage.read_range(path, begin, end - begin) if end > begin else b""
    except (FileNotFoundError, EOFError) as error:
        raise UserError(f"{storage.full(path)} is missing or cut short: {error}", _REPAIR) from error


def _spans(entries: Sequence[index.Entry]) -> Iterator[list[index.Entry]]:
    span: list[index.Entry] = []
    for entry in entries:
        if span and entry.offset + entry.size - span[0].offset > SPAN:
            yield span
            span = []
        span.append(entry)
    if span:
        yield span


def _sample(path: str, shard: str, entry: index.Entry, data: bytes, settings: ReleaseSettings) -> Sample:
    key = entry.key
    if not _KEY.fullmatch(key):
        raise UserError(f"{path}: {key!r} is not the key of a document", _REPAIR)
    text, at = "", 0
    pictures: dict[str, Picture] = {}
    others: dict[str, Member] = {}
    try:
        for member in tar.members(io.BytesIO(data)):
            content = data[member.data : member.data + member.size]
            offset = entry.offset + member.data
            if member.name == f"{key}.json":
                text, at = content.decode(), offset
            elif member.name.startswith(f"{key}.") and _IMAGE.fullmatch(name := member.name[len(key) + 1 :]):
                pictures[name] = Picture(name, content, offset, member.size)
            else:
                name = member.name.removeprefix(f"{key}.")
                if name == member.name:
                    raise ValueError(f"{name!r} does not belong to document {key}")
                others[name] = Member(name, content, offset, member.size)
        document = documents.load(text)
    except ValueError as error:
        raise UserError(f"{path} [{key}]: {error}", _REPAIR) from error
    files = document.files()
    if strange := [name for name in others if name not in files]:
        raise UserError(f"{path}: {strange[0]!r} does not belong to document {key}", _REPAIR)
    if missing := [name for name in files if name not in others]:
        raise UserError(f"{path} [{key}]: clip file {missing[0]} is missing", _REPAIR)
    if bad := [name for name in files if not _FILE.fullmatch(name)]:
        raise UserError(f"{path} [{key}]: {bad[0]!r} is not the name of a clip file", _REPAIR)
    wanted = document.images()
    if missing := [name for name in wanted if name not in pictures]:
        raise UserError(f"{path} [{key}]: image {missing[0]} is missing", _REPAIR)
    if document.id != key:
        raise UserError(f"{path} [{key}]: the document has the id {document.id!r}", _REPAIR)
    split = split_of(document.source.video_id, settings)
    shown = {name: pictures[name] for name in wanted}
    return Sample(key, shard, split, document, text, at, shown, {name: others[name] for name in files})
