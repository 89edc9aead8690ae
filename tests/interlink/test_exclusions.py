"""`source.exclude_ids`: what the list names is in no document, nothing else is computed again, and it can come back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builds import make, sums, tables
from interlink.api import Build
from interlink.cli import app
from interlink.errors import UserError
from interlink.fetch.exclusions import Exclusions, read_exclusions
from interlink.ids import safe_id
from interlink.recipe import Recipe

VIDEOS = 3


@pytest.fixture(scope="module")
def clips(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("excluding") / "clips"
    folder.mkdir()
    for video in sorted(sample_clips.glob("*.mp4"))[:VIDEOS]:
        for file in sample_clips.glob(f"{video.stem}.*"):
            shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def whole(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A finished build of all videos; not to be changed."""
    made = make(tmp_path_factory.mktemp("excluding") / "root", clips)
    made.run()
    return made


@pytest.fixture
def ids(whole: Build) -> list[str]:
    return sorted(document["id"] for document in whole.documents())


@pytest.fixture
def again(whole: Build, clips: Path, tmp_path: Path) -> Callable[..., Build]:
    """A copy of the finished root, built with a list of these lines."""

    def run(*lines: str, fresh_root: bool = False) -> Build:
        root, listed = tmp_path / "root", tmp_path / "excluded.txt"
        if not fresh_root and not root.exists():
            shutil.copytree(whole.workspace.storage.full(""), root)
        listed.write_text("".join(f"{line}\n" for line in lines))
        made = make(root, clips, f"source.exclude_ids={listed}")
        made.run()
        return made

    return run


def before_interleave(build: Build) -> dict[str, str]:
    parts = ("tables/interleave", "tables/shard")
    return {path: digest for path, digest in tables(build.workspace).items() if not path.startswith(parts)}


def outcome(build: Build, item: str, stage: str) -> tuple[str, str]:
    return next((step.outcome, step.why) for step in build.why(item).steps if step.stage == stage)


def test_a_built_root_loses_the_document_and_computes_nothing_else_again(
    whole: Build, ids: list[str], again: Callable[..., Build]
) -> None:
    made = again("# asked for by its author", "", ids[0])
    assert sorted(document["id"] for document in made.documents()) == ids[1:]
    assert before_interleave(made) == before_interleave(whole)
    assert outcome(made, ids[0], "keyframes") == ("ok", "")
    assert outcome(made, ids[0], "interleave") == ("dropped", "excluded")
    assert made.status().stages["interleave"].reasons == {"excluded": 1}

    assert sums(again()) == sums(whole)  # no longer named


def test_a_new_root_does_not_touch_the_video_and_it_can_come_back(
    whole: Build, ids: list[str], again: Callable[..., Build], clips: Path, tmp_path: Path
) -> None:
    made = again(ids[0], fresh_root=True)
    assert sorted(document["id"] for document in made.documents()) == ids[1:]
    assert outcome(made, ids[0], "download") == ("dropped", "excluded")
    assert made.why(ids[0]).verdict == "no document: dropped at download (excluded)"
    assert made.status().stages["download"].reasons == {"excluded": 1}
    made = again(ids[0])
    assert not made.run().worked
    built = make(tmp_path / "built", clips, f"source.exclude_ids={tmp_path}/excluded.txt")
    shutil.copytree(whole.workspace.storage.full(""), tmp_path / "built")
    built.run()
    assert sums(built) == sums(made)

    made = again(ids[1])
    assert sorted(document["id"] for document in made.documents()) == [ids[0], *ids[2:]]
    made = again()
    assert sums(made) == sums(whole)
    assert before_interleave(made) == before_interleave(whole)


def test_a_clip_is_left_out_alone(whole: Build, ids: list[str], again: Callable[..., Build]) -> None:
    made = again(f"{ids[0]}\t0")
    before = {clip.number: clip.documents for clip in whole.why(ids[0]).clips}
    after = {clip.number: clip.documents for clip in made.why(ids[0]).clips}
    assert before[0]
    assert not after[0]
    assert any(after[number] for number in after)
    assert made.why(ids[0]).clips[0].facts["interleave.reason"] == "excluded"
    assert made.status().stages["interleave"].lost["clips excluded"] == 1


def test_status_counts_what_is_excluded_and_names_the_nearest_of_an_unknown_id(
    ids: list[str], again: Callable[..., Build]
) -> None:
    made = again(ids[0], f"{ids[1]}\t0", f"{ids[2]}x")
    shown = CliRunner().invoke(app, ["status", made.workspace.storage.full("")]).output
    assert f"excluded: 1 video, 1 clip; 1 entry names no item (for example {ids[2]}x, nearest {ids[2]})" in shown
    assert made.status().json()["excluded"] == {
        "videos": 1, "clips": 1, "unknown": 1, "example": f"{ids[2]}x", "nearest": ids[2]
    }  # fmt: skip


def test_a_takedown_with_the_partition_deleted_leaves_nothing_of_the_video(
    ids: list[str], again: Callable[..., Build]
) -> None:
    made = again(ids[0])
    storage, partition = made.workspace.storage, made.why(ids[0]).partition
    for stage in storage.names("tables"):
        for print_ in storage.names(f"tables/{stage}"):
            storage.delete_folder(f"tables/{stage}/{print_}/{partition}")
    made.prune()
    made.run()
    assert sorted(document["id"] for document in made.documents()) == ids[1:]
    assert outcome(made, ids[0], "download") == ("dropped", "excluded")
    for path in tables(made.workspace):
        if path.endswith(".tar"):
            assert ids[0].encode() not in storage.read(path)


def test_the_list_is_in_the_fingerprints_of_documents_alone_by_its_content(tmp_path: Path) -> None:
    recipe = Recipe.load("folder", ["source.path=x"])
    digest = Exclusions(frozenset({"a"})).digest
    plain, excluding = recipe.fingerprints({}), recipe.fingerprints({}, digest)
    assert {stage for stage in plain if plain[stage] != excluding[stage]} == {"interleave", "shard"}
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("b\na\nc\t2\nc\t1\na\t7\n")
    other.write_text("# reason\n\nc\t1\r\na\nc\t2\nb\nb\n")
    assert read_exclusions(str(one)).digest == read_exclusions(str(other)).digest


def test_entries_are_ids_as_source_lists_write_them(tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_bytes(b"\xef\xbb\xbf-abcdefghij\nhttps://youtu.be/dQw4w9WgXcQ\nhttps://example.org/v/one.mp4\n")
    address = "https://example.org/v/one.mp4"
    assert read_exclusions(str(listed)).videos == {
        safe_id("-abcdefghij"), "dQw4w9WgXcQ", safe_id(address, name="one")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "cannot be read: No such file"),
        (b"fine\n\xff\xfe\n", "line 2: not UTF-8"),
        (b"id\tfirst\n", "line 1: 'id\\tfirst' is neither"),
        (b"id\n\t3\n", "line 2"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_of_two_lines(data: bytes | None, what: str, tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    if data is not None:
        listed.write_bytes(data)
    with pytest.raises(UserError) as raised:
        read_exclusions(str(listed))
    assert what in raised.value.what
    assert str(listed) in raised.value.what
    assert raised.value.do


def test_a_command_says_that_the_list_is_missing(whole: Build, tmp_path: Path) -> None:
    root = whole.workspace.storage.full("")
    arguments = ["build", "--root", root, "--set", f"source.exclude_ids={tmp_path}/no.txt", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    assert "no.txt" in json.dumps(result.exception.what)
