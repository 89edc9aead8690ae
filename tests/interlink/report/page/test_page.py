"""The report of a build as a file: its numbers are those of `status --json`; it is bounded, whole, and only text."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from interlink.api import Build
from interlink.cli import app
from interlink.errors import UserError
from interlink.interleave.settings import FilterSettings, InterleaveSettings
from interlink.report.page import explorer
from interlink.report.page.make import page, write
from interlink.report.view.catalogue import Catalogue, update
from interlink.report.view.recount import Names
from interlink.report.view.schema import CLIPS
from interlink.runtime.workspace import Workspace
from interlink.storage import Storage


@pytest.fixture(scope="module")
def workspace(root: Path) -> Workspace:
    return Workspace(Storage(str(root)))


@pytest.fixture(scope="module")
def catalogue(workspace: Workspace) -> Catalogue:
    return update(workspace)


@pytest.fixture(scope="module")
def made(workspace: Workspace, catalogue: Catalogue) -> str:
    lock = workspace.lock()
    assert lock is not None
    return page(workspace, lock, catalogue, ["a remark <b>"])


def section(made: str, identity: str) -> str:
    return made.partition(f' id="{identity}"')[2].partition("</section>")[0]


def data_of(made: str) -> dict[str, Any]:
    [found] = re.findall(r'<script type="application/json" id="explorer">(.*?)</script>', made, re.DOTALL)
    return json.loads(found)  # type: ignore[no-any-return]


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_its_numbers_are_those_of_status(made: str, root: Path) -> None:
    status = json.loads(CliRunner().invoke(app, ["status", str(root), "--json"]).stdout)
    tiles = plain(made.partition('class="tiles"')[2].partition("</ul>")[0])
    for name, said in (("documents", "documents"), ("clips", "clips in them"), ("text_tokens", "tokens")):
        assert f" {status[name]:,} {said} " in tiles
    videos = section(made, "videos")
    for name, stage in status["stages"].items():
        said = f"{name}: {stage['ok']} ok"
        for what in ("dropped", "failed"):
            said += f", {stage[what]} {what}" if stage[what] else ""
        assert f'aria-label="{said}"' in videos
    time = plain(section(made, "time"))
    for name, stage in status["stages"].items():
        assert f" {name} {stage['seconds']:,.1f} s " in time
    assert "a remark &lt;b&gt;" in made


def test_documents_are_shown_with_their_frames_and_texts(made: str, root: Path) -> None:
    shown = section(made, "documents")
    documents = list(Build(None, root).documents())
    assert "All documents." in shown
    assert shown.count("<article") == len(documents)
    assert shown.count("data:image/jpeg") == sum(
        len(one["images"]) for found in documents for one in found["segments"] if one["type"] == "frames"
    )
    said = plain(shown)
    for found in documents:
        assert f" {found['id']} " in said
    assert "pours" in said  # the cue of one video


def test_what_a_build_holds_stays_text(made: str) -> None:
    assert "onerror=alert" in made  # a title, as text
    assert "<img src=x" not in made
    assert "alert(document.domain)" in made
    assert "<script>alert" not in made
    assert made.count("</script>") == 3


def test_the_policy_allows_the_pages_own_scripts_and_nothing_else(made: str) -> None:
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', made)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#x27;", "'").split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    for kind, pattern in (("script-src", r"<script>(.*?)</script>"), ("style-src", r"<style>(.*?)</style>")):
        sources = re.findall(pattern, made, re.DOTALL)
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in sources]
        assert rules[kind].split() == hashes and len(hashes) == 2
    assert not re.search(r'(?:src|href|action)="(?!#|data:)', made)
    assert " style=" not in made and " onclick=" not in made and "@import" not in made


def test_a_small_file_says_what_is_left_out(workspace: Workspace, catalogue: Catalogue, made: str) -> None:
    lock = workspace.lock()
    assert lock is not None
    limit = len(made.encode()) - len(section(made, "documents").encode()) // 2
    small = page(workspace, lock, catalogue, limit=limit)
    assert len(small.encode()) <= limit
    total = len(catalogue.docs["number"])
    shown = section(small, "documents").count("<article")
    assert 0 < shown < total
    assert f"{shown} of {total} documents, evenly spread" in small
    none = page(workspace, lock, catalogue, limit=10_000)
    assert f"None of {total} documents fits" in none


def test_the_command_writes_it_and_a_broken_path_is_two_lines(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    done = CliRunner().invoke(app, ["report", str(root), "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text().startswith("<!doctype html>")
    (tmp_path / "file").write_text("")
    for place, target in ((tmp_path, out), (root, tmp_path), (root, tmp_path / "file" / "x.html")):
        with pytest.raises(UserError):
            write(Workspace(Storage(str(place))), target)


def test_a_frame_whose_bytes_are_gone_is_said(copied: Callable[[], Path], tmp_path: Path) -> None:
    root = copied()
    for blobs in (root / "tables" / "keyframes").rglob("*.tar"):
        blobs.unlink()
    made = write(Workspace(Storage(str(root))), tmp_path / "report.html").read_text()
    assert "frames cannot be read" in made and "data:image" not in made


def test_a_remote_root_is_reported_too(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    remote = fsspec.filesystem("memory")
    for path in root.rglob("*"):
        if path.is_file() and "view" not in path.relative_to(root).parts:
            remote.pipe_file(f"/report-root/{path.relative_to(root)}", path.read_bytes())
    made = write(Workspace(Storage("memory://report-root")), tmp_path / "report.html").read_text()
    assert "data:image/jpeg" in made and 'data-root="memory://report-root"' in made
    shutil.rmtree(tmp_path / "cache")
    remote.rm("/report-root", recursive=True)


def test_the_scores_in_the_page_are_those_of_the_catalogue(made: str, catalogue: Catalogue) -> None:
    data = data_of(made)
    assert data["clips"] == data["of"] == len(catalogue.clips["item"])
    for rule in data["rules"]:
        own = np.frombuffer(base64.b64decode(data["columns"][rule["column"]]), "<f8")
        clips = catalogue.clips
        wanted = clips["end"] - clips["start"] if rule["column"] == "seconds" else clips[rule["column"]]
        np.testing.assert_array_equal(own, wanted)
    status = catalogue.meta("status")
    assert (data["built"]["clips"], data["built"]["documents"]) == (status["clips"], status["documents"])


def test_of_many_clips_whole_videos_are_taken() -> None:
    lengths = np.random.default_rng(0).integers(0, 9, 500)
    items = np.repeat(np.arange(500), lengths).astype(np.int32)
    clips = {name: np.zeros(len(items), kind) for name, kind in CLIPS.items()} | {"item": items}
    places = explorer.chosen(clips, 300)
    assert 200 < len(places) <= 300
    taken = items[places]
    assert all((taken == one).sum() == lengths[one] for one in np.unique(taken))
    assert explorer.sample(clips, places)["item"].max() + 1 == len(np.unique(taken))
    assert len(explorer.chosen(clips, 10_000)) == len(items)
    assert len(explorer.chosen(clips | {"item": np.zeros(len(items), np.int32)}, 10)) == 0  # no video is so short


def test_codes_of_clips_that_no_threshold_brings_back(catalogue: Catalogue) -> None:
    names = Names(catalogue.meta("flags"), catalogue.meta("languages"))
    settings = InterleaveSettings(filter=FilterSettings(sharpness=1e9))
    data = explorer.explorer(catalogue, settings, names)
    codes = np.frombuffer(base64.b64decode(data["codes"]), np.uint8)
    assert (codes == 255).sum() == (catalogue.clips["reached"] == 0).sum() > 0
    assert (codes == data["before"].index("no_text") + 1).sum() == data["built"]["losses"]["no_text"] > 0
    assert data["built"]["clips"] == 0  # 0 is left of those with code 0, by the threshold alone
    assert (codes == 0).sum() == data["built"]["losses"]["blurred"]


def test_the_file_is_as_small_as_its_pictures_allow(made: str) -> None:
    from PIL import Image

    pictures = re.findall(r'data:image/jpeg;base64,([^"]*)"', made)
    sizes = [Image.open(io.BytesIO(base64.b64decode(one))).size for one in pictures]
    assert max(height for _, height in sizes) <= 96
