"""interleave: frames and text alternate, nothing is lost or told twice, and the same rows give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.engines.speech import speech_of_clips
from interlink.shards import document as documents
from interlink.shards.document import Document, Frames, Text
from interlink.stage import Context, Row
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.storage import Storage
from telling import FINGERPRINTS, Video, make_items, simple_video, through_table


def run(folder: Path | str, videos: Sequence[Video], **options: Any) -> list[Row]:
    root = Storage(str(folder))
    context = Context(root, recipe="test", fingerprints=FINGERPRINTS)
    stage = Interleave(InterleaveSettings(**options), context)
    return list(stage.run(iter(make_items(root, videos, context=context))))


def documents_of(row: Row) -> list[Document]:
    """The row's documents, checked: they fit the table and the format, in canonical form, with their counts."""
    assert row.status == "ok", row.message
    fields = through_table("interleave", {"id": row.id, **row.fields})
    found = []
    for entry in fields["documents"]:
        document = documents.load(entry["document"])
        assert document.dump() == entry["document"]
        assert document.id == entry["key"]
        assert document.images() == [image["name"] for image in entry["images"]]
        assert (len(document.clips), document.text_tokens()) == (entry["clips"], entry["text_tokens"])
        found.append(document)
    return found


def test_each_clip_gives_its_frames_then_its_caption_then_its_speech(tmp_path: Path) -> None:
    (row,) = run(tmp_path, [simple_video("film", clips=2, frames=2)])

    (document,) = documents_of(row)
    told = [(s.clip, s.images if isinstance(s, Frames) else f"{s.role}: {s.text}") for s in document.segments]
    assert told == [
        (0, ["000.jpg", "001.jpg"]),
        (0, "caption: A hand does step 0."),
        (0, "speech: now step 0."),
        (1, ["002.jpg", "003.jpg"]),
        (1, "caption: A hand does step 1."),
        (1, "speech: now step 1."),
    ]
    assert document.clips[1].speech == "now step 1."
    assert [i["clip"] for i in row.fields["documents"][0]["images"]] == [0, 0, 1, 1]


def test_speech_that_is_the_caption_is_told_once(tmp_path: Path) -> None:
    video = Video("a", [(0, 10, [1])], [("stir  the pot", 1, 3)], ["stir the\npot"])

    (document,) = documents_of(run(tmp_path, [video])[0])

    assert [s.role for s in document.segments if isinstance(s, Text)] == ["caption"]
    assert document.clips[0].speech == document.clips[0].caption  # what is known of the clip stays complete


def test_speech_can_be_left_out(tmp_path: Path) -> None:
    spoken_only = Video("b", [(0, 10, [1])], [("stir", 1, 3)], [""])
    told, untold = run(tmp_path, [simple_video("a"), spoken_only], include_speech=False)

    (document,) = documents_of(told)
    assert {s.role for s in document.segments if isinstance(s, Text)} == {"caption"}
    assert document.clips[0].speech == "now step 0."
    assert (untold.status, untold.reason) == ("dropped", "no_text")


def test_provenance_and_source_are_told_and_no_path_of_this_machine_is(tmp_path: Path) -> None:
    video = simple_video("a")
    video.collect.update(path="/abs/secret/a.mp4", title="", category="Food", licence="", dataset="howto")
    video.download.update(title="Stir fry", url="http://x/a", info=json.dumps({"license": "CC-BY"}))

    (row,) = run(tmp_path, [video])
    (document,) = documents_of(row)

    assert document.source.model_dump(exclude_none=True) == {
        "video_id": "a",
        "url": "http://x/a",
        "path": "a.mp4",
        "title": "Stir fry",
        "category": "Food",
        "licence": "CC-BY",
        "dataset": "howto",
    }
    assert document.provenance.model_dump() == {
        "recipe": "test",
        "fingerprint": FINGERPRINTS["interleave"],
        "models": {"caption": "tiny@r1"},
        "prompts": {"caption": "p1"},
    }
    assert str(tmp_path) not in row.fields["documents"][0]["document"]


@pytest.mark.parametrize(("start", "said"), [(-4.000689, -4.000689), (1.48, 1.48), (0.04, None), (0.0, None)])
def test_a_document_says_where_its_video_starts_if_that_changes_whole_seconds(
    tmp_path: Path, start: float, said: float | None
) -> None:
    video = simple_video("a")
    video.keyframes.update(start=start)

    (document,) = documents_of(run(tmp_path, [video])[0])

    assert document.source.start == said


@pytest.mark.parametrize(
    ("video", "options", "reason"),
    [
        (Video("a", []), {}, "no_clips"),
        (Video("a", [(0, 9, [])], captions=["x"]), {}, "no_frames"),
        (Video("a", [(0, 9, [1])]), {}, "no_text"),
        (Video("a", [(0, 9, [])]), {"require_text": False, "require_frames": False}, "no_text"),
        (simple_video("a", clips=2), {"min_clips": 3}, "few_clips"),
    ],
)
def test_a_video_without_documents_is_dropped_with_its_reason(
    tmp_path: Path, video: Video, options: dict[str, Any], reason: str
) -> None:
    (row,) = run(tmp_path, [video], **options)

    assert (row.status, row.reason) == ("dropped", reason)
    assert row.message


