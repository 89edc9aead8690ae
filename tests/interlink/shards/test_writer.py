"""Writing shards and their indexes: the same bytes each time, whole or absent, read by stock webdataset."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
