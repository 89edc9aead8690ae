"""Writing shards and their indexes: the same bytes each time, whole or absent, read by stock webdataset."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disk import Disk, Fault
from interlink.errors import UserError
from interlink.shards import ShardError, ShardWriter, index, read_index, read_sample, writer
from interlink.shards.names import shard_name
from interlink.storage import Storage

SAMPLES = st.lists(
    st.tuples(st.binary(max_size=3000), st.lists(st.binary(min_size=1, max_size=4000), max_size=4), st.integers(0, 9)),
    max_size=12,
)


def write(folder: Path | str, samples: list[Any], target: int = 16_000) -> list[str]:
    with ShardWriter(Storage(str(folder)), "s", lambda n: shard_name("000-0000", n), target) as writer:
        for number, (text, images, clips) in enumerate(samples):
            members = [("json", text), *((f"{n:03d}.jpg", image) for n, image in enumerate(images))]
            writer.add(f"key-{number}", members, len(images), clips, len(text))
    return writer.names


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "s").iterdir())}


@settings(deadline=None, max_examples=40)
@given(SAMPLES)
def test_index_and_scan_and_range_reads_agree_with_what_was_written(samples: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = write(folder, samples)
        storage = Storage(f"{folder}/s")

        back = []
        for name in names:
            entries = read_index(f"{folder}/s/{name}")
            for entry in entries:
                members = read_sample(storage, name, entry)
                images = [members[key] for key in sorted(members) if key != "json"]
                back.append((members["json"], images, entry.clips))
                assert (entry.images, entry.text_tokens) == (len(images), len(members["json"]))
            Path(folder, "s", name.replace(".tar", ".index.parquet")).unlink()
            scanned = read_index(f"{folder}/s/{name}")
            assert [(e.key, e.offset, e.size, e.images) for e in scanned] == [
                (e.key, e.offset, e.size, e.images) for e in entries
            ]
        assert back == samples


@settings(deadline=None, max_examples=10)
@given(SAMPLES)
def test_the_same_samples_give_the_same_files(samples: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        write(one, [*samples, (b"{}", [], 0)])
        write(two, [*samples, (b"{}", [], 0)])

        assert files(Path(one)) == files(Path(two))


def test_shards_that_go_to_the_disk_in_stretches_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [(b"x" * n, [memoryview(b"image" * n)], n) for n in range(200)]
    write(tmp_path / "whole", samples, target=50_000)
    settled: list[tuple[int, int]] = []

    def settle(self: Storage, file: Any, begin: int, end: int) -> None:
        real(self, file, begin, end)
        settled.append((begin, end))
        assert os.fstat(file.fileno()).st_size == end

    real = Storage.settle
    monkeypatch.setattr(writer, "STRETCH", 20_000)
    monkeypatch.setattr(Storage, "settle", settle)
    write(tmp_path / "stretches", samples, target=50_000)
    assert files(tmp_path / "whole") == files(tmp_path / "stretches")
    assert all(20_000 <= end - begin < 25_000 for begin, end in settled)
    assert [begin for begin, _ in settled].count(0) > 2 and max(begin for begin, _ in settled) >= 20_000


def test_shards_are_cut_before_the_target_and_a_large_sample_stands_alone(tmp_path: Path) -> None:
    small, large = (b"x" * 500, [], 0), (b"x" * 50_000, [], 0)

    names = write(tmp_path, [small] * 20 + [large] + [small], target=10_000)

    counts = [len(read_index(f"{tmp_path}/s/{name}")) for name in names]
    assert names == [f"000-0000-{n:03d}.tar" for n in range(5)]
    assert counts == [8, 8, 4, 1, 1]
    sizes = [len(data) for name, data in files(tmp_path).items() if name.endswith(".tar")]
    assert [size <= 10_000 for size in sizes] == [True, True, True, False, True]


def test_stock_webdataset_reads_the_same_samples(tmp_path: Path) -> None:
    import webdataset

    names = write(tmp_path, [(b'{"n":%d}' % n, [b"image" * n, b"second"], n) for n in range(1, 30)])

    paths = [f"{tmp_path}/s/{name}" for name in names]
    theirs = [
        (s["__key__"], {k: v for k, v in s.items() if not k.startswith("__")})
        for s in webdataset.WebDataset(paths, shardshuffle=False)
    ]
    storage = Storage(f"{tmp_path}/s")
    ours = [(e.key, read_sample(storage, n, e)) for n in names for e in read_index(f"{tmp_path}/s/{n}")]
    assert len(names) > 1
    assert ours == theirs


def test_a_tar_written_by_webdataset_is_scanned(tmp_path: Path) -> None:
    import webdataset

    with webdataset.TarWriter(f"{tmp_path}/other.tar") as writer:
        for n in range(5):
            writer.write({"__key__": f"a/b{n}", "txt": f"caption {n}", "jpg": b"pixels", "seg.png": b"mask"})

    entries = read_index(f"{tmp_path}/other.tar")

    assert [(e.key, e.images) for e in entries] == [(f"a/b{n}", 2) for n in range(5)]
    assert read_sample(Storage(str(tmp_path)), "other.tar", entries[3])["txt"] == b"caption 3"


def test_an_exception_leaves_nothing_of_the_open_shard(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    with pytest.raises(ZeroDivisionError), ShardWriter(storage, "s", lambda n: f"{n}.tar", 4000) as writer:
        for number in range(10):
            writer.add(f"k{number}", [("json", b"{}")])
        raise ZeroDivisionError

    finished = [
        name for n in range(4) for name in (f"{n}.index.parquet", f"{n}.tar")
    ]  # two samples each, the fifth open
    assert storage.names("s") == finished
    assert list(storage.scratch().iterdir()) == []


@pytest.mark.parametrize("key", ["a.b", "a/b", ""])
def test_keys_that_webdataset_would_split_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ShardError, match="no key"), ShardWriter(Storage(str(tmp_path)), "", str, 1000) as writer:
        writer.add(key, [("json", b"{}")])


def test_an_index_of_another_tar_is_refused(tmp_path: Path) -> None:
    (name,) = write(tmp_path, [(b"{}", [], 0)])
    path = tmp_path / "s" / name
    path.write_bytes(path.read_bytes() + bytes(512))

    with pytest.raises(UserError, match="is the index of a tar of 2048 bytes") as caught:
        read_index(str(path))
    assert "delete the index" in caught.value.do


def test_a_truncated_tar_is_named(tmp_path: Path) -> None:
    (name,) = write(tmp_path, [(b"x" * 4000, [], 0)])
    path = tmp_path / "s" / name
    (tmp_path / "s" / name.replace(".tar", ".index.parquet")).unlink()
    path.write_bytes(path.read_bytes()[:2000])

    with pytest.raises(UserError, match=r"000-0000-000.tar ends in the middle of member 'key-0.json'"):
        read_index(str(path))
    with pytest.raises(UserError, match=r"there is no shard"):
        read_index(str(tmp_path / "none.tar"))


def test_bytes_that_are_no_index_are_refused() -> None:
    with pytest.raises(ShardError, match="no index"):
        index.load_index(b"PAR1 but not really")


def test_shards_on_a_remote_file_system_read_the_same(tmp_path: Path) -> None:
    remote = Storage("memory://bucket/build")
    with ShardWriter(remote, "s", lambda n: f"{n}.tar", 10**6) as writer:
        writer.add("k", [("json", b"{}"), ("000.jpg", b"x")], 1)
    with_index = read_index("memory://bucket/build/s/0.tar")
    remote.delete("s/0.index.parquet")

    assert read_index("memory://bucket/build/s/0.tar") == with_index
    assert read_sample(Storage("memory://bucket/build/s"), "0.tar", with_index[0]) == {"json": b"{}", "000.jpg": b"x"}


def test_the_index_says_size_and_sum_of_its_tar_and_counts_of_its_samples(tmp_path: Path) -> None:
    with ShardWriter(Storage(str(tmp_path)), "", lambda n: f"{n}.tar", 4096) as writer:
        assert writer.add("a", [("json", b"{}")]) == "0.tar"
        assert writer.add("b", [("json", b"{}"), ("jpg", b"x")], images=1, clips=2, text_tokens=3) == "0.tar"
        assert writer.add("c", [("json", b"{}")]) == "1.tar"
    assert writer.names == ["0.tar", "1.tar"]
    for name, keys in (("0", ["a", "b"]), ("1", ["c"])):
        data = (tmp_path / f"{name}.tar").read_bytes()
        found = index.load_index((tmp_path / f"{name}.index.parquet").read_bytes())
        assert (found.size, found.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert [entry.key for entry in found.entries] == keys
        with tarfile.open(tmp_path / f"{name}.tar") as tar:
            assert {one.name.split(".")[0] for one in tar} == set(keys)
        assert (tmp_path / f"{name}.tar").stat().st_mode & 0o777 == 0o644
    first, second = read_index(str(tmp_path / "0.tar"))
    assert (first.images, first.clips, first.text_tokens) == (0, 0, 0)
    assert (second.images, second.clips, second.text_tokens) == (1, 2, 3)
    assert index.totals([first, second]) == {"samples": 2, "images": 1, "clips": 2, "text_tokens": 3}


def test_a_shard_of_exactly_the_target_is_not_cut(tmp_path: Path) -> None:
    """Two samples of a header, a block and an end mark."""
    for target, count in ((2 * 1024 + 1024, 1), (2 * 1024 + 1023, 2)):
        assert len(write(tmp_path / str(target), [(b"{}", [], 0)] * 2, target)) == count


def test_a_first_sample_above_the_target_stands_alone(tmp_path: Path) -> None:
    names = write(tmp_path, [(b"x" * 5000, [], 0), (b"{}", [], 0)], 4000)
    assert [len(read_index(f"{tmp_path}/s/{name}")) for name in names] == [1, 1]


def test_an_index_is_there_before_its_tar(tmp_path: Path) -> None:
    with Disk(tmp_path) as disk:
        write(tmp_path, [(b"{}", [], 0)])
    placed = [Path(operation.target).name for operation in disk.operations if operation.kind == "rename"]
    assert placed == ["000-0000-000.index.parquet", "000-0000-000.tar"]


def test_a_shard_that_cannot_be_put_leaves_nothing_half_made(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    with Disk(tmp_path) as disk:
        write(tmp_path / "whole", [(b"{}", [], 0)])
    for at, operation in enumerate(disk.operations):
        if operation.kind not in ("write", "rename"):
            continue
        with Disk(tmp_path, Fault(at, "ENOSPC")), pytest.raises(OSError, match="No space"):
            write(tmp_path / str(at), [(b"{}", [], 0)])
        assert list((tmp_path / str(at) / ".scratch").iterdir()) == []
        assert set(Storage(str(tmp_path / str(at))).names("s")) <= {"000-0000-000.index.parquet"}
    assert storage.names("whole/s") == ["000-0000-000.index.parquet", "000-0000-000.tar"]


def test_an_open_shard_can_be_given_up_and_another_begun(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    writer = ShardWriter(storage, "s", lambda n: f"{n}.tar", 10**6)
    writer.close()
    writer.abort()
    assert storage.names("s") == []
    writer.add("a", [("json", b"{}")])
    writer.abort()
    writer.close()
    assert storage.names("s") == []
    assert list(storage.scratch().iterdir()) == []


def test_a_scan_passes_over_what_is_no_sample(tmp_path: Path) -> None:
    from interlink.shards import tar

    path = tmp_path / "a.tar"
    path.write_bytes(tar.member("__meta__/x.txt", b"1") + tar.member("k.jpg", b"2") + tar.member("noend", b"3"))
    (found,) = read_index(str(path))
    assert (found.key, found.offset, found.size, found.images) == ("k", 1024, 1024, 1)
    path.write_bytes(tar.member("noend", b"3") + tar.END)
    assert read_index(str(path)) == []
    path.write_bytes(b"".join(tar.member(name, b"") for name in ("k.PNG", "k.txt", "l.webp", "l.seg.jpeg", "k.json")))
    with path.open("rb") as file:
        assert index.scan(file).size == path.stat().st_size
    assert [(one.key, one.images, one.size) for one in read_index(str(path))] == [
        ("k", 1, 1024),
        ("l", 2, 1024),
        ("k", 0, 512),
    ]
    path.write_bytes(tar.member("k.txt", b"1")[:700])
    with pytest.raises(UserError, match=r"a.tar ends in the middle of member 'k.txt'") as caught:
        read_index(str(path))
    assert "again" in caught.value.do


def test_a_damaged_index_names_its_shard(tmp_path: Path) -> None:
    (name,) = write(tmp_path, [(b"{}", [], 0)])
    (tmp_path / "s" / name.replace(".tar", ".index.parquet")).write_bytes(b"PAR1")
    with pytest.raises(UserError, match=rf"{name} is no index of a shard"):
        read_index(str(tmp_path / "s" / name))


def test_a_path_is_a_folder_and_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path, url, name in (
        ("a/b.tar", f"{tmp_path}/a", "b.tar"),
        ("/b.tar", "/", "b.tar"),
        ("s3://bucket/a/b.tar", "s3://bucket/a", "b.tar"),
    ):
        storage, found = index.split(path)
        assert (storage.url, found) == (url, name)
