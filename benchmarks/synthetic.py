"""A root of many synthetic videos in the product's schema, written as Arrow: some 40,000 clips a second.

Scores, lengths and reasons are drawn; texts are of a made vocabulary. All frames are one small picture.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from interlink.interleave.settings import InterleaveSettings
from interlink.recipe import Recipe
from interlink.runtime.lock import ROOT_VERSION, Lock, encode
from interlink.tables import SCHEMAS

CLIPS = 14  # of a video, in two documents
FRAMES = 3  # of a clip
PARTITION = 32  # videos
STAGES = ("download", "transcribe", "keyframes", "caption", "score", "interleave", "shard")
FAILED, DROPPED = 0.03, 0.05  # shares of the videos


def make(root: Path, documents: int, seed: int = 0) -> None:
    """Writes a finished build of about so many documents."""
    videos = round(documents / 2 / (1 - FAILED - DROPPED))
    recipe = Recipe.load({"name": "synthetic", "source": {"path": "/nowhere"}, "stages": list(STAGES)})
    prints = recipe.fingerprints({})
    random = np.random.default_rng(seed)
    words = _vocabulary(random)
    captions = [_sentence(random, words) for _ in range(4000)]
    picture = io.BytesIO()
    Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)).save(picture, "JPEG")
    (root / "generations").mkdir(parents=True)
    partitions = [(f"000-{n:05d}", min(PARTITION, videos - n * PARTITION)) for n in range(-(-videos // PARTITION))]
    with pq.ParquetWriter(root / "generations" / "000.parquet", SCHEMAS["collect"], compression="zstd") as writer:
        for number, (name, count) in enumerate(partitions):
            one = _Partition(random, captions, number * PARTITION, count, len(picture.getvalue()))
            writer.write_table(
                _rows(
                    "collect",
                    one.ids,
                    one.status("collect"),
                    {"title": one.titles, "path": one.paths, "uri": one.paths},
                )
            )
            for stage in STAGES:
                _write(root / f"tables/{stage}/{prints[stage]}/{name}", one, stage, picture.getvalue())
    about = {"partitions": partitions, "duplicates": 0, "seed": 0}
    (root / "generations" / "000.json").write_text(json.dumps(about))
    lock = Lock(root_version=ROOT_VERSION, recipe=recipe.dump(), fingerprints=prints, shards="")
    (root / "recipe.lock.json").write_bytes(encode(lock.model_dump(mode="json")))


def settings_of(clips_per_document: int = 8, **filters: float) -> InterleaveSettings:
    return InterleaveSettings.model_validate({"clips_per_document": clips_per_document, "filter": filters})


def _vocabulary(random: np.random.Generator) -> list[str]:
    letters = np.array(list("abcdefghiklmnoprstuvw"))
    return ["".join(random.choice(letters, random.integers(3, 10))) for _ in range(5000)]


def _sentence(random: np.random.Generator, words: list[str]) -> str:
    chosen = np.minimum(random.zipf(1.3, random.integers(14, 32)) - 1, len(words) - 1)
    return " ".join(words[place] for place in chosen).capitalize() + "."


class _Partition:
    """What is drawn for one partition."""

    def __init__(self, random: np.random.Generator, captions: list[str], first: int, count: int, picture: int) -> None:
        self.ids = [f"video{first + n:07d}-{(first + n) * 2654435761 % 2**32:08x}" for n in range(count)]
        self.titles = [captions[place][:40] for place in random.integers(0, len(captions), count)]
        self.paths = [f"{item}.mp4" for item in self.ids]
        fate = random.random(count)
        self.failed, self.dropped = fate < FAILED, (fate >= FAILED) & (fate < FAILED + DROPPED)
        self.picture = picture
        size = count * CLIPS
        lengths = random.gamma(4, 2, size).clip(0.5, 60)
        ends = np.cumsum(lengths.reshape(count, CLIPS), 1)
        self.start = np.concatenate([np.zeros((count, 1)), ends[:, :-1]], 1).ravel()
        self.end = ends.ravel()
        self.scores = {
            "sharpness": random.gamma(1.5, 120, size), "light": random.beta(4, 4, size),
            "motion": random.gamma(2, 6, size), "print": random.beta(0.5, 20, size),
            "talking": random.beta(0.3, 6, size),
        }  # fmt: skip
        self.fit = {
            "similarity": random.normal(0.27, 0.04, size).clip(-1, 1), "agreement": random.beta(1.2, 4, size),
            "repetition": random.beta(0.3, 20, size),
        }  # fmt: skip
        self.captions = [captions[place] for place in random.integers(0, len(captions), size)]
        self.hashes = random.integers(-(2**63), 2**63 - 1, size * FRAMES, np.int64)

    def status(self, stage: str) -> tuple[list[str], list[str], list[str]]:
        """(ids, status, why) of the rows of a stage."""
        reached = [n for n in range(len(self.ids)) if not (self.failed[n] and stage not in ("collect", "download"))]
        if stage == "shard":
            reached = [n for n in reached if not self.dropped[n]]
        states = [
            "failed" if stage == "download" and self.failed[n]
            else "dropped" if stage == "interleave" and self.dropped[n] else "ok"
            for n in reached
        ]  # fmt: skip
        whys = ["" if state == "ok" else "private" if state == "failed" else "few_clips" for state in states]
        return [self.ids[n] for n in reached], states, whys


def _write(folder: Path, one: _Partition, stage: str, picture: bytes) -> None:
    """The rows and the summary of one stage."""
    folder.mkdir(parents=True)
    ids, states, whys = one.status(stage)
    place = {item: n for n, item in enumerate(one.ids)}
    columns: Mapping[str, Any] = {}
    if stage == "download":
        columns = {"title": one.titles, "media": one.paths}
    elif stage in ("keyframes", "caption", "score", "interleave"):
        columns = _COLUMNS[stage](one, [place[item] for item in ids])
    table = _rows(stage, ids, (ids, states, whys), columns)
    name = f"rows-{folder.name}.parquet"
    pq.write_table(table, folder / name, compression="zstd")
    blobs = ""
    if stage == "keyframes":
        blobs = "blobs-0.tar"
        (folder / blobs).write_bytes(picture)
    documents = 2 * states.count("ok") if stage == "interleave" else 0
    totals = (
        {"documents": documents, "clips": documents * CLIPS // 2, "frames": documents * CLIPS // 2 * FRAMES,
         "text_tokens": sum(sum(d["text_tokens"] for d in row or ()) for row in table["documents"].to_pylist())}
        if stage == "interleave" else {}
    )  # fmt: skip
    counts = {state: states.count(state) for state in ("ok", "dropped", "failed")}
    summary = {
        "rows": name, "blobs": blobs, "size": 0, "inputs": {}, "counts": {**counts, "partial": 0},
        "reasons": {"few_clips": counts["dropped"]} if counts["dropped"] else {},
        "errors": {"private": counts["failed"]} if counts["failed"] else {}, "totals": totals,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "ledger.json").write_text(json.dumps({item: [1, 0.01] for item in ids}))


def _rows(
    stage: str, ids: list[str], outcome: tuple[list[str], list[str], list[str]], columns: Mapping[str, Any]
) -> Any:
    """A table of a stage's schema: what is not given is null."""
    _, states, whys = outcome
    given = {
        "id": ids, "status": states, "reason": [w if s == "dropped" else "" for s, w in zip(states, whys, strict=True)],
        "error_class": [w if s == "failed" else "" for s, w in zip(states, whys, strict=True)],
        "message": [""] * len(ids), "partial": [False] * len(ids), "kind": ["url"] * len(ids), **columns,
    }  # fmt: skip
    arrays = []
    for field in SCHEMAS[stage]:
        value = given.get(field.name)
        if value is None:
            arrays.append(pa.nulls(len(ids), field.type))
        else:
            arrays.append(value if isinstance(value, pa.Array) else pa.array(value, field.type))
    return pa.table(arrays, schema=SCHEMAS[stage])


