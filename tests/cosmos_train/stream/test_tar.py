"""Fast reading of tars gives what webdataset gives, for tars of any writer; damage is named."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosmos_train.stream import tar
from interlink.shards.tar import BLOCK, END, ShardError, sample

Content = list[tuple[str, dict[str, bytes]]]

NAMES = st.from_regex(r"[a-z0-9_/]{0,12}[a-z0-9]", fullmatch=True).filter(lambda n: n[0] != "/" and "__" not in n)
SUFFIXES = st.sampled_from(["jpg", "txt", "json", "0.JPG", "seg.png"])
SAMPLES = st.dictionaries(
    NAMES, st.dictionaries(SUFFIXES, st.binary(max_size=1500), min_size=1, max_size=4), min_size=1, max_size=8
)


def written(path: Path, content: Content, form: int, mtime: float = 0) -> None:
    with tarfile.open(path, "w", format=form) as file:
        for key, members in content:
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size, info.mtime = len(data), mtime  # type: ignore[assignment]
                file.addfile(info, io.BytesIO(data))


def both(path: Path) -> tuple[Content, Content]:
    """By whole tar, and as one range."""
    whole = [(key, {name: bytes(data) for name, data in members.items()}) for key, members in tar.iterate(path)]
    part = [
        (key, {name: bytes(data) for name, data in members.items()}) for key, members in tar.samples(path.read_bytes())
    ]
    return whole, part


FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(content=SAMPLES, form=FORMATS, mtime=st.sampled_from([0, 1.5]))
def test_what_was_written_is_read(
    tmp_path: Path, content: dict[str, dict[str, bytes]], form: int, mtime: float
) -> None:
    path = tmp_path / "a.tar"
    written(path, list(content.items()), form, int(mtime) if form == tarfile.USTAR_FORMAT else mtime)
    expected = [(key, {suffix.lower(): data for suffix, data in members.items()}) for key, members in content.items()]
    whole, part = both(path)
    assert whole == part == expected


def test_the_samples_are_those_of_webdataset(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with webdataset.TarWriter(str(path)) as writer:
        for number in range(300):
            writer.write({"__key__": f"folder/{number:05d}", "jpg": b"j" * number, "txt": f"text {number}"})
    stock = [
        (found["__key__"], {"jpg": found["jpg"], "txt": found["txt"]})
        for found in webdataset.WebDataset(str(path), shardshuffle=False)
    ]
    assert both(path) == (stock, stock)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_folders_in_the_middle(tmp_path: Path, form: int) -> None:
    path = tmp_path / "a.tar"
    long = "f" * 150
    with tarfile.open(path, "w", format=form) as file:
        for name in ("a.jpg", "a.txt", f"{long}.jpg", f"{long}.txt", "folder", "b.jpg", "__meta__/x.json"):
            info = tarfile.TarInfo(name)
            if name == "folder":
                info.type = tarfile.DIRTYPE
                file.addfile(info)
                continue
            info.size = 4
            file.addfile(info, io.BytesIO(b"data"))
    whole, part = both(path)
    assert [(key, sorted(members)) for key, members in whole] == [
        ("a", ["jpg", "txt"]),
        (long, ["jpg", "txt"]),
        ("b", ["jpg"]),
    ]
    assert whole == part


def test_names_beyond_ascii(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    written(path, [("über", {"txt": b"1"}), ("unter", {"txt": b"2"}), ("ober", {"txt": b"3"})], tarfile.PAX_FORMAT)
    whole, part = both(path)
    assert [key for key, _ in whole] == ["über", "unter", "ober"]
    assert whole == part


def test_a_tar_inside_a_member_is_no_header(tmp_path: Path) -> None:
    inner = sample("inner", [("txt", b"x")]) + END
    path = tmp_path / "a.tar"
    path.write_bytes(sample("one", [("bin", inner), ("txt", b"1")]) + sample("two", [("txt", b"2")]) + END)
    whole, part = both(path)
    assert [key for key, _ in whole] == ["one", "two"]
    assert whole == part


@pytest.mark.parametrize("cut", [BLOCK // 2, BLOCK + 100, 5 * BLOCK + 30])
def test_truncated_tars_are_named(tmp_path: Path, cut: int) -> None:
    whole = sample("one", [("bin", b"x" * 700), ("txt", b"1")]) + sample("two", [("txt", b"2" * 600)]) + END
    path = tmp_path / "a.tar"
    path.write_bytes(whole[:cut])
    with pytest.raises(ShardError, match="ends in the middle"):
        list(tar.iterate(path))


def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    data = bytearray(sample("one", [("bin", b"x")]) + sample("two", [("txt", b"2")]) + END)
    data[2 * BLOCK + 1] ^= 1  # in the name of the second
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(ShardError, match="wrong header sum"):
        list(tar.iterate(path))
    with pytest.raises(ShardError, match="wrong header sum"):
        list(tar.samples(bytes(data)))


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"")
    assert list(tar.iterate(path)) == []


def test_a_range_holds_one_sample() -> None:
    one, two = sample("one", [("txt", b"1")]), sample("two", [("txt", b"2")])
    assert tar.parse(one)[0] == "one"
    with pytest.raises(ShardError, match="2 samples, not one"):
        tar.parse(one + two)
    with pytest.raises(ShardError, match="two members with suffix"):
        tar.parse(one + one)
