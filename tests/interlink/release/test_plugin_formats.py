"""Release formats of other packages: the documented one works from end to end, and mistakes name the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builds import make as make_build
from interlink.api import Build
from interlink.errors import UserError
from interlink.release import ReleaseSettings
from interlink.release.formats import FORMATS, format_classes
from interlink.storage import Storage
from packages import put_package
from releasing import make, put, simple

DOCUMENTED = (
    (Path(__file__).parents[3] / "docs" / "how-to" / "write-a-plugin.md")
    .read_text()
    .partition("## Release formats")[2]
    .partition("```python")[2]
    .partition("```")[0]
)
OFFERS = {"interlink.formats": "acme_captions = acme:Captions"}

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts the package `acme` on sys.path."""

    def installed(source: str = DOCUMENTED, offers: dict[str, str] = OFFERS) -> Path:
        folder = put_package(tmp_path / "site", "acme", offers, "acme", source)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, "acme", raising=False)
        return folder

    return installed


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_documented_format_is_part_of_a_release(install: Install, tmp_path: Path) -> None:
    install()
    root = put(Storage(str(tmp_path / "root")), [simple(number) for number in range(3)])
    made = make(root, tmp_path / "out", "acme_captions", "howto", val_share=0)
    assert list(made.formats) == ["howto", "acme_captions"]  # ours first
    assert made.formats["acme_captions"] == {"train": 6}
    found = lines(tmp_path / "out" / "acme_captions" / "train.jsonl")
    assert found[0] == {"document": "doc0", "start": 0.0, "end": 5.0, "text": "A hand does step 0."}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| `acme_captions/` | a line of JSON a clip: its document, times and text | train 6 |" in card
    croissant = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert "acme_captions/train.jsonl" in {one["@id"] for one in croissant["distribution"]}
    assert "acme_captions/train.jsonl" in (tmp_path / "out" / "SHA256SUMS").read_text()


def test_all_takes_in_what_other_packages_offer(install: Install, tmp_path: Path) -> None:
    install()
    root = put(Storage(str(tmp_path / "root")), [simple(0)])
    assert list(make(root, tmp_path / "out", "all").formats) == [*FORMATS, "acme_captions"]


def test_its_options_are_typed_and_in_the_card(install: Install, tmp_path: Path) -> None:
    install()
    root = put(Storage(str(tmp_path / "root")), [simple(0)])
    settings = ReleaseSettings.load(["acme_captions.least_words=6", "val_share=0"])
    assert make(root, tmp_path / "none", "acme_captions", **dict(settings)).formats == {"acme_captions": {}}
    assert "--set acme_captions.least_words=6" in (tmp_path / "none" / "README.md").read_text()
    told = json.loads((tmp_path / "none" / "RELEASE.json").read_text())
    assert told["settings"]["options"] == {"acme_captions": {"least_words": 6}}
    make(root, tmp_path / "plain", "acme_captions")
    assert "options" not in json.loads((tmp_path / "plain" / "RELEASE.json").read_text())["settings"]


@pytest.mark.parametrize(
    ("assignment", "formats", "what", "do"),
    [
        ("acme_captions.least_word=3", ["acme_captions"], "has no option 'least_word'", "acme_captions.least_words"),
        ("acme_captions.color=3", ["acme_captions"], "has no option 'color'", "its options: least_words"),
        ("acme_captions.least_words=0", ["acme_captions"], "greater than or equal to 1", "docs/how-to/release.md"),
        ("acme_captions.least_words=3", ["howto"], "does not write acme_captions", "--format acme_captions"),
        ("howto.rows=3", ["howto"], "'howto' has no option 'rows'", "its options: none"),
        ("acme_caption.least_words=3", ["all"], "no release format 'acme_caption'", "did you mean 'acme_captions'?"),
        ("options={}", ["all"], "no setting 'options'", ""),
    ],
)
def test_options_that_are_wrong_stop_before_anything_is_written(
    install: Install, assignment: str, formats: list[str], what: str, do: str
) -> None:
    install()
    with pytest.raises(UserError) as error:
        format_classes(formats, ReleaseSettings.load([assignment]))
    assert what in error.value.what and do in error.value.do
    assert error.value.code == 2


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("raise RuntimeError('no licence here')", r"of acme 1\.2 cannot be imported: RuntimeError: no licence here"),
        ("class Captions: ...", r"'acme_captions' of acme 1\.2 is not a Format"),
        ("def Captions(*_): ...", r"'acme_captions' of acme 1\.2 is not a Format"),
        (DOCUMENTED.replace('"acme_captions"', '"captions"'), r"of acme 1\.2 has a class with the name 'captions'"),
    ],
)
def test_a_package_that_offers_no_format_is_named(install: Install, source: str, what: str) -> None:
    install(source)
    for names in (["acme_captions"], ["all"]):
        with pytest.raises(UserError, match=what):
            format_classes(names, ReleaseSettings())
    assert len(format_classes(["howto"], ReleaseSettings())) == 1  # nothing of it is imported


def interlink(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    paths = [str(path), *(p for p in sys.path if p)]
    environment = {**os.environ, "COLUMNS": "300", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "interlink", "release", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_the_command_lists_and_writes_it(sample_clips: Path, tmp_path: Path) -> None:
    folder = put_package(tmp_path / "site", "acme", OFFERS, "acme", DOCUMENTED)
    build: Build = make_build(tmp_path / "root", sample_clips)
    build.run(limit=2)
    assert "llava, acme_captions, all" in interlink("--help", path=folder).stdout
    arguments = (str(tmp_path / "root"), "--format", "acme_captions", "--set", "val_share=0")
    done = interlink(*arguments, "--out", str(tmp_path / "out"), path=folder)
    assert done.returncode == 0, done.stderr
    documents = {line["document"] for line in lines(tmp_path / "out" / "acme_captions" / "train.jsonl")}
    assert documents == {document["id"] for document in build.documents()}
    done = interlink(*arguments, "--out", str(tmp_path / "x"), path=tmp_path)  # not installed there
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 2 and "no release format 'acme_captions'" in done.stderr