def _structs(kind: pa.StructType, length: int, given: Mapping[str, Any]) -> pa.StructArray:
    arrays = []
    for field in kind:
        value = given.get(field.name)
        arrays.append(
            pa.nulls(length, field.type) if value is None
            else value if isinstance(value, pa.Array) else pa.array(value, field.type)
        )  # fmt: skip
    return pa.StructArray.from_arrays(arrays, fields=list(kind))


def _lists(kind: pa.ListType, each: int, given: Mapping[str, Any], length: int) -> pa.ListArray:
    """Lists of `each` structs."""
    offsets = pa.array(np.arange(length // each + 1, dtype=np.int32) * each)
    return pa.ListArray.from_arrays(offsets, _structs(kind.value_type, length, given), type=kind)


def _of(one: _Partition, rows: list[int]) -> np.ndarray:
    """The places of the clips of these videos."""
    return (np.array(rows, np.int64)[:, None] * CLIPS + np.arange(CLIPS)).ravel()


def _keyframes(one: _Partition, rows: list[int]) -> dict[str, Any]:
    kind = SCHEMAS["keyframes"].field("clips").type
    inside, size = _of(one, rows), len(rows) * CLIPS
    frames_kind = kind.value_type.field("frames").type
    start, length = one.start[inside], (one.end - one.start)[inside]
    times = (start[:, None] + length[:, None] * np.arange(1, FRAMES + 1) / (FRAMES + 1)).ravel()
    image_kind = frames_kind.value_type.field("image").type
    count = size * FRAMES
    images = _structs(
        image_kind, count,
        {"blob": pa.array(["blobs-0.tar"] * count), "offset": np.zeros(count, np.int64),
         "size": np.full(count, one.picture, np.int64), "sha256": pa.array([""] * count)},
    )  # fmt: skip
    frames = _lists(frames_kind, FRAMES, {"time": times, "sharpness": times, "image": images}, count)
    given = {"start": start, "end": one.end[inside], "frames": frames}
    given |= {name: values[inside] for name, values in one.scores.items()}
    return {"duration": one.end.reshape(-1, CLIPS)[rows, -1], "start": np.zeros(len(rows)),
            "clips": _lists(kind, CLIPS, given, size)}  # fmt: skip


def _caption(one: _Partition, rows: list[int]) -> dict[str, Any]:
    kind, inside = SCHEMAS["caption"].field("clips").type, _of(one, rows)
    texts = [one.captions[place] for place in inside]
    numbers = np.tile(np.arange(CLIPS), len(rows))
    return {"clips": _lists(kind, CLIPS, {"clip": numbers, "caption": texts, "flag": [""] * len(texts)}, len(texts))}


def _score(one: _Partition, rows: list[int]) -> dict[str, Any]:
    inside, size = _of(one, rows), len(rows) * CLIPS
    clips = {"clip": np.tile(np.arange(CLIPS), len(rows)), **{name: v[inside] for name, v in one.fit.items()}}
    frames = {
        "clip": np.tile(np.repeat(np.arange(CLIPS), FRAMES), len(rows)), "frame": np.tile(np.arange(FRAMES), size),
        "hash": one.hashes.reshape(-1, FRAMES)[inside].ravel(),
    }  # fmt: skip
    schema = SCHEMAS["score"]
    return {
        "language": ["en"] * len(rows),
        "clips": _lists(schema.field("clips").type, CLIPS, clips, size),
        "frames": _lists(schema.field("frames").type, CLIPS * FRAMES, frames, size * FRAMES),
    }


def _interleave(one: _Partition, rows: list[int]) -> dict[str, Any]:
    documents, judged = [], []
    for row in rows:
        tokens = [len(one.captions[row * CLIPS + clip].split()) + 1 for clip in range(CLIPS)]
        judged.append([{"clip": clip, "roles": ["caption"], "tokens": tokens[clip]} for clip in range(CLIPS)])
        half = CLIPS // 2
        chunks = [] if one.dropped[row] else [range(half), range(half, CLIPS)]
        documents.append([_document(one, row, number, chunk, tokens) for number, chunk in enumerate(chunks)])
    return {"documents": documents, "judged": judged, "left_out": [[] for _ in rows]}


def _document(one: _Partition, row: int, number: int, chunk: range, tokens: list[int]) -> dict[str, Any]:
    key = f"{one.ids[row]}-{number:03d}"
    segments: list[dict[str, Any]] = []
    images = []
    for place, clip in enumerate(chunk):
        at = row * CLIPS + clip
        start, end = round(float(one.start[at]), 6), round(float(one.end[at]), 6)
        names = [f"{len(images) + n:03d}.jpg" for n in range(FRAMES)]
        images += [{"name": name, "clip": clip, "frame": n} for n, name in enumerate(names)]
        segments.append({"clip": place, "images": names, "times": [start] * FRAMES, "type": "frames"})
        segments.append(
            {"clip": place, "end": end, "role": "caption", "start": start, "text": one.captions[at], "type": "text"}
        )
    content = {"clips": [], "format_version": "1", "id": key, "provenance": {}, "segments": segments,
               "source": {"path": one.paths[row], "title": one.titles[row], "video_id": one.ids[row]}}  # fmt: skip
    return {"key": key, "document": json.dumps(content), "images": images, "clips": len(chunk),
            "text_tokens": sum(tokens[clip] for clip in chunk)}  # fmt: skip


_COLUMNS = {"keyframes": _keyframes, "caption": _caption, "score": _score, "interleave": _interleave}
