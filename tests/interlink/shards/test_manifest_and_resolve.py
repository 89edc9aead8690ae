"""From the name of a build, folder, glob or list to its shards; and the manifest that says which count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from disk import Disk
from interlink.errors import UserError
from interlink.shards import manifest, resolve
from interlink.storage import Storage

Shards = tuple[Storage, list[str]]


def paths(shards: Shards) -> list[str]:
    return [f"{shards[0].url}/shards/f1/{name}" for name in shards[1]]


def test_the_manifest_tells_sums_and_counts_of_every_shard(shards: Shards) -> None:
    import hashlib

    storage, names = shards
    told = manifest.load(storage, "shards/f1")

    assert [shard.name for shard in told.shards] == names
    assert (told.fingerprint, told.recipe, told.format_version) == ("f1", "test", "1")
    for shard in told.shards:
        for part in (shard, shard.index):
            data = storage.read(f"shards/f1/{part.name}")
            assert (part.size, part.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (told.totals.shards, told.totals.samples, told.totals.images, told.totals.clips) == (2, 8, 16, 16)
    assert told.totals.text_tokens == 8 * 2 * 5


def test_the_manifest_is_the_same_bytes_however_it_was_asked_for(shards: Shards) -> None:
    storage, names = shards
    again = manifest.build_manifest(storage, "shards/f1", [*reversed(names), names[0]], "f1", "test")

    assert again.dump() == storage.read("shards/f1/MANIFEST.json")
    json.loads(again.dump())


def test_a_manifest_of_a_missing_or_changed_shard_is_refused(shards: Shards) -> None:
    storage, names = shards
    with pytest.raises(UserError, match="or its index is missing"):
        manifest.build_manifest(storage, "shards/f1", [*names, "none.tar"])

    Path(paths(shards)[0]).write_bytes(b"short")
    with pytest.raises(UserError, match="has 5 bytes, its index says"):
        manifest.build_manifest(storage, "shards/f1", names)


def test_a_manifest_that_is_none_is_refused_by_name(shards: Shards) -> None:
    storage, _ = shards
    storage.write("shards/f1/MANIFEST.json", b'{"shards": []}')
    with pytest.raises(UserError, match=r"f1/MANIFEST.json is no manifest"):
        manifest.load(storage, "shards/f1")
    storage.write(
        "shards/f1/MANIFEST.json",
        manifest.Manifest(format_version="99", fingerprint="", recipe="", shards=(), totals=manifest.Totals()).dump(),
    )
    with pytest.raises(UserError, match="format version 99"):
        manifest.load(storage, "shards/f1")


def test_a_build_a_folder_a_glob_and_a_list_name_the_same_shards(shards: Shards) -> None:
    storage, _ = shards
    storage.write("recipe.lock.json", b'{"shards": "shards/f1"}')
    wanted = paths(shards)

    assert resolve(storage.url) == wanted
    assert resolve(f"{storage.url}/shards/f1") == wanted
    assert resolve(f"{storage.url}/shards/f1/*.tar") == wanted
    assert resolve(f"{storage.url}/**/*.tar") == wanted
    assert resolve(f"{storage.url}/shards/f1/000-0000-{{000..001}}.tar") == wanted
    assert resolve(wanted) == wanted
    assert resolve(list(reversed(wanted))) == list(reversed(wanted))
    assert resolve(wanted[0]) == wanted[:1]


def test_a_folder_with_a_manifest_gives_only_what_it_names(shards: Shards) -> None:
    storage, _ = shards
    storage.write("shards/f1/stray.tar", b"left over")
    storage.write("shards/f1/recipe.lock.json", b'{"shards": "shards/f1"}')  # the copy that a build leaves there

    assert resolve(f"{storage.url}/shards/f1") == paths(shards)

    storage.delete("shards/f1/recipe.lock.json")
    storage.delete("shards/f1/MANIFEST.json")
    assert resolve(f"{storage.url}/shards/f1") == [*paths(shards), f"{storage.url}/shards/f1/stray.tar"]


def test_relative_paths_are_understood(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(shards[0].url) / "shards" / "f1")

    assert resolve(shards[1][0]) == paths(shards)[:1]
    assert resolve(".") == paths(shards)


def test_remote_shards_are_found(shards: Shards) -> None:
    remote = Storage("memory://bucket/r")
    for name in shards[0].names("shards/f1"):
        remote.write(f"s/{name}", shards[0].read(f"shards/f1/{name}"))

    wanted = [f"memory://bucket/r/s/{name}" for name in shards[1]]
    assert resolve("memory://bucket/r/s") == wanted
    assert [p.replace(":///", "://") for p in resolve("memory://bucket/r/s/*.tar")] == wanted


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "no such file or folder"),
        ("nowhere/a.tar", "there is no shard"),
        ("nowhere/*.tar", r"no \*.tar matches"),
        ([], "the list of shards is empty"),
        ("", "there are no shards in"),
    ],
)
def test_nothing_to_find_says_so(tmp_path: Path, path: str | list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        resolve(f"{tmp_path}/{path}" if isinstance(path, str) else path)
    assert caught.value.do


def test_an_unfinished_build_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "recipe.lock.json").write_text('{"shards": "shards/f9"}')

    with pytest.raises(UserError, match="no finished shards") as caught:
        resolve(str(tmp_path))
    assert "interlink build" in caught.value.do


def test_the_bytes_of_a_manifest_are_fixed() -> None:
    empty = manifest.Manifest(format_version="1", fingerprint="f", recipe="é", shards=(), totals=manifest.Totals())
    assert (
        empty.dump().decode()
        == """{
 "fingerprint": "f",
 "format_version": "1",
 "recipe": "é",
 "shards": [],
 "totals": {
  "bytes": 0,
  "clips": 0,
  "images": 0,
  "samples": 0,
  "shards": 0,
  "text_tokens": 0
 }
}
"""
    )


def test_a_manifest_does_not_change_under_its_reader() -> None:
    with pytest.raises(ValueError, match="frozen"):
        manifest.Totals().shards = 1  # type: ignore[misc]


def test_a_manifest_that_has_not_changed_is_not_written_again(shards: Shards) -> None:
    storage, names = shards
    made = manifest.build_manifest(storage, "shards/f1", names, "f1", "test")
    with Disk(Path(storage.url)) as disk:
        manifest.commit(storage, "shards/f1", made)
        assert disk.operations == []
        manifest.commit(storage, "shards/f1", made.model_copy(update={"recipe": "other"}))
        storage.delete("shards/f1/MANIFEST.json")
        manifest.commit(storage, "shards/f1", made)
    placed = [operation.target for operation in disk.operations if operation.kind == "rename"]
    assert placed == ["shards/f1/MANIFEST.json"] * 2
    assert manifest.load(Storage(f"{storage.url}/shards/f1"), "") == made
    assert manifest.build_manifest(Storage(f"{storage.url}/shards/f1"), "", names, "f1", "test") == made


def test_a_missing_manifest_and_a_damaged_index_say_what_to_do(shards: Shards) -> None:
    storage, names = shards
    with pytest.raises(UserError, match=r"none/MANIFEST.json does not exist") as caught:
        manifest.load(storage, "none")
    assert "interlink build" in caught.value.do
    storage.write("shards/f1/MANIFEST.json", b"no JSON")
    with pytest.raises(UserError, match=r"MANIFEST.json is no manifest of shards: : Invalid JSON"):
        manifest.load(storage, "shards/f1")
    storage.write(f"shards/f1/{names[0].replace('.tar', '.index.parquet')}", b"PAR1")
    with pytest.raises(UserError, match=r"index.parquet is no index of a shard") as caught:
        manifest.build_manifest(storage, "shards/f1", names)
    assert "--fresh shard" in caught.value.do
