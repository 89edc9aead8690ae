"""Pages of MMC4, OBELICS and MINT-1T: found without parsing, read with their pictures, damage named."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from interlink.errors import Dropped, StageError, UserError
from interlink.fetch.pages import Reader
from interlink.shards import tar
from interlink.shards.pages import Slot
from interlink.stages.collect import SourceSettings, scan


def picture(colour: str, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), colour).save(buffer, form)
    return buffer.getvalue()


def read_all(path: Path, images: str = "") -> list[tuple[str, list[str | Slot]]]:
    found = []
    for row in scan(SourceSettings(path=str(path), kind="pages", images_path=images)):
        place = json.loads(row.fields["metadata"])
        found.append(Reader(place.pop("images", "")).read(row.fields["uri"], place))
    return found


def mmc4(*infos: dict[str, Any]) -> dict[str, Any]:
    return {"url": "http://page/1", "text_list": ["zero", "one"], "image_info": list(infos)}


def test_mmc4_with_pictures_in_a_folder_in_base64_and_by_url(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "A.png").write_bytes(picture("red", "PNG"))
    (tmp_path / "secret.png").write_bytes(picture("blue", "PNG"))
    encoded = base64.b64encode(picture("green")).decode()
    record = mmc4(
        {"image_name": "A.png", "raw_url": "http://x/a", "matched_text_index": 1},
        {"image_base64": encoded, "matched_text_index": 0},
        {"image_name": "gone.png", "raw_url": "http://x/b", "matched_text_index": 1},
        {"image_name": "../secret.png", "matched_text_index": 0},
        {"image_name": "A.png"},  # matched with no sentence: it has no place
    )
    (tmp_path / "docs_shard_0_v2.jsonl").write_text("\n" + json.dumps(record) + "\n\n" + json.dumps(record) + "\n")
    first, second = read_all(tmp_path / "docs_shard_0_v2.jsonl", str(images))
    assert first == second
    assert first == ("http://page/1", [Slot(picture("green")), Slot(), "zero", Slot(picture("red", "PNG"), "http://x/a"),
                                      Slot(url="http://x/b"), "one"])  # fmt: skip


def test_obelics_is_parquet_with_urls(tmp_path: Path) -> None:
    table = pa.table(
        {
            "images": [[None, "http://x/1", None], ["http://x/2"]],
            "texts": [["lead", None, "after"], [None]],
            "general_metadata": [json.dumps({"url": "http://page/1"}), "{}"],
        }
    )
    pq.write_table(table, tmp_path / "obelics.parquet", row_group_size=1)
    assert read_all(tmp_path / "obelics.parquet") == [
        ("http://page/1", ["lead", Slot(url="http://x/1"), "after"]),
        ("", [Slot(url="http://x/2")]),
    ]


def test_parquet_may_hold_the_pictures_as_datasets_embeds_them(tmp_path: Path) -> None:
    red = picture("red")
    table = pa.table({"images": [[{"bytes": red, "path": "a.jpg"}, None]], "texts": [[None, "A pan."]]})
    pq.write_table(table, tmp_path / "datasets.parquet")
    assert read_all(tmp_path / "datasets.parquet") == [("", [Slot(red), "A pan."])]


def test_mint_is_a_tar_with_a_tiff_and_a_folder_may_hold_several_files(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    about = {"texts": ["t", None, None], "images": [None, "page_0_image_1", "page_0_image_2"]}
    sample = tar.sample("p-1", [("json", json.dumps(about).encode()), ("tiff", buffer.getvalue())])
    (tmp_path / "b.tar").write_bytes(sample + tar.END)
    (tmp_path / "a.jsonl").write_text(json.dumps({"texts": ["x", None], "images": [None, "http://x/1"]}))
    (tmp_path / "notes.txt").write_text("not a page")
    rows = list(scan(SourceSettings(path=str(tmp_path), kind="pages")))
    assert [row.fields["path"] for row in rows] == ["a.jsonl", "b.tar"]
    assert rows[0].id.startswith("a-000000-") and rows[1].id.startswith("p-1-")
    (_, (text, *slots)) = read_all(tmp_path / "b.tar")[0]
    assert text == "t"
    colours = [Image.open(io.BytesIO(slot.data or b"")).getpixel((4, 4)) for slot in slots if isinstance(slot, Slot)]
    assert colours == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "l.jsonl at {'offset': 0, 'size': 1}"),
        ("[1]", "the record is a list"),
        ('{"words": 1}', "neither text_list and image_info .MMC4. nor texts"),
        ('{"texts": ["a"], "images": []}', "unreadable|1 texts but"),
        ('{"texts": [null, "a"], "images": [null]}', "2 texts but 1 image slots"),
        ('{"text_list": ["a"], "image_info": [{"image_base64": "%"}]}', "not base64"),
        ('{"text_list": ["a"], "image_info": [{"matched_text_index": 7}]}', "none of its images has a matched_text"),
    ],
)
def test_damage_names_the_file_and_the_place(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "l.jsonl").write_text(line)
    if 'images": []' in line:  # no list of images: it is a page of text
        with pytest.raises(Dropped):
            read_all(tmp_path / "l.jsonl")
        return
    with pytest.raises(StageError, match=why) as error:
        read_all(tmp_path / "l.jsonl")
    assert error.value.error_class == "unreadable"


def test_a_page_without_pictures_is_dropped_and_a_file_of_another_kind_refused(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"texts": ["only", "words"]}')
    with pytest.raises(Dropped) as dropped:
        read_all(tmp_path / "l.jsonl")
    assert dropped.value.reason == "no_images"
    for name, content in (("l.zip", b"PK"), ("l.parquet", b"PAR"), ("l.tar", b"x" * 600)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            read_all(tmp_path / name)


def test_a_damaged_picture_costs_the_page_only_this_picture(tmp_path: Path) -> None:
    encoded = base64.b64encode(picture("green")).decode()
    record = mmc4(
        {"image_base64": "%%%", "matched_text_index": 0},
        {"image_base64": f"data:image/jpeg;base64,{encoded[:40]}\n{encoded[40:]}", "matched_text_index": 1},
    )
    (tmp_path / "l.jsonl").write_text(json.dumps(record))
    assert read_all(tmp_path / "l.jsonl") == [
        ("http://page/1", [Slot(problem="image_base64 is not base64"), "zero", Slot(picture("green")), "one"])
    ]


def test_a_page_file_that_is_no_file_is_a_failed_row(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "._a.jsonl").write_bytes(b"\0\5\x16\7")
    (tmp_path / "a.jsonl").write_text(json.dumps({"texts": ["x", None], "images": [None, "http://x/1"]}))
    good, bad = scan(SourceSettings(path=str(tmp_path), kind="pages"))
    assert good.fields["path"] == "a.jsonl"
    assert (bad.status, bad.message) == ("failed", "pipe.jsonl: a named pipe, not a file")
