"""The look at a source before its first build: what is there, what is missing, what adds it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from interlink.errors import UserError
from interlink.recipe import Recipe, begin_recipe
from interlink.report.survey import Survey, survey


def recipe_of(path: Path, *sets: str) -> Recipe:
    return Recipe.load("folder", [f"source.path={path}", *sets])


@pytest.fixture
def folder(sample_clips: Path, tmp_path: Path) -> Path:
    """Two videos without subtitles, one with, and one that is none."""
    made = tmp_path / "clips"
    made.mkdir()
    videos = sorted(sample_clips.glob("*.mp4"))[:3]
    for video in videos:
        shutil.copy(video, made / video.name)
    subtitles = next(iter(sorted(sample_clips.glob(f"{videos[0].stem}*.vtt"))))
    shutil.copy(subtitles, made / f"{videos[0].stem}.en.vtt")
    (made / "broken.mp4").write_bytes(b"no video")
    return made


def test_a_folder_is_counted_and_a_few_of_its_files_are_looked_at(folder: Path) -> None:
    recipe = recipe_of(folder)
    found = survey(recipe)
    assert (dict(found.items), found.media, found.subtitled) == ({"file": 4}, 3, 1)
    assert dict(found.languages) == {"en": 1}
    lines = found.lines(recipe)
    assert lines[0] == f"source: {folder}: 4 videos"
    assert "subtitles for 1 (en 1)" in lines[1]
    assert any("broken.mp4" in line for line in lines)
    assert "keyframes (shots) → caption (transcript) → interleave (clip) → shard" in "\n".join(lines)
    assert "missing: 2 of 3 have no subtitles, so they get no text and no document" in lines


def test_remedies_are_those_that_the_recipe_has_not_taken(folder: Path) -> None:
    recipe = recipe_of(folder, "caption.engine=checkpoint:sample-world")
    text = "\n".join(survey(recipe).lines(recipe))
    assert "caption the pictures" not in text
    assert "recognise speech: --set transcribe.recogniser=faster-whisper" in text


@pytest.mark.parametrize(("speaks", "offered"), [(None, True), (2, True), (0, False)])
def test_a_recogniser_is_offered_unless_nobody_speaks(tmp_path: Path, speaks: int | None, offered: bool) -> None:
    recipe = recipe_of(tmp_path)
    text = "\n".join(Survey(str(tmp_path), media=3, sound=3, speaks=speaks).lines(recipe))
    assert ("recognise speech" in text, "caption the pictures" in text) == (offered, True)
    assert ("somebody speaks in" in text) == (speaks is not None)


def test_a_list_of_ids_is_counted_by_host(tmp_path: Path) -> None:
    listed = tmp_path / "howto100m.csv"
    listed.write_text("video_id,category_1,rank\ndQw4w9WgXcQ,Food,1\nabcdefghijk,Food,2\n")
    recipe = recipe_of(listed)
    found = survey(recipe)
    assert (dict(found.items), dict(found.hosts)) == ({"url": 2}, {"www.youtube.com": 2})
    assert found.lines(recipe)[0] == f"source: {listed}: 2 addresses"


def test_a_source_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        survey(recipe_of(tmp_path / "nothing"))


def test_a_begun_recipe_holds_what_differs_from_the_defaults(folder: Path) -> None:
    recipe = recipe_of(folder, "keyframes.frames_per_clip=2")
    data = yaml.safe_load(begin_recipe(recipe))
    assert data == {"name": "folder", "source": {"path": str(folder)}, "keyframes": {"frames_per_clip": 2}}
    assert Recipe.load(data).dump() == recipe.dump()


@pytest.mark.slow
def test_init_writes_a_recipe_once_and_names_the_next_command(folder: Path, tmp_path: Path) -> None:
    def init() -> str:
        command = [sys.executable, "-m", "interlink", "init", str(folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "COLUMNS": "80"}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert init().splitlines()[-2:] == ["wrote interlink.yaml", "next: interlink build --root out"]
    (tmp_path / "interlink.yaml").write_text("name: mine\n")
    assert "is there already and was left as it is" in init()
    assert (tmp_path / "interlink.yaml").read_text() == "name: mine\n"