def test_clips_without_text_or_frames_are_left_out_or_kept_as_asked(tmp_path: Path) -> None:
    video = Video("a", [(0, 9, [1]), (9, 18, []), (18, 27, [19])], captions=["one", "two", ""])

    assert [c.start for c in documents_of(run(tmp_path, [video])[0])[0].clips] == [0]
    kept = documents_of(run(tmp_path, [video], require_text=False, require_frames=False)[0])[0]
    assert [c.start for c in kept.clips] == [0, 9, 18]


def test_a_long_video_gives_several_documents_of_near_equal_length(tmp_path: Path) -> None:
    (row,) = run(tmp_path, [simple_video("film", clips=10)], clips_per_document=4)

    found = documents_of(row)

    assert [document.id for document in found] == ["film-000", "film-001", "film-002"]
    assert [len(document.clips) for document in found] == [3, 3, 4]
    assert [document.images()[0] for document in found] == ["000.jpg"] * 3


def test_image_budgets_cut_documents_and_thin_crowded_clips(tmp_path: Path) -> None:
    (row,) = run(tmp_path, [simple_video("film", clips=4, frames=7)], max_images=5, clips_per_document=0)

    found = documents_of(row)

    assert [len(document.images()) for document in found] == [5, 5, 5, 5]
    assert [i["frame"] for i in row.fields["documents"][0]["images"]] == [0, 2, 3, 4, 6]


def test_a_broken_row_fails_alone(tmp_path: Path) -> None:
    broken = Video("bad", [(5, 1, [3])], captions=["x"])

    rows = run(tmp_path, [simple_video("a"), broken, simple_video("b")])

    assert [(row.id, row.status) for row in rows] == [("a", "ok"), ("bad", "failed"), ("b", "ok")]


@st.composite
def videos(draw: st.DrawFn) -> Video:
    lengths = draw(st.lists(st.floats(0.1, 30), min_size=1, max_size=12))
    clips, start = [], draw(st.floats(0, 5))
    for length in lengths:
        end = start + length
        shares = draw(st.lists(st.floats(0, 0.99), max_size=4))
        clips.append((start, end, [start + length * share for share in shares]))
        start = end + draw(st.sampled_from([0.0, 0.0, 1.5]))
    spans = draw(st.lists(st.tuples(st.floats(0, 200), st.floats(0, 25)), max_size=15))
    sentences = [(f"word{n}", at, at + length) for n, (at, length) in enumerate(spans)]
    captions = draw(st.lists(st.sampled_from(["", "cut it", "Stir."]), min_size=len(clips), max_size=len(clips)))
    return Video("film", clips, sentences, captions)


@settings(deadline=None, max_examples=60)
@given(videos(), st.integers(0, 4), st.integers(0, 5), st.booleans(), st.booleans())
def test_nothing_is_lost_or_told_twice_and_budgets_hold(
    tmp_path_factory: pytest.TempPathFactory, video: Video, most_clips: int, most_images: int, text: bool, frames: bool
) -> None:
    options = {
        "clips_per_document": most_clips,
        "max_images": most_images,
        "require_text": text,
        "require_frames": frames,
    }
    folder = tmp_path_factory.mktemp("law")
    (row,) = run(folder, [video], **options)
    assert run(folder, [video], **options) == [row]  # the same bytes each time

    speech = speech_of_clips(
        [{"start": s, "end": e} for s, e, _ in video.clips],
        [{"text": t, "start": s, "end": e} for t, s, e in video.sentences],
    )
    stay = [
        n
        for n, ((_, _, times), caption) in enumerate(zip(video.clips, video.captions, strict=True))
        if (times or not frames) and (caption or speech[n].text or not text) and (times or caption or speech[n].text)
    ]
    if not stay:
        assert row.status == "dropped"
        return
    found = documents_of(row)
    assert [clip.start for document in found for clip in document.clips] == [round(video.clips[n][0], 6) for n in stay]
    for document in found:
        assert most_clips == 0 or len(document.clips) <= most_clips
        assert most_images == 0 or len(document.images()) <= most_images
        assert [segment.clip for segment in document.segments] == sorted(segment.clip for segment in document.segments)
    images = [(i["clip"], i["frame"]) for d in row.fields["documents"] for i in d["images"]]
    assert len(images) == len(set(images))
    assert len(images) == sum(min(len(video.clips[n][2]), most_images or 99) for n in stay)
    texts = [s for document in found for s in document.segments if isinstance(s, Text)]
    assert [s.text for s in texts if s.role == "caption"] == [video.captions[n] for n in stay if video.captions[n]]
    said = " ".join(s.text for s in texts if s.role == "speech").split()
    assert sorted(said) == sorted(" ".join(speech[n].text for n in stay).split())
    assert len(said) == len(set(said))


@pytest.mark.parametrize("options", [{}, {"filter": {"tokens": 99}}, {"min_clips": 3}])
def test_what_clips_were_judged_by_is_written_for_dropped_videos_too(tmp_path: Path, options: dict[str, Any]) -> None:
    (row,) = run(tmp_path, [simple_video("a", clips=2)], **options)

    assert row.status == ("dropped" if options else "ok")
    fields = through_table("interleave", {"id": row.id, **row.fields})
    texts = ("A hand does step 0.", "now step 0.")
    tokens = sum(documents.count_tokens(text) for text in texts)
    assert fields["judged"] == [{"clip": n, "roles": ["caption", "speech"], "tokens": tokens} for n in (0, 1)]
