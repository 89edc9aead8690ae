"""How a model reads a document of the builder: its tokens in order, what each may attend to, what `max_tokens` cuts.

For people: `interlink view` shows it. Goes through the same parser, collation and mask as training; no picture is
decoded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_train.errors import UserError
from cosmos_train.models.fusion import media_mask
from cosmos_train.models.settings import FusionSettings
from cosmos_train.stream import formats
from cosmos_train.stream.batch import Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.tokenize import IGNORED
from cosmos_train.stream.tokenizer import Tokenizer

VOCABULARY = 8192  # of a tokenizer that is trained for reading
_UNCUT = 1 << 20  # tokens; longer than any document


@dataclass(frozen=True)
class Token:
    """A token. kind: text, visual or marker; learned: has a loss; cut: beyond `max_tokens`; sees: numbers of the media
    that it may attend to; media: its own number where it is `<visual>`, else -1."""

    text: str
    kind: str
    learned: bool
    cut: bool
    sees: tuple[int, ...]
    media: int


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """The tokenizer that a recipe without a pretrained language model trains, on these texts."""
    return Tokenizer.train(texts, VOCABULARY)


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a run or export of ours (a folder with tokenizer.json), or of a Hugging Face model.

    Raises UserError where there is none.
    """
    try:
        if (path := Path(name) / "tokenizer.json").is_file():
            try:
                return Tokenizer.load(path, {})
            except KeyError:  # without our marks at the ends of a text: another library's
                return Tokenizer.pretrained(name)
        return Tokenizer.pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{name} is no tokenizer: {error}", "name a folder with tokenizer.json, or a hub id") from error


def read_document(document: Mapping[str, Any], tokenizer: Tokenizer, max_tokens: int) -> tuple[Token, ...]:
    """The document as one sample of all its clips. Costs milliseconds."""
    data = DataSettings()
    names = [name for segment in document["segments"] if segment["type"] == "frames" for name in segment["images"]]
    members = {"json": memoryview(json.dumps(document).encode()), **{name: memoryview(b"\0") for name in names}}
    clips = formats.read(members, data.text, data.match_threshold, 0.0).clips(None)
    if not clips:
        return ()
    frames = tuple(np.zeros((len(clip.images), 3, 1, 1), np.uint8) for clip in clips)
    sample = Sample(str(document["id"]), tuple(c.text for c in clips), frames, tuple(c.times for c in clips))
    rows = collate([sample], tokenizer, _UNCUT, learn_lead=data.learn_lead).rows
    attend = FusionSettings.model_fields["attend"].default
    seen = media_mask(rows.media_from, rows.media_upto, len(clips), attend)[0]
    markers = {tokenizer.begin, tokenizer.end, tokenizer.end_of_chunk}
    found, media = [], 0
    for place, (token, label) in enumerate(zip(rows.tokens[0].tolist(), rows.labels[0].tolist(), strict=True)):
        visual = token == tokenizer.visual
        kind = "visual" if visual else "marker" if token in markers else "text"
        sees = tuple(seen[place].nonzero().flatten().tolist())
        text = str(tokenizer.backend.decode([token], skip_special_tokens=False))
        found.append(Token(text, kind, label != IGNORED, place >= max_tokens, sees, media if visual else -1))
        media += visual
    return tuple(found)
