"""The documents of a set of shards, addressable by number, and the samples (units) cut from them.

Reading costs one range read per document. A document of n clips gives ceil(n / clips_per_sample) units an epoch: runs
of adjacent clips that together touch every clip about once; where they begin shifts from epoch to epoch.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from cosmos_train.errors import UserError
from cosmos_train.stream.shards import Reader


class BadSample(Exception):
    """A document that cannot be used: `key` names it, the message says why."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


@dataclass(frozen=True)
class Clip:
    """One clip of a document: its text and its frames (JPEG bytes) with their times in seconds."""

    text: str
    times: tuple[float, ...]
    images: tuple[bytes, ...]


@dataclass(frozen=True)
class Unit:
    """One training sample of an epoch: the `window`-th run of clips of a document."""

    document: int
    window: int


class Corpus:
    """All documents below the given paths, in the order of the sorted shards."""

    def __init__(self, paths: str | Sequence[str], text: Sequence[str], clips_per_sample: int) -> None:
        wanted = [paths] if isinstance(paths, str) else list(paths)
        if not any(wanted):
            raise UserError("the recipe names no shards", "give them: --set data.shards=PATH", 2)
        self.text = tuple(text)
        self.clips_per_sample = clips_per_sample
        self._reader = Reader(wanted)
        self.size = len(self._reader)
        counts = [self._clip_count(document) for document in range(self.size)]
        self._ends = list(accumulate(max(1, -(-clips // clips_per_sample)) for clips in counts))
        if not self._ends:
            raise UserError(f"there are no documents in {', '.join(wanted)}", "build shards first: interlink build")

    @property
    def units(self) -> int:
        """Samples in an epoch."""
        return self._ends[-1]

    def unit(self, number: int) -> Unit:
        """The unit of that number, 0 to units - 1."""
        document = bisect.bisect_right(self._ends, number)
        return Unit(document, number - (self._ends[document - 1] if document else 0))

    def signature(self) -> str:
        """A digest of what an epoch consists of: shards that differ give another one."""
        digest = hashlib.sha256(f"{self.clips_per_sample} {self.text}".encode())
        for entry in self._reader.entries():
            digest.update(f"\n{entry.key} {entry.size} {entry.clips}".encode())
        return digest.hexdigest()

    def key(self, document: int) -> str:
        return self._reader.entry(document).key

    def clips(self, document: int) -> list[Clip]:
        """The clips that have both text and frames. Raises BadSample when the document is damaged or has none."""
        key = self.key(document)
        try:
            members = self._reader.read(document)
        except (OSError, EOFError, ValueError) as error:
            raise BadSample(key, str(error)) from error
        try:
            clips = _usable_clips(members, self.text)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadSample(key, f"is no interleaved document ({type(error).__name__}: {error})") from error
        if not clips:
            raise BadSample(key, f"no clip has both frames and text ({', '.join(self.text)})")
        return clips

    def texts(self) -> Iterator[str]:
        """The text of every usable clip, in order; documents that cannot be read are passed over."""
        for document in range(self.size):
            try:
                clips = self.clips(document)
            except BadSample:
                continue  # counted when the stream meets it
            yield from (clip.text for clip in clips)

    def _clip_count(self, document: int) -> int:
        known = self._reader.entry(document).clips
        if known:
            return known
        try:  # a shard without an index: the document itself tells, at one read each
            return len(self.clips(document))
        except BadSample:
            return 1  # keeps its place in the order, and is counted when the stream meets it


def _usable_clips(members: dict[str, bytes], roles: Sequence[str]) -> list[Clip]:
    document: dict[str, Any] = json.loads(members["json"])
    frames: dict[int, tuple[list[float], list[bytes]]] = {}
    texts: dict[int, dict[str, list[str]]] = {}
    for segment in document["segments"]:
        clip = int(segment["clip"])
        if segment["type"] == "frames":
            times, images = frames.setdefault(clip, ([], []))
            times += [float(time) for time in segment["times"]]
            images += [members[name] for name in segment["images"]]
            if len(times) != len(images):
                raise ValueError(f"clip {clip} has {len(images)} frames but {len(times)} times")
        elif segment["type"] == "text" and segment["text"].strip():
            texts.setdefault(clip, {}).setdefault(segment["role"], []).append(segment["text"].strip())
    found = []
    for clip, fields in enumerate(document["clips"]):
        times, images = frames.get(clip, ([], []))
        spoken = texts.get(clip, {})
        for role in roles:
            text = str(fields.get(role) or "").strip() or " ".join(spoken.get(role, ()))
            if text:
                break
        if text and images:
            found.append(Clip(" ".join(text.split()), tuple(times), tuple(images)))
    return found
