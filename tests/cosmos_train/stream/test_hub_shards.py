"""Shards of a dataset of the Hub, read where they are, and releases as the train split of one of their formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos_train.stream.find import find
from cosmos_train.stream.shards import Reader
from hub_server import Hub, Repository
from interlink.errors import UserError
from interlink.shards import hub as addresses
from interlink.storage import Storage
from releasing import make, put, simple

pytest.importorskip("huggingface_hub", reason="huggingface_hub (the extra `hub`) is not installed")
DOCUMENTS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("hub")
    root = put(Storage(str(at / "root")), [simple(n) for n in range(DOCUMENTS)])
    make(root, at / "out", "datasets", "obelics", "nemo", "pairs", "howto", val_share=0.3)
    return at / "out"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Hub]:
    with Hub() as hub:
        held = hub.repositories["lab/clips"] = Repository(private=True)
        for path in folder.rglob("*"):
            if path.is_file():
                held.files[str(path.relative_to(folder))] = (path.read_bytes(), True)
        pairs = {path: content for path, content in held.files.items() if path.startswith("pairs/train/")}
        hub.repositories["lab/pairs"] = Repository(True, {path.rpartition("/")[2]: c for path, c in pairs.items()})
        yield hub


@pytest.fixture
def hub(server: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    monkeypatch.chdir(tmp_path)  # no folder `lab` here
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    return server


def samples(paths: list[str]) -> list[dict[str, bytes]]:
    reader = Reader(paths)
    found = reader.read_many(range(len(reader)))
    assert not [one for one in found if isinstance(one, Exception)]
    return [{name: bytes(data) for name, data in one.items()} for one in found]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "place", ["pairs/train", "obelics", "nemo/train-00000.parquet", "datasets/train-*.parquet", ""]
)
def test_a_dataset_of_the_hub_has_the_samples_of_the_local_folder(hub: Hub, folder: Path, place: str) -> None:
    there = samples([f"lab/clips/{place}".rstrip("/")])
    assert there == samples([str(folder / place)]) and there


def test_a_release_is_the_train_split_of_its_most_complete_format(folder: Path, tmp_path: Path) -> None:
    assert find([str(folder)]) == [str(folder / "datasets" / "train-00000.parquet")]
    make(put(Storage(str(tmp_path / "root")), [simple(0)]), tmp_path / "pairs", "pairs", "howto", val_share=0.0)
    assert find([str(tmp_path / "pairs")]) == [str(tmp_path / "pairs" / "pairs" / "train" / "00000.tar")]
    make(put(Storage(str(tmp_path / "other")), [simple(0)]), tmp_path / "howto", "howto", val_share=0.0)
    with pytest.raises(UserError, match="no train split in a format that is read here"):
        find([str(tmp_path / "howto")])


def test_ids_are_urls_only_where_nothing_of_the_name_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert addresses.url("lab/clips") == "hf://datasets/lab/clips"
    assert addresses.url("lab/clips@v1/pairs/train") == "hf://datasets/lab/clips@v1/pairs/train"
    for path in ("clips", "/lab/clips", "./lab/clips", "s3://lab/clips", "hf://datasets/lab/clips"):
        assert addresses.url(path) == path
    (tmp_path / "lab").mkdir()
    assert addresses.url("lab/clips") == "lab/clips"
    with pytest.raises(UserError, match="no such file or folder"):
        find(["lab/clips"])


def test_a_tar_is_read_in_ranges(hub: Hub, folder: Path) -> None:
    reader = Reader(["lab/pairs"])
    before = len(hub.requests)
    reader.read(3)
    asked = [line for line in hub.requests[before:] if "/resolve/" in line and line.startswith("GET")]
    assert len(asked) == 1 and asked[0].endswith("00000.tar")


def test_what_cannot_be_reached_is_two_lines(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there are no shards in hf://datasets/lab/nothing") as caught:
        find(["lab/nothing"])
    assert "hf auth login" in caught.value.do
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="cannot read hf://datasets/lab/other") as caught:
        find(["lab/other"])
    assert "check the id and the network" in caught.value.do
