"""A commit is whole or absent, and nothing leaves the folder."""

from __future__ import annotations

import errno
import io
import os
import pickle
import tempfile
import threading
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest

from disk import Disk, Fault
from interlink.errors import UserError
from interlink.storage import Storage, arrow_file


def steps(disk: Disk) -> list[str]:
    """What was done, with temporary names shortened."""

    def short(path: str) -> str:
        folder, _, name = path.rpartition("/")
        return f"{folder}/{'*' if name.startswith('.tmp-') else name}".removeprefix("/")

    return [" ".join(filter(None, (o.kind, short(o.path), short(o.target)))) for o in disk.operations]


@pytest.fixture(params=["local", "remote"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """One of either kind; what both have to do alike is asked of both."""
    return Storage(str(tmp_path / "root") if request.param == "local" else f"memory://{uuid.uuid4().hex}/root")


def test_a_storage_is_local_where_its_url_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert (Storage("a/b").url, Storage("a/b").is_local) == (f"{tmp_path}/a/b", True)
    assert (Storage("file:///a/b/").url, Storage("file:///a/b").is_local) == ("/a/b", True)
    assert Storage("~/a").url == "/home/me/a"
    assert (Storage("s3://bucket/a/").url, Storage("s3://bucket/a").is_local) == ("s3://bucket/a", False)
    assert repr(Storage("/a")) == "Storage('/a')"


def test_a_path_means_the_same_however_it_is_spelled() -> None:
    storage = Storage("/root")
    assert [storage.full(path) for path in ("", ".", "a/./b", "a//b/")] == ["/root", "/root", "/root/a/b", "/root/a/b"]


def test_a_pickled_storage_opens_its_own_connection(storage: Storage) -> None:
    storage.write("a", b"1")
    copy = pickle.loads(pickle.dumps(storage))
    assert (copy.url, copy.options, copy.is_local, copy.read("a")) == (
        storage.url,
        storage.options,
        storage.is_local,
        b"1",
    )
    assert "_local" not in storage.__getstate__()


def test_every_thread_has_a_connection_of_its_own_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url, **options: (opened.append(url), url))
    storage = Storage("memory://x")
    for count in (1, 2):
        thread = threading.Thread(target=lambda: (storage.file_system(), storage.file_system()))
        thread.start()
        thread.join()
        assert len(opened) == count


def test_a_local_storage_needs_no_file_system_and_a_remote_one_no_local_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def use(storage: Storage) -> None:
        storage.write("a/b", b"12")
        storage.create("a/c", b"1")
        path, descriptor = storage.scratch_file(".tar")
        os.close(descriptor)
        storage.put("a/d", path)
        storage.remove_leftovers("a")
        assert storage.read("a/b") == b"12"
        storage.read_range("a/b", 0, 1)
        storage.read_into("a/b", 0, memoryview(bytearray(1)))
        with storage.local("a/b"):
            assert storage.exists("a/b") and storage.size("a/b") == 2 and storage.names("a") == ["b", "c", "d"]
        storage.delete("a/b")
        storage.delete_folder("a")

    use(Storage(f"memory://{uuid.uuid4().hex}"))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(Storage, "file_system", lambda self: pytest.fail("a local storage opened a file system"))
    use(Storage("root"))


def test_names_are_sorted_and_hold_neither_the_folder_nor_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listing:
        def ls(self, path: str, detail: bool) -> list[str]:
            assert (path, detail) == ("s3://bucket/root/a", False)
            return ["bucket/root/a/z", "bucket/root/a/", "bucket/root/a/c/", "bucket/root/a/.tmp-1", "bucket/root/a/b"]

    monkeypatch.setattr(Storage, "file_system", lambda self: Listing())
    assert Storage("s3://bucket/root").names("a") == ["b", "c", "z"]


def test_no_file_stays_open(storage: Storage) -> None:
    storage.write("a", b"1")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for number in range(3):
        storage.write("a", b"1")
        storage.create(f"b{number}", b"1")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_options_reach_the_file_system_and_a_missing_one_is_named() -> None:
    with pytest.raises(UserError, match="cannot open nothing://x") as caught:
        Storage("nothing://x").file_system()
    assert caught.value.code == 2
    assert Storage("memory://x", {"skip_instance_cache": True, "colour": 1}).file_system().storage_options == {
        "colour": 1,
        "use_listings_cache": False,
    }


def test_both_kinds_read_what_was_written(storage: Storage) -> None:
    assert not storage.exists("a/b")
    storage.write("a/b", b"0123456789")
    storage.write("a/c", b"")
    assert storage.exists("a/b")
    assert storage.size("a/b") == 10
    assert storage.read("a/b") == b"0123456789"
    assert storage.read_range("a/b", 2, 3) == b"234"
    room = bytearray(5)
    storage.read_into("a/b", 4, memoryview(room))
    assert bytes(room) == b"45678"
    assert storage.names("a") == ["b", "c"]
    assert storage.names() == storage.names("") == ["a"]
    assert storage.names("none") == []
    with storage.local("a/b") as path:
        assert path.name == "b"
        assert path.read_bytes() == b"0123456789"
    assert path.exists() == storage.is_local


def test_both_kinds_say_when_a_file_is_shorter_than_asked(storage: Storage) -> None:
    storage.write("a", b"01234")
    with pytest.raises(EOFError, match=r"a: 3 bytes wanted at 3, 2 there"):
        storage.read_range("a", 3, 3)
    with pytest.raises(EOFError, match=r"a: 3 bytes wanted at 3, 2 there"):
        storage.read_into("a", 3, memoryview(bytearray(3)))


def test_both_kinds_create_only_what_is_not_there(storage: Storage) -> None:
    assert storage.create("a/b", b"1") is True
    assert storage.create("a/b", b"2") is False
    assert storage.read("a/b") == b"1"
    assert storage.names("a") == ["b"]


def test_both_kinds_delete_what_is_there_and_what_is_not(storage: Storage) -> None:
    storage.write("a/b", b"1")
    storage.write("a/c/d", b"1")
    storage.delete("a/b")
    storage.delete("a/b")
    assert not storage.exists("a/b") and storage.exists("a/c/d")
    storage.delete_folder("a")
    storage.delete_folder("a")
    assert not storage.exists("a/c/d")


def test_both_kinds_take_a_finished_file_away(storage: Storage) -> None:
    path, descriptor = storage.scratch_file(".tar")
    os.write(descriptor, b"data")
    os.close(descriptor)
    assert path.suffix == ".tar" and path.name.startswith(".tmp-")
    storage.put("a/b", path)
    assert storage.read("a/b") == b"data"
    assert not path.exists()
    assert path.parent == (Path(storage.url) / ".scratch" if storage.is_local else Path(tempfile.gettempdir()))


def test_a_write_is_synced_before_its_rename_and_its_folder_after(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "root"))
    (tmp_path / "root" / "a").mkdir(parents=True)
    with Disk(tmp_path / "root") as disk:
        storage.write("a/b", b"data")
    assert steps(disk) == ["open a/*", "write a/*", "fsync a/*", "rename a/* a/b", "fsync a"]
    with Disk(tmp_path / "root") as disk:
        storage.write("a/b", b"data", durable=False)
    assert steps(disk) == ["open a/*", "write a/*", "rename a/* a/b"]


