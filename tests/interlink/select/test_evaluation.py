"""Videos that are like items of benchmarks are dropped, with the benchmark's file as the reason."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from interlink.errors import UserError
from interlink.score.pictures import difference_hash
from interlink.select.decide import decide
from interlink.select.minhash import of_text, pack
from interlink.select.settings import SelectSettings

WORDS = "first cut the onion into small pieces then fry it in hot oil until it is brown and add a little salt"


def photo(seed: int, form: str = "JPEG", scale: int = 1) -> bytes:
    small = np.random.default_rng(seed).integers(0, 255, (8, 9, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((90 * scale, 80 * scale), Image.Resampling.BICUBIC).save(buffer, form)
    return buffer.getvalue()


def video(name: str, text: str = "", frames: tuple[int, ...] = ()) -> tuple[str, dict[str, Any]]:
    hashes = [difference_hash(photo(seed)) for seed in frames]
    fields = {"frames": b"", "hashes": pack(hashes), "text": of_text(text), "vector": b"", "similarity": None}
    return name, {**fields, "concepts": []}


def dropped(videos: list[tuple[str, dict[str, Any]]], **sets: tuple[str, ...]) -> dict[str, str]:
    settings = SelectSettings(evaluation_sets=sets, duplicate_frames=None, duplicate_text=None)  # type: ignore[arg-type]
    return {one.id: f"{one.reason}: {one.message}" for one in decide(videos, settings, 0) if not one.kept}


def test_an_id_a_text_and_a_picture_of_benchmarks_are_found(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\ufeffabc\n\nother\n")
    (tmp_path / "texts.txt").write_text(f"something else entirely is said in this line\n{WORDS.upper()}!\n")
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    (tmp_path / "pictures" / "deep" / "1.png").write_bytes(photo(7, "PNG", 3))  # another size and format
    videos = [
        video("abc"), video("said", f"{WORDS} and"), video("seen", frames=(1, 7)), video("new", "other words", (2, 3)),
    ]  # fmt: skip
    found = dropped(
        videos,
        ids=(str(tmp_path / "ids.txt"),),
        texts=(str(tmp_path / "texts.txt"),),
        pictures=(str(tmp_path / "pictures"),),
    )
    assert found.keys() == {"abc", "said", "seen"}
    assert found["abc"] == "evaluation_set: like an item of ids.txt by id: 1.00"
    assert found["said"].startswith("evaluation_set: like an item of texts.txt by text: ")
    assert found["seen"].startswith("evaluation_set: like an item of pictures by picture: ")


def test_what_a_benchmark_holds_does_not_stand_for_its_duplicates(tmp_path: Path) -> None:
    """The video of a benchmark goes first, so its copy is dropped for the same reason, not kept as the only one."""
    (tmp_path / "texts.txt").write_text(WORDS)
    settings = SelectSettings(evaluation_sets={"texts": (str(tmp_path / "texts.txt"),)})
    found = decide([video("one", WORDS), video("two", WORDS)], settings, 0)
    assert [one.reason for one in found] == ["evaluation_set", "evaluation_set"]


@pytest.mark.parametrize(
    ("kind", "name", "content", "said"),
    [
        ("ids", "none.txt", None, "cannot read"),
        ("texts", "empty.txt", b"\n \n", "has no line"),
        ("pictures", "bad.jpg", b"no picture", "is not a picture"),
        ("pictures", "none", None, "does not exist"),
        ("pictures", "a.txt", b"words", "has no pictures"),
    ],
)
def test_a_benchmark_that_cannot_be_read_stops_the_build(
    tmp_path: Path, kind: str, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        dropped([], **{kind: (str(tmp_path / name),)})
