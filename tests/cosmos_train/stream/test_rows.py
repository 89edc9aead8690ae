"""Files of rows as shards: what others publish as Parquet and JSON lines, and our own releases, without conversion."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.corpus import BadDocument, Corpus
from cosmos_train.stream.shards import Reader
from cosmos_train.train.trainer import train
from interlink.errors import UserError as BuilderError
from interlink.storage import Storage
from releasing import Made_, make, put, simple

PAGES = 6


def picture(number: int, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (40 * number % 255, 90, 200)).save(buffer, form)
    return buffer.getvalue()


def text(number: int, place: int) -> str:
    return f"page {number} says this at place {place}"


def obelics(path: Path) -> Path:
    """OBELICS' columns by its card, with the bytes of pictures as `datasets` stores them."""
    rows = [
        {
            "images": [{"bytes": picture(n), "path": None}, None, {"bytes": picture(n + 9, "PNG"), "path": None}, None],
            "texts": [None, text(n, 0), None, text(n, 1)],
            "metadata": "[]",
            "general_metadata": json.dumps({"url": f"https://a.example/{n}"}),
        }
        for n in range(PAGES)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path / "train-00000.parquet", row_group_size=2)
    return path


def mmc4(path: Path) -> Path:
    lines = []
    for n in range(PAGES):
        infos = [
            {"image_name": f"{n}-{m}.jpg", "raw_url": "", "matched_text_index": m, "matched_sim": 0.4,
             "image_base64": base64.b64encode(picture(n + m)).decode()}
            for m in range(2)
        ]  # fmt: skip
        page = {"url": "https://a.example", "text_list": [text(n, 0), text(n, 1)], "image_info": infos}
        lines.append(json.dumps({**page, "similarity_matrix": [[0.4, 0.1], [0.1, 0.4]]}))
    (path / "docs_shard_0_v2.jsonl").write_text("\n\n".join(lines) + "\n")
    return path


def zipped(path: Path) -> Path:
    mmc4(path)
    with zipfile.ZipFile(path / "docs_shard_0_v2.jsonl.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path / "docs_shard_0_v2.jsonl", "docs_shard_0_v2.jsonl")
    (path / "docs_shard_0_v2.jsonl").unlink()
    return path


def curator(path: Path) -> Path:
    """NeMo Curator's reserved columns (tasks/interleaved.py), its rows in no order of position."""
    rows: list[dict[str, Any]] = []
    for n in range(PAGES):
        common = {"sample_id": f"page-{n}", "content_type": None, "text_content": None, "binary_content": None}
        rows += [
            {**common, "position": 3, "modality": "text", "text_content": text(n, 1)},
            {**common, "position": -1, "modality": "metadata", "text_content": "{}"},
            {**common, "position": 0, "modality": "image", "binary_content": picture(n)},
            {**common, "position": 1, "modality": "text", "text_content": text(n, 0)},
            {**common, "position": 2, "modality": "image", "binary_content": picture(n + 9)},
        ]
    schema = pa.schema([
        ("sample_id", pa.string()), ("position", pa.int32()), ("modality", pa.string()), ("content_type", pa.string()),
        ("text_content", pa.string()), ("binary_content", pa.large_binary()),
    ])  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path / "part.0.parquet", row_group_size=4)
    return path


LAYOUTS: dict[str, Callable[[Path], Path]] = {"obelics": obelics, "mmc4": mmc4, "zip": zipped, "curator": curator}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_page_has_its_pictures_before_their_texts(layout: str, tmp_path: Path) -> None:
    corpus = Corpus(str(LAYOUTS[layout](tmp_path)), ("caption",), 2)
    assert corpus.size == PAGES
    for number in range(PAGES):
        clips = corpus.clips(number)
        assert [clip.text for clip in clips] == [text(number, 0), text(number, 1)]
        assert clips[0].images == (picture(number),)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_run_trains_on_it(layout: str, tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folder = LAYOUTS[layout](tmp_path / "data")
    result = train(tiny(data__shards=str(folder), train__steps=2), tmp_path / "run", False, Console(quiet=True))
    assert (result.step, result.bad_samples) == (2, 0)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Made_]]:
    """A release of documents with clips of two pictures, of different times."""
    folder = tmp_path_factory.mktemp("released")
    documents = [simple(number, clips=3) for number in range(4)]
    make(
        put(Storage(str(folder / "root")), documents),
        folder / "out",
        "obelics",
        "datasets",
        "nemo",
        "parquet",
        val_share=0.0,
    )
    return folder / "out", documents


@pytest.mark.parametrize("name", ["obelics", "datasets", "nemo"])
def test_a_release_of_ours_reads_back_whole(name: str, released: tuple[Path, list[Made_]]) -> None:
    out, documents = released
    corpus = Corpus(str(out / name), ("caption",), 2)
    shards = Corpus(str(out.parent / "root" / "shards" / "f1"), ("caption",), 2)
    assert corpus.size == shards.size == len(documents)
    for number in range(corpus.size):
        assert corpus.clips(number) == shards.clips(number)
        assert [len(clip.images) for clip in corpus.clips(number)] == [2, 2, 2]


def test_a_release_without_pictures_says_so(released: tuple[Path, list[Made_]]) -> None:
    with pytest.raises(BadDocument):
        Corpus(str(released[0] / "parquet"), ("caption",), 2).clips(0)


def test_texts_that_someone_has_changed_are_read_as_they_are(tmp_path: Path) -> None:
    made = simple(0)
    make(put(Storage(str(tmp_path / "root")), [made]), tmp_path / "out", "datasets", val_share=0.0)
    path = tmp_path / "out" / "datasets" / "train-00000.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0]["texts"] = [text and text.upper() for text in rows[0]["texts"]]
    pq.write_table(pa.Table.from_pylist(rows), path)
    texts = [clip.text for clip in Corpus(str(path), ("caption",), 2).clips(0) if clip.text]
    assert texts == ["A HAND DOES STEP 0.", "A HAND DOES STEP 1."]


def test_a_reader_goes_to_another_process(tmp_path: Path) -> None:
    for make_files in (curator, zipped):
        folder = tmp_path / make_files.__name__
        folder.mkdir()
        reader = Reader([str(make_files(folder))])
        before = reader.read(3)
        assert pickle.loads(pickle.dumps(reader)).read(3) == before


def test_a_folder_with_tars_has_tables_next_to_them(tmp_path: Path) -> None:
    make(put(Storage(str(tmp_path / "root")), [simple(0)]), tmp_path / "out", "pairs", val_share=0.0)
    assert Corpus(str(tmp_path / "out" / "pairs" / "train"), ("caption",), 1).size == 4


def test_a_line_that_is_no_page_is_one_bad_sample(tmp_path: Path) -> None:
    path = mmc4(tmp_path) / "docs_shard_0_v2.jsonl"
    path.write_text(path.read_text() + "[1, 2]\nnot json\n")
    corpus = Corpus(str(path), ("caption",), 2)
    for number in (PAGES, PAGES + 1):
        with pytest.raises(BadDocument):
            corpus.clips(number)
    assert len(corpus.clips(0)) == 2


@pytest.mark.parametrize(
    ("name", "said"), [("notes.txt", "is a file, and no shard"), ("cut.parquet", "cannot be read")]
)
def test_a_file_that_is_no_shard_is_named(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"words")
    with pytest.raises((UserError, BuilderError), match=said):
        Reader([str(tmp_path / name)])