def test_a_creation_is_synced_before_its_link_and_its_folder_after(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "root"))
    (tmp_path / "root" / "a").mkdir(parents=True)
    with Disk(tmp_path / "root") as disk:
        assert storage.create("a/b", b"data")
    assert steps(disk) == ["open a/*", "write a/*", "fsync a/*", "link a/* a/b", "unlink a/*", "fsync a"]


def test_a_finished_file_is_synced_before_its_rename_and_its_folder_after(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "root"))
    path, descriptor = storage.scratch_file(".tar")
    os.close(descriptor)
    with Disk(tmp_path / "root") as disk:
        storage.put("b", path)
    assert steps(disk) == ["fsync .scratch/*", "rename .scratch/* b", "fsync"]


def test_a_finished_file_of_another_disk_is_copied_next_to_its_name_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, path = Storage(str(tmp_path / "root")), tmp_path / "elsewhere.tar"
    path.write_bytes(b"data")
    with Disk(tmp_path) as disk:
        rename = os.replace

        def other_disk(source: Any, target: Any) -> None:
            if Path(source).parent != Path(target).parent:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            rename(source, target)

        monkeypatch.setattr(os, "replace", other_disk)
        storage.put("a/b", path)
    assert steps(disk)[3:] == [
        "open root/a/*",
        "fsync root/a/*",
        "rename root/a/* root/a/b",
        "unlink elsewhere.tar",
        "fsync root/a",
    ]
    assert storage.read("a/b") == b"data"
    path.write_bytes(b"data")
    with Disk(tmp_path, Fault(1, "EIO")), pytest.raises(OSError, match="Input/output"):
        monkeypatch.setattr(os, "replace", other_disk)
        storage.put("a/c", path)
    assert path.read_bytes() == b"data"
    assert os.listdir(tmp_path / "root" / "a") == ["b"]  # noqa: PTH208, names that storage does not list too


