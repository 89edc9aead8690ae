"""One contender on one video, in a process of its own on one core: prints CPU seconds, peak memory and cuts as JSON.

    python -m benchmarks.contenders TOOL VIDEO

CPU seconds are of the process (all its threads), after imports and a first run on a short video.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

Found = list[float]
# Clips are whole shots, as with the others: no length joins or divides them. Three frames of each, as with the others.
WHOLE_SHOTS: dict[str, Any] = {"min_clip": 0.0, "max_clip": 3600.0, "merge_below": 0.0}


def ours(path: Path, **settings: Any) -> Found:
    """The whole stage: open, cuts, frames, JPEG, rows committed and compacted."""
    from interlink.runtime.partition import Partition
    from interlink.stage import Context, Item
    from interlink.stages.keyframes import Keyframes
    from interlink.stages.keyframes_settings import KeyframesSettings
    from interlink.storage import Storage
    from interlink.tables import SCHEMAS

    with tempfile.TemporaryDirectory() as folder:
        context = Context(Storage(folder))
        row = {"media": str(path), "subtitles": [], "size": path.stat().st_size, "info": ""}
        item = Item("video", "0", {"collect": {}, "download": row}, {}, context)
        stage = Keyframes(KeyframesSettings(**{**WHOLE_SHOTS, **settings}), context)
        (made,) = stage.run(iter([item]))
        partition = Partition(context.root, "rows", SCHEMAS["keyframes"])
        partition.write_part(1, [(made, 1, 0.0)])
        partition.compact(["video"], {}, lambda rows: {})
    if made.status != "ok":
        raise RuntimeError(made.message)
    return [clip["start"] for clip in made.fields["clips"]][1:]


def detector(name: str, save: bool) -> Callable[[Path], Found]:
    """A detector of PySceneDetect with its defaults; `save`: with its images of each scene."""

    def run(path: Path) -> Found:
        import cv2
        from scenedetect import SceneManager, open_video, save_images
        from scenedetect.detectors import AdaptiveDetector, ContentDetector

        cv2.setNumThreads(1)
        video = open_video(str(path))
        manager = SceneManager()
        manager.add_detector(AdaptiveDetector() if name == "adaptive" else ContentDetector())
        manager.detect_scenes(video)
        scenes = manager.get_scene_list()
        if save and scenes:
            with tempfile.TemporaryDirectory() as folder:
                save_images(scenes, video, num_images=3, output_dir=folder)
        return [scene[0].seconds for scene in scenes[1:]]

    return run


def plain(path: Path) -> Found:
    """Every picture decoded, nothing done with it."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        for _ in container.decode(stream):
            pass
    return []


def transnet(path: Path) -> Found:
    return ours(path, segmenter="transnet")


TOOLS: dict[str, Callable[[Path], Found]] = {
    "ours": ours,
    "ours-full": lambda path: ours(path, decode="full"),
    "scenedetect-adaptive": detector("adaptive", save=True),
    "scenedetect-content": detector("content", save=False),
    "pyav-decode": plain,
    "transnet": transnet,
}


def main() -> None:
    tool, path = TOOLS[sys.argv[1]], Path(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    if len(sys.argv) > 3:
        tool(Path(sys.argv[3]))
    began = process_time()
    cuts = tool(path)
    cpu = process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": cpu, "peak_mb": peak, "cuts": cuts}))


if __name__ == "__main__":
    main()
