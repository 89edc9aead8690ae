"""Ids are safe for files and webdataset, the same each time, and never two for one."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from interlink.ids import MAX_LENGTH, keyed_hash, safe_id

SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def test_a_youtube_id_stays_itself():
    assert safe_id("nVbIUDjzWY4") == "nVbIUDjzWY4"
    assert safe_id("_97kyZVWVG0") == "_97kyZVWVG0"


def test_an_id_with_a_leading_dash_is_not_confused_with_the_same_without():
    with_dash, without = safe_id("-7kyZVWVG0a"), safe_id("7kyZVWVG0a")
    assert SAFE.fullmatch(with_dash)
    assert with_dash != without


def test_two_files_of_one_name_in_two_folders_differ():
    assert safe_id("a/cut.mp4", name="cut") != safe_id("b/cut.mp4", name="cut")
    assert re.fullmatch(r"cut-[0-9a-f]{8}", safe_id("a/cut.mp4", name="cut"))


def test_letters_outside_ascii_keep_what_can_be_read():
    assert safe_id("Crème brûlée.mp4", name="Crème brûlée").startswith("Creme_brulee-")
    assert safe_id("видео.mp4", name="видео").startswith("item-")


@given(st.text(max_size=200), st.text(max_size=120))
def test_any_text_gives_a_safe_id_of_bounded_length(raw: str, name: str):
    for found in (safe_id(raw), safe_id(raw, name)):
        assert SAFE.fullmatch(found)
        assert len(found) <= MAX_LENGTH
        assert found == safe_id(found)


@given(st.lists(st.text(alphabet="ab-./_é", max_size=6), unique=True, max_size=40))
def test_different_texts_have_different_ids(raws: list[str]):
    assert len({safe_id(raw) for raw in raws}) == len(raws)


def test_the_keyed_hash_depends_on_seed_and_id_alone():
    assert keyed_hash(0, "a") == "9df3c5fab8ef8fe78a408912e52e76477b5bd838eec3cbf48191a848ec8563d3"
    assert keyed_hash(0, "a") == keyed_hash(0, "a") != keyed_hash(1, "a")