@pytest.mark.parametrize("at", range(4))
def test_what_a_failed_commit_began_is_removed(tmp_path: Path, at: int) -> None:
    """Opening, writing, syncing, naming: each may fail."""
    storage = Storage(str(tmp_path / "root"))
    storage.write("a/b", b"old")
    for name, write in (("b", storage.write), ("c", storage.create)):
        with Disk(tmp_path / "root", Fault(at, "EIO")), pytest.raises(OSError, match="Input/output"):
            write(f"a/{name}", b"new")
        assert storage.read("a/b") == b"old"
        assert os.listdir(tmp_path / "root" / "a") == ["b"]  # noqa: PTH208, names that storage does not list too


def test_a_long_file_goes_to_the_disk_in_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advised: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda number, begin, size, how: advised.append((begin, size)))
    storage = Storage(str(tmp_path))
    with Disk(tmp_path) as disk, (tmp_path / "long").open("wb") as file:
        file.write(b"x" * 100)
        storage.settle(file, 20, 100)
        assert steps(disk) == ["open long", "write long", "fsync long"]
    assert advised == [(20, 80)]
    monkeypatch.delattr(os, "posix_fadvise")
    with (tmp_path / "long").open("wb") as file:
        storage.settle(file, 0, 1)
    Storage("memory://x").settle(io.BytesIO(), 0, 1)  # which has no descriptor to sync


def test_only_what_was_being_written_is_a_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(str(tmp_path))
    for name in ("a/b", "a/c/d"):
        storage.write(name, b"")
        (tmp_path / name).with_name(".tmp-1-2-x").write_bytes(b"half")
    storage.remove_leftovers("a")
    storage.remove_leftovers("none")
    Storage("memory://x").remove_leftovers("a")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".tmp-1-2-x", "a", "b", "c", "d"]
    assert storage.names("a/c") == ["d"]
    gone = tmp_path / "a" / ".tmp-9"
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [gone])  # another process was faster
    storage.remove_leftovers("a")


def test_trouble_with_a_storage_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=rf"cannot write below {tmp_path}: .*full") as caught,
        Storage(str(tmp_path)).committing(),
    ):
        raise OSError(28, "full")
    assert "make room" in caught.value.do
    with pytest.raises(ValueError, match="other"), Storage(str(tmp_path)).committing():
        raise ValueError("other")


def test_a_copy_that_fails_half_way_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, path = Storage(str(tmp_path / "root")), tmp_path / "elsewhere.tar"
    path.write_bytes(b"data")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "another disk")))
    with pytest.raises(OSError, match="another disk"):
        storage.put("a/b", path)
    assert path.exists()
    assert list((tmp_path / "root" / "a").iterdir()) == []


def test_a_scratch_folder_may_be_there(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "new" / "root"))
    assert storage.scratch() == storage.scratch() == tmp_path / "new" / "root" / ".scratch"


def test_bytes_for_arrow_are_a_copy_of_its_own() -> None:
    assert arrow_file(b"data").read() == b"data"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x"])
def test_paths_cannot_leave_the_storage(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="leaves"):
        Storage(str(tmp_path)).read(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(str(tmp_path))
    storage.write("a/b", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.write("a/b", b"new")
    assert storage.read("a/b") == b"old"
    assert storage.names("a") == ["b"]


def test_create_refuses_a_taken_name(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert storage.create("x", b"1")
    assert not storage.create("x", b"2")
    assert storage.read("x") == b"1"


def test_a_short_range_is_an_error(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write("x", b"12345")
    assert storage.read_range("x", 1, 3) == b"234"
    with pytest.raises(EOFError):
        storage.read_range("x", 3, 5)


def test_put_takes_the_file_away_from_where_it_was(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "root"))
    source = storage.scratch() / "f"
    source.write_bytes(b"data")
    storage.put("deep/er/f", source)
    assert storage.read("deep/er/f") == b"data"
    assert not source.exists()
    assert pickle.loads(pickle.dumps(storage)).url == storage.url
