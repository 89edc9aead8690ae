"""Items with tables that come after caption: narrations, scores with vectors, on-screen text, leads."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from interlink.engines.speech import sentences_of_clips
from interlink.stage import Item
from interlink.text.sentences import split
from telling import through_table

SIZE = 8  # of vectors


def vector(draw: random.Random) -> bytes:
    return np.array([draw.gauss(0, 1) for _ in range(SIZE)], np.float16).tobytes()


def with_rows(item: Item, **tables: Mapping[str, Any]) -> Item:
    """The item with more tables, each passed through its schema."""
    more = {name: through_table(name, dict(row)) for name, row in tables.items()}
    return replace(item, rows={**item.rows, **more})


def narrated(item: Item, texts: Sequence[str], flags: Sequence[str] = ()) -> Item:
    flags = [*flags, *[""] * (len(texts) - len(flags))]
    clips = [
        {"clip": n, "narration": text, "flag": flag, "asked": 1}
        for n, (text, flag) in enumerate(zip(texts, flags, strict=True))
    ]
    row = {"engine": "openai", "model": "teller", "revision": "", "prompt_hash": "p2", "parameters": "{}"}
    return with_rows(item, narrate={**row, "clips": clips})


def scored(item: Item, seed: int = 0, clips: Sequence[Mapping[str, Any]] = (), language: str = "en") -> Item:
    """Scores of the captions with random vectors; `clips` says what is to stand in the entries of clips."""
    draw = random.Random(seed)
    shown = item.rows["keyframes"]["clips"]
    told = {row["clip"]: row["caption"] for row in item.rows["caption"]["clips"]}
    if "narrate" in item.rows:
        told |= {row["clip"]: row["narration"] for row in item.rows["narrate"]["clips"]}
    role = "narration" if "narrate" in item.rows else "caption"
    sentences = []
    for number, said in enumerate(sentences_of_clips(shown, item.rows["transcribe"]["sentences"])):
        for kind, texts in ((role, split(told.get(number, ""))), ("speech", said)):
            sentences += [
                {"clip": number, "role": kind, "sentence": n, "vector": vector(draw)} for n, _ in enumerate(texts)
            ]
    frames = [
        {"clip": c, "frame": f, "hash": draw.getrandbits(63), "similarity": 0.3, "vector": vector(draw)}
        for c, clip in enumerate(shown)
        for f, _ in enumerate(clip["frames"])
    ]
    entries = [{"clip": n, **(clips[n] if n < len(clips) else {})} for n in range(len(shown))]
    row = {"engine": "open_clip", "model": "tiny", "revision": "r", "parameters": "{}"}
    row |= {"language": language, "probability": 1.0}  # type: ignore[dict-item]
    return with_rows(item, score={**row, "clips": entries, "frames": frames, "sentences": sentences})
