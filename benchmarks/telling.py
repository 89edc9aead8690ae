"""What captioning and narration cost in addition to their engines: `python -m benchmarks telling [--json]`.

Tables of videos with clips of three 256-pixel frames are committed first, as the stages before would have; then, in one
run on one core: interleave and shard as a build runs them, against stock webdataset's ShardWriter writing the same
samples; caption, narrate and score with engines that answer at once; release; and what is kept of a slow engine's
ceiling. Figures are CPU seconds of this process, since the wall clock of a shared machine tells little.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from interlink.api import Build
from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity
from interlink.engines.writer import Writer, WriteRequest, Written
from interlink.stage import Blob, Item, Row
from interlink.stages.caption import Caption, CaptionSettings
from interlink.stages.narrate import Narrate, NarrateSettings
from interlink.stages.score import Score, ScoreSettings

CLIPS, FRAMES, SIZE = 8, 3, 256
STAGES = ["download", "transcribe", "keyframes", "caption", "interleave", "shard"]
TEXT = "The video then shifts to a hand that cuts a red onion into thin rings on a wooden board with a large knife"
GOAL, KEPT = 3000, 0.95  # clips/s/core of interleave and shard; share of a slow engine's ceiling


class Instant(Captioner):
    """A captioner that answers at once, or after `pause` seconds a batch."""

    def __init__(self, batch: int = 8, pause: float = 0.0) -> None:
        super().__init__(None, "")
        self.batch, self.pause = batch, pause

    def open(self) -> Identity:
        return Identity("instant", "m")

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        held: list[ClipRequest] = []
        for request in requests:
            held.append(request)
            if len(held) == self.batch:
                yield from self._answers(held)
                held = []
        if held:
            yield from self._answers(held)

    def _answers(self, held: list[ClipRequest]) -> Iterator[ClipCaption]:
        time.sleep(self.pause)
        for request in held:
            yield ClipCaption(request.id, request.clip, f"{TEXT} {request.clip}.")


class InstantWriter(Writer):
    """The same for texts."""

    def __init__(self, batch: int = 8, pause: float = 0.0) -> None:
        super().__init__(batch)
        self.pause = pause

    @staticmethod
    def parallel(settings: int) -> int:
        return settings

    def open(self) -> Identity:
        return Identity("instant", "m")

    def write(self, requests: Iterable[WriteRequest | None]) -> Iterator[Written]:
        held: list[WriteRequest] = []
        for request in requests:
            if request is not None:
                held.append(request)
            if len(held) == self.settings or (request is None and held):
                yield from self._answers(held)
                held = []
        if held:
            yield from self._answers(held)

    def _answers(self, held: list[WriteRequest]) -> Iterator[Written]:
        time.sleep(self.pause)
        for request in held:
            yield Written(request.id, request.clip, f"{TEXT} {request.clip}.")


def prepare(root: Path, videos: int) -> Build:
    """A build whose tables up to caption are committed."""
    recipe = {"name": "bench", "source": {"kind": "folder", "path": str(root)}, "stages": STAGES,
              "executor": {"kind": "inline"}}  # fmt: skip
    build = Build(recipe, root / "root")
    space = build.workspace
    listed = {"kind": "file", "uri": "/x", "path": "x.mp4", "title": "How to cut an onion", "category": "",
              "licence": "", "dataset": "", "metadata": "{}"}  # fmt: skip
    space.append((Row(f"video{n:06d}", {**listed, "video_id": f"v{n}"}) for n in range(videos)), 0)
    prints = build.recipe.fingerprints({})
    pictures = [_picture(seed) for seed in range(64)]
    for name, admitted in space.partitions():
        ids = list(space.source_rows(name))
        rows_files: dict[str, Any] = {}
        for block in build.recipe.blocks[:4]:
            partition = space.partition(block.name, prints[block.name], name)
            entries = [(Row(key, _fields(block.name, key, pictures)), 1, 0.0) for key in ids]
            partition.write_part(1, entries)
            inputs = {"collect": admitted, **{table: rows_files[table] for table in block.needs}}
            rows_files[block.name] = partition.compact(ids, inputs, lambda rows: {}).rows
    return build


def _fields(stage: str, key: str, pictures: list[bytes]) -> dict[str, Any]:
    seed = int(key[5:])
    if stage == "download":
        return {"media": "/x", "sha256": "", "size": 1, "title": "", "url": "", "info": "{}", "subtitles": []}
    if stage == "transcribe":
        said = [
            {
                "text": f"now we cut the onion number {n} into rings",
                "start": 5.0 * n + 1,
                "end": 5.0 * n + 4,
                "words": [],
            }
            for n in range(2 * CLIPS)
        ]
        return {"source": "sidecar", "language": "en", "sentences": said, "marks": []}
    if stage == "keyframes":
        clips = []
        for n in range(CLIPS):
            frames = [
                {"time": 10.0 * n + 2 + f, "width": SIZE, "height": SIZE, "sharpness": 9.0, "novelty": 0.5,
                 "light": 0.5, "settled": True,
                 "image": Blob(pictures[(seed * 24 + n * 3 + f) % len(pictures)], ".jpg")}
                for f in range(FRAMES)
            ]  # fmt: skip
            clips.append({"start": 10.0 * n, "end": 10.0 * n + 10, "motion": 9.0, "sharpness": 90.0, "light": 0.5,
                          "frames": frames})  # fmt: skip
        return {"duration": 10.0 * CLIPS, "clips": clips}
    clips = [{"clip": n, "caption": f"{TEXT}, step {n}.", "flag": ""} for n in range(CLIPS)]
    return {"engine": "openai", "model": "m", "revision": "", "prompt_hash": "p", "parameters": "{}", "clips": clips}


def _picture(seed: int) -> bytes:
    """About 18 kB, as a frame of a video of this size has."""
    import numpy as np
    import simplejpeg

    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (16, 16, 3)).astype(np.float64).repeat(16, 0).repeat(16, 1)
    noisy = np.clip(coarse + draw.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(noisy), quality=80))


def items(build: Build, tables: tuple[str, ...]) -> list[Item]:
    """All items of the build as a worker would hand them to a stage."""
    from interlink.stage import Context

    space, prints = build.workspace, build.recipe.fingerprints({})
    context = Context(space.storage, 0, "bench", prints)
    found = []
    for name, _ in space.partitions():
        source = space.source_rows(name)
        stores = {table: space.partition(table, prints[table], name) for table in tables}
        rows = {table: store.rows() for table, store in stores.items()}
        folders = {table: store.folder for table, store in stores.items()}
        for key, listed in source.items():
            mine = {"collect": listed, **{table: rows[table][key] for table in tables}}
            found.append(Item(key, name, mine, folders, context))
    return found


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of this process for `work`."""
    began = time.process_time()
    work()
    return time.process_time() - began


