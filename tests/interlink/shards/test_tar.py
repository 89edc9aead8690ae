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


def test_folders_and_links_have_no_data_whatever_size_they_state() -> None:
    """A hard link may state the size of the file that it is another name of; an old contiguous file is a file."""
    data = b""
    for name, kind, size, body in (
        ("d", tarfile.DIRTYPE, 700, b""),
        ("hard", tarfile.LNKTYPE, 700, b""),
        ("soft", tarfile.SYMTYPE, 700, b""),
        ("old.txt", tarfile.CONTTYPE, 700, b"y" * 700 + bytes(1024 - 700)),
        ("a.txt", tarfile.REGTYPE, 3, b"abc" + bytes(509)),
        ("b.txt", tarfile.AREGTYPE, 0, b""),
    ):
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, size
        data += info.tobuf(tarfile.USTAR_FORMAT) + body

    found = list(tar.members(io.BytesIO(data)))

    assert [(one.name, one.size, data[one.data : one.data + one.size]) for one in found] == [
        ("a.txt", 3, b"abc"),
        ("b.txt", 0, b""),
    ]


def with_record(record: bytes, name: str = "a.txt", size: int = 0, body: bytes = b"") -> bytes:
    """A file with a pax header that says `record`."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    padding = bytes(-len(record) % 512)
    return info.tobuf(tarfile.USTAR_FORMAT) + record + padding + tar.header(name, size) + body + bytes(-len(body) % 512)


def test_a_pax_record_states_the_size_of_the_next_file_and_of_no_other() -> None:
    data = with_record(b"10 size=5\n", body=b"hello") + tar.member("b.txt", b"abc")

    first, second = tar.members(io.BytesIO(data))

    assert (first.name, first.start, first.size, data[first.data : first.data + 5]) == ("a.txt", 0, 5, b"hello")
    assert first.end == second.start == 512 * 4
    assert (second.name, second.size, data[second.data : second.data + 3]) == ("b.txt", 3, b"abc")
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    between = with_record(b"10 size=5\n")[:1024] + folder.tobuf(tarfile.USTAR_FORMAT) + tar.member("b.txt", b"abc")
    assert [(one.start, one.size) for one in tar.members(io.BytesIO(between))] == [(1536, 3)]


def test_records_for_all_files_say_nothing_about_one() -> None:
    info = tarfile.TarInfo("global")
    info.type, info.size = tarfile.XGLTYPE, 10
    data = info.tobuf(tarfile.USTAR_FORMAT) + b"10 size=5\n" + bytes(502) + tar.member("b.txt", b"abc")

    (found,) = tar.members(io.BytesIO(data))

    assert (found.name, found.start, found.size) == ("b.txt", 0, 3)


DAMAGED = [
    b"x size=5\n", b"10size=555", b"2 size=5\n", b"2 10 size=5\n", b"0 ", b" size=5\n", b"1 ", b"x" * 30, b"9" * 30,
]  # fmt: skip


@pytest.mark.parametrize("record", DAMAGED)
def test_a_damaged_pax_record_is_refused(record: bytes) -> None:
    with pytest.raises(tar.ShardError, match="damaged pax record"):
        list(tar.members(io.BytesIO(with_record(record))))


def test_pax_records_are_read_one_after_another() -> None:
    assert tar._pax(b"8 b=c=d\n4 =\n14 path=x/y.z\n") == {"b": "c=d", "": "", "path": "x/y.z"}
    assert tar._pax(b"4 =\n") == {"": ""}


@pytest.mark.parametrize("cut", [1, 511, 512, 512 + 9, 1024 + 1, 1024 + 512])
def test_an_archive_that_ends_too_early_says_where(cut: int) -> None:
    data = with_record(b"10 size=5\n", body=b"hello")[:cut]
    where = {1: "a header at byte 0", 511: "a header at byte 0", 512: "a record at byte 0", 521: "a record at byte 0"}
    said = where.get(cut, "a header at byte 1024" if cut < 1536 else "member 'a.txt' at byte 1024")
    with pytest.raises(tar.ShardError, match=f"ends in the middle of {said}"):
        list(tar.members(io.BytesIO(data)))


def test_an_end_mark_ends_the_archive_and_may_be_missing() -> None:
    one = tar.member("a.txt", b"abc")
    assert [found.name for found in tar.members(io.BytesIO(one + tar.END + tar.member("b.txt", b"")))] == ["a.txt"]
    assert [found.name for found in tar.members(io.BytesIO(one))] == ["a.txt"]
    assert bytes(1024) == tar.END
    assert list(tar.members(io.BytesIO(b""))) == []


def test_numbers_are_octal_text_or_gnus_binary_form() -> None:
    assert tar._number(b"\x80" + bytes(6) + b"\x01\x02\x03\x04\x05") == 0x0102030405
    assert tar._number(b"\x81" + bytes(10) + b"\x00") == 1 << 88
    assert [tar._number(text) for text in (b"0000017\0", b"  17 \0", b"\0" * 8, b"        ")] == [15, 15, 0, 0]
    with pytest.raises(tar.ShardError, match="is no octal number"):
        tar._number(b"0000019\0")
    size = 3
    info = bytearray(tar.header("a.txt", 0))
    info[124:136] = b"\x80" + size.to_bytes(11, "big")
    info[148:156] = b"%06o\0 " % (sum(info[:148]) + sum(info[156:]) + 8 * 32)
    (found,) = tar.members(io.BytesIO(bytes(info) + b"abc" + bytes(509)))
    assert found.size == 3


def test_names_in_two_pieces_are_joined_in_ustar_only() -> None:
    header = bytearray(tar.header("a.txt", 0))
    header[345:351] = b"folder"

    def name(magic: bytes) -> str:
        header[257:263] = magic
        header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * 32)
        (found,) = tar.members(io.BytesIO(bytes(header)))
        return found.name

    assert (name(b"ustar\0"), name(b"ustar ")) == ("folder/a.txt", "a.txt")


def test_a_header_of_many_high_bytes_has_a_sum_of_six_digits() -> None:
    folder = "é" * 60
    data = standard(f"{folder}/{'é' * 48}.txt", b"")
    assert data[148:149] == b"1"
    (found,) = tar.members(io.BytesIO(data))
    assert found.name == f"{folder}/{'é' * 48}.txt"


def test_members_that_webdataset_passes_over_are_no_part_of_a_sample() -> None:
    data = tar.member("__meta__/a.txt", b"1") + tar.member("noend", b"2") + tar.member("k.txt", b"3")
    assert tar.parse(data) == {"txt": b"3"}
    assert tar.parse(tar.member("k.txt", b"3") + tar.member("noend", b"2") + tar.member("k.b", b"4")) == {
        "txt": b"3",
        "b": b"4",
    }
    assert tar.parse(b"") == {}


def test_the_longest_and_the_shortest_name() -> None:
    assert tar.LONGEST_NAME == 100
    (found,) = tar.members(io.BytesIO(tar.header("x" * 100, 0)))
    assert found.name == "x" * 100
    for name in ("", "é" * 51):
        with pytest.raises(tar.ShardError, match="1 to 100 bytes"):
            tar.header(name, 0)
    assert tar._number(tar.header("a", 8**11 - 1)[124:136]) == 8**11 - 1


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
