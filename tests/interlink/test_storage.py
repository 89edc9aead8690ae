"""A commit is whole or absent, and nothing leaves the folder."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from interlink.storage import Storage


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
