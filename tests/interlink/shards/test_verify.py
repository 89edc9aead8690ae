"""verify: a sound folder has no problem, and each kind of damage is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.shards import ShardWriter, manifest, read_index
from interlink.shards.document import Document
from interlink.shards.verify import verify
from interlink.storage import Storage
from telling import jpeg

Shards = tuple[Storage, list[str]]


def problems(storage: Storage) -> list[str]:
    return [str(problem) for problem in verify(storage, "shards/f1").problems]


def one_sample(
    tmp_path: Path, members: list[tuple[str, bytes]], counts: tuple[int, int, int], key: str = "a"
) -> Storage:
    """A folder with one sample as given, its sums all right."""
    storage = Storage(str(tmp_path))
    with ShardWriter(storage, "shards/f1", lambda n: f"{n}.tar", 10**6) as writer:
        writer.add(key, members, *counts)
    manifest.commit(storage, "shards/f1", manifest.build_manifest(storage, "shards/f1", writer.names))
    return storage


def test_sound_shards_have_no_problem(shards: Shards) -> None:
    report = verify(shards[0], "shards/f1")

    assert report.problems == []
    assert (report.shards, report.samples, report.images, report.clips) == (2, 8, 16, 16)
    assert report.text_tokens == 80


def test_remote_shards_are_verified_too(shards: Shards) -> None:
    remote = Storage("memory://bucket/v")
    for name in shards[0].names("shards/f1"):
        remote.write(f"shards/f1/{name}", shards[0].read(f"shards/f1/{name}"))

    assert verify(remote, "shards/f1").problems == []


def test_every_flipped_byte_is_found(shards: Shards) -> None:
    storage, names = shards
    path = Path(storage.full(f"shards/f1/{names[0]}"))
    sound = path.read_bytes()
    for position in range(0, len(sound), len(sound) // 12):
        damaged = bytearray(sound)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        assert any("sha256 is not the manifest's" in problem for problem in problems(storage)), position


def test_a_short_a_missing_and_a_stray_shard_are_named(shards: Shards) -> None:
    storage, names = shards
    first = Path(storage.full(f"shards/f1/{names[0]}"))
    first.write_bytes(first.read_bytes()[:6000])
    Path(storage.full(f"shards/f1/{names[1]}")).unlink()
    storage.write("shards/f1/stray.tar", b"")

    found = problems(storage)

    assert "stray.tar: is not in the manifest" in found
    assert any(f"{names[0]} [video3]: cannot be read by index" in problem for problem in found)
    assert any(f"{names[1]}: is missing" in problem for problem in found)


def test_an_index_that_does_not_fit_is_named(shards: Shards) -> None:
    storage, _ = shards
    other = storage.read("shards/f1/000-0000-001.index.parquet")
    storage.write("shards/f1/000-0000-000.index.parquet", other)

    found = problems(storage)

    assert any("sum of its index" in problem for problem in found)
    assert any("webdataset reads another sample" in problem for problem in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("000.jpg"), "image 000.jpg is missing"),
        (lambda m: m.update({"000.jpg": b"\xff\xd8 no picture"}), "image 000.jpg does not decode"),
        (lambda m: m.update({"000.jpg": jpeg(1)[:-300]}), "image 000.jpg does not decode"),
        (lambda m: m.update({"007.jpg": jpeg(1)}), "member 007.jpg is named by no segment"),
        (lambda m: m.update({"json": b"{}"}), "its JSON is no document"),
        (lambda m: m.update({"json": m["json"].replace(b'"id":"a"', b'"id":"b"')}), "its document says id 'b'"),
        (lambda m: m.update({"json": json.dumps(json.loads(m["json"])).encode()}), "its JSON is not in canonical form"),
        (lambda m: m.pop("json"), "has no .json"),
    ],
)
def test_an_incomplete_document_is_named(
    tmp_path: Path, document: Callable[..., Document], change: Callable[[dict[str, bytes]], Any], message: str
) -> None:
    found = document("a")
    members = {"json": found.dump().encode(), "000.jpg": jpeg(1), "001.jpg": jpeg(2)}
    change(members)

    storage = one_sample(tmp_path, list(members.items()), (2, 2, 10))

    assert any(f"0.tar [a]: {message}" in problem for problem in problems(storage)), problems(storage)


def test_wrong_counts_and_keys_twice_are_named(tmp_path: Path, document: Callable[..., Document]) -> None:
    found = document("a")
    members = [("json", found.dump().encode()), ("000.jpg", jpeg(1)), ("001.jpg", jpeg(2))]
    storage = Storage(str(tmp_path))
    with ShardWriter(storage, "shards/f1", lambda n: f"{n}.tar", 1) as writer:
        writer.add("a", members, 2, 2, 99)
        writer.add("a", members, 2, 2, 10)
    manifest.commit(storage, "shards/f1", manifest.build_manifest(storage, "shards/f1", writer.names))

    assert problems(storage) == [
        "0.tar [a]: the index counts (2, 2, 99), the document has (2, 2, 10)",
        "1.tar [a]: the same key is in 0.tar",
    ]
    assert len(read_index(f"{tmp_path}/shards/f1/0.tar")) == 1


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"MANIFEST.json does not exist"):
        verify(Storage(str(tmp_path)), "shards/f1")
