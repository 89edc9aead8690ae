"""Small shards whose frames say what their texts say, and a model that learns them in seconds."""

from __future__ import annotations

import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import Sample
from cosmos_train.stream.tokenizer import Tokenizer
from interlink.shards import ShardWriter
from interlink.storage import Storage

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 70, 220),
    "yellow": (230, 210, 40),
    "purple": (150, 50, 190),
    "white": (240, 240, 240),
}
PLACES = {"left": (0, 0), "right": (1, 0), "below": (0, 1), "beyond": (1, 1)}

TINY: dict[str, Any] = {
    "name": "test",
    "seed": 3,
    "data": {
        "clips_per_sample": 2,
        "frames_per_clip": 2,
        "max_tokens": 64,
        "image": {"size": 32, "smallest_crop": 0.9, "jitter": 0.05},
    },
    "model": {
        "vision": {"config": {"layers": 2, "width": 48, "head_width": 24, "patch_size": 8}, "frozen": False},
        "resampler": {"depth": 1, "heads": 2, "head_width": 24, "latents": 4},
        "language": {
            "config": {
                "model_type": "opt",
                "hidden_size": 48,
                "word_embed_proj_dim": 48,
                "num_hidden_layers": 4,
                "num_attention_heads": 2,
                "ffn_dim": 96,
                "max_position_embeddings": 64,
                "dropout": 0.0,
            },
            "vocabulary": 400,
        },
        "fusion": {"unimodal_depth": 2, "interval": 1, "heads": 2, "head_width": 24, "bottleneck": 2},
        "embedding_width": 32,
    },
    "objective": {"pairs": "every"},
    "optimiser": {"lr": 2e-3, "warmup_steps": 5, "gate_lr_scale": 20},
    "train": {
        "steps": 8,
        "batch_size": 4,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "log_every": 1,
        "save_every": 4,
        "keep": 2,
    },
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def members_of(draw: random.Random, key: str, clips: int, frames: int) -> list[tuple[str, bytes]]:
    """A document: in every clip a square of some colour lies somewhere, and the caption says which and where."""
    from PIL import Image

    images: list[tuple[str, bytes]] = []
    segments: list[dict[str, Any]] = []
    described: list[dict[str, Any]] = []
    for clip in range(clips):
        colour, place = draw.choice(list(COLOURS)), draw.choice(list(PLACES))
        names = []
        for _ in range(frames):
            image = Image.new("RGB", (64, 48), (draw.randint(60, 120),) * 3)
            x, y = PLACES[place]
            image.paste(COLOURS[colour], (32 * x + 4, 24 * y + 3, 32 * x + 28, 24 * y + 21))
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=90)
            names.append(f"{len(images):03d}.jpg")
            images.append((names[-1], buffer.getvalue()))
        start = 10.0 * clip
        times = [start + 2 * number for number in range(frames)]
        text = f"a {colour} square lies {place}"
        segments.append({"type": "frames", "images": names, "times": times, "clip": clip})
        segments.append(
            {"type": "text", "text": text, "role": "caption", "start": start, "end": start + 10, "clip": clip}
        )
        described.append({"start": start, "end": start + 10, "caption": text})
    document = {"format_version": "1", "id": key, "source": {"video_id": key}, "segments": segments, "clips": described}
    return [("json", json.dumps(document | {"provenance": {}}).encode()), *images]


def write_shards(
    folder: Path, documents: int, seed: int = 0, clips: int = 3, frames: int = 2, broken: tuple[int, ...] = ()
) -> Path:
    """Shards of so many documents in `folder`; in those numbered in `broken` every image is cut short."""
    draw = random.Random(seed)
    with ShardWriter(Storage(str(folder)), "", lambda number: f"{number:03d}.tar", 60_000) as writer:
        for number in range(documents):
            key = f"doc{seed}-{number}x"
            members = members_of(draw, key, clips, frames)
            if number in broken:
                members = [(name, data if name == "json" else data[:200]) for name, data in members]
            writer.add(key, members, images=clips * frames, clips=clips, text_tokens=6 * clips)
    return folder


def nested(dotted: dict[str, Any]) -> dict[str, Any]:
    """TINY with dotted keys set."""
    values = copy.deepcopy(TINY)
    for key, value in dotted.items():
        *parents, last = key.split(".")
        block = values
        for parent in parents:
            block = block.setdefault(parent, {})
        block[last] = value
    return values


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), 12)


@pytest.fixture
def tiny(shards: Path) -> Callable[..., Recipe]:
    """A recipe on the shared shards; keyword arguments are settings with `__` for the dot."""

    def make(**settings: Any) -> Recipe:
        dotted = {"data.shards": str(shards), **{key.replace("__", "."): value for key, value in settings.items()}}
        return Recipe.model_validate(nested(dotted))

    return make


@pytest.fixture
def make_shards(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "shards", **arguments: Any) -> Path:
        return write_shards(tmp_path / name, **arguments)

    return make


def draw_samples(count: int, clips: int = 2, frames: int = 2, seed: int = 0, size: int = 32) -> list[Sample]:
    """Samples of noise and of words, of 1, 2, … `clips`, 1, … clips of at most `frames` frames each."""
    chance = np.random.default_rng(seed)
    found = []
    for number in range(count):
        counts = [1 + int(chance.integers(frames)) for _ in range(1 + number % clips)]
        texts = tuple(
            f"a {chance.choice(list(COLOURS))} square lies {chance.choice(list(PLACES))} of {number}" for _ in counts
        )
        pictures = tuple(chance.integers(0, 256, (n, 3, size, size)).astype(np.uint8) for n in counts)
        times = tuple(tuple(1.5 * n for n in range(many)) for many in counts)
        found.append(Sample(f"doc{seed}-{number}", texts, pictures, times))
    return found


@pytest.fixture
def make_samples() -> Callable[..., list[Sample]]:
    return draw_samples


@pytest.fixture(scope="session")
def words() -> Tokenizer:
    """A tokenizer of the words that captions here are made of."""
    return Tokenizer.train([f"a {colour} square lies {place} of 0" for colour in COLOURS for place in PLACES], 400)
