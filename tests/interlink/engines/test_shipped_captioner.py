"""The captioner that comes with the package: right on the sample world, wary of everything else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from interlink.api import Build
from interlink.engines import familiar
from interlink.engines.captioner import ClipCaption, ClipRequest, Identity
from interlink.engines.checkpoint import SHIPPED, Checkpoint, model_folder
from interlink.engines.settings import CheckpointSettings
from interlink.sample import render
from interlink.sample.judge import PARTS, judge
from interlink.stages.caption import CaptionSettings
from telling import jpeg

FOLDER = SHIPPED / "sample-world"


def opened() -> tuple[Checkpoint, Identity]:
    engine = Checkpoint(CheckpointSettings(model="sample-world", device="cpu"), "")
    return engine, engine.open()


def asked(engine: Checkpoint, clips: list[list[bytes]]) -> list[ClipCaption]:
    requests = [ClipRequest("film", n, tuple(c), tuple(map(float, range(len(c)))), 0, 5) for n, c in enumerate(clips)]
    return sorted(engine.caption(requests), key=lambda answer: answer.clip)


@pytest.mark.slow
def test_it_names_object_colour_and_action_of_videos_it_never_saw(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    torch.set_num_threads(1)
    clips, root = tmp_path / "clips", tmp_path / "out"
    render(clips, 10, 20011, "heldout", processes=1)
    recipe = {"name": "t", "source": {"path": str(clips)}, "caption": {"engine": "checkpoint:sample-world"}}
    with caplog.at_level(logging.WARNING, "interlink.engines"):
        status = Build(recipe, root, ["executor.kind=inline", "caption.checkpoint.device=cpu"]).run().status
    judged = judge(clips, Build(None, root).documents())

    assert judged.clips >= 30
    assert {part: judged.share(part) >= 0.8 for part in PARTS} == dict.fromkeys(PARTS, True)
    assert status.stages["caption"].lost["flagged unfamiliar"] <= judged.clips * 0.1
    assert "unlike the training data" not in caplog.text


def test_what_it_does_not_know_is_flagged_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    engine, _ = opened()
    with caplog.at_level(logging.WARNING):
        answers = asked(engine, [[jpeg(n), jpeg(n + 1)] for n in range(40)])
        engine.close()
    flagged = [answer for answer in answers if answer.flag == "unfamiliar"]

    assert len(flagged) > 20
    assert all(answer.caption and answer.error is None for answer in answers)
    least = familiar.least_fit(FOLDER)
    assert least is not None
    assert all((answer.fit is not None and answer.fit < least) == (answer in flagged) for answer in answers)
    assert caplog.text.count("unlike the training data of sample-world") == 1
    assert "transcript" in caplog.text


def test_it_knows_real_pictures_for_foreign(shared_data: Path) -> None:
    engine, _ = opened()
    pictures = sorted((shared_data / "images").glob("*.jpg"))
    answers = asked(engine, [[path.read_bytes()] for path in pictures])
    assert sum(answer.flag == "unfamiliar" for answer in answers) > 0.85 * len(pictures)


def test_it_is_small_says_who_it_is_and_how_it_was_made(tmp_path: Path) -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 4_000_000
    card = (FOLDER / "README.md").read_text()
    assert "python pipelines/learn.py" in card and "Judged" in card
    _, identity = opened()
    assert identity.model == "sample-world"
    assert identity.revision.startswith("folder-")
    assert str(SHIPPED) not in str(identity)


def test_a_name_that_is_none_of_the_packages_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_folder("sample-world") == FOLDER
    assert model_folder("mine") == tmp_path / "mine"
    assert model_folder("../assets/sample-world") == (tmp_path / "../assets/sample-world").absolute()


def test_the_speech_stays_the_caption_where_nothing_is_said() -> None:
    assert CaptionSettings().engine == "transcript"
