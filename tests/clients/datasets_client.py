"""Hugging Face datasets: every configuration of the card, as a table and streaming, and pairs by the named loader."""
# requires: datasets==5.2.0
# requires: pillow==12.0.0

import sys
from pathlib import Path

from datasets import load_dataset

out = sys.argv[1]
rows = {"parquet": 5, "datasets": 5, "nemo": 50, "messages": 5}
for name, count in rows.items():
    assert len(load_dataset(out, name, split="train")) == count, name
    assert sum(1 for _ in load_dataset(out, name, split="train", streaming=True)) == count, name
for row in load_dataset(out, split="train", streaming=True):
    assert [image is None for image in row["images"]] == [text is not None for text in row["texts"]]
    assert {image.size for image in row["images"] if image} == {(48, 32)}
pairs = load_dataset("webdataset", data_files=str(Path(out) / "pairs/train/*.tar"), split="train", streaming=True)
assert [row["txt"][:16] for row in pairs] == ["A hand does step"] * 30
