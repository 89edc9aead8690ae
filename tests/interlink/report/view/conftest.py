"""One small build that the tests of the viewer share, and must not change; `copied` gives one to change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from interlink.api import Build

STAGES = "download,transcribe,keyframes,caption,score,sketch,select,interleave,shard"
HOSTILE = '<img src=x onerror=alert(1)> & "quoted" \' title'
CUE = "<script>alert(document.domain)</script> pours {{ 7 * 7 }} and the rest"


@pytest.fixture(scope="session")
def root(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos of the sample world, one of them with a hostile name and cue; one without a word, one that is no
    video, and a copy."""
    folder = tmp_path_factory.mktemp("view")
    clips = folder / "clips"
    shutil.copytree(sample_clips, clips)
    videos = sorted(clips.glob("*.mp4"))
    for file in clips.glob(f"{videos[0].stem}.*"):
        shutil.copy(file, clips / file.name.replace(videos[0].stem, "zz_copy"))
    for file in clips.glob(f"{videos[1].stem}.*.vtt"):
        file.unlink()
    stem = HOSTILE.replace("/", "")
    for file in list(clips.glob(f"{videos[2].stem}.*")):
        if file.suffix == ".vtt":
            lines = file.read_text().split("\n")
            first = next(n for n, line in enumerate(lines) if "-->" in line) + 1
            lines[first] = CUE.replace("<", "&lt;").replace(">", "&gt;")
            file.write_text("\n".join(lines))
        file.rename(clips / file.name.replace(videos[2].stem, stem))
    (clips / "broken.mp4").write_bytes(b"no video at all")
    sets = [f"source.path={clips}", "executor.kind=inline", f"stages=[{STAGES}]"]
    Build("sample", folder / "root", sets).run()
    return folder / "root"


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Callable[[], Path]:
    """A copy of the build to change, without a catalogue."""

    def copy() -> Path:
        shutil.copytree(root, tmp_path / "root", ignore=shutil.ignore_patterns("view"))
        return tmp_path / "root"

    return copy
