"""The walk-throughs of docs/explanation/contributing.md: each diff is applied to a copy, its commands run there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "contributing.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"### {title}\n")[2].partition("\n### ")[0]


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of a kind; empty: plain ones."""
    return [block for found, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if found == kind]


def apply(diff: str, root: Path) -> list[str]:
    """Writes new files, and adds lines after the first `{` that follows what `@@` names. Returns the paths."""
    touched = []
    for part in re.split(r"^--- ", diff, flags=re.M)[1:]:
        head, name, *lines = part.splitlines()
        path = root / name.removeprefix("+++ b/")
        touched.append(name.removeprefix("+++ b/"))
        added = [line[1:] for line in lines if line.startswith("+")]
        if head == "/dev/null":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(added) + "\n")
            continue
        (anchor,) = [line.removeprefix("@@ ") for line in lines if line.startswith("@@ ")]
        text = path.read_text().splitlines()
        begin = next(n for n, line in enumerate(text) if line.startswith(anchor))
        at = next(n for n in range(begin, len(text)) if text[n].endswith("{")) + 1
        path.write_text("\n".join([*text[:at], *added, *text[at:]]) + "\n")
    return touched


class Tree:
    """A copy of both packages, with a diff applied."""

    def __init__(self, folder: Path, title: str) -> None:
        self.folder = folder
        for package in ("interlink", "cosmos_train"):
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        (diff,) = blocks(section(title), "diff")
        self.touched = apply(diff, folder)
        for yaml in blocks(section(title), "yaml"):
            (folder / yaml.splitlines()[0].removeprefix("# ")).write_text(yaml)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = command.split("#")[0].split()
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "HF_HUB_OFFLINE": "1"}
        inline = ["--executor", "inline"] if arguments[0] == "build" else []
        return subprocess.run(
            [sys.executable, "-m", program, *arguments, *inline],
            cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    def commands(self, title: str) -> list[str]:
        return [line for block in blocks(section(title), "bash") for line in block.splitlines()]


@pytest.mark.parametrize(
    ("title", "files"),
    [("A segmenter", 1), ("A caption engine", 1), ("A release format", 1), ("A model family", 3)],
)
def test_a_part_is_one_file_and_one_line(title: str, files: int, tmp_path: Path) -> None:
    """A family is one folder of three files, and one line."""
    (diff,) = blocks(section(title), "diff")
    changed = [part for part in re.split(r"^--- ", diff, flags=re.M)[1:] if not part.startswith("/dev/null")]
    assert diff.count("--- /dev/null") == files
    assert [len(re.findall(r"^\+(?!\+)", part, re.M)) for part in changed] == [1]

    tree = Tree(tmp_path, title)
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--quiet", *tree.touched], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    formatted = subprocess.run([sys.executable, "-m", "ruff", "format", "--check", *tree.touched], cwd=tmp_path)
    assert formatted.returncode == 0


@pytest.mark.slow
def test_a_segmenter_and_a_caption_engine_build(sample_clips: Path, tmp_path: Path) -> None:
    for title in ("A segmenter", "A caption engine"):
        tree = Tree(tmp_path / title.replace(" ", "_"), title)
        (tree.folder / "clips").symlink_to(sample_clips)
        for command in tree.commands(title):
            done = tree.run(command)
            assert done.returncode == 0, done.stderr
        status = tree.run("interlink status out --json").stdout
        assert '"documents": 6' in status, status


@pytest.mark.slow
def test_a_release_format_and_a_model_family(sample_clips: Path, tmp_path: Path) -> None:
    tree = Tree(tmp_path / "tree", "A release format")
    (diff,) = blocks(section("A model family"), "diff")
    apply(diff, tree.folder)
    for yaml in blocks(section("A model family"), "yaml"):
        (tree.folder / "bigram.yaml").write_text(yaml)
    (tree.folder / "clips").symlink_to(sample_clips)
    build = tree.run("interlink build sample --set source.path=clips --root out")
    assert build.returncode == 0, build.stderr
    (command,) = tree.commands("A release format")
    done = tree.run(command)
    assert done.returncode == 0, done.stderr
    texts = "".join(path.read_text() for path in (tree.folder / "release" / "lines").glob("*.txt"))
    assert texts.count("\n") >= 6

    size, run, export = tree.commands("A model family")
    assert "embedding" in tree.run(size).stdout
    trained = tree.run(run)
    assert trained.returncode == 0, trained.stderr
    refused = tree.run(export)
    assert (refused.returncode, "a Bigram cannot be exported" in refused.stderr) == (2, True), refused.stderr
    assert not (tree.folder / "exported").exists()
