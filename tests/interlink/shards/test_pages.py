"""Pictures of a page stand where they belong, by exact names or by their numbers; a picture is never guessed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from interlink.shards.pages import Slot, read_mmc4, read_page, slot_of


def data_of(slots: list[str | Slot]) -> list[bytes | str | None]:
    return [slot if isinstance(slot, str) else slot.data for slot in slots]


def page(count: int, infos: list[Any] | None = None) -> dict[str, Any]:
    texts = [part for number in range(count) for part in (None, f"t{number}")]
    images = [part for info in (infos or [{"height": 9}] * count) for part in (info, None)]
    return {"texts": texts, "images": images}


def test_pictures_are_taken_in_natural_order() -> None:
    members = {f"{number}.jpg": b"%d" % number for number in sorted(range(12), key=str)}
    found = data_of(read_page(page(12), members))
    assert found == [part for number in range(12) for part in (b"%d" % number, f"t{number}")]


@pytest.mark.parametrize(
    "names",
    [
        ["0.jpg", "1.jpg"],  # one too few
        ["0.jpg", "1.jpg", "2.jpg", "3.jpg"],  # one too many
        ["0.jpg", "1.jpg", "3.jpg"],  # a gap: another one is missing
        ["0.jpg", "1.jpg", "1.png"],  # one number twice
        ["a.jpg", "b.jpg", "c.jpg"],  # no numbers
        ["a0.jpg", "b1.jpg", "c2.jpg"],  # numbers of different things
    ],
)
def test_where_the_numbers_do_not_fit_the_page_has_no_pictures(names: list[str]) -> None:
    found = read_page(page(3), dict.fromkeys(names, b"x"))
    assert data_of(found) == [None, "t0", None, "t1", None, "t2"]


def test_names_of_files_are_exact() -> None:
    infos = [{"image_name": "1.jpg"}, {"image_name": "b.jpg"}, {"image_name": "p.0.jpg"}]
    members = {"0.jpg": b"zero", "1.jpg": b"one", "jpg": b"other"}
    assert data_of(read_page(page(3, infos), members, "folder/p")) == [b"one", "t0", None, "t1", b"zero", "t2"]
    assert data_of(read_page(page(1, [{"image_name": "b.jpg"}]), {"jpg": b"other"}, "a")) == [None, "t0"]
    assert slot_of("A.JPG", {"jpg": b"own"}, "a").data == b"own"


def test_labels_that_are_no_files_leave_the_order_to_the_numbers() -> None:
    members = {"1.jpg": b"b", "0.jpg": b"a"}
    assert data_of(read_page(page(2, ["page_0_image_1", "page_0_image_2"]), members)) == [b"a", "t0", b"b", "t1"]


def test_a_place_without_an_image_takes_none() -> None:
    about = {"texts": [None, None, "t"], "images": [None, "page_0_image_1", None]}
    assert data_of(read_page(about, {"jpg": b"only"})) == [None, b"only", "t"]


def test_a_missing_text_of_a_table_is_a_place() -> None:
    about = {"texts": [float("nan"), "t"], "images": ["http://x/1", None]}
    assert read_page(about, {}) == [Slot(url="http://x/1"), "t"]


@pytest.mark.parametrize(
    "encoded", ["%%%", "abc", base64.b64encode(b"a picture").decode()[:-2], 7, "data:image/jpeg;base64"]
)
def test_damaged_base64_is_a_problem_of_its_picture(encoded: Any) -> None:
    assert slot_of({"image_base64": encoded, "raw_url": "http://x"}, {}) == Slot(
        url="http://x", problem="image_base64 is not base64"
    )


def test_base64_of_something_else_is_a_problem_of_its_picture() -> None:
    encoded = base64.b64encode(b"<html>").decode()
    assert slot_of({"image_base64": encoded}, {}).problem == "image_base64 holds no picture"


def test_base64_may_have_line_breaks_and_a_head() -> None:
    plain = base64.b64encode(b"\xff\xd8 a picture").decode()
    for encoded in (
        plain,
        f"{plain[:5]}\n{plain[5:]}",
        f"data:image/png;base64,{plain}",
        plain.encode(),
    ):
        assert slot_of({"image_base64": encoded}, {}).data == b"\xff\xd8 a picture"


def test_a_page_with_only_damaged_pictures_is_unreadable() -> None:
    about = {"text_list": ["a"], "image_info": [{"image_base64": "%", "matched_text_index": 0}]}
    with pytest.raises(ValueError, match="not base64"):
        read_mmc4(about, {})
