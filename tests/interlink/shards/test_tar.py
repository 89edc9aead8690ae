"""Tar members: the same bytes as the standard says, and any webdataset tar read back."""

from __future__ import annotations

import inspect
import io
import re
import tarfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlink.shards import tar

NAMES = st.text("abcXYZ019_-", min_size=1, max_size=20).filter(lambda name: not name.startswith("-"))
SAMPLES = st.lists(
    st.tuples(
        NAMES,
        st.dictionaries(st.sampled_from(["json", "000.jpg", "001.jpg", "txt"]), st.binary(max_size=1500), min_size=1),
    ),
    max_size=6,
    unique_by=lambda sample: sample[0],
)


def standard(name: str, data: bytes, form: int = tarfile.USTAR_FORMAT) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


@given(st.text("abc.-_09é", min_size=1, max_size=40), st.binary(max_size=3000))
def test_a_member_is_what_pythons_tarfile_writes(name: str, data: bytes) -> None:
    ours = tar.member(name, data)

    # Given its device numbers, which ustar leaves open for regular files, nothing differs.
    theirs = standard(name, data)[: len(ours)]
    info = tarfile.TarInfo.frombuf(ours[: tar.BLOCK], "utf-8", "strict")
    assert (info.name, info.size, info.mode, info.mtime, info.uid, info.gid) == (name, len(data), 0o644, 0, 0, 0)
    assert (info.uname, info.gname) == ("", "")
    assert ours[tar.BLOCK :] == theirs[tar.BLOCK :]
    assert ours[:148] == theirs[:148]


@given(SAMPLES)
def test_samples_come_back_as_they_went_in(samples: list[tuple[str, dict[str, bytes]]]) -> None:
    for key, members in samples:
        assert tar.parse(tar.sample(key, list(members.items()))) == members


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a.jpg", "folder/sub.d/a.b.JSON", "d/" * 30 + "x" * 90 + ".jpg", "ключ.json"])
def test_every_form_of_long_name_is_read(form: int, name: str) -> None:
    data = standard(name, b"hello", form)

    (found,) = tar.members(io.BytesIO(data))

    assert found.name == name
    assert data[found.data : found.data + found.size] == b"hello"
    assert found.start == 0


def test_folders_and_links_are_passed_over() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("l", tarfile.SYMTYPE), ("a.txt", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "a.txt" if kind == tarfile.SYMTYPE else ""
            archive.addfile(info)

    assert [m.name for m in tar.members(io.BytesIO(target.getvalue()))] == ["a.txt"]


@given(st.integers(0, 3 * 2048))
def test_a_cut_tar_is_never_read_as_something_else(length: int) -> None:
    whole = b"".join(tar.member(f"k{n}.txt", bytes([n]) * 700) for n in range(3)) + tar.END
    told = list(tar.members(io.BytesIO(whole)))

    found = []
    try:
        for member in tar.members(io.BytesIO(whole[:length])):
            found.append(member)
    except tar.ShardError:
        assert found == told[: len(found)]
    else:  # at the end of a member: nothing in the bytes tells that more was meant to follow
        assert found == told[: len(found)]
        assert length in (0, *(member.end for member in told)) or length > told[-1].end


@given(st.binary(max_size=2000))
def test_bytes_that_are_no_tar_raise_shard_error_only(data: bytes) -> None:
    try:
        list(tar.members(io.BytesIO(data)))
    except tar.ShardError as error:
        assert str(error)


@given(st.integers(0, 511), st.integers(1, 255))
def test_a_flipped_header_byte_is_noticed(position: int, flip: int) -> None:
    data = bytearray(tar.member("key.json", b"{}"))
    data[position] ^= flip

    try:
        found = [member.name for member in tar.members(io.BytesIO(bytes(data)))]
    except tar.ShardError:
        return
    # Only the way the sum itself is written may change unseen: `0` and a space are the same there.
    assert found == ["key.json"]
    assert 148 <= position < 156


@settings(deadline=None)  # the first call imports webdataset
@given(st.text("ab._-/AB", min_size=1, max_size=12))
@example("____/.")
@example("__a__/b.c")
def test_names_are_split_as_webdataset_splits_them(name: str) -> None:
    from webdataset.tariterators import base_plus_ext, tar_file_iterator

    key, suffix = base_plus_ext(name)
    passed_over = re.match(inspect.signature(tar_file_iterator).parameters["skip_meta"].default, name)

    assert tar.key_and_suffix(name) == (None if key is None or passed_over else (key, suffix.lower()))


def test_what_would_not_fit_a_header_is_refused() -> None:
    with pytest.raises(tar.ShardError, match="1 to 100 bytes"):
        tar.header("x" * 101, 1)
    with pytest.raises(tar.ShardError, match="8 GiB"):
        tar.header("a.mp4", 8**11)


def test_a_range_with_two_samples_or_a_suffix_twice_is_refused() -> None:
    with pytest.raises(tar.ShardError, match="'a' and of 'b'"):
        tar.parse(tar.member("a.txt", b"") + tar.member("b.txt", b""))
    with pytest.raises(tar.ShardError, match="two members"):
        tar.parse(tar.member("a.txt", b"") + tar.member("a.TXT", b""))
