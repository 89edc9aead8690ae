"""Builds a document from ordered pieces: numbers the images, joins neighbours of one clip, adds what is known of clips.

The canonical JSON is built from plain data, which costs less than building it from models. It is then loaded to check
it against the rules of the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interlink.interleave.evidence import ClipEvidence
from interlink.interleave.filters import LeftOut
from interlink.interleave.pieces import FramePiece, Piece
from interlink.shards import document as documents
from interlink.shards.document import Provenance, Source, canonical, count_tokens, image_name, rounded
from interlink.tables import FORMAT_VERSION

SCORES = ("similarity", "agreement", "safety")  # fields of a clip's score that go into its document


def compose(
    key: str, clips: Sequence[ClipEvidence], pieces: Sequence[Piece], source: Source, provenance: Provenance
) -> tuple[dict[str, Any], list[LeftOut]]:
    """The document as the interleave table holds it, and the frames that the policy left out.

    Raises ValueError where the policy breaks a rule of the format.
    """
    segments: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    placed: set[tuple[int, int]] = set()
    tokens = 0
    last_clip = -1  # clip of the previous segment if that holds frames
    for piece in pieces:
        if not isinstance(piece, FramePiece):
            segments.append({"type": "text", "text": piece.text, "role": piece.role, "start": rounded(piece.start),
                             "end": rounded(piece.end), "clip": piece.clip})  # fmt: skip
            tokens += count_tokens(piece.text)
            last_clip = -1
            continue
        clip = clips[piece.clip]
        frame = clip.frames[piece.frame]
        name = image_name(len(images))
        images.append({"name": name, "clip": clip.number, "frame": frame.number})
        placed.add((piece.clip, piece.frame))
        if last_clip == piece.clip:
            segments[-1]["images"].append(name)
            segments[-1]["times"].append(rounded(frame.time))
        else:
            segments.append({"type": "frames", "images": [name], "times": [rounded(frame.time)], "clip": piece.clip})
        last_clip = piece.clip
    if len(placed) != len(images):
        raise ValueError("the policy shows a frame twice")
    text = canonical(
        {
            "format_version": FORMAT_VERSION,
            "id": key,
            "source": source.model_dump(exclude_none=True),
            "segments": segments,
            "clips": [_clip(clip) for clip in clips],
            "provenance": provenance.model_dump(),
        }
    )
    documents.load(text)
    row = {"key": key, "document": text, "images": images, "clips": len(clips), "text_tokens": tokens}
    left = [
        LeftOut("frame", clip.number, "unassigned", frame.number)
        for place, clip in enumerate(clips)
        for number, frame in enumerate(clip.frames)
        if (place, number) not in placed
    ]
    return row, left


def _clip(clip: ClipEvidence) -> dict[str, Any]:
    found: dict[str, Any] = {
        "start": rounded(clip.start),
        "end": rounded(clip.end),
        "caption": clip.caption,
        "speech": clip.speech_text,
    }
    if clip.narration is not None:
        found["narration"] = clip.narration
    if clip.ocr is not None:
        found["ocr"] = " ".join(line.text for line in clip.ocr)
    if clip.regions is not None:
        found["regions"] = rounded(clip.regions)
    if clip.scores is not None:
        found["scores"] = {name: rounded(clip.scores[name]) for name in SCORES if clip.scores.get(name) is not None}
    return found
