"""Generated documents, put into shards as a build has them, and what a release of them must hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from interlink.release import Made, ReleaseSettings, release
from interlink.release.formats import GROUP
from interlink.release.source import clip_text
from interlink.shards import ShardWriter, manifest
from interlink.shards.document import Clip, Document, File, Frames, Provenance, Source, Text, image_name
from interlink.shards.names import shard_name
from interlink.storage import Storage
from telling import jpeg

LOCK = {"shards": "shards/f1", "recipe": {"name": "told"}}
EVERY_FORMAT = tuple(GROUP.names())


@dataclass(frozen=True)
class Made_:
    """A document with its pictures by name."""

    document: Document
    images: dict[str, bytes]
    files: dict[str, bytes] = field(default_factory=dict)

    def elements(self) -> list[tuple[Any, ...]]:
        """(clip, start, end, role, text or picture) of every element, in order."""
        found: list[tuple[Any, ...]] = []
        for segment in self.document.segments:
            if isinstance(segment, Frames):
                pairs = zip(segment.images, segment.times, strict=True)
                found += [(segment.clip, time, time, None, self.images[name]) for name, time in pairs]
            else:
                found.append((segment.clip, segment.start, segment.end, segment.role, segment.text))
        return found

    def told_clips(self) -> list[tuple[int, Clip, str, list[tuple[float, bytes]]]]:
        """(number, clip, its text, its pictures with times) of the clips that have a text."""
        found = []
        for number, clip in enumerate(self.document.clips):
            if text := clip_text(clip, ReleaseSettings().texts):
                pictures = [(e[1], e[4]) for e in self.elements() if e[0] == number and e[3] is None]
                found.append((number, clip, text, pictures))
        return found


def _seconds(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False).map(lambda value: round(value, 6) + 0.0)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
WORDS = TEXT.map(lambda text: text.replace("<image>", "")) | st.just("Fold\tthe “left”\nside; Zwölf | 二\u2028.")
FILE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=12)


@st.composite
def made_documents(draw: st.DrawFn, number: int) -> Made_:
    """A valid document: clips that follow each other, each with frames and texts of any role, or none."""
    segments: list[Frames | Text] = []
    clips: list[Clip] = []
    images: dict[str, bytes] = {}
    for clip in range(draw(st.integers(0, 4))):
        start = draw(_seconds(clip * 2000.0, clip * 2000.0 + 400))
        end = draw(_seconds(start, start + 900))
        times = sorted(draw(st.lists(_seconds(start, clip * 2000.0 + 1500), max_size=3)))
        names = [image_name(len(images) + n) for n in range(len(times))]
        images |= {name: jpeg(draw(st.integers(0, 9))) for name in names}
        frames = [Frames(images=names, times=times, clip=clip)] if names else []
        told = {role: draw(st.none() | WORDS) for role in ("caption", "narration", "speech")}
        texts: list[Frames | Text] = [
            Text(text=text, role=role, start=start, end=end, clip=clip) for role, text in told.items() if text
        ]
        segments += [*texts, *frames] if draw(st.booleans()) else [*frames, *texts]
        scores = draw(st.none() | st.dictionaries(st.sampled_from(["similarity", "blur"]), _seconds(0, 1)))
        clips.append(Clip(start=start, end=end, scores=scores, **told))
    source = Source(
        video_id=draw(TEXT),
        path=draw(st.just("") | FILE.map(lambda name: f"{name}.mp4")),
        title=draw(TEXT),
        licence=draw(st.sampled_from(["", "CC-BY-4.0"])),
    )
    provenance = Provenance(recipe="told", models={"caption": "tiny@r1"})
    document = Document(id=f"doc{number}", source=source, segments=segments, clips=clips, provenance=provenance)
    return Made_(document, images)


@st.composite
def collections(draw: st.DrawFn, most: int = 5) -> list[Made_]:
    """Some documents with keys of their own."""
    return [draw(made_documents(number)) for number in range(draw(st.integers(1, most)))]


def simple(number: int, clips: int = 2) -> Made_:
    """A plain document: clips of 5 s with two frames, a caption and speech."""
    segments: list[Frames | Text] = []
    for n in range(clips):
        names = [image_name(2 * n), image_name(2 * n + 1)]
        segments.append(Frames(images=names, times=[5.0 * n + 1.25, 5.0 * n + 3.5], clip=n))
        segments.append(Text(text=f"A hand does step {n}.", role="caption", start=5.0 * n, end=5.0 * n + 5, clip=n))
    document = Document(
        id=f"doc{number}",
        source=Source(video_id=f"video{number}", path=f"video{number}.mp4", licence="CC-BY-4.0", dataset="told"),
        segments=segments,
        clips=[
            Clip(start=5.0 * n, end=5.0 * n + 5, caption=f"A hand does step {n}.", speech=f"now step {n}")
            for n in range(clips)
        ],
        provenance=Provenance(recipe="told", models={"caption": "tiny@r1"}, prompts={"caption": "abc123"}),
    )
    return Made_(document, {name: jpeg(number + n) for n, name in enumerate(document.images())})


def filmed(made: Made_, number: int = 0, data: bytes = b"moving", sound: bytes = b"") -> Made_:
    """The document with a video file, and perhaps a sound file, of one clip."""
    clip = made.document.clips[number]
    clip.files = [File(name=f"c{number}.mp4", how="copy", start=clip.start - 0.5, end=clip.end)]
    made.files[f"c{number}.mp4"] = data
    if sound:
        clip.files.append(File(name=f"c{number}.m4a", how="m4a", start=clip.start, end=clip.end))
        made.files[f"c{number}.m4a"] = sound
    return made


def put(storage: Storage, documents: list[Made_], shard_bytes: int = 60_000) -> Storage:
    """The documents as the finished shards of a build."""
    with ShardWriter(storage, "shards/f1", lambda n: shard_name("000-0000", n), shard_bytes) as writer:
        for made in documents:
            found = made.document
            members = [("json", found.dump().encode()), *made.images.items(), *made.files.items()]
            writer.add(found.id, members, len(made.images), len(found.clips), found.text_tokens())
    manifest.commit(storage, "shards/f1", manifest.build_manifest(storage, "shards/f1", writer.names, "f1", "told"))
    return storage


def make(storage: Storage, out: str | Path, *formats: str, **settings: Any) -> Made:
    return release(storage, LOCK, {}, formats or EVERY_FORMAT, str(out), ReleaseSettings(**settings))