def engines(build: Build, clips: int) -> dict[str, float]:
    """Microseconds of a core a clip that caption, narrate and score cost with engines that answer at once."""
    given = items(build, ("download", "transcribe", "keyframes", "caption"))
    context = given[0].context
    chat: Any = {"model": "m", "api_key_env": ""}
    found = {}
    for cached in (False, True):
        caption = Caption(CaptionSettings(engine="openai", openai=chat, cache=cached), context)
        caption._engine = caption._asked = Instant()
        if cached:
            caption.open()
        name = "caption (with its cache)" if cached else "caption"
        found[name] = cpu(lambda stage=caption: _drain(stage.run(iter(given))))  # type: ignore[misc]
    narrate = Narrate(NarrateSettings(openai=chat, cache=False), context)
    narrate._writer = InstantWriter()
    narrate.open()
    found["narrate"] = cpu(lambda: _drain(narrate.run(iter(given))))
    score = Score(ScoreSettings(), context)
    found["score (hashes and words)"] = cpu(lambda: _drain(score.run(iter(given))))
    return {name: seconds / clips * 1e6 for name, seconds in found.items()}


def _drain(rows: Iterator[Row]) -> None:
    for row in rows:
        assert row.status == "ok", row.message


def packing(build: Build, clips: int) -> dict[str, float]:
    """Clips/s/core of interleave and shard, of each alone, and of ShardWriter with the same samples."""
    interleave = cpu(lambda: build.run(stages=["interleave"]))
    shard = cpu(lambda: build.run(stages=["shard"]))
    assert build.status().clips == clips
    # As a person would try another threshold: both stages in one run, over the same tables.
    again = Build(build.recipe.dump(), build.workspace.storage.url, ["filter.shortest=0.1"])
    both = cpu(lambda: again.run(stages=["interleave", "shard"]))
    assert again.status().clips == clips
    return {
        "interleave": clips / interleave,
        "shard": clips / shard,
        "interleave + shard": clips / both,
        "webdataset ShardWriter": clips / cpu(lambda: _stock(again)),
    }


