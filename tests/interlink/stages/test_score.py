"""score: columns of a real (tiny) image–text model, of hashes, words and safety; it drops nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import simplejpeg

from interlink.errors import UserError
from interlink.score.pictures import difference_hash
from interlink.score.safety import CHECKERS, SafetyChecker
from interlink.stage import Item, Row
from interlink.stages.score import Score, ScoreSettings
from interlink.storage import Storage
from scoring import narrated
from telling import Video, jpeg, make_items, simple_video, through_table


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


@pytest.fixture(scope="module")
def clip_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from tiny_checkpoints import save_clip

    name, weights = save_clip(tmp_path_factory.mktemp("clip"))
    return {"engine": "open_clip", "open_clip": {"model": name, "pretrained": str(weights), "device": "cpu"}}


def score(items: Sequence[Item], **options: Any) -> list[Row]:
    stage = Score(ScoreSettings(**options), items[0].context)
    stage.open()
    try:
        rows = list(stage.run(iter(items)))
    finally:
        stage.close()
    for row in rows:
        if row.status == "ok":
            row.fields = through_table("score", {"id": row.id, **row.fields})
    return rows


def test_without_an_engine_words_and_pictures_are_still_measured(root: Storage) -> None:
    video = Video(
        "film",
        [(0, 10, [1, 2]), (10, 20, [])],
        [("cut the onion, call 555-010-9999", 1, 3)],
        ["A hand cuts an onion.", ""],
    )
    (row,) = score(make_items(root, [video]))

    first, second = row.fields["clips"]
    assert (first["similarity"], first["agreement"], first["tokens"], first["personal"]) == (None, 0.6667, 6, 1)
    assert (second["agreement"], second["tokens"], second["safety"]) == (None, 0, None)
    assert [f["hash"] for f in row.fields["frames"]] == [difference_hash(jpeg(n)) for n in range(2)]
    assert row.fields["sentences"] == []


def test_similarity_is_that_of_the_model_and_vectors_are_kept_where_asked(
    root: Storage, clip_model: dict[str, Any]
) -> None:
    item = make_items(root, [simple_video("film", clips=2)])[0]
    (row,) = score([item], **clip_model, vectors=True)
    (lean,) = score([item], **clip_model)

    rows = row.fields
    frames = np.stack([np.frombuffer(f["vector"], np.float16) for f in rows["frames"]]).astype(float)
    assert frames.shape == (4, 16)
    assert np.allclose(np.linalg.norm(frames, axis=1), 1, atol=1e-2)
    for clip in rows["clips"]:
        own = [f["similarity"] for f in rows["frames"] if f["clip"] == clip["clip"]]
        assert clip["similarity"] == pytest.approx(np.mean(own), abs=1e-4)
        assert clip["best"] == max(own)
    told = {(s["clip"], s["role"]): np.frombuffer(s["vector"], np.float16).astype(float) for s in rows["sentences"]}
    assert set(told) == {(0, "caption"), (0, "speech"), (1, "caption"), (1, "speech")}
    # A caption of one sentence has its sentence's vector, so the scores follow from what is kept.
    assert frames[0] @ told[0, "caption"] == pytest.approx(rows["frames"][0]["similarity"], abs=5e-3)
    assert lean.fields["clips"] == rows["clips"]
    assert lean.fields["sentences"] == [] and {f["vector"] for f in lean.fields["frames"]} == {b""}
    assert rows["model"] == "interlink-tiny-clip" and rows["revision"].startswith("file-")


def test_narrations_are_scored_before_captions(root: Storage) -> None:
    item = narrated(make_items(root, [simple_video("film", clips=2)])[0], ["Three words here.", ""])
    (row,) = score([item])

    assert [clip["tokens"] for clip in row.fields["clips"]] == [4, 6]


def test_weights_that_are_not_there_are_told(root: Storage) -> None:
    items = make_items(root, [simple_video("film")])
    with pytest.raises(UserError, match="has no weights"):
        score(items, engine="open_clip")
    with pytest.raises(UserError, match=r"/nowhere/weights\.pt does not exist"):
        score(items, engine="open_clip", open_clip={"pretrained": "/nowhere/weights.pt"})
    with pytest.raises(UserError, match="no image–text engine 'open_clp'"):
        ScoreSettings(engine="open_clp")


def test_a_frame_that_is_gone_fails_its_video_alone(root: Storage) -> None:
    lost = make_items(root, [simple_video("lost")], "000-00001")
    root.delete(f"{lost[0].folders['keyframes']}/blobs.tar")
    rows = score([*lost, *make_items(root, [simple_video("a")])])

    assert [(row.status, row.error_class) for row in rows] == [("failed", "unreadable"), ("ok", "")]


class DarkPictures(SafetyChecker):
    """A safety checker as another package would offer it."""

    wants_frames: ClassVar[bool] = True

    def judge(self, clips: Sequence[tuple[Sequence[bytes], str]]) -> list[tuple[float, str]]:
        return [(0.25 * len(frames), "dark") for frames, _ in clips]


def test_safety_is_the_gravest_of_all_checkers(root: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKERS, "dark", f"{__name__}:DarkPictures")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[DarkPictures.__module__])
    video = Video("film", [(0, 9, [1]), (9, 18, [11, 12])], [("a Bad   word here", 1, 2)], ["x", "y"])
    (row,) = score(make_items(root, [video]), safety=["words", "dark"], blocked_words=["bad word"])

    assert [(c["safety"], c["unsafe"]) for c in row.fields["clips"]] == [(1.0, "words: bad word"), (0.5, "dark: dark")]
    with pytest.raises(UserError, match="no safety checker 'wrds'"):
        ScoreSettings(safety=["wrds"])


def test_language_is_the_transcripts_or_detected(root: Storage) -> None:
    said = [("heute schneiden wir zusammen eine rote Zwiebel in sehr feine Ringe", 1, 8)]
    item = make_items(root, [Video("film", [(0, 10, [1])], said, ["x"])])[0]
    item.rows["transcribe"].update(language="de-DE")  # type: ignore[attr-defined]
    assert score([item])[0].fields["language"] == "de"
    pytest.importorskip("py3langid", reason="py3langid (the extra `language`) is not installed")
    item.rows["transcribe"].update(language="en")  # type: ignore[attr-defined]
    assert score([item], detect_language=True)[0].fields["language"] == "de"


def test_hashes_outlive_scaling_and_compression_and_tell_pictures_apart() -> None:
    draw = np.random.default_rng(3)

    def bits(a: int, b: int) -> int:
        return ((a ^ b) & (2**64 - 1)).bit_count()

    def picture() -> Any:
        coarse = draw.integers(0, 256, (9, 12, 3)).astype(np.float64)
        return np.clip(coarse.repeat(28, 0).repeat(28, 1) + draw.normal(0, 3, (252, 336, 3)), 0, 255).astype(np.uint8)

    def hashed(pixels: Any, quality: int) -> int:
        return difference_hash(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality))

    pictures = [picture() for _ in range(12)]
    hashes = [hashed(pixels, 92) for pixels in pictures]
    again = [hashed(pixels[::2, ::2], 50) for pixels in pictures]
    assert max(bits(a, b) for a, b in zip(hashes, again, strict=True)) <= 4
    assert min(bits(a, b) for n, a in enumerate(hashes) for b in hashes[:n]) >= 12
    assert hashed(np.full((64, 64, 3), 90, np.uint8), 92) == 0
    assert json.loads(json.dumps(hashes)) == hashes and all(-(2**63) <= h < 2**63 for h in hashes)
