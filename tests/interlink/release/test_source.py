"""What a release reads from the shards of a build, and the damage that it refuses with the name of what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.release import source
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample, samples
from interlink.shards import ShardWriter, manifest
from interlink.shards.document import File
from interlink.shards.names import shard_name
from interlink.storage import Storage
from releasing import Made_, filmed, put, simple


def read(root: Storage, **settings: Any) -> list[Sample]:
    return list(samples(root, "shards/f1", ReleaseSettings(**settings)))


def test_members_have_their_places_and_come_in_the_order_of_the_document(tmp_path: Path) -> None:
    made = filmed(simple(0), 0, b"moving", b"heard")
    root = put(Storage(str(tmp_path)), [made, simple(1)])
    one, other = read(root, val_share=0.0)
    assert (one.key, other.key, one.split, one.text) == ("doc0", "doc1", "train", made.document.dump())
    assert list(one.pictures) == made.document.images() and list(one.files) == ["c0.mp4", "c0.m4a"]
    shards = Storage(str(tmp_path / "shards" / "f1"))
    for member in (*one.pictures.values(), *one.files.values(), *other.pictures.values()):
        assert shards.read_range(one.shard, member.offset, member.size) == member.data
    text = shards.read_range(one.shard, one.offset, len(one.text.encode()))
    assert text.decode() == one.text
    assert read(root, val_share=1.0)[0].split == "val"


@pytest.mark.parametrize(("beyond", "together"), [(-(10**6), 1), (-1, 1), (0, 2), (10**9, 2)])
def test_documents_are_read_together_up_to_a_span(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beyond: int, together: int
) -> None:
    root = put(Storage(str(tmp_path)), [simple(n) for n in range(4)], 22_000)
    whole = read(root)
    shards = manifest.load(root, "shards/f1").shards
    assert [shard.samples for shard in shards] == [2, 2]
    both = shards[0].size - 1024
    monkeypatch.setattr(source, "SPAN", both + beyond)
    reads: list[tuple[int, int]] = []
    range_ = root.read_range

    def counted(path: str, at: int, size: int) -> bytes:
        reads.append((at, size))
        return range_(path, at, size)

    monkeypatch.setattr(root, "read_range", counted)
    assert read(root) == whole
    spans = [(0, both)] if together == 2 else [(0, both // 2), (both // 2, both // 2)]
    assert reads == 2 * [*spans, (both, 1024)]


def written(root: Storage, members: list[tuple[str, bytes]], key: str = "doc0") -> Storage:
    """A shard with these members in place of those of a document."""
    with ShardWriter(root, "shards/f1", lambda n: shard_name("000-0000", n), 60_000) as writer:
        writer.add(key, members, 1, 1, 1)
    manifest.commit(root, "shards/f1", manifest.build_manifest(root, "shards/f1", writer.names, "f1", "told"))
    return root


def parts(made: Made_) -> list[tuple[str, bytes]]:
    return [("json", made.document.dump().encode()), *made.images.items(), *made.files.items()]


def without(name: str) -> Callable[[Made_], list[tuple[str, bytes]]]:
    return lambda made: [one for one in parts(made) if one[0] != name]


def named(name: str) -> Callable[[Made_], list[tuple[str, bytes]]]:
    def change(made: Made_) -> list[tuple[str, bytes]]:
        made.document.clips[0].files = [File(name=name, how="copy", start=0.0, end=5.0)]
        made.files.clear()
        return [*parts(made), (name, b"moving")]

    return change


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        (without("001.jpg"), "doc0", r"\[doc0\]: image 001\.jpg is missing"),
        (without("c0.mp4"), "doc0", r"\[doc0\]: clip file c0\.mp4 is missing"),
        (without("json"), "doc0", r"\[doc0\]: "),
        (lambda made: [*parts(made), ("c9.mp4", b"x")], "doc0", r"'c9\.mp4' does not belong to document doc0"),
        (named("c0.exe"), "doc0", r"\[doc0\]: 'c0\.exe' is not the name of a clip file"),
        (named("c 0.mp4"), "doc0", r"'c 0\.mp4' is not the name of a clip file"),
        (parts, "other", r"\[other\]: the document has the id 'doc0'"),
        (parts, "-doc0", r"'-doc0' is not the key of a document"),
    ],
)
def test_a_shard_that_is_not_ours_is_refused(
    tmp_path: Path, change: Callable[[Made_], list[tuple[str, bytes]]], key: str, said: str
) -> None:
    root = written(Storage(str(tmp_path)), change(filmed(simple(0))), key)
    with pytest.raises(UserError, match=said) as caught:
        read(root)
    assert "interlink verify" in caught.value.do


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[tuple[Storage, Path]]:
    root = put(Storage(str(tmp_path)), [simple(0)])
    [path] = (tmp_path / "shards" / "f1").glob("*.tar")
    yield root, path


def test_damage_of_a_shard_is_named(shard: tuple[Storage, Path]) -> None:
    root, path = shard
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")  # the padding behind the last document counts too
    with pytest.raises(UserError, match="wrong sha256"):
        read(root)
    path.write_bytes(whole)
    assert len(read(root)) == 1


@pytest.mark.parametrize("error", [EOFError("short"), FileNotFoundError("gone")])
def test_a_shard_that_ends_while_it_is_read_is_named(
    shard: tuple[Storage, Path], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, at: int, size: int) -> bytes:
        raise error

    monkeypatch.setattr(shard[0], "read_range", fail)
    with pytest.raises(UserError, match=f"is missing or cut short: {error}"):
        read(shard[0])


@pytest.mark.parametrize("name", ["../x.tar", "a.tar.tar", "a", f"{'a' * 81}.tar"])
def test_a_manifest_cannot_name_a_file_elsewhere(
    shard: tuple[Storage, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = shard
    found = manifest.load(root, "shards/f1")
    changed = found.model_copy(update={"shards": [found.shards[0].model_copy(update={"name": name})]})
    monkeypatch.setattr(manifest, "load", lambda storage, folder: changed)
    with pytest.raises(UserError, match="names a shard"):
        read(root)