def _stock(build: Build) -> None:
    """The same samples by webdataset: documents parsed from their table, frames read one by one from where they lie."""
    import webdataset

    space, prints = build.workspace, build.recipe.fingerprints({})
    with tempfile.TemporaryDirectory() as folder:
        pattern = f"{folder}/%06d.tar"
        with webdataset.ShardWriter(pattern, maxsize=128 * 2**20, verbose=0) as writer:
            for name, _ in space.partitions():
                store = space.partition("keyframes", prints["keyframes"], name)
                clips = {key: row["clips"] for key, row in store.rows().items()}
                handles: dict[str, io.BufferedReader] = {}
                for key, row in space.partition("interleave", prints["interleave"], name).rows().items():
                    for document in row["documents"]:
                        sample: dict[str, Any] = {"__key__": document["key"], "json": json.loads(document["document"])}
                        for image in document["images"]:
                            place = clips[key][image["clip"]]["frames"][image["frame"]]["image"]
                            path = space.storage.full(f"{store.folder}/{place['blob']}")
                            file = handles.setdefault(path, Path(path).open("rb"))  # noqa: SIM115
                            file.seek(place["offset"])
                            sample[image["name"]] = file.read(place["size"])
                        writer.write(sample)
                for file in handles.values():
                    file.close()


def ceiling(build: Build) -> dict[str, float]:
    """Shares (0..1) of a slow engine's speed that are kept: 8 requests at once, 160 ms a batch.

    By the wall clock, which on a busy machine also counts waiting for a core, and by the CPU seconds between batches.
    """
    given = items(build, ("download", "transcribe", "keyframes", "caption"))[:64]
    context = given[0].context
    chat: Any = {"model": "m", "api_key_env": ""}
    caption = Caption(CaptionSettings(engine="openai", openai=chat, cache=False), context)
    caption._engine = caption._asked = Instant(8, 0.16)
    caption.open()
    narrate = Narrate(NarrateSettings(openai=chat, cache=False), context)
    narrate._writer = InstantWriter(8, 0.16)
    narrate.open()
    found = {}
    for name, stage in (("caption", caption), ("narrate", narrate)):
        best = len(given) * CLIPS / 8 * 0.16  # full batches without a break between them
        began = time.monotonic()
        busy = cpu(lambda stage=stage: _drain(stage.run(iter(given))))  # type: ignore[misc]
        found[f"{name}, by CPU"] = best / (best + busy)
        found[f"{name}, by the clock"] = best / (time.monotonic() - began)
    return found


def released(build: Build, folder: Path, clips: int) -> dict[str, float]:
    """Microseconds of a core a clip that each release format costs."""
    return {
        name: cpu(lambda name=name: build.release([name], str(folder / name))) / clips * 1e6  # type: ignore[misc]
        for name in ("howto", "pairs", "parquet")
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks telling", description=__doc__)
    parser.add_argument("--videos", type=int, default=512, help=f"videos of {CLIPS} clips of {FRAMES} frames")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    clips = options.videos * CLIPS
    with tempfile.TemporaryDirectory(prefix="telling-") as scratch:
        root = Path(scratch)
        build = prepare(root, options.videos)
        found: dict[str, Any] = {
            "clips": clips,
            "packing, clips/s/core": packing(build, clips),
            "with engines that answer at once, µs/clip": engines(build, clips),
            "release, µs/clip": released(build, root, clips),
            "share of a slow engine kept": ceiling(build),
        }
    speed = found["packing, clips/s/core"]
    found["times ShardWriter"] = speed["shard"] / speed["webdataset ShardWriter"]
    found["goals met"] = {
        f"interleave + shard >= {GOAL}": speed["interleave + shard"] >= GOAL,
        f"slow engine >= {KEPT:.0%}": min(
            v for n, v in found["share of a slow engine kept"].items() if n.endswith("CPU")
        )
        >= KEPT,
    }
    if options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for name, value in found.items():
        print(name, "" if isinstance(value, dict) else f"{value:,.2f}", file=sys.stdout)
        for what, number in value.items() if isinstance(value, dict) else ():
            shown = ("yes" if number else "no") if isinstance(number, bool) else f"{number:,.2f}"
            print(f"  {what:<32}{shown:>12}")
