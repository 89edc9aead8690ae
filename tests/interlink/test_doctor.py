"""`interlink doctor --captioner`, and what `interlink status` says beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from interlink.api import Build
from interlink.cli import app
from interlink.doctor import captioner_ceiling, read_ceiling
from interlink.errors import UserError
from interlink.report.summary import caption_line
from telling import jpeg

SETS = ["executor.kind=inline", "caption.engine=checkpoint:sample-world", "caption.checkpoint.device=cpu"]
SETS += ["caption.checkpoint.batch_size=4"]


def recipe(clips: Path) -> dict[str, object]:
    return {"name": "t", "source": {"path": str(clips)}}


@pytest.fixture(scope="module")
def built(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    import torch

    torch.set_num_threads(1)
    build = Build(recipe(sample_clips), tmp_path_factory.mktemp("build") / "root", SETS)
    build.run(limit=2)
    return build


def test_a_build_is_held_against_what_its_engine_does_by_itself(built: Build) -> None:
    status = built.status()
    stage = status.stages["caption"]
    assert stage.amounts["clips"] >= 6 and stage.amounts["tokens"] > 5 * stage.amounts["clips"]
    assert "interlink doctor --captioner" in caption_line(status, None)

    found = captioner_ceiling(built, 0.2)
    assert (found.engine, found.model) == ("checkpoint", "sample-world")
    assert found.clips % 4 == 0 and found.tokens_per_second > 5 * found.clips_per_second
    assert read_ceiling(built.workspace.storage) == found
    shown = CliRunner().invoke(app, ["status", built.workspace.storage.url]).output
    line = re.search(r"caption: ([\d.,]+) clips/s, [\d.,]+ tokens/s a worker: \d+% of what sample-world does", shown)
    assert line, shown
    assert float(line[1].replace(",", "")) == pytest.approx(stage.amounts["clips"] / stage.seconds, rel=0.02)


def test_without_a_build_frames_are_drawn_or_given(sample_clips: Path, tmp_path: Path) -> None:
    build = Build(recipe(sample_clips), tmp_path / "none", SETS)
    assert captioner_ceiling(build, 0.1).clips >= 4
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    assert captioner_ceiling(build, 0.1, tmp_path).clips >= 4
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no JPEGs"):
        captioner_ceiling(build, 0.1, tmp_path / "empty")


def test_the_speech_has_no_ceiling_and_the_command_says_what_it_needs(sample_clips: Path, tmp_path: Path) -> None:
    build = Build(recipe(sample_clips), tmp_path / "none")
    with pytest.raises(UserError, match="captions by the speech"):
        captioner_ceiling(build, 1)
    assert caption_line(build.status(), None) == ""
    result = CliRunner().invoke(app, ["doctor"])
    assert isinstance(result.exception, UserError) and "what to look at" in str(result.exception)


def test_it_prints_json_for_programs(built: Build) -> None:
    arguments = ["doctor", "--captioner", "--root", built.workspace.storage.url, "--seconds", "0.1", "--json"]
    told = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert told["clips_per_second"] == pytest.approx(told["clips"] / told["seconds"])
