"""Items as the executor hands them to caption, interleave and shard, with real frames in a real blob file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg

from interlink.shards import tar
from interlink.stage import Context, Item
from interlink.storage import Storage
from interlink.tables import SCHEMAS

FINGERPRINTS = {"interleave": "aaaaaaaaaaaa", "shard": "bbbbbbbbbbbb"}


@dataclass
class Video:
    """What a test says of a video. clips: (start, end, times of frames); sentences: (text, start, end)."""

    id: str
    clips: Sequence[tuple[float, float, Sequence[float]]]
    sentences: Sequence[tuple[str, float, float]] = ()
    captions: Sequence[str] = ()
    collect: dict[str, Any] = field(default_factory=dict)
    download: dict[str, Any] = field(default_factory=dict)
    keyframes: dict[str, Any] = field(default_factory=dict)


@cache
def jpeg(seed: int, width: int = 48, height: int = 32) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels.repeat(8, 0).repeat(8, 1))))


def through_table(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` as they come back from the table `name`: fails where they do not fit its schema."""
    schema = SCHEMAS[name]
    unknown = set(fields) - set(schema.names)
    assert not unknown, f"{name} has no columns {unknown}"
    row: dict[str, Any] = pa.Table.from_pylist([fields], schema=schema).to_pylist()[0]
    return row


def make_items(
    root: Storage, videos: Sequence[Video], partition: str = "000-00000", context: Context | None = None
) -> list[Item]:
    """Writes the frames of all videos into one blob file and returns the items."""
    context = context or Context(root, recipe="test", fingerprints=FINGERPRINTS)
    folder = f"tables/keyframes/cccccccccccc/{partition}"
    blob: list[bytes] = []
    position = 0
    seed = 0
    items = []
    for video in videos:
        clips = []
        for start, end, times in video.clips:
            frames = []
            for time in times:
                data = jpeg(seed)
                member = tar.member(f"{video.id}/{seed:06d}.jpg", data)
                reference = {
                    "blob": "blobs.tar",
                    "offset": position + tar.BLOCK,
                    "size": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
                blob.append(member)
                position += len(member)
                seed += 1
                frames.append(
                    {"time": time, "width": 48, "height": 32, "sharpness": 1.0, "novelty": 1.0, "image": reference}
                )
            clips.append({"start": start, "end": end, "frames": frames})
        rows = {
            "collect": {"video_id": video.id, "path": f"{video.id}.mp4", **video.collect},
            "download": {"media": f"/videos/{video.id}.mp4", "title": "", "url": "", "info": "{}", **video.download},
            "transcribe": {"sentences": [{"text": t, "start": s, "end": e} for t, s, e in video.sentences]},
            "keyframes": {"clips": clips, **video.keyframes},
            "caption": {
                "engine": "transformers",
                "model": "tiny",
                "revision": "r1",
                "prompt_hash": "p1",
                "parameters": "{}",
                "clips": [{"clip": n, "caption": c, "flag": ""} for n, c in enumerate(video.captions)],
            },
        }
        rows = {name: through_table(name, row) for name, row in rows.items()}
        items.append(Item(video.id, partition, rows, {"keyframes": folder}, context))
    root.write(f"{folder}/blobs.tar", b"".join(blob) + tar.END)
    return items


def simple_video(name: str, clips: int = 3, frames: int = 2) -> Video:
    """Clips of 10 s that follow each other, each with frames, a caption and a sentence."""
    return Video(
        name,
        [(10.0 * n, 10.0 * n + 10, [10.0 * n + 1 + f for f in range(frames)]) for n in range(clips)],
        [(f"now step {n}.", 10.0 * n + 2, 10.0 * n + 5) for n in range(clips)],
        [f"A hand does step {n}." for n in range(clips)],
    )
