"""Shards as others write them: each layout in a tar of the right members, through the stream or the reader."""

from __future__ import annotations

import base64
import io
import itertools
import json
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cosmos_train.stream.batch import IGNORED, BadSample, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.corpus import Clip, Corpus
from cosmos_train.stream.loader import Samples
from cosmos_train.stream.matching import match
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.tokenizer import Tokenizer
from interlink.shards import ShardWriter
from interlink.storage import Storage

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 60), (40, 60, 220)
Members = dict[str, bytes]


def picture(colour: tuple[int, int, int], form: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, form)
    return buffer.getvalue()


def shard(path: Path, samples: Sequence[tuple[str, Members]]) -> str:
    """A tar as Python's tarfile writes it, with times in pax records as webdataset's writer leaves them."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        for key, members in samples:
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size, info.mtime = len(data), 1700000000.25  # type: ignore[assignment]
                file.addfile(info, io.BytesIO(data))
    return str(path)


def corpus_of(path: str, clips: int = 2) -> Corpus:
    return Corpus(path, ("caption",), clips)


def sample_of(corpus: Corpus, number: int = 0, frames: int = 3) -> Sample:
    settings = DataSettings(clips_per_sample=corpus.clips_per_sample, frames_per_clip=frames, image={"size": 16})
    found = Samples(corpus, settings, 0, train=False)[number]
    assert isinstance(found, Sample), found
    return found


def colours(sample: Sample) -> list[str]:
    names = {0: "red", 1: "green", 2: "blue"}
    return [names[int(frames.mean((0, 2, 3)).argmax())] for frames in sample.frames if len(frames)]


def described(about: dict[str, Any]) -> bytes:
    return json.dumps(about).encode()


def test_pairs_of_img2dataset(tmp_path: Path) -> None:
    samples = [
        ("00000000", {"jpg": picture(RED), "txt": b"a red thing\n", "json": described({"caption": "no", "key": "0"})}),
        ("00000001", {"jpg": picture(GREEN), "json": described({"caption": "a green thing"})}),
        ("00000002", {"png": picture(BLUE, "PNG"), "txt": b"original\tmade<EOC>up<EOC>"}),
        ("00000003", {"webp": picture(BLUE, "WEBP"), "caption": b"a blue thing"}),
    ]
    corpus = corpus_of(shard(tmp_path / "00000.tar", samples), clips=1)
    assert corpus.units == 4
    found = [sample_of(corpus, number) for number in range(4)]
    assert [sample.texts for sample in found] == [
        ("a red thing",),
        ("a green thing",),
        ("original",),
        ("a blue thing",),
    ]
    assert [colours(sample) for sample in found] == [["red"], ["green"], ["blue"], ["blue"]]


def mmc4(similarity: list[list[float]] | None, matched: Sequence[int] = ()) -> bytes:
    infos = [{"image_base64": base64.b64encode(picture(c)).decode()} for c in (RED, GREEN, BLUE)]
    for info, index in zip(infos, matched, strict=False):
        info["matched_text_index"] = index  # type: ignore[assignment]
    about = {"text_list": ["zero", "one", "two", "three"], "image_info": infos}
    return described(about | ({"similarity_matrix": similarity} if similarity else {}))


def test_mmc4_images_go_before_the_sentences_they_match_best(tmp_path: Path) -> None:
    similarity = [[0.1, 0.9, 0.1, 0.1], [0.1, 0.8, 0.1, 0.7], [0.1, 0.1, 0.2, 0.1]]  # blue is below the threshold
    corpus = corpus_of(shard(tmp_path / "a.tar", [("page", {"json": mmc4(similarity)})]), clips=3)
    sample = sample_of(corpus)
    assert sample.texts == ("zero", "one two", "three")
    assert [len(times) for times in sample.times] == [0, 1, 1]
    assert colours(sample) == ["red", "green"]


def test_mmc4_as_published_says_the_match(tmp_path: Path) -> None:
    corpus = corpus_of(shard(tmp_path / "a.tar", [("page", {"json": mmc4(None, (2, 0, 2))})]), clips=3)
    sample = sample_of(corpus)
    assert sample.texts == ("zero one", "", "two three")
    assert colours(sample) == ["green", "red", "blue"]


def test_mmc4_matching_varies_between_epochs_and_not_within_one(tmp_path: Path) -> None:
    similarity = [[0.50, 0.51, 0.5, 0.5], [0.51, 0.50, 0.5, 0.5], [0.5, 0.5, 0.51, 0.50]]
    corpus = corpus_of(shard(tmp_path / "a.tar", [("page", {"json": mmc4(similarity)})]), clips=4)
    settings = DataSettings(clips_per_sample=4, image={"size": 16})
    epochs = [[Samples(corpus, settings, 0)[epoch] for _ in range(2)] for epoch in range(12)]
    assert all(one.texts == other.texts for one, other in epochs)  # type: ignore[union-attr]
    assert len({one.texts for one, _ in epochs}) > 2  # type: ignore[union-attr]


def test_obelics_pages_keep_the_order_of_texts_and_images(tmp_path: Path) -> None:
    info = [None, {"image_base64": base64.b64encode(picture(GREEN)).decode()}, None, None]
    about = {"dataset": "obelics", "texts": ["lead", None, "about it", None], "image_info": info}
    corpus = corpus_of(shard(tmp_path / "a.tar", [("p", {"json": described(about)})]), clips=3)
    assert corpus.clips(0) == [Clip("lead"), Clip("about it", (0.0,), (picture(GREEN),))]


def interlinked(clips: Sequence[tuple[int, dict[str, str]]]) -> Members:
    """A document of ours: (frames, text by role) of each clip, every frame of the colour of its clip."""
    images: Members = {}
    segments: list[dict[str, Any]] = []
    for number, (frames, texts) in enumerate(clips):
        names = [f"{len(images) + n:03d}.jpg" for n in range(frames)]
        images |= {name: picture((RED, GREEN, BLUE)[number % 3]) for name in names}
        times = [10.0 * number + n for n in range(frames)]
        segments.append({"type": "frames", "images": names, "times": times, "clip": number})
        segments += [{"type": "text", "text": text, "role": role, "clip": number} for role, text in texts.items()]
    return {"json": described({"segments": segments, "clips": [{} for _ in clips]}), **images}


def test_our_documents_give_the_clips_that_have_frames_and_the_first_text_asked_for(tmp_path: Path) -> None:
    members = interlinked(
        [(2, {"speech": "so", "narration": "we fold"}), (0, {"speech": "unseen"}), (1, {"speech": "then"}), (1, {})]
    )
    corpus = Corpus(shard(tmp_path / "a.tar", [("d", members)]), ("narration", "speech"), 2)
    assert [(clip.text, clip.times) for clip in corpus.clips(0)] == [("we fold", (0.0, 1.0)), ("then", (20.0,))]
    assert colours(sample_of(corpus)) == ["red", "blue"]


def test_clips_without_text_give_their_turns_to_all_others_of_the_document(tmp_path: Path) -> None:
    """Given an index that says 8 clips where 5 can be used, the last of these are not seen more often than others."""
    clips = [(1, {"speech": str(number)} if number in (0, 2, 3, 5, 7) else {}) for number in range(8)]
    with ShardWriter(Storage(str(tmp_path)), "", lambda number: f"{number:03d}.tar", 10**6) as writer:
        writer.add("few", list(interlinked(clips).items()), images=8, clips=8)
    corpus = Corpus(str(tmp_path), ("speech",), 2)
    assert (corpus.units, len(corpus.clips(0))) == (4, 5)
    settings = DataSettings(text=["speech"], frames_per_clip=1, image={"size": 16})
    drawn = Samples(corpus, settings, 0)
    found = Counter(text for position in range(4 * 100) for text in drawn[position].texts)  # type: ignore[union-attr]
    assert found.keys() == set("02357")
    assert max(found.values()) < 2.5 * min(found.values()), found
    lengths = corpus.lengths(Tokenizer.train([], 400))
    assert all(drawn.size(position, lengths)[1] == 2 for position in range(40))
    still = Samples(corpus, settings, 0, train=False)
    assert [still[n].texts for n in range(4)] == [("0", "2"), ("3", "5"), ("5", "7"), ("5", "7")]  # type: ignore[union-attr]


def test_pages_are_learned_from_their_images_on_and_only_within_chunks(tmp_path: Path) -> None:
    """The paper's rule for web documents; of a video all of the text and its end are learned."""
    texts = ["zero", "one", "two"]
    info = [{"image_base64": base64.b64encode(picture(c)).decode()} for c in (RED, GREEN)]
    for number, image in zip((2, 1), info, strict=True):
        image["matched_text_index"] = number  # type: ignore[assignment]
    page = {"json": described({"text_list": texts, "image_info": info})}
    video = interlinked([(1, {"caption": "one"}), (1, {"caption": "two"})])
    tokenizer = Tokenizer.train(texts, 400)
    zero, one, two = (tokenizer.encode(text) for text in texts)
    begin, end, visual, chunk = tokenizer.begin, tokenizer.end, tokenizer.visual, tokenizer.end_of_chunk
    seen = [visual, *one, chunk, visual, *two, chunk, end]
    kept = [IGNORED, *one, chunk, IGNORED, *two, chunk]

    def tokenized(members: Members, learn_lead: bool = False) -> tuple[list[int], list[int]]:
        sample = sample_of(corpus_of(shard(tmp_path / "a.tar", [("k", members)]), clips=3))
        batch = collate([sample], tokenizer, 64, learn_lead=learn_lead)
        return batch.rows.tokens[0].tolist(), batch.rows.labels[0].tolist()

    assert tokenized(page) == ([begin, *zero, *seen], [IGNORED, *(IGNORED for _ in zero), *kept, IGNORED])
    assert tokenized(page, learn_lead=True)[1] == [IGNORED, *zero, *kept, IGNORED]
    assert tokenized(video) == ([begin, *seen], [IGNORED, *kept, end])


