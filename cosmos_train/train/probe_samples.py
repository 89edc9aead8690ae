"""The samples of a run's probe with the captions at each step, for `cosmos_train report`.

    OUT/probe/samples.jsonl     a line per probe: {"step", "samples": [{"key", "truth", "said", "picture"}]}
    OUT/probe/PICTURE.jpg       named by their content, written once

Costs a line and no forward pass: the probe captions these samples in any case.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from cosmos_train.evaluate.functions import Captioned
from cosmos_train.train.metrics import drop_beyond
from interlink.storage import Storage

FOLDER, FILE = "probe", "samples.jsonl"


class ProbeSamples:
    """Writes below `out`, on the first rank only. A run resumed at `step` drops the lines beyond it."""

    def __init__(self, out: Path, step: int, writes: bool) -> None:
        self._folder = out / FOLDER
        self._writes = writes
        if writes and (self._folder / FILE).is_file():
            drop_beyond(self._folder / FILE, step)

    def add(self, step: int, samples: Sequence[Captioned]) -> None:
        if not self._writes or not samples:
            return
        storage = Storage(str(self._folder))
        rows = []
        for one in samples:
            name = f"{hashlib.sha256(one.picture).hexdigest()[:16]}.jpg"
            if not storage.exists(name):
                storage.write(name, one.picture)
            rows.append({"key": one.key, "truth": one.truth, "said": one.said, "picture": name})
        with (self._folder / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "samples": rows}) + "\n")
