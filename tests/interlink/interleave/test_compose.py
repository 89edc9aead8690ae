"""The document and the row of the table that pieces in an order become."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from interlink.interleave.compose import compose
from interlink.interleave.evidence import ClipEvidence, FrameAt, Line
from interlink.interleave.filters import LeftOut
from interlink.interleave.pieces import FramePiece, TextPiece
from interlink.shards.document import Provenance, Source
from interlink.tables import FORMAT_VERSION

SOURCE = Source(video_id="v", path="v.mp4", title="T")
PROVENANCE = Provenance(recipe="told", models={"caption": "m"})


def clip(number: int, times: tuple[float, ...], **changes: Any) -> ClipEvidence:
    frames = tuple(FrameAt(5 + n, time) for n, time in enumerate(times))
    return replace(ClipEvidence(number, 10.0 * number, 10.0 * number + 10, frames, "C", ()), **changes)


def made(clips: list[ClipEvidence], *pieces: Any) -> tuple[dict[str, Any], dict[str, Any], list[LeftOut]]:
    row, left = compose("key", clips, pieces, SOURCE, PROVENANCE)
    return row, json.loads(row["document"]), left


def test_frames_of_one_clip_that_follow_each_other_are_one_segment() -> None:
    clips = [clip(2, (21.00000049, 22.0, 23.0)), clip(3, (31.0,))]
    text = TextPiece(0, "caption", "C one.", 20.0, 25.1234567)
    row, document, left = made(
        clips, FramePiece(0, 0), FramePiece(0, 1), text, FramePiece(0, 2), FramePiece(1, 0), text
    )
    assert document["segments"] == [
        {"type": "frames", "images": ["000.jpg", "001.jpg"], "times": [21.0, 22.0], "clip": 0},
        {"type": "text", "text": "C one.", "role": "caption", "start": 20.0, "end": 25.123457, "clip": 0},
        {"type": "frames", "images": ["002.jpg"], "times": [23.0], "clip": 0},
        {"type": "frames", "images": ["003.jpg"], "times": [31.0], "clip": 1},
        {"type": "text", "text": "C one.", "role": "caption", "start": 20.0, "end": 25.123457, "clip": 0},
    ]
    assert row["images"] == [
        {"name": "000.jpg", "clip": 2, "frame": 5},
        {"name": "001.jpg", "clip": 2, "frame": 6},
        {"name": "002.jpg", "clip": 2, "frame": 7},
        {"name": "003.jpg", "clip": 3, "frame": 5},
    ]
    assert (row["key"], row["clips"], row["text_tokens"], left) == ("key", 2, 6, [])
    assert (document["id"], document["format_version"]) == ("key", FORMAT_VERSION)
    assert document["source"]["title"] == "T" and document["provenance"]["models"] == {"caption": "m"}


def test_frames_that_the_policy_does_not_place_are_left_out_and_none_is_placed_twice() -> None:
    clips = [clip(2, (21.0, 22.0)), clip(3, (31.0,))]
    _, _, left = made(clips, FramePiece(0, 1))
    assert left == [LeftOut("frame", 2, "unassigned", 5), LeftOut("frame", 3, "unassigned", 5)]
    with pytest.raises(ValueError, match="shows a frame twice"):
        made(clips, FramePiece(0, 1), FramePiece(0, 1))


def test_a_clip_says_what_is_known_of_it() -> None:
    speech = (Line("Peel it.", 1, 2), Line("Chop it.", 2, 3))
    bare, full = clip(0, (), speech=speech), clip(
        1, (), narration="", ocr=(Line("SALE", 1, 2), Line("NOW", 2, 3)),
        regions=(), scores={"similarity": 0.12345678, "agreement": None, "safety": 0.0, "hash": 3},
    )  # fmt: skip
    _, document, _ = made([bare, full])
    first, second = document["clips"]
    assert first == {"start": 0.0, "end": 10.0, "caption": "C", "speech": "Peel it. Chop it."}
    assert second == {
        "start": 10.0, "end": 20.0, "caption": "C", "speech": "", "narration": "", "ocr": "SALE NOW", "regions": [],
        "scores": {"similarity": 0.123457, "safety": 0.0},
    }  # fmt: skip
