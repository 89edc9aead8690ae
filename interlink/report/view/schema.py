"""What a catalogue holds: a SQLite file for what is looked up and searched, and arrays for what is counted.

    catalogue.sqlite    meta (JSON by name), partitions, items, docs, words (FTS5 over the texts of documents)
    clips.<column>.npy  one number per clip of every video, in the order of the build
    frames.<column>.npy the same per frame
    docs.<column>.npy   the same per document

Scores are float64, as in the tables: the stage compares those, and a float32 next to a threshold falls on the wrong
side of it. Null is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SPAN = 1 << 20  # of numbers of items that a partition may use
FORMAT = 1  # raised where a catalogue of before cannot be read; it is then made again

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE partitions (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, signature TEXT NOT NULL, blobs TEXT NOT NULL,
    items INTEGER NOT NULL, clips INTEGER NOT NULL, frames INTEGER NOT NULL, docs INTEGER NOT NULL
);
CREATE TABLE items (
    number INTEGER PRIMARY KEY, partition INTEGER NOT NULL, id TEXT NOT NULL, title TEXT NOT NULL, path TEXT NOT NULL,
    media TEXT NOT NULL, outcome TEXT NOT NULL, stopped TEXT NOT NULL, why TEXT NOT NULL, message TEXT NOT NULL,
    clips INTEGER NOT NULL, docs INTEGER NOT NULL
);
CREATE TABLE docs (
    number INTEGER PRIMARY KEY, partition INTEGER NOT NULL, key TEXT NOT NULL, item TEXT NOT NULL, title TEXT NOT NULL,
    lead TEXT NOT NULL, cover TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(title, text, content='', tokenize='unicode61 remove_diacritics 2');
"""
INDEXES = """
CREATE UNIQUE INDEX IF NOT EXISTS items_id ON items (id);
CREATE INDEX IF NOT EXISTS items_stopped ON items (stopped, why, number);
CREATE INDEX IF NOT EXISTS items_partition ON items (partition);
CREATE INDEX IF NOT EXISTS docs_key ON docs (key);
CREATE INDEX IF NOT EXISTS docs_item ON docs (item);
CREATE INDEX IF NOT EXISTS docs_partition ON docs (partition);
"""

# Scores of clips, in the order in which they are shown, with their units.
SCORES: Mapping[str, str] = {
    "seconds": "s",
    "sharpness": "",
    "light": "0–1",
    "motion": "",
    "print": "0–1",
    "talking": "0–1",
    "tokens": "",
    "similarity": "",
    "agreement": "0–1",
    "safety": "0–1",
    "repetition": "0–1",
}
ROLES = ("narration", "caption", "speech", "ocr")  # bits of the column `roles`

# tokens: of the texts that the clip was judged by; NaN where the video never reached interleave. number: index in the
# keyframes table. frames: how many. flags: bits of `meta.flags`. language: of the video, index in `meta.languages`.
# reason: index in `meta.reasons`, 0: in a document.
# document: place of its document in the docs arrays, or -1.
CLIPS: Mapping[str, np.dtype] = {
    name: np.dtype(kind)
    for name, kind in {
        **dict.fromkeys(
            ("start", "end", "sharpness", "light", "motion", "talking", "print", "tokens", "similarity", "agreement",
             "safety", "repetition"),
            "f8",
        ),
        "item": "i4",
        "number": "i4",
        "frames": "i4",
        "flags": "u4",
        "document": "i4",
        "reason": "i2",
        "language": "i2",
        "roles": "u1",
        "unfamiliar": "u1",
        "reached": "u1",
    }.items()
}  # fmt: skip
# hash: 64 bits of the picture, 0 where there is none. offset, size: of its JPEG in the partition's blobs.
FRAMES: Mapping[str, np.dtype] = {
    "hash": np.dtype("u8"), "offset": np.dtype("i8"), "size": np.dtype("i4"), "time": np.dtype("f4")
}  # fmt: skip
# number: the row in the tables docs and words. The rest are means over the document's clips, or sums.
DOCS: Mapping[str, np.dtype] = {
    "number": np.dtype("i8"),
    **{name: np.dtype("f8") for name in ("clips", "frames", *SCORES)},
}
ARRAYS: Mapping[str, Mapping[str, np.dtype]] = {"clips": CLIPS, "frames": FRAMES, "docs": DOCS}
SUMS = ("clips", "frames", "tokens", "seconds")  # columns of documents that are sums; the others are means
