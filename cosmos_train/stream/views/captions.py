"""Pools of sentences about one picture, and text-cropping: captions drawn from a pool.

Fields may be lists of sentences or whole strings, which are split here: drawing from a string would give single
characters, and no loss would reveal it. Costs some µs a sample.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_train.stream.formats import IMAGES, TEXTS, Clip, by_clip, decoded
from cosmos_train.stream.tar import Members
from cosmos_train.stream.views.settings import ViewSettings
from interlink.values import known_text, known_texts, text_of

DREAMLIP = (
    "raw_caption", "shortIB_captions", "longIB_captions", "shortSV_captions", "longSV_captions", "shortLLA_captions",
    "longLLA_captions",
)  # fmt: skip
PIXELPROSE = ("original_caption", "caption")
PAIR_FIELDS = ("caption", "text")  # of the json of a pair without a text member

_ENDS = re.compile(r"\n|</s>|\.")


@dataclass(frozen=True)
class Scene(Clip):
    """A picture (one of `images`) and the sentences about it."""

    sentences: tuple[str, ...] = ()


def split(text: str) -> list[str]:
    """Splits a text into sentences at line ends, `</s>` and full stops, like PixelProse and DreamLIP."""
    return [part for part in (" ".join(piece.split()) for piece in _ENDS.split(text)) if part]


def sentences_of(value: Any, field: str, whole: bool = False) -> list[str]:
    """The sentences of a json field; whole: a text is one sentence. ValueError if it is neither text nor a list of
    texts."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, str):
        text = known_text(value)
        return [line for line in (" ".join(text.split()),) if line] if whole else split(text)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        held = f"a list with {_other(value)}" if isinstance(value, list) else type(value).__name__
        raise ValueError(
            f"its {field} is neither a text nor a list of texts, but {held}: write one text, or a list of sentences"
        )
    if len(value) > 4 and all(len(one) <= 1 for one in value):
        raise ValueError(
            f"its {field} is a list of single characters: a text was taken for a list when it "
            "was made; write the text itself, or a list of its sentences"
        )
    return [sentence for one in known_texts(value) for sentence in split(one)]


def _other(values: list[Any]) -> str:
    """The type of the first item that is not a text."""
    return next(type(one).__name__ for one in values if not isinstance(one, str))


def scenes(members: Members, roles: Sequence[str], settings: ViewSettings) -> tuple[Scene, ...]:
    """The scenes of a shard's sample. Raises ValueError (KeyError, TypeError) if it has none that can be parsed."""
    about = json.loads(decoded(members, "json")) if "json" in members else {}
    if not isinstance(about, dict):
        raise ValueError(f"its json is a {type(about).__name__}, not an object")
    kind = settings.captions if settings.captions != "auto" else _kind(about, members)
    if kind == "document":
        return _of_document(about, members, roles)
    if kind == "text":
        texts = (known_text(decoded(members, suffix)) for suffix in TEXTS if suffix in members)
        pool = split(next(filter(None, texts), ""))
    else:
        fields = DREAMLIP if kind == "dreamlip" else PIXELPROSE
        if not any(field in about for field in fields):
            raise ValueError(_lacks(about, fields))
        whole = {"original_caption"} if settings.whole_original else set()
        pool = [one for field in fields for one in sentences_of(about.get(field), field, field in whole)]
    if kind == "text" and not pool:
        field = next((field for field in PAIR_FIELDS if about.get(field)), "")
        pool = sentences_of(about.get(field), field)
    picture = next((bytes(members[suffix]) for suffix in IMAGES if suffix in members), None)
    if picture is None:
        raise ValueError(f"holds no picture, but {', '.join(sorted(members))}")
    return (Scene(". ".join(pool), (0.0,), (picture,), sentences=tuple(pool)),) if pool else ()


def _kind(about: dict[str, Any], members: Members) -> str:
    if "segments" in about:
        return "document"
    if "original_caption" in about:
        return "pixelprose"
    if any(field in about for field in DREAMLIP):
        return "dreamlip"
    if any(suffix in members for suffix in TEXTS) or any(about.get(field) for field in PAIR_FIELDS):
        return "text"
    raise ValueError(_lacks(about, (*DREAMLIP, *PIXELPROSE[:1])))


def _lacks(about: dict[str, Any], fields: Sequence[str]) -> str:
    there = ", ".join(sorted(about)) or "nothing"
    return (
        f"its json has none of {', '.join(fields)} but {there}: save these columns when the pictures are fetched "
        "(img2dataset: save_additional_columns), or take the text of each pair with data.views.captions=text"
    )


def _of_document(about: dict[str, Any], members: Members, roles: Sequence[str]) -> tuple[Scene, ...]:
    """A scene of each clip that has frames: the sentences of all its texts, in the order of `roles`, each once."""
    frames, texts = by_clip(about, members)
    found = []
    for number, fields in enumerate(about["clips"]):
        times, images = frames.get(number, ([], []))
        said = texts.get(number, {})
        pool: dict[str, None] = {}
        for role in roles:
            for text in (text_of(fields.get(role)), *said.get(role, ())):
                pool.update(dict.fromkeys(split(text)))
        if pool and images:
            found.append(Scene(". ".join(pool), tuple(times), tuple(images), sentences=tuple(pool)))
    return tuple(found)


def crops(pool: Sequence[str], settings: ViewSettings, random: np.random.Generator) -> tuple[str, ...]:
    """Global captions, then local ones: of 1 to `sentences` sentences each in random order, and of one sentence.

    Global captions are drawn independently; the local ones are distinct if the pool has enough sentences. A pool that
    is too small is used completely as often as it fits, and the rest is drawn.
    """
    found = []
    for _ in range(settings.global_views):
        count = int(random.integers(1, settings.sentences + 1))
        found.append(". ".join(draw(pool, count, random)))
    return (*found, *draw(pool, settings.local_views, random))


def draw(pool: Sequence[str], count: int, random: np.random.Generator) -> list[str]:
    whole, rest = divmod(count, len(pool))
    chosen = random.permutation(len(pool))[:rest]
    return [*list(pool) * whole, *(pool[int(number)] for number in chosen)]
