"""`pairs.smallest_side` and `pairs.largest_aspect` leave pictures out, and the card says how many."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from interlink.errors import UserError
from interlink.release import ReleaseSettings
from interlink.storage import Storage
from releasing import make, put, simple
from telling import jpeg

SIZES = [(48, 32), (32, 16), (96, 32), (104, 32)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    made = simple(0)
    for (name, _), (width, height) in zip(list(made.images.items()), SIZES, strict=True):
        made.images[name] = jpeg(1, width, height)
    return put(Storage(str(tmp_path_factory.mktemp("sizes") / "root")), [made])


def sizes(out: Path) -> list[tuple[int, int]]:
    rows = pq.read_table(out / "pairs" / "train" / "00000.parquet").to_pylist()
    return [(row["width"], row["height"]) for row in rows]


def test_small_and_long_pictures_are_left_out_and_counted(root: Storage, tmp_path: Path) -> None:
    settings = ReleaseSettings.load(["pairs.smallest_side=32", "pairs.largest_aspect=3", "val_share=0"])
    made = make(root, tmp_path / "out", "pairs", **settings.model_dump())
    assert sizes(tmp_path / "out") == [(48, 32), (96, 32)]  # exactly 32 pixels and exactly 3 to 1 stay
    assert made.formats == {"pairs": {"train": 2}}
    left_out = [
        "pairs: 1 pictures longer than 3 to 1 left out",
        "pairs: 1 pictures with a side under 32 pixels left out",
    ]
    assert made.notes == left_out
    assert json.loads((tmp_path / "out" / "RELEASE.json").read_text())["notes"] == left_out
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(f"- {note}." in card for note in left_out)
    assert "--set pairs.smallest_side=32" in card


def test_without_limits_every_picture_stays(root: Storage, tmp_path: Path) -> None:
    made = make(root, tmp_path / "out", "pairs", val_share=0.0)
    assert sizes(tmp_path / "out") == SIZES and made.notes == []


@pytest.mark.parametrize("given", ["pairs.largest_aspect=0.5", "pairs.smallest_side=-1", "pairs.smallest_side=wide"])
def test_limits_that_leave_out_everything_or_nothing_are_refused(root: Storage, tmp_path: Path, given: str) -> None:
    with pytest.raises(UserError, match=given.partition("=")[0]):
        make(root, tmp_path / "out", "pairs", **ReleaseSettings.load([given]).model_dump())
    assert not (tmp_path / "out").exists()
