"""`interlink release` and `interlink why` as a person runs them, on a build of the sample world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from builds import make
from hub_server import Hub
from interlink.api import Build


@pytest.fixture(scope="module")
def build(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    made = make(tmp_path_factory.mktemp("released") / "root", sample_clips)
    made.run(limit=3)
    return made


def interlink(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "interlink", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def test_a_build_becomes_a_release_and_every_document_is_in_it(build: Build, tmp_path: Path) -> None:
    root = build.workspace.storage.url
    done = interlink("release", root, "--format", "howto,parquet", "--out", "out", "--set", "val_share=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "parquet   train 3" in done.stdout
    rows = pq.read_table(tmp_path / "out" / "parquet" / "train-00000.parquet").to_pylist()
    assert [json.loads(row["document"]) for row in rows] == list(build.documents())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| keyframes | 3 | 0 | 0 | 0 | 0 |  |" in card
    assert str(tmp_path.parent) not in "".join(p.read_text() for p in (tmp_path / "out").glob("*.*"))


@pytest.mark.parametrize(
    ("arguments", "code", "what", "do"),
    [
        (["release", "ROOT", "--format", "howto"], 2, "needs --out", "--out release"),
        (["release", "ROOT", "--out", "x"], 2, "needs a format", "formats: howto"),
        (["release", "ROOT", "--format", "datset", "--out", "x"], 2, "datset", "did you mean 'datasets'?"),
        (["release", "ROOT", "--format", "all", "--out", "full"], 2, "is not empty", "another --out"),
        (["release", "empty", "--format", "all", "--out", "x"], 2, "no build in", ""),
        (["release", "ROOT", "--format", "howto", "--out", "x", "--public"], 2, "without --push", "--push OWNER/NAME"),
        (["release", "ROOT", "--format", "howto", "--out", "x", "--push", "clips"], 2, "not the id", "OWNER/NAME"),
        (["release", "ROOT", "--format", "howto", "--out", "s3://b/x", "--push", "a/b"], 2, "a local release", "--out"),
        (["why", "ROOT", "nobody"], 2, "no item or document 'nobody'", ""),
        (["why", "empty", "x"], 2, "no build in", ""),
    ],
)
def test_what_happened_and_what_to_do(
    build: Build, tmp_path: Path, arguments: list[str], code: int, what: str, do: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("keep me")
    arguments = [build.workspace.storage.url if word == "ROOT" else word for word in arguments]
    done = interlink(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert what in done.stderr
    assert do in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "full"]


def test_a_release_is_pushed_where_hf_endpoint_says_and_the_same_command_goes_on(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("release", build.workspace.storage.url, "--format", "pairs,howto", "--out", "out", "--push", "me/clips")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
        refused = interlink(*given, cwd=tmp_path)
        assert refused.returncode == 1 and "does not accept the token" in refused.stderr
        assert "hf_wrong" not in refused.stdout + refused.stderr and "Traceback" not in refused.stderr
        monkeypatch.setenv("HF_TOKEN", "hf_good")
        done = interlink(*given, cwd=tmp_path)  # the release is there: it is not written again
        assert done.returncode == 0, done.stderr
        assert f"{hub.url}/datasets/me/clips (private)" in done.stdout
        assert hub.repositories["me/clips"].files.keys() == {
            str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
        }


def test_why_speaks_to_people_and_to_programs(build: Build, tmp_path: Path) -> None:
    (name,) = [document["id"] for document in build.documents()][:1]
    root = build.workspace.storage.url
    done = interlink("why", root, name, "--frames", "sheets", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "in 1 document"
    assert len(list((tmp_path / "sheets").glob("*.png"))) == 1
    told = json.loads(interlink("why", root, name, "--json", cwd=tmp_path).stdout)
    assert told["documents"][0]["key"] == name


@pytest.mark.parametrize("command", ["release", "why"])
def test_the_commands_have_help_with_an_example(command: str, tmp_path: Path) -> None:
    done = interlink(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Example: interlink " + command in done.stdout
