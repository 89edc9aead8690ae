"""Part b, what feeds the device: decoding and augmenting JPEGs on all cores, and captions by a transformers model."""

from __future__ import annotations

import io
import os
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_rows import Numbers, Row, Setup

_SIDE = (500, 375)
_EATEN = {"a contrastive ViT-B/16": 1, "CosMo-2B": 9}  # pictures of a sample


def rows() -> list[Row]:
    found = [Row("JPEGs decoded and augmented to 224 px", _pictures, 60)]
    found += [Row(f"captions by Qwen2.5-VL-3B's shape, batch {n}", partial(_captions, n), 90) for n in (8, 16, 32)]
    return [*found, Row("captions, memory runs out once", _out_of_memory, 60)]


def verdict(results: list[dict[str, Any]]) -> str:
    """What decoding gives against what the steps eat: one line each."""
    fed = next((one["pictures_per_second"] for one in results if "pictures_per_second" in one), None)
    if fed is None:
        return "feed: not measured"
    lines = []
    for title, pictures in _EATEN.items():
        speeds = [one.get("samples_per_second", 0) for one in results if one["name"].startswith(title)]
        if eaten := pictures * max(speeds, default=0):
            word = "fed" if fed >= eaten else "starved: more cores, or smaller stored pictures"
            lines.append(f"{title} eats {eaten:,.0f} pictures/s, this machine decodes {fed:,.0f}: {word}")
    return "\n".join(lines) or "feed: no step was measured"


def _jpegs(count: int) -> list[bytes]:
    """Smooth random pictures, of about 50 kB as photographs are."""
    from PIL import Image

    draw, found = np.random.default_rng(0), []
    for _ in range(count):
        small = Image.fromarray(draw.integers(0, 256, (48, 64, 3), np.uint8)).resize(_SIDE, Image.Resampling.BICUBIC)
        grain = draw.normal(0, 8, (_SIDE[1], _SIDE[0], 3))
        data = io.BytesIO()
        Image.fromarray(np.clip(np.asarray(small) + grain, 0, 255).astype(np.uint8)).save(data, "JPEG", quality=85)
        found.append(data.getvalue())
    return found


def _worker(tar: str, seconds: float, number: int) -> int:
    """Pictures that one core reads from a tar, decodes and augments."""
    import tarfile

    import torch

    from cosmos_train import recipe as recipes
    from cosmos_train.stream.decode import crop, decode

    torch.set_num_threads(1)
    image = recipes.load("cosmo_2b", []).data.image
    with tarfile.open(tar) as file:
        data = [file.extractfile(member).read() for member in file]  # type: ignore[union-attr]
    draw, done, ends = np.random.default_rng(number), 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        crop([decode(data[done % len(data)], image)], image, draw)
        done += 1
    return done


def _pictures(setup: Setup) -> Numbers:
    import tarfile

    path = setup.folder / "pictures.tar"
    with tarfile.open(path, "w") as file:
        for number, data in enumerate(_jpegs(setup.pick(256, 4))):
            entry = tarfile.TarInfo(f"{number:05d}.jpg")
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    cores, seconds = setup.pick(len(os.sched_getaffinity(0)), 1), setup.pick(20.0, 0.2)
    if cores == 1:
        done = [_worker(str(path), seconds, 0)]
    else:
        with get_context("spawn").Pool(cores) as pool:
            done = pool.starmap(_worker, [(str(path), seconds, number) for number in range(cores)])
    return {"pictures_per_second": sum(done) / seconds, "cores": cores}


def _checkpoint(setup: Setup) -> Path:
    """Qwen2.5-VL with drawn weights: 3B's shape, or a tiny one; a tokenizer of bytes and a chat template."""
    from benchmarks.gpu_vlm import save

    folder = setup.folder / "vlm"
    return folder if folder.is_dir() else save(folder, setup.tiny, setup.device)


def _engine(setup: Setup, batch: int) -> Any:
    from interlink.engines.settings import TransformersSettings
    from interlink.engines.transformers import Transformers

    settings = TransformersSettings(
        model=str(_checkpoint(setup)),
        device=setup.device,
        batch_size=batch,
        max_new_tokens=setup.pick(64, 4),
        dtype=setup.pick("bfloat16", "float32"),
    )
    engine = Transformers(settings, "")
    engine.open()
    return engine


def _requests(count: int) -> list[Any]:
    from interlink.engines.captioner import ClipRequest

    frames = tuple(_jpegs(2))
    return [ClipRequest(str(number), 0, frames, (1.0, 4.0), 0.0, 5.0) for number in range(count)]


def _captions(batch: int, setup: Setup) -> Numbers:
    batch = setup.pick(batch, 2)
    engine = _engine(setup, batch)
    try:
        list(engine.caption(_requests(batch)))
        count, began = 4 * batch, time.perf_counter()
        found = list(engine.caption(_requests(count)))
        seconds = time.perf_counter() - began
    finally:
        engine.close()
    failed = sum(one.error is not None for one in found)
    tokens = sum(one.tokens for one in found)
    return {
        "clips_per_second": count / seconds,
        "tokens_per_second": tokens / seconds,
        "failed": failed,
        "batch_left": engine.batch_size,
        "holds": failed == 0 and len(found) == count,
    }


def _out_of_memory(setup: Setup) -> Numbers:
    """Memory is taken away until a batch does not fit; the engine halves its batches and answers every clip."""
    import torch

    batch = setup.pick(64, 4)
    engine = _engine(setup, batch)
    held, answer, calls = None, engine._open.answer, 0

    def answered(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1 and setup.device == "cpu":  # a CPU has no such limit: the first batch fails as a GPU's would
            raise torch.OutOfMemoryError("planned")
        return answer(*given)

    engine._open.answer = answered
    if setup.device == "cuda":
        list(engine.caption(_requests(2)))
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        held = torch.empty(max(0, free - 3 * 2**30), dtype=torch.uint8, device="cuda")
    try:
        found = list(engine.caption(_requests(batch)))
    finally:
        del held
        engine.close()
    failed = sum(one.error is not None for one in found)
    halved = engine.batch_size < batch
    return {"holds": halved and failed == 0, "batch_size": batch, "batch_left": engine.batch_size, "failed": failed}
