"""Renders the videos of a sample world into a folder. Costs about 0.2 core-seconds per video."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from interlink.errors import UserError
from interlink.sample.plan import SampleOptions, plan, truth
from interlink.sample.world import Split

TRUTH = "truth.json"
Made = tuple[str, dict[str, Any]]  # a video's name and its entry in truth.json
FEW = 6  # rendering this many videos is faster than starting worker processes


def render(
    folder: Path,
    videos: int,
    seed: int,
    split: Split = "train",
    *,
    options: SampleOptions | None = None,
    processes: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Writes `<name>.mp4` and `<name>.en.vtt` for each video, then one `truth.json`; returns the paths of the videos.

    A video depends only on (seed, split, its index, options): any `videos` and `processes` give the same bytes, so a
    later call with more videos adds to a folder. processes: None = one per available core (the calling script then
    needs `if __name__ == "__main__"`). progress: receives the number of finished videos.
    Raises UserError if the folder is not writable, or contains another world.
    """
    options = options or SampleOptions()
    if videos < 1:
        raise UserError(f"cannot render {videos} videos", "ask for at least one", code=2)
    if seed < 0:
        raise UserError(f"the seed {seed} is negative", "use an integer of at least 0", code=2)
    heading = {"seed": seed, "split": split, "options": options.model_dump(mode="json")}
    known = _prepare(folder, heading)
    work = partial(_render_one, folder=folder, seed=seed, split=split, options=options)
    made: dict[str, Any] = {}
    for name, facts in _each(work, videos, processes):
        made[name] = facts
        if progress:
            progress(len(made))
    everything = {**heading, "videos": dict(sorted({**known, **made}.items()))}
    _write(folder / TRUTH, json.dumps(everything, indent=1, sort_keys=True) + "\n")
    return [folder / f"{name}.mp4" for name in made]


def _prepare(folder: Path, heading: dict[str, Any]) -> dict[str, Any]:
    """Makes the folder; returns the entries of its truth.json, if it has the same world."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}", "choose another folder") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write to {folder}", "choose another folder, or change its permissions")
    path = folder / TRUTH
    if not path.exists():
        return {}
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        known: dict[str, Any] = before.pop("videos")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(
            f"{path} is not the truth.json of a sample world", "choose another folder, or remove it"
        ) from error
    if before != json.loads(json.dumps(heading)):
        raise UserError(
            f"{folder} holds videos of another seed, split or options", "choose another folder, or remove it"
        )
    return {name: facts for name, facts in known.items() if (folder / f"{name}.mp4").exists()}


def _each(work: Callable[[int], Made], videos: int, processes: int | None) -> Iterator[Made]:
    """The results of `work` for each index, in order."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(processes or cores, videos)
    if workers == 1 or (processes is None and videos <= FEW):
        yield from map(work, range(videos))
        return
    # spawn: forking a process that may hold threads of torch, Ray or a codec can deadlock.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(work, range(videos), chunksize=2)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _render_one(index: int, folder: Path, seed: int, split: Split, options: SampleOptions) -> Made:
    from interlink.sample import encode, scene

    video = plan(seed, split, index, options)
    path = folder / f"{video.name}.mp4"
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        encode.write_video(unfinished, video, scene.frames(video))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    if not video.silent:
        _write(path.with_suffix(".en.vtt"), encode.subtitles(video))
    return video.name, truth(video, [scene.title_box(video, step.title) for step in video.steps if step.title])


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8", newline="\n")
    unfinished.replace(path)
