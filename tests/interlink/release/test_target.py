"""The folder of a release while it is written, and when it is finished or given up."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from interlink.errors import UserError
from interlink.release import target as target_module
from interlink.release.target import File, Target
from interlink.storage import TEMPORARY, Storage


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def url_of(place: str, tmp_path: Path) -> str:
    return str(tmp_path / "out") if place == "local" else f"memory://{tmp_path.name}/out"


@pytest.mark.parametrize("place", ["local", "remote"])
def test_a_finished_release_has_its_files_their_sums_and_its_description(place: str, tmp_path: Path) -> None:
    with Target(url_of(place, tmp_path)) as target:
        target.begin("a/b.txt").write_bytes(b"one")
        target.finish("a/b.txt")
        target.write("c.txt", b"three")
        target.write("d.txt", b"!", one_of_many=True)
        target.commit(b"described")

    digest = [hashlib.sha256(data).hexdigest() for data in (b"one", b"three", b"!")]
    assert target.files == [File("a/b.txt", 3, digest[0]), File("c.txt", 5, digest[1])]
    assert (target.count, target.bytes) == (3, 9)
    there = Storage(url_of(place, tmp_path))
    assert there.read("SHA256SUMS").decode() == f"{digest[0]}  a/b.txt\n{digest[1]}  c.txt\n{digest[2]}  d.txt\n"
    assert there.read("RELEASE.json") == b"described"
    assert (there.read("a/b.txt"), there.read("c.txt"), there.read("d.txt")) == (b"one", b"three", b"!")
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if place == "local" else [])


@pytest.mark.parametrize("place", ["local", "remote"])
def test_what_is_not_committed_leaves_nothing(place: str, tmp_path: Path) -> None:
    with pytest.raises(KeyError), Target(url_of(place, tmp_path)) as target:
        target.write("a.txt", b"one")
        work = target.begin("b.txt").parent
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    assert not work.exists()
    assert Storage(url_of("remote", tmp_path)).names() == []


def test_a_local_release_is_not_visible_before_it_is_committed(tmp_path: Path) -> None:
    with Target(str(tmp_path / "deep" / "out")) as target:
        target.write("a.txt", b"one")
        assert not (tmp_path / "deep" / "out").exists()
        (work,) = (tmp_path / "deep").iterdir()
        assert work.name == f"{TEMPORARY}out-{socket.gethostname()}-{os.getpid()}"
        target.commit(b"x")
    assert names(tmp_path / "deep" / "out") == ["RELEASE.json", "SHA256SUMS", "a.txt"]


def test_a_remote_release_has_its_files_at_once_and_its_description_last(tmp_path: Path) -> None:
    there = Storage(url_of("remote", tmp_path))
    with Target(there.url) as target:
        target.write("a.txt", b"one")
        assert there.names() == ["a.txt"]
        target.commit(b"x")
    assert sorted(there.names()) == ["RELEASE.json", "SHA256SUMS", "a.txt"]


def test_a_file_that_was_begun_must_be_finished(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"b\.txt"), Target(str(tmp_path / "out")) as target:
        target.begin("b.txt").write_bytes(b"x")
        target.commit(b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_path_out_of_the_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.\."), Target(str(tmp_path / "out")) as target:
        target.begin("../evil")


def test_a_place_that_holds_something_is_refused_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    there = Storage(url_of("remote", tmp_path))
    there.write("mine", b"x")
    for url, said in ((str(tmp_path / "full"), "is not empty"), (str(tmp_path / "file"), "is a file"),
                      (there.url, "is not empty")):  # fmt: skip
        with pytest.raises(UserError, match=said) as caught:
            Target(url)
        assert caught.value.code == 2
    there.write("RELEASE.json", b"x")
    with pytest.raises(UserError, match="holds a release"):
        Target(there.url)
    with Target(str(tmp_path / "empty")) as target:
        target.commit(b"x")
    assert names(tmp_path / "empty") == ["RELEASE.json", "SHA256SUMS"]


def test_what_came_to_the_place_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not empty"), Target(str(tmp_path / "out")) as target:
        target.write("a.txt", b"one")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("x")
        target.commit(b"x")
    assert names(tmp_path) == ["out", "out/mine"]


def test_only_leftovers_of_dead_processes_of_this_machine_are_removed(tmp_path: Path) -> None:
    prefix = f"{TEMPORARY}out-{socket.gethostname()}-"
    kept = [f"{prefix}{os.getppid()}", f"{prefix}12x", f"{TEMPORARY}out-elsewhere-999999999", f"{TEMPORARY}other-9"]
    for name in [*kept, f"{prefix}999999999"]:
        (tmp_path / name).mkdir()
    with Target(str(tmp_path / "out")) as target:
        target.commit(b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "out"])


@pytest.mark.parametrize(("files", "at_once"), [(2, 0), (3, 1)])
def test_a_few_files_are_synced_one_by_one_and_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, at_once: int
) -> None:
    synced: list[Path] = []
    whole: list[int] = []
    monkeypatch.setattr(target_module, "MANY", 2)
    monkeypatch.setattr(target_module, "sync_file", synced.append)
    monkeypatch.setattr(os, "sync", lambda: whole.append(1))
    with Target(str(tmp_path / "out")) as target:
        for number in range(files):
            target.write(f"{number}.txt", b"x")
        target.commit(b"x")
    assert (len(whole), len(synced)) == (at_once, 0 if at_once else files + 3)
