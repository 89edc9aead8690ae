"""`interlink doctor`: what a part of a build could do by itself. Costs the seconds that it is given.

ROOT/doctor/caption.json    what was measured there last, for `interlink status` to hold the build against
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from interlink.api import Build
from interlink.engines.captioner import ClipRequest, make_captioner
from interlink.engines.ceiling import Ceiling, measure_ceiling
from interlink.errors import UserError
from interlink.recipe import StageBlock
from interlink.runtime.lock import Lock
from interlink.stages.caption import CaptionSettings
from interlink.storage import Storage

FILE = "doctor/caption.json"
CLIPS = 64  # that many different ones are enough for batches that differ


def captioner_ceiling(build: Build, seconds: float, frames: Path | None = None) -> Ceiling:
    """Measures the captioner of a build's recipe, and keeps the figures in its root where there is a build.

    frames: a folder of JPEGs, so many to a clip as the recipe has. Without it: the build's own, else drawn ones.
    Raises UserError where the recipe has no captioner to be measured, or frames are none.
    """
    block = _block(build, "caption")
    settings: Any = block.settings
    if not isinstance(settings, CaptionSettings) or settings.captioner.free:
        raise UserError(
            "this recipe captions by the speech or by annotations: there is no engine to be measured",
            "name one, for example --set caption.engine=checkpoint:sample-world",
            2,
        )
    keyframes: Any = _block(build, "keyframes").settings
    is_built = build.workspace.lock() is not None
    found = _given(frames, keyframes.frames_per_clip) if frames is not None else iter(())
    if frames is None and is_built:
        found = _built(build)
    clips = list(islice(found, CLIPS))
    if not clips and frames is None:
        clips = list(islice(_drawn(keyframes.frames_per_clip, keyframes.short_side), CLIPS))
    if not clips:
        raise UserError(f"there are no JPEGs in {frames}", "give a folder of *.jpg")
    engine = make_captioner(settings.engine, settings.of_engine, settings.prompt)
    ceiling = measure_ceiling(engine, clips, engine.parallel(settings.of_engine), seconds)
    if is_built:
        build.workspace.storage.write(FILE, json.dumps(asdict(ceiling), indent=1, sort_keys=True).encode())
    return ceiling


def read_ceiling(root: Storage) -> Ceiling | None:
    """What was measured in a root last, or None."""
    try:
        return Ceiling(**json.loads(root.read(FILE)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def missing_parts() -> list[str]:
    """A line for each part that no extra of this package installs, and that is absent."""
    from interlink.engines.detector import INSTALL, is_installed

    return [] if is_installed() else [f"keyframes.faces=mtcnn needs the weights in facenet-pytorch: {INSTALL}"]


def _block(build: Build, name: str) -> StageBlock:
    for block in build.recipe.blocks:
        if block.name == name:
            return block
    raise UserError(f"this recipe has no stage {name}", "add it to `stages`", 2)


def _built(build: Build) -> Iterator[ClipRequest]:
    """Clips with frames of the keyframes that a build has made."""
    workspace = build.workspace
    fingerprint = (workspace.lock() or Lock()).fingerprints["keyframes"]
    for name, _ in workspace.partitions():
        partition = workspace.partition("keyframes", fingerprint, name)
        for key, row in partition.rows().items():
            for number, clip in enumerate(row["clips"] or ()):
                pictures = [frame["image"] for frame in clip["frames"]]
                data = tuple(
                    workspace.storage.read_range(f"{partition.folder}/{one['blob']}", one["offset"], one["size"])
                    for one in pictures
                )
                if data:
                    times = tuple(frame["time"] for frame in clip["frames"])
                    yield ClipRequest(key, number, data, times, clip["start"], clip["end"])


def _given(folder: Path, frames_per_clip: int) -> Iterator[ClipRequest]:
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number in range(0, len(paths), frames_per_clip):
        data = tuple(path.read_bytes() for path in paths[number : number + frames_per_clip])
        yield _request(number, data)


def _drawn(frames_per_clip: int, short_side: int) -> Iterator[ClipRequest]:
    """Clips of the sample world, evenly chosen frames of each act."""
    from interlink.engines.frames import evenly
    from interlink.sample import SampleOptions, scene
    from interlink.sample.plan import plan

    height = max(64, short_side // 2 * 2)
    options = SampleOptions(width=max(64, height * 5 // 8 * 2), height=height)
    for index in range(CLIPS):
        video = plan(0, "train", index, options)
        pictures = dict(scene.frames(video))
        for step in video.steps:
            numbers = evenly(tuple(n for n in pictures if step.first <= n < step.last), frames_per_clip)
            data = []
            for number in numbers:
                target = io.BytesIO()
                pictures[number].save(target, "JPEG", quality=90)
                data.append(target.getvalue())
            yield _request(index, tuple(data))


def _request(number: int, frames: tuple[bytes, ...]) -> ClipRequest:
    times = tuple(float(place) for place in range(len(frames)))
    return ClipRequest("doctor", number, frames, times, 0.0, float(len(frames)))
