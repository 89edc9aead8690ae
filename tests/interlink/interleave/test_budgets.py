"""What fits into a document: neighbouring clips, thinned frames, cut texts, near-equal documents."""

from __future__ import annotations

from typing import Any

from interlink.interleave.budgets import cut, fitted, sampled
from interlink.interleave.evidence import ClipEvidence, FrameAt, Line
from interlink.interleave.settings import InterleaveSettings


def clip(number: int = 0, frames: int = 0, words: int = 0) -> ClipEvidence:
    speech = (Line(" ".join(["go"] * words) + ".", 0, 1),) if words else ()
    places = tuple(FrameAt(n, float(n)) for n in range(frames))
    return ClipEvidence(number, 0, 10, places, "", speech, roles=("speech",) if words else ())


def settings(**options: Any) -> InterleaveSettings:
    return InterleaveSettings(**options)


def frames_of(count: int, **options: Any) -> list[int]:
    return [frame.number for frame in fitted(clip(0, count), settings(**options))[0].frames]


def test_frames_are_thinned_evenly_from_the_middles_of_equal_parts() -> None:
    assert frames_of(9, images_per_clip=3) == [1, 4, 7]
    assert frames_of(10, images_per_clip=1) == [5]
    assert frames_of(4, images_per_clip=2) == [1, 3]
    assert frames_of(3, images_per_clip=3) == [0, 1, 2]
    assert frames_of(4, images_per_clip=3) == [0, 2, 3]


def test_the_smaller_of_two_limits_of_frames_holds_and_none_means_all() -> None:
    assert len(frames_of(9, images_per_clip=5, max_images=2)) == 2
    assert len(frames_of(9, images_per_clip=2, max_images=5)) == 2
    assert len(frames_of(9, max_images=4)) == 4
    assert len(frames_of(40, images_per_clip=0, max_images=0)) == 40


def test_frames_and_texts_beyond_a_budget_are_reported() -> None:
    whole = clip(7, 3, 20)
    kept, left = fitted(whole, settings(max_images=1, max_tokens=15))

    assert [(one.what, one.clip, one.reason, one.frame) for one in left] == [
        ("frame", 7, "image_budget", 0),
        ("frame", 7, "image_budget", 2),
        ("text", 7, "token_budget", None),
    ]
    assert left[-1].value == float(whole.tokens() - kept.tokens()) > 0
    assert kept.tokens() <= 15
    assert fitted(whole, settings(max_images=3, max_tokens=whole.tokens())) == (whole, [])


def parts(clips: list[ClipEvidence], **options: Any) -> list[list[int]]:
    return [[one.number for one in part] for part in cut(clips, settings(**options))]


def test_documents_are_the_fewest_of_near_equal_length() -> None:
    clips = [clip(n, 2, 3) for n in range(7)]
    tokens = clips[0].tokens()

    assert parts(clips) == [[0, 1, 2, 3, 4, 5, 6]]
    assert parts(clips, clips_per_document=7) == [[0, 1, 2, 3, 4, 5, 6]]
    assert parts(clips, clips_per_document=6) == [[0, 1, 2], [3, 4, 5, 6]]
    assert parts(clips, clips_per_document=3) == [[0, 1], [2, 3], [4, 5, 6]]
    assert parts(clips, max_images=14) == [[0, 1, 2, 3, 4, 5, 6]]
    assert parts(clips, max_images=13) == [[0, 1, 2], [3, 4, 5, 6]]
    assert parts(clips, max_tokens=7 * tokens) == [[0, 1, 2, 3, 4, 5, 6]]
    assert parts(clips, max_tokens=7 * tokens - 1) == [[0, 1, 2], [3, 4, 5, 6]]
    assert parts(clips, max_images=2) == [[n] for n in range(7)]


def test_neighbouring_clips_are_drawn_by_seed_and_id() -> None:
    assert sampled(range(5), 0, 1, "x") == (0, 5)
    assert sampled(range(5), 5, 1, "x") == (0, 5)
    assert sampled(range(5), 9, 1, "x") == (0, 5)
    drawn = [sampled(range(5), 3, 1, f"v{n}") for n in range(60)]
    assert set(drawn) == {(0, 3), (1, 4), (2, 5)}
    assert drawn == [sampled(range(5), 3, 1, f"v{n}") for n in range(60)]
    assert drawn != [sampled(range(5), 3, 2, f"v{n}") for n in range(60)]
    assert drawn[:8] == [(2, 5), (2, 5), (0, 3), (2, 5), (1, 4), (2, 5), (1, 4), (2, 5)]
