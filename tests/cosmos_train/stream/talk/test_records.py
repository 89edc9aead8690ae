"""Lists of conversations as they are published become LLaVA's records, or are left out with their reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.stream.talk.convert import Packed, pack_llava
from cosmos_train.stream.talk.corpus import turns_of
from cosmos_train.stream.talk.records import as_llava, read_records
from interlink.shards import read_index

TURNS = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "a pot"}]
RECORD = {"id": 1, "image": "a.jpg", "conversations": TURNS}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (20, 10), (250, 0, 0)).save(folder / "a.jpg")
    return folder


def pack(tmp_path: Path, pictures: Path, data: bytes | str, name: str = "l.json") -> Packed:
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return pack_llava(tmp_path / name, pictures, tmp_path / "out")


@pytest.mark.parametrize(
    "data",
    [
        json.dumps([RECORD, RECORD]),
        "\ufeff" + json.dumps([RECORD, RECORD]),
        json.dumps([RECORD, RECORD]).encode("utf-16"),
        json.dumps(RECORD) + "\n\n" + json.dumps(RECORD) + "\r\n",
        json.dumps(RECORD) + "\n" + json.dumps(RECORD | {"note": "line\u2028separator"}, ensure_ascii=False),
    ],
    ids=["json", "bom", "utf16", "lines", "separator"],
)
def test_a_list_is_read_as_it_comes(tmp_path: Path, pictures: Path, data: bytes | str) -> None:
    found = pack(tmp_path, pictures, data)
    assert (found.records, found.pictures, found.left_out) == (2, 2, {})


def test_one_line_is_a_list_of_one(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text(json.dumps(RECORD))
    assert read_records(tmp_path / "l.jsonl") == [RECORD]


def test_a_record_in_llavas_form_stays_as_it_is() -> None:
    assert as_llava(RECORD) is RECORD
    text_only = {"id": 2, "conversations": TURNS[1:]}
    assert as_llava(text_only) is text_only


@pytest.mark.parametrize("images", [{"image": ["a.jpg"]}, {"images": ["a.jpg"]}, {"images": "a.jpg"}])
def test_a_list_of_one_picture_is_this_picture(images: dict[str, Any]) -> None:
    made = as_llava({"id": 1, "conversations": TURNS, **images})
    assert made == RECORD


def test_messages_become_turns() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "a.jpg"}}, {"type": "text", "text": "What is it?"}]
    messages = [
        {"role": "system", "content": "be good"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": [{"type": "text", "text": "a pot"}]},
    ]
    made = as_llava({"id": 1, "messages": messages})
    assert made["image"] == "a.jpg"
    assert [turn["value"] for turn in made["conversations"]] == ["<image>\nWhat is it?", "a pot"]
    assert turns_of(made["conversations"], True)[0].answered == "a pot"
    plain = as_llava({"image": "a.jpg", "messages": [{"role": "user", "content": "<image>what?"}, messages[2]]})
    assert turns_of(plain["conversations"], True)[0].asked == "<image>\nwhat?"


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (RECORD | {"image": ["a.jpg", "b.jpg"]}, "names 2 pictures; one may be shown"),
        (RECORD | {"image": {"path": "a.jpg"}}, "is a dict, not a text"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "a part of the type 'audio'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "image": "data:image/png;base64,x"}]}]},
            "data URL",
        ),
        ({"text": "no turns"}, "no list of turns, but NoneType"),
        ("a line that is no JSON", "is no object"),
    ],
)
def test_what_has_no_such_form_says_why(record: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        as_llava(record)


def test_answers_are_texts_and_none_is_a_word() -> None:
    ask = {"from": "human", "value": "How many?"}
    assert turns_of([ask, {"from": "gpt", "value": "None"}], False)[0].answered == "None"
    assert turns_of([ask, {"from": "gpt", "value": 3.0}], False)[0].answered == "3"
    for value in ("", " ", None, float("nan")):
        with pytest.raises(ValueError, match="an answer is empty"):
            turns_of([ask, {"from": "gpt", "value": value}], False)
    with pytest.raises(ValueError, match="is a dict"):
        turns_of([ask, {"from": "gpt", "value": {"text": "x"}}], False)


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path, pictures: Path) -> None:
    (pictures / "page.jpg").write_text("<html>not found</html>")
    (pictures / "empty.jpg").write_bytes(b"")
    (pictures / "loop.jpg").symlink_to("loop.jpg")
    empty = RECORD | {"conversations": [TURNS[0], {"from": "gpt", "value": ""}]}
    others = [RECORD | {"image": name} for name in ("page.jpg", "empty.jpg", "loop.jpg", "http://x/a.jpg")]
    found = pack(tmp_path, pictures, json.dumps([RECORD, empty, empty, *others]))
    assert found.records == 1
    assert found.reasons() == [
        "left out 2: an answer is empty (first: 1)",
        "left out 1: the file of the picture holds no JPEG, PNG or WebP (first: 1)",
        "left out 1: the picture is a URL: download it first (first: 1)",
        "left out 1: the picture is not there (first: 1)",
        "left out 1: the picture's file is empty (first: 1)",
    ]
    assert len(read_index(str(tmp_path / "out" / "00000.tar"))) == 1


def test_a_list_without_a_usable_record_writes_nothing(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "l.json").write_text(json.dumps([RECORD | {"image": "gone.jpg"}] * 3))
    done = CliRunner().invoke(app, ["pack-llava", str(tmp_path / "l.json"), str(pictures), str(tmp_path / "out")])
    assert isinstance(done.exception, UserError) and done.exception.code == 1
    assert "none of the 3 records" in done.exception.what
    assert "left out 3: the picture is not there (first: 1)" in done.exception.what
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="it is empty"):
        pack(tmp_path, pictures, "[]", "empty.json")


def test_a_list_of_an_unknown_encoding_is_refused(tmp_path: Path, pictures: Path) -> None:
    text = json.dumps([RECORD | {"note": "crème brûlée à la carte"}], ensure_ascii=False)
    with pytest.raises(UserError, match="cannot be read with certainty"):
        pack(tmp_path, pictures, text.encode("cp1252"))
