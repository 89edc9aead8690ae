"""What a batch of conversations is: the contract between the stream and CuMo's objective."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from cosmos_train.stream.batch import IGNORED, Hole, Sample
from cosmos_train.stream.talk.prompts import Turn, spell
from cosmos_train.stream.talk.settings import TalkSettings
from cosmos_train.stream.tokenizer import Tokenizer


@dataclass(frozen=True)
class TalkBatch:
    """B readable samples; `holes` names the others.

    frames (N, 3, S, S) uint8: the pictures, in the order of rows; a row holds at most one. tokens, labels (B, L), right
    padded; a picture is a run of `<visual>`. token_mask (B, L): False on padding. pictured (B,): rows with a picture.
    """

    frames: Tensor
    tokens: Tensor
    labels: Tensor
    token_mask: Tensor
    pictured: Tensor
    keys: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    holes: tuple[Hole, ...] = ()
    source: str = ""

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device) -> TalkBatch:
        moved = {f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}
        return replace(self, **moved)  # type: ignore[arg-type]

    def row_digests(self) -> list[bytes]:
        """One per sample as asked for, holes among them: of its pixels, ids and labels, or of its name."""
        rows, before = [], 0
        for row, (key, texts) in enumerate(zip(self.keys, self.texts, strict=True)):
            found = hashlib.sha256(repr((self.source, key, texts)).encode())
            mask = self.token_mask[row]
            for grid in (self.tokens, self.labels):
                found.update(grid[row][mask].cpu().numpy().tobytes())
            if self.pictured[row]:
                found.update(self.frames[before].cpu().contiguous().numpy().tobytes())
                before += 1
            rows.append(found.digest())
        for hole in sorted(self.holes, key=lambda hole: hole.place):
            rows.insert(hole.place, hashlib.sha256(repr((hole.key, hole.reason)).encode()).digest())
        return rows

    def digest(self) -> str:
        return hashlib.sha256(b"".join(self.row_digests())).hexdigest()


def collate_talk(
    items: Sequence[Sample | Hole], tokenizer: Tokenizer, settings: TalkSettings, longest: int, size: int, source: str
) -> TalkBatch:
    """Samples as `TalkSamples` makes them; one whose picture or answers do not fit becomes a hole."""
    readable, spelled, holes = [], [], []
    for place, item in enumerate(items):
        if isinstance(item, Hole):
            holes.append(replace(item, place=place))
            continue
        turns = [Turn(*pair) for pair in zip(item.texts[::2], item.texts[1::2], strict=True)]
        try:
            spelled.append(spell(turns, tokenizer, settings, longest))
            readable.append(item)
        except ValueError as error:
            holes.append(Hole(item.key, str(error), place))
    width = max((len(one.ids) for one in spelled), default=0)
    tokens = torch.full((len(readable), width), tokenizer.pad, dtype=torch.long)
    labels = torch.full_like(tokens, IGNORED)
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    for row, one in enumerate(spelled):
        ids, learned = torch.tensor(one.ids), torch.tensor(one.learned)
        tokens[row, : len(ids)] = ids
        labels[row, : len(ids)] = torch.where(learned, ids, IGNORED)
        mask[row, : len(ids)] = True
    pictures = [one.frames[0] for one in readable]
    frames = torch.from_numpy(np.concatenate([*pictures, np.zeros((0, 3, size, size), np.uint8)]))
    return TalkBatch(
        frames, tokens, labels, mask, torch.tensor([len(one) > 0 for one in pictures], dtype=torch.bool),
        tuple(one.key for one in readable), tuple(one.texts for one in readable), tuple(holes), source,
    )  # fmt: skip
