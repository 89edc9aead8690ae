"""The command line: quick help, clear messages, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builds import SAMPLE, make
from interlink.recipe import BUNDLED
from interlink.runtime.lease import Lease
from interlink.storage import Storage


def interlink(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "interlink", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, "COLUMNS": "200"})


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['interlink', '--help']\n"
        "try:\n    from interlink.cli import main; main()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'ray', 'transformers', 'webdataset', 'av', 'pyarrow') if m in sys.modules])"
    )
    best = 9.0
    for _ in range(3):
        began = os.times()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        ended = os.times()  # processor time of the child: other work on the machine does not count
        spent = ended.children_user - began.children_user + ended.children_system - began.children_system
        best = min(best, spent)
    assert done.stdout.strip().endswith("[]"), done.stdout[-200:]
    assert best < 0.5


@pytest.mark.parametrize(
    "command", ["sample", "init", "build", "status", "retry", "prune", "release", "why", "stages", "verify", "doctor"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = interlink(command, "--help")
    assert done.returncode == 0
    assert "Example: interlink " + command in done.stdout


def test_stages_tells_what_each_reads_and_writes() -> None:
    told = {stage["name"]: stage for stage in json.loads(interlink("stages", "--json").stdout)}
    assert told["interleave"]["reads"] == ["download", "transcribe", "keyframes", "caption"]
    assert told["interleave"]["uses"] == ["narrate", "regions", "score", "select"]
    assert "clips" in told["keyframes"]["writes"]
    options = {option["name"]: option for stage in told.values() for option in stage["options"]}
    assert options["keyframes.frames_per_clip"]["default"] == 3
    assert all(option["about"] for option in options.values())


@pytest.mark.parametrize(
    ("arguments", "code", "what", "do"),
    [
        (["build"], 2, "no recipe", "interlink build"),
        (["build", "none.yaml"], 2, "no recipe none.yaml", "give a recipe"),
        (["build", SAMPLE, "--set", "keyframes.frames_per_clp=2"], 2, "keyframes.frames_per_clp", "did you mean"),
        (["build", SAMPLE, "--set", "source.path=absent"], 1, "absent", ""),
        (["build", SAMPLE, "--set", "source.path=empty"], 1, "empty", ""),
        (["build", SAMPLE, "--set", "caption.engine=transcrip"], 2, "transcrip", "transcript"),
        (["build", SAMPLE, "--stage", "captoin"], 2, "captoin", "did you mean 'caption'?"),
        (["build", SAMPLE, "--set", "source.path=videos", "--root", "file"], 1, "cannot write below", "--root"),
        (["status", "empty"], 2, "no build in", "interlink build"),
        (["verify", "empty"], 2, "no build in", ""),
        (["retry", "empty", "--class", "throttled"], 2, "no build in", ""),
        (["sample", "x", "--split", "tset"], 2, "no split", "heldout"),
        (["build", "--nonsense"], 2, "No such option", ""),
    ],
)
def test_what_happened_and_what_to_do(tmp_path: Path, arguments: list[str], code: int, what: str, do: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    (tmp_path / "file").write_text("not a folder")
    done = interlink(*arguments, cwd=tmp_path)
    said = done.stderr
    assert done.returncode == code, said
    assert what in said
    assert do in said
    assert "Traceback" not in said


def test_a_model_folder_that_does_not_exist_is_named(sample_clips: Path, tmp_path: Path) -> None:
    arguments = ["--set", f"source.path={sample_clips}", "--set", "caption.engine=transformers"]
    arguments += ["--set", "caption.transformers.model=./no/such/model", "--executor", "inline"]
    done = interlink("build", SAMPLE, "--root", str(tmp_path / "root"), "--limit", "1", *arguments)
    assert done.returncode in (1, 2)
    assert "no/such/model" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


def test_a_stage_runs_alone_inside_its_build_once_its_inputs_are_there(sample_clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root, sample_clips).run(["collect", "download"], limit=2)
    done = interlink("build", "--stage=caption", cwd=root)
    assert done.returncode == 2
    assert "run it first: interlink build --stage=keyframes" in done.stderr
    for stage in ("transcribe,keyframes", "caption", "interleave,shard"):
        done = interlink("build", f"--stage={stage}", "--limit", "2", cwd=root)
        assert done.returncode == 0, done.stderr
    told = json.loads(interlink("status", "--json", cwd=root).stdout)
    assert told["documents"] == 2
    assert set(told["stages"]["keyframes"]) == {
        *("ok", "dropped", "failed", "pending", "partial", "reasons", "errors", "lost", "amounts", "seconds"),
    }
    done = interlink("verify", cwd=root)
    assert (done.returncode, done.stdout.strip()) == (0, "every shard is whole")


def test_a_recipe_in_this_folder_is_taken_by_itself(sample_clips: Path, tmp_path: Path) -> None:
    (tmp_path / "interlink.yaml").write_text(
        (BUNDLED / f"{SAMPLE}.yaml").read_text().replace("path: clips", f"path: {sample_clips}")
    )
    done = interlink("build", "--limit", "1", "--executor", "inline", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 document, " in done.stdout
    assert (tmp_path / "builds" / "sample" / "recipe.lock.json").exists()


def test_a_root_in_use_names_its_owner(sample_clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    lease = Lease.acquire(Storage(str(root)))
    done = interlink("build", SAMPLE, "--set", f"source.path={sample_clips}", "--root", str(root))
    lease.release()
    assert done.returncode == 1
    assert f"in use by process {os.getpid()}" in done.stderr


def test_a_change_that_redoes_costly_work_asks_first(sample_clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root, sample_clips).run(limit=2)
    arguments = ["build", "--set", "keyframes.frames_per_clip=1", "--limit", "2"]
    done = interlink(*arguments, cwd=root)
    assert done.returncode == 1
    assert re.search(r"keyframes \(2 rows, \d+ s of work\)", done.stderr)
    assert "--yes" in done.stderr
    done = interlink(*arguments, "--yes", cwd=root)
    assert done.returncode == 0, done.stderr
    # Both tables are there: going back costs nothing.
    assert len(list((root / "tables" / "keyframes").iterdir())) == 2
    done = interlink("build", "--set", "keyframes.frames_per_clip=3", "--limit", "2", cwd=root)
    assert "nothing to do" in done.stdout
    # Until they are pruned.
    assert "would be removed" in interlink("prune", cwd=root).stdout
    assert len(list((root / "tables" / "keyframes").iterdir())) == 2
    assert "removed" in interlink("prune", "--yes", cwd=root).stdout
    assert len(list((root / "tables" / "keyframes").iterdir())) == 1
    assert interlink("prune", cwd=root).stdout.strip() == "nothing is outdated"
    assert "nothing to do" in interlink("build", "--limit", "2", cwd=root).stdout


def test_a_failed_share_above_the_limit_exits_with_one(sample_clips: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "broken.mp4").write_bytes(b"nothing like a video")
    done = interlink(
        *("build", SAMPLE, "--set", f"source.path={clips}", "--root", str(tmp_path / "root")),
        *("--executor", "inline"),
    )
    assert done.returncode == 1
    assert "every item failed" in done.stderr
    assert "unreadable 1" in done.stdout
    # One of two is a share that the recipe may refuse.
    shutil.copy(next(sample_clips.glob("*.mp4")), clips / "whole.mp4")
    done = interlink("build", "--set", "max_failed_share=0.4", cwd=tmp_path / "root")
    assert (done.returncode, "50% of the items failed" in done.stderr) == (1, True)
    assert (
        interlink("build", "--set", "max_failed_share=0.5", "--stage", "keyframes", cwd=tmp_path / "root").returncode
        == 0
    )


def test_a_build_without_documents_exits_with_one_and_says_what_adds_text(sample_clips: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    shutil.copy(next(sample_clips.glob("*.mp4")), clips / "silent.mp4")
    root = ["--set", f"source.path={clips}", "--root", str(tmp_path / "root")]
    assert interlink("build", "folder", *root, "--stage", "download,transcribe,keyframes").returncode == 0
    done = interlink("build", "folder", *root)
    assert done.returncode == 1
    assert "executor: inline (about 1 s of work)" in done.stdout
    for text in (done.stdout, done.stderr, interlink("status", str(tmp_path / "root")).stdout):
        assert "1 of 1 video has no text; recognise speech: --set transcribe.recogniser=faster-whisper" in text
        assert "--set caption.engine=transformers --set caption.transformers.model=HUB_ID" in text
    assert "recognise speech: --set transcribe" in interlink("why", str(tmp_path / "root"), "silent").stdout
    # What is up to date is judged by the same rule.
    assert interlink("build", cwd=tmp_path / "root").returncode == 1


def test_an_error_of_a_command_with_json_is_json(tmp_path: Path) -> None:
    done = interlink("build", "sampel", "--json", "--root", str(tmp_path))
    assert done.returncode == 2 and done.stderr == ""
    error = json.loads(done.stdout)
    assert error["error"] == "there is no recipe sampel" and error["code"] == 2
    assert "did you mean 'sample'?" in error["do"]


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"interlink \d+\.\d+\.\d+\S*\n", interlink("--version").stdout)


def test_completion_is_there_for_the_usual_shells() -> None:
    for shell in ("bash", "zsh", "fish"):
        shown = subprocess.run(
            [sys.executable, "-m", "interlink", "--show-completion", shell],
            capture_output=True, text=True, env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        )  # fmt: skip
        assert "INTERLINK_COMPLETE" in shown.stdout or "complete" in shown.stdout
