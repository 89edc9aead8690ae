"""The loader against stock webdataset, in one run on one core: `python -m benchmarks loader [--json]`.

Tar iteration, the image path to 224 px tensors, the time to the first batch of a set of a million samples, memory over
an epoch. Both sides read the same tars, warm, in turn, best of `--repeat`; times are CPU time of this process, so that
what others run on the machine does not count. Materials are made in a temporary folder: about a minute.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Numbers = dict[str, float]

_SMALL = 20_000  # samples of 5 kB
_PHOTOS = 1_000
_PHOTO = (500, 375)
_MILLION = 1_000_000
_PER_SHARD = 10_000


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks loader", description=__doc__)
    parser.add_argument("--part", choices=["tar", "images", "resume", "memory", "all"], default="all")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON to stdout")
    given = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    report: dict[str, Numbers] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.part in ("tar", "all"):
            for writer in ("interlink", "webdataset"):
                report[f"tar written by {writer}"] = tar_iteration(folder, writer, given.repeat)
        if given.part in ("images", "all"):
            report["images, 500 px to 224 px"] = images(folder, given.repeat)
        if given.part in ("resume", "memory", "all"):
            shards = million(folder / "million")
            if given.part != "memory":
                report["first batch of a million samples"] = resume(shards)
            if given.part != "resume":
                report["memory over an epoch"] = memory(shards)
    if given.json:
        print(json.dumps(report, indent=1))
        return
    for title, numbers in report.items():
        print(title)
        for key, value in numbers.items():
            print(f"  {key:<58}{value:>14,.2f}")


def tar_iteration(folder: Path, writer: str, repeat: int) -> Numbers:
    """Samples of 4.9 kB of noise and a caption: every member's bytes are there to be used, nothing is decoded."""
    import numpy as np
    import webdataset

    from cosmos_train.stream import tar

    draw = np.random.default_rng(0)
    path = folder / f"{writer}.tar"
    _write(path, writer, ([("jpg", draw.bytes(4900)), ("txt", b"a caption of some words")] for _ in range(_SMALL)))

    def ours() -> int:
        return sum(len(members) == 2 for _, members in tar.iterate(path))

    def stock() -> int:
        return sum(
            "jpg" in sample and "txt" in sample for sample in webdataset.WebDataset(str(path), shardshuffle=False)
        )

    size = path.stat().st_size
    mine, theirs = _in_turn(ours, stock, repeat, _SMALL)
    return {
        "cosmos_train, samples/s": _SMALL / mine, "cosmos_train, GB/s": size / mine / 1e9,
        "webdataset, samples/s": _SMALL / theirs, "times faster": theirs / mine,
    }  # fmt: skip


def images(folder: Path, repeat: int) -> Numbers:
    """JPEG of 500 x 375, 4:2:0, quality 90, about 40 kB as photographs have, to uint8 (3, 224, 224)."""
    import numpy as np
    import torch
    import webdataset
    from PIL import Image

    from cosmos_train.stream import tar
    from cosmos_train.stream.decode import crop, decode
    from cosmos_train.stream.settings import ImageSettings

    path = folder / "photos.tar"
    photos = [_photo(seed) for seed in range(20)]
    _write(path, "interlink", ([("jpg", photos[n % len(photos)]), ("txt", b"a photo")] for n in range(_PHOTOS)))
    settings = ImageSettings(size=224, stored_scale=1.0)
    draw = np.random.default_rng(0)

    def ours() -> int:
        return sum(
            torch.from_numpy(crop([decode(members["jpg"], settings)], settings, None)).shape[-1] == 224
            for _, members in tar.iterate(path)
        )

    def augmented() -> int:
        return sum(
            torch.from_numpy(crop([decode(members["jpg"], settings)], settings, draw)).shape[-1] == 224
            for _, members in tar.iterate(path)
        )

    def stock() -> int:
        done = 0
        for sample in webdataset.WebDataset(str(path), shardshuffle=False).decode("pilrgb"):
            resized = sample["jpg"].resize((224, 224), Image.Resampling.BILINEAR)
            done += torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1).shape[-1] == 224
        return done

    mine, theirs = _in_turn(ours, stock, repeat, _PHOTOS)
    with_crops, _ = _in_turn(augmented, lambda: _PHOTOS, repeat, _PHOTOS)
    return {
        "kB per image": statistics.mean(map(len, photos)) / 1000,
        "cosmos_train, images/s": _PHOTOS / mine, "webdataset + PIL, images/s": _PHOTOS / theirs,
        "times faster": theirs / mine, "cosmos_train with random crops and jitter, images/s": _PHOTOS / with_crops,
    }  # fmt: skip


