"""A folder of shards to check and to damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interlink.shards import ShardWriter, manifest
from interlink.shards.document import Clip, Document, Frames, Provenance, Source, Text
from interlink.shards.names import shard_name
from interlink.storage import Storage
from telling import jpeg


def make_document(key: str, clips: int = 2) -> Document:
    segments: list[Frames | Text] = []
    for n in range(clips):
        segments.append(Frames(images=[f"{n:03d}.jpg"], times=[n + 0.5], clip=n))
        segments.append(Text(text=f"Step {n}, Zwölf.", role="caption", start=n, end=n + 1, clip=n))
    return Document(
        id=key,
        source=Source(video_id=key, path=f"{key}.mp4"),
        segments=segments,
        clips=[Clip(start=n, end=n + 1, caption=f"Step {n}, Zwölf.", speech="") for n in range(clips)],
        provenance=Provenance(recipe="test"),
    )


@pytest.fixture
def document() -> Callable[..., Document]:
    return make_document


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Storage, list[str]]:
    """A storage with two shards of 4 documents below `shards/f1`, and their names."""
    storage = Storage(str(tmp_path))
    with ShardWriter(storage, "shards/f1", lambda n: shard_name("000-0000", n), 22_000) as writer:
        for number in range(8):
            found = make_document(f"video{number}")
            members = [("json", found.dump().encode()), *((name, jpeg(number)) for name in found.images())]
            writer.add(found.id, members, len(found.images()), len(found.clips), found.text_tokens())
    manifest.commit(storage, "shards/f1", manifest.build_manifest(storage, "shards/f1", writer.names, "f1", "test"))
    return storage, writer.names
