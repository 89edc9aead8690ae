"""What a person sees at 60 and 120 columns, and what a file gets. `UPDATE_SCREENS=1` rewrites docs/figures/screens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from terminal_screens import HOME, SCREENS, Shown, normal, show

BUILD = ("build", "folder", "--set", "source.path=clips", "--root", "out")
STAGES = ("download", "transcribe", "keyframes", "caption", "interleave", "shard")
pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def folder(sample_clips: Path) -> Iterator[Path]:
    """Three files: a video with subtitles, one without, and one that is no video."""
    made = Path(tempfile.mkdtemp(prefix="v", dir="/tmp"))
    assert len(str(made)) == len(HOME), "so that lines are wrapped where they are in the docs"
    clips = made / "clips"
    clips.mkdir()
    spoken, silent = sorted(sample_clips.glob("*.mp4"))[:2]
    for file in sample_clips.glob(f"{spoken.stem}.*"):
        shutil.copy(file, clips / file.name.replace(spoken.stem, "onions"))
    shutil.copy(silent, clips / "garden.mp4")
    (clips / "broken.mp4").write_bytes(b"no video at all")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def interrupted(folder: Path) -> Shown:
    return show(folder, 60, *BUILD, wait_for="slowest", interrupt=True)


@pytest.fixture(scope="module")
def built(folder: Path, interrupted: Shown) -> Shown:
    return show(folder, 120, *BUILD, wait_for="━")


def assert_screen(name: str, text: str) -> None:
    path = SCREENS / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def keep_screen(name: str, text: str) -> None:
    """For the docs; it differs from run to run."""
    if os.environ.get("UPDATE_SCREENS"):
        (SCREENS / f"{name}.txt").write_text(text)


def whole_words(lines: list[str], columns: int) -> None:
    """No line is as wide as the terminal with its next one going on in the middle of a word."""
    for line, following in pairwise(lines):
        cut = len(line) == columns and line[-1].isalnum() and following[:1].isalnum() and "/" not in line
        assert not cut, f"{line}\n{following}"


def test_ctrl_c_leaves_the_terminal_clean_and_names_the_way_on(folder: Path, interrupted: Shown) -> None:
    assert interrupted.code == 130
    whole_words(interrupted.lines, 60)
    assert_screen("ctrl-c-60", normal(interrupted.lines, folder))


@pytest.mark.parametrize("columns", [60, 120])
def test_a_live_table_has_a_row_a_stage(folder: Path, interrupted: Shown, built: Shown, columns: int) -> None:
    live = (interrupted if columns == 60 else built).live
    head = next(n for n, line in enumerate(live) if line.startswith("stage "))
    assert live[head].split() == ["stage", "done", "rate", "left"]
    rows = [line.split()[0] for line in live[head + 1 :] if line]
    assert rows == list(STAGES)
    keep_screen(f"live-{columns}", normal(live, folder))


def test_a_build_ends_with_its_table_totals_and_places(folder: Path, built: Shown) -> None:
    assert built.code == 0
    assert_screen("build-120", normal(built.lines, folder))


@pytest.mark.parametrize("columns", [60, 120])
def test_status_fits_the_terminal(folder: Path, built: Shown, columns: int) -> None:
    shown = show(folder, columns, "status", "out")
    whole_words(shown.lines, columns)
    assert_screen(f"status-{columns}", normal(shown.lines, folder))


def test_why_fits_the_terminal(folder: Path, built: Shown) -> None:
    shown = show(folder, 60, "why", "out", "garden.mp4")
    assert_screen("why-60", normal(shown.lines, folder))


def test_an_error_is_two_lines_of_whole_words(folder: Path, built: Shown) -> None:
    shown = show(folder, 60, "why", "out", "gardn.mp4")
    assert shown.code == 2
    whole_words(shown.lines, 60)
    assert_screen("error-60", normal(shown.lines, folder))


def test_a_file_gets_plain_lines_and_nothing_of_any_library(folder: Path) -> None:
    """Each line unwrapped; stderr empty."""
    root = folder / "piped"
    command = [sys.executable, "-m", "interlink", *BUILD[:-1], str(root)]
    command += ["--set", "source.include=[onions.mp4, broken.mp4]"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**os.environ, "COLUMNS": "60"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    begins = (
        "source:",
        "  looked at",
        "  broken.mp4:",
        "recipe:",
        "missing:",
        "  recognise",
        "  caption the pictures:",
        "executor:",
        "stage ",
    )
    progress = [line for line in lines if line[:6].strip().replace(" s", "").isdigit()]
    tables = ("collect", *STAGES)
    ends = ("1 document,", "root: ", "shards: ")
    unknown = [line for line in lines if line not in progress and not line.startswith((*begins, *tables, *ends))]
    assert unknown == []
    assert {line.split()[2] for line in progress} == set(STAGES)
    keep_screen("build-piped", normal(lines, folder))