def test_mint_pages_take_images_from_members_or_a_tiff(tmp_path: Path) -> None:
    about = {"texts": [None, "first", None, "second"], "images": ["a_0", None, "a_1", None]}
    buffer = io.BytesIO()
    pages = [Image.new("RGB", (40, 30), colour) for colour in (BLUE, RED)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    samples = [
        ("pdf", {"json": described(about), "tiff": buffer.getvalue()}),
        ("html", {"json": described(about), "0.jpg": picture(GREEN), "1.jpg": picture(BLUE)}),
    ]
    corpus = corpus_of(shard(tmp_path / "a.tar", samples))
    assert corpus.units == 2
    assert [sample_of(corpus, n).texts for n in (0, 1)] == [("first", "second")] * 2
    assert [colours(sample_of(corpus, n)) for n in (0, 1)] == [["blue", "red"], ["green", "blue"]]


@pytest.fixture(scope="module")
def traffic_light() -> bytes:
    """An mp4 of 6 s: red, green, blue for 2 s each, a keyframe every second."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"g": "10"}
        for number in range(60):
            pixels = np.full((48, 64, 3), (RED, GREEN, BLUE)[number // 20], np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())
    return buffer.getvalue()


def test_video_with_one_text_gives_a_frame_of_each_part(tmp_path: Path, traffic_light: bytes) -> None:
    members = {"mp4": traffic_light, "txt": b"a light", "json": described({"videoid": "1", "name": "no"})}
    corpus = corpus_of(shard(tmp_path / "a.tar", [("sample000001", members)]))
    sample = sample_of(corpus)
    assert sample.texts == ("a light",)
    assert sample.frames[0].shape == (3, 3, 16, 16)
    assert [("red", "green", "blue")[int(f.mean((1, 2)).argmax())] for f in sample.frames[0]] == [
        "red",
        "green",
        "blue",
    ]
    assert sample.times[0] == pytest.approx((1.0, 3.0, 5.0))


def test_whole_videos_are_cut_on_the_fly(tmp_path: Path, traffic_light: bytes) -> None:
    clips = [{"start": "00:00:02.0", "end": "00:00:04.0", "caption": "go"}, {"start": 4, "end": 6, "caption": "drive"}]
    members = {"mp4": traffic_light, "json": described({"clips": json.dumps(clips)})}
    sample = sample_of(corpus_of(shard(tmp_path / "a.tar", [("v", members)])))
    assert sample.texts == ("go", "drive")
    assert colours(sample) == ["green", "blue"]


def test_a_gif_and_its_text_are_a_video(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in (RED, GREEN, BLUE)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=1000, loop=0)
    corpus = corpus_of(shard(tmp_path / "a.tar", [("tumblr", {"gif": buffer.getvalue(), "txt": b"a light"})]))
    sample = sample_of(corpus)
    assert [int(frame.mean((1, 2)).argmax()) for frame in sample.frames[0]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"json": b"{nonsense"}, "JSONDecodeError"),
        ({"json": b"[1]"}, "a list, not an object"),
        ({"bin": b"x"}, "neither a document, nor a video, nor an image, but bin"),
        ({"jpg": picture(RED)}, "no clip has both frames and text"),
        ({"jpg": picture(RED)[:300], "txt": b"t"}, "frame at 0.000 s"),
        ({"png": b"no picture", "txt": b"t"}, "frame at 0.000 s: is no picture"),
        ({"tiff": b"no tiff", "json": described({"texts": [None, "a"], "images": [None, None]})}, "its tiff is none"),
        ({"mp4": b"no video", "txt": b"t"}, "its video"),
        ({"json": described({"texts": ["a", None], "images": [None]})}, "2 texts but 1 image slots"),
        ({"json": mmc4([[0.5, 0.5]])}, "not images x sentences"),
    ],
)
def test_what_cannot_be_used_becomes_a_hole_with_its_reason(tmp_path: Path, members: Members, reason: str) -> None:
    corpus = corpus_of(shard(tmp_path / "a.tar", [("odd", members)]))
    found = Samples(corpus, DataSettings(image={"size": 16}), 0)[0]
    assert isinstance(found, BadSample)
    assert found.key == "odd"
    assert reason in found.reason
    assert " at 0x" not in found.reason, "another one in each process"


def test_cmyk_jpeg_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (40, 30), (0, 255, 255, 0)).save(buffer, "JPEG")
    corpus = corpus_of(shard(tmp_path / "a.tar", [("c", {"jpg": buffer.getvalue(), "txt": b"red"})]))
    assert colours(sample_of(corpus)) == ["red"]


@given(
    st.integers(1, 5).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(-9, 9), min_size=columns, max_size=columns), min_size=1, max_size=5
        )
    )
)
def test_the_matching_has_the_greatest_sum(gain: list[list[int]]) -> None:
    table = np.array(gain, float)
    rows, columns = table.shape
    found = match(table)
    assert len(found) == min(rows, columns)
    assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found)
    if rows <= columns:
        best = max(
            sum(table[row, column] for row, column in enumerate(chosen))
            for chosen in itertools.permutations(range(columns), rows)
        )
    else:
        best = max(
            sum(table[row, column] for column, row in enumerate(chosen))
            for chosen in itertools.permutations(range(rows), columns)
        )
    assert sum(table[row, column] for row, column in found) == pytest.approx(best)


def test_a_clip_of_video2dataset_is_one_clip_of_its_file() -> None:
    """Its clipping subsampler leaves the spans that the file was cut from in `clips`."""
    from cosmos_train.stream.formats import read

    about = {"key": "000000000_00000", "caption": "a hand", "clips": [["00:00:05.000", "00:00:09.000"]]}
    members = {"mp4": memoryview(b"video"), "json": memoryview(described(about))}
    (clip,) = read(members, ("caption",), 0.2, 0.0).fixed
    assert (clip.text, clip.span) == ("a hand", (0.0, float("inf")))