def million(folder: Path) -> Path:
    """A million samples in a hundred shards: one shard of 10,000 small images, its links, and their sidecars."""
    from cosmos_train.stream.index import scan
    from interlink.shards.index import Entry, Index, dump_index

    folder.mkdir(parents=True)
    first = folder / "00000.tar"
    tiny = _jpeg(_noise(0, 48, 48), 85)
    _write(first, "interlink", ([("jpg", tiny), ("txt", b"a thing of some colour")] for _ in range(_PER_SHARD)))
    with first.open("rb") as file:
        columns = scan(file)
    rows = zip(columns.keys.to_pylist(), columns.offset.tolist(), columns.size.tolist(), strict=True)
    sidecar = dump_index(Index(tuple(Entry(*row, 1, 1) for row in rows), first.stat().st_size))
    for number in range(_MILLION // _PER_SHARD):
        if number:
            (folder / f"{number:05d}.tar").hardlink_to(first)
        (folder / f"{number:05d}.index.parquet").write_bytes(sidecar)
    return folder


def resume(shards: Path) -> Numbers:
    """Wall clock from nothing (but imports) to the first batch, at several places of the epoch, plain and packed."""
    from cosmos_train.stream.index_command import index_shard
    from cosmos_train.stream.stream import Data, Stream, StreamState

    found: Numbers = {}
    tokenizer = _tokenizer()
    plain = _settings(shards)
    index_shard(str(shards / "00000.tar"), plain, tokenizer)
    lengths = (shards / "00000.lengths.parquet").read_bytes()
    for tar in sorted(shards.glob("*.tar")):
        tar.with_suffix(".lengths.parquet").write_bytes(lengths)
    for place in (0, 1, 333_333, 999_000, 1_700_001):
        began = time.perf_counter()
        data = Data(plain)
        state = StreamState((place // 64,), (place,), (0,), (0,))
        assert len(Stream(data, 0, tokenizer, 64, state=state).next()) == 64
        found[f"plain, after {place:,} samples, s"] = time.perf_counter() - began
    packed = _settings(shards, pack={"tokens": 256, "images": 32})
    for window in (0, 1951):
        began = time.perf_counter()
        state = StreamState((window,), (window * 512,), (window,), (3,))
        assert len(Stream(Data(packed), 0, tokenizer, 16, state=state).next()) > 64
        found[f"packed, after {window * 512:,} samples, s"] = time.perf_counter() - began
    found["the slowest, s"] = max(found.values())
    return found


def memory(shards: Path) -> Numbers:
    """Resident memory along 60,000 samples: mapped pages of the tars do not count as the process's own."""
    import psutil

    from cosmos_train.stream.stream import Data, Stream

    process = psutil.Process()
    stream = Stream(Data(_settings(shards)), 0, _tokenizer(), 100)
    began, marks = time.process_time(), []
    for number in range(600):
        stream.next()
        if number % 60 == 59:
            marks.append((process.memory_info().rss - process.memory_info().shared) / 1e6)
    return {
        "after 6,000 samples, MB": marks[0], "after 60,000 samples, MB": marks[-1],
        "growth after the first tenth, MB": marks[-1] - marks[0],
        "read, decode, crop, tokens, batch: 48 px images, samples/s": 60_000 / (time.process_time() - began),
    }  # fmt: skip


def _settings(shards: Path, **more: Any) -> Any:
    from cosmos_train.stream.settings import DataSettings

    image = {"size": 32, "stored_scale": 1.0}
    return DataSettings(
        shards=str(shards), clips_per_sample=1, frames_per_clip=1, max_tokens=32, cache_megabytes=0, image=image, **more
    )


def _tokenizer() -> Any:
    from cosmos_train.stream.tokenizer import Tokenizer

    return Tokenizer.train(["a thing of some colour"], 400)


def _in_turn(one: Callable[[], int], other: Callable[[], int], repeat: int, count: int) -> tuple[float, float]:
    """The least CPU seconds of each, the two taking turns. Each must come to `count`."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeat):
        for measured, run in zip(seconds, (one, other), strict=True):
            began = time.process_time()
            if (done := run()) != count:
                sys.exit(f"{done} samples came, not {count}")
            measured.append(time.process_time() - began)
    return min(seconds[0]), min(seconds[1])


def _write(path: Path, writer: str, samples: Iterator[list[tuple[str, bytes]]]) -> None:
    if writer == "webdataset":
        import webdataset

        with webdataset.TarWriter(str(path)) as sink:
            for number, members in enumerate(samples):
                sink.write({"__key__": f"{number:09d}"} | dict(members))
        return
    from interlink.shards.tar import END, sample

    with path.open("wb") as file:
        for number, members in enumerate(samples):
            file.write(sample(f"{number:09d}", members))
        file.write(END)


def _photo(seed: int) -> bytes:
    return _jpeg(_noise(seed, *_PHOTO), 90)


def _noise(seed: int, width: int, height: int) -> Any:
    """Noise with an amplitude of frequency^-1.5: it compresses about as well as photographs do."""
    import numpy as np

    draw = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(draw.standard_normal((height, width, 3)), axes=(0, 1))
    rate = np.hypot(np.fft.fftfreq(height)[:, None, None], np.fft.rfftfreq(width)[None, :, None])
    picture = np.fft.irfft2(spectrum / np.maximum(rate, 1e-3) ** 1.5, s=(height, width), axes=(0, 1))
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


def _jpeg(pixels: Any, quality: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()
