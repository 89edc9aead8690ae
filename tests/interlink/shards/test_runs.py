"""Tars of other tools: what is no part of a sample is passed over and named once, with its count."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from foreign_tars import add, pairs, picture, sparse_gnu, tar_of
from interlink.errors import UserError
from interlink.shards import resolve
from interlink.shards.runs import Run, bare, runs
from interlink.shards.tar import END, Notes, ShardError, member, parse


def found_in(data: bytes) -> tuple[list[Run], list[str]]:
    notes = Notes()
    return list(runs(io.BytesIO(data), notes)), notes.lines()


@pytest.mark.parametrize("folder", ["", "./", "photos/", "a/b.c/"])
def test_hidden_members_are_no_samples(tmp_path: Path, folder: str) -> None:
    members = []
    for name, data in pairs(3, folder):
        before, slash, base = name.rpartition("/")
        members += [(f"{before}{slash}._{base}", b"\0\5\x16\7"), (name, data), (f"{before}{slash}.DS_Store", b"x")]
    data = tar_of(tmp_path / "a.tar", members).read_bytes()
    samples, notes = found_in(data)
    assert [run.suffixes for run in samples] == [("jpg", "txt")] * 3 and notes == []
    for run in samples:
        assert set(parse(data[run.start : run.end])) == {"jpg", "txt"}


def test_keys_with_dots_are_samples_of_their_own(tmp_path: Path) -> None:
    data = tar_of(tmp_path / "a.tar", pairs(3, key="2024.05.{:02d}")).read_bytes()
    samples, _ = found_in(data)
    assert [run.key for run in samples] == ["2024.05.00", "2024.05.01", "2024.05.02"]
    assert [bare(parse(data[run.start : run.end]))["txt"] for run in samples] == [b"text 0", b"text 1", b"text 2"]


def test_keys_with_dots_may_lack_a_text(tmp_path: Path) -> None:
    members = [one for one in pairs(4, key="v1.{:02d}") if one[0] != "v1.02.txt"]
    samples, _ = found_in(tar_of(tmp_path / "a.tar", members).read_bytes())
    assert [run.key for run in samples] == ["v1.00", "v1.01", "v1.02", "v1.03"]


def test_a_page_with_numbered_pictures_stays_one_sample(tmp_path: Path) -> None:
    names = ["p.json", "p.0.jpg", "p.1.jpg", "p.0.txt", "p.1.txt"]
    (run,), _ = found_in(tar_of(tmp_path / "a.tar", [(name, b"x") for name in names]).read_bytes())
    assert run.key == "p" and len(run.suffixes) == 5
    assert bare({"json": 1, "0.jpg": 2}) == {"json": 1, "0.jpg": 2}
    assert bare({"0.jpg": 2}) == {"0.jpg": 2}


def test_samples_in_pieces_are_refused_with_one_message(tmp_path: Path) -> None:
    members = sorted(pairs(5), key=lambda one: one[0].rpartition(".")[2])
    with pytest.raises(ShardError, match=r"members of 5 of its 5 samples in several places .*--sort=name"):
        found_in(tar_of(tmp_path / "a.tar", members).read_bytes())
    few = [*pairs(5), ("000000.json", b"{}")]
    samples, notes = found_in(tar_of(tmp_path / "b.tar", few).read_bytes())
    assert len(samples) == 6 and notes == ["1 samples with members in several places (for example 000000)"]


def test_the_same_sample_twice_is_no_sample_in_pieces(tmp_path: Path) -> None:
    samples, notes = found_in(tar_of(tmp_path / "a.tar", [*pairs(2), *pairs(2)]).read_bytes())
    assert len(samples) == 4 and notes == []


def test_links_are_named_once_with_their_count(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as file:
        for name, data in pairs(2):
            add(file, name, data)
        for number in (2, 3):
            add(file, f"{number:06d}.jpg", b"", tarfile.LNKTYPE, "000000.jpg")
            add(file, f"{number:06d}.png", b"", tarfile.SYMTYPE, "x" * 200)  # with a record for its long target
            add(file, f"{number:06d}.txt", b"text")
    samples, notes = found_in((tmp_path / "a.tar").read_bytes())
    assert [run.suffixes for run in samples[2:]] == [("txt",), ("txt",)]
    assert notes == [
        "2 hard links: their data are another member's (for example 000002.jpg)",
        "2 symbolic links: they hold no data (for example 000002.png)",
    ]


def test_sparse_files_are_passed_over_with_their_data() -> None:
    inside = b"".join(member(name, data) for name, data in pairs(1))
    data = member("a.txt", b"1") + sparse_gnu("b.jpg", inside, 2_000_000) + member("c.txt", b"2") + END
    samples, notes = found_in(data)
    assert [run.key for run in samples] == ["a", "c"]
    assert notes == ["1 sparse files: their data are not in one piece (for example b.jpg)"]
    info = tarfile.TarInfo("GNUSparseFile.1/b.jpg")
    info.size = 3
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "b.jpg"}
    samples, notes = found_in(info.tobuf(tarfile.PAX_FORMAT) + b"0\n\n" + bytes(509) + member("c.txt", b"2") + END)
    assert [run.key for run in samples] == ["c"]
    assert notes == ["1 sparse files: their data are not in one piece (for example b.jpg)"]


def test_a_missing_end_mark_and_what_follows_it_are_noted() -> None:
    one, two = member("a.txt", b"1"), member("b.txt", b"2")
    assert found_in(one + END)[1] == []
    assert found_in(one + END + bytes(8192))[1] == []
    assert found_in(one) == ([Run("a", 0, 1024, ("txt",))], ["no end mark: the file may be cut"])
    assert "tars joined by cat" in found_in(one + END + two + END)[1][0]
    assert found_in(b"") == ([], ["the file is empty"])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (gzip.compress, "compressed with gzip"),
        (lambda data: b"\x28\xb5\x2f\xfd" + data, "compressed with zstd"),
        (lambda data: b"<!DOCTYPE html>" + data, "a web page"),
        (lambda data: b"version https://git-lfs.github.com/spec/v1\n" + data, "a pointer of Git LFS"),
        (lambda data: b"x" + data, "no tar, or damaged"),
    ],
)
def test_what_is_no_tar_is_named(tmp_path: Path, change: Callable[[bytes], bytes], what: str) -> None:
    data = tar_of(tmp_path / "a.tar", [("a.jpg", picture(0) * 3)]).read_bytes()
    with pytest.raises(ShardError, match=what):
        found_in(change(data))


def test_a_folder_of_compressed_tars_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "00000.tar.gz").write_bytes(b"")
    (tmp_path / "._00000.tar").write_bytes(b"")
    with pytest.raises(UserError, match=r"compressed \(for example 00000.tar.gz\)") as error:
        resolve(str(tmp_path))
    assert "gunzip" in error.value.do
    with pytest.raises(UserError, match="is compressed"):
        resolve(str(tmp_path / "00000.tar.gz"))
