"""Releases of ours as the source of a build: each document has its clips, their times, texts and pictures again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlink.api import Build
from interlink.storage import Storage
from releasing import Made_, make, put, simple


@pytest.fixture(scope="module")
def documents() -> list[Made_]:
    """Clips with two pictures, one without pictures, and one without text; times with fractions."""
    made = [simple(number, clips=3) for number in range(3)]
    silent = made[1].document.clips[1]
    silent.caption = silent.speech = None
    made[1].document.segments = [one for one in made[1].document.segments if not (one.type == "text" and one.clip == 1)]
    made[2].document.segments = [
        one for one in made[2].document.segments if not (one.type == "frames" and one.clip == 2)
    ]
    for name in ("004.jpg", "005.jpg"):
        del made[2].images[name]
    return made


@pytest.fixture(scope="module")
def out(documents: list[Made_], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    make(put(Storage(str(folder / "root")), documents), folder / "out", "obelics", "datasets", "nemo", val_share=0.0)
    return folder / "out"


def rebuilt(source: Path, root: Path, *sets: str) -> list[dict[str, Any]]:
    build = Build("pages", root, [f"source.path={source}", "executor.kind=inline", *sets])
    status = build.run().status
    assert (status.documents, status.stages["download"].errors, build.verify()) == (3, {}, [])
    return sorted(build.documents(), key=lambda one: str(one["clips"]))


@pytest.mark.parametrize("name", ["obelics", "datasets", "nemo"])
def test_clips_and_times_are_those_of_the_release(name: str, out: Path, documents: list[Made_], tmp_path: Path) -> None:
    sets = ("annotations.speech.columns=[speech]", "annotations.speech.missing=keep")
    found = rebuilt(out / name, tmp_path / "root", *sets)
    wanted = sorted(documents, key=lambda made: str([c.model_dump() for c in made.document.clips]))
    licences = {one["source"]["licence"] for one in found}
    assert licences == {"CC-BY-4.0"}
    places = [
        [(clip["start"], clip["end"], clip.get("caption") or None, clip.get("speech") or None) for clip in one["clips"]]
        for one in found
    ]
    told = [[(c.start, c.end, c.caption, c.speech) for c in made.document.clips] for made in wanted]
    assert sorted(places, key=str) == sorted(told, key=str)
    times = [[t for s in one["segments"] if s["type"] == "frames" for t in s["times"]] for one in found]
    assert sorted(times) == sorted([e[1] for e in made.elements() if e[3] is None] for made in documents)
