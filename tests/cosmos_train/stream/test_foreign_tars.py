"""Tars of other tools in training: the right text and the right picture, or a sample that is counted with its cause."""

from __future__ import annotations

import base64
import json
import logging
from collections import Counter
from pathlib import Path

import pytest

from cosmos_train.stream.corpus import BadDocument, Corpus
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.views.samples import SceneCorpus
from foreign_tars import pairs, picture, tar_of
from interlink.errors import UserError
from interlink.shards.tar import member

Members = list[tuple[str, bytes]]


def read(path: Path, members: Members) -> tuple[list[str], Counter[str]]:
    """(texts of the usable samples, count of bad ones by reason)."""
    corpus = Corpus(str(tar_of(path, members)), ("caption",), 2)
    texts: list[str] = []
    bad: Counter[str] = Counter()
    for number in range(corpus.size):
        try:
            texts += [clip.text for clip in corpus.clips(number)]
        except BadDocument as error:
            bad[error.reason] += 1
    return texts, bad


def with_texts(*texts: bytes, suffix: str = "txt") -> Members:
    return [
        one
        for number, text in enumerate(texts)
        for one in ((f"{number:03d}.jpg", picture(number)), (f"{number:03d}.{suffix}", text))
    ]


@pytest.mark.parametrize("folder", ["", "./", "photos/"])
def test_apple_metadata_spoils_no_sample(tmp_path: Path, folder: str) -> None:
    members = []
    for name, data in pairs(4, folder):
        members += [(f"{folder}._{name.removeprefix(folder)}", b"\0\5\x16\7\0\2"), (name, data)]
    texts, bad = read(tmp_path / "a.tar", members)
    assert texts == ["text 0", "text 1", "text 2", "text 3"] and not bad


def test_keys_with_dots_are_read(tmp_path: Path) -> None:
    texts, bad = read(tmp_path / "a.tar", pairs(3, key="2024.05.{:02d}"))
    assert texts == ["text 0", "text 1", "text 2"] and not bad


def test_a_caption_that_is_missing_is_no_word(tmp_path: Path) -> None:
    members = with_texts(
        b'{"caption": NaN}', b'{"caption": "a pot"}', b'{"caption": "nan"}', b'{"caption": null}', suffix="json"
    )
    texts, bad = read(tmp_path / "a.tar", members)
    assert texts == ["a pot"] and sum(bad.values()) == 3
    texts, bad = read(tmp_path / "b.tar", with_texts(b"nan", b"None\n", b"a nan bread", b""))
    assert texts == ["a nan bread"] and sum(bad.values()) == 3


def test_an_empty_text_leaves_the_word_to_the_json(tmp_path: Path) -> None:
    members = [("0.jpg", picture(0)), ("0.json", b'{"caption": "a red pot"}'), ("0.txt", b" \n")]
    assert read(tmp_path / "a.tar", members)[0] == ["a red pot"]


def test_a_caption_that_is_no_text_is_a_bad_sample(tmp_path: Path) -> None:
    members = with_texts(b'{"caption": {"a": 1}}', b'{"caption": ["first", "second"]}', suffix="json")
    texts, bad = read(tmp_path / "a.tar", members)
    assert texts == ["first"] and "is a dict" in next(iter(bad))


def test_texts_are_decoded_or_counted(tmp_path: Path) -> None:
    members = with_texts(
        b"\xef\xbb\xbfa red pot", "a blue pot".encode("utf-16"), "a green pot".encode("utf-16-le"),
        "crème brûlée".encode(), "crème brûlée à la carte".encode("cp1252"), b"a\0b",
    )  # fmt: skip
    texts, bad = read(tmp_path / "a.tar", members)
    assert texts == ["a red pot", "a blue pot", "a green pot", "crème brûlée", "ab"]
    assert len(bad) == 1 and "txt cannot be decoded with certainty" in next(iter(bad))


def test_views_read_texts_by_the_same_rules(tmp_path: Path) -> None:
    members = with_texts(b"\xef\xbb\xbfA red pot. It boils.", b"nan", "crème brûlée à la carte".encode("cp1252"))
    data = DataSettings(shards=str(tar_of(tmp_path / "a.tar", members)), form="views", views={"captions": "text"})
    corpus = SceneCorpus(data)
    assert corpus.document(0).fixed[0].text == "A red pot. It boils"
    for number in (1, 2):
        with pytest.raises(BadDocument):
            corpus.document(number)


def test_torn_samples_are_one_message(tmp_path: Path) -> None:
    members = sorted(pairs(4), key=lambda one: one[0].rpartition(".")[2])
    with pytest.raises(UserError, match="members of 4 of its 4 samples in several places"):
        read(tmp_path / "a.tar", members)


def test_what_a_tar_lacks_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"".join(member(name, data) for name, data in pairs(4)))
    with caplog.at_level(logging.WARNING):
        corpus = Corpus(str(path), ("caption",), 2)
    assert corpus.size == 4
    assert [record.getMessage() for record in caplog.records] == [f"{path}: no end mark: the file may be cut"]


# -- pages ------------------------------------------------------------------------------------------------------


def page(count: int) -> bytes:
    texts = [part for number in range(count) for part in (None, f"text {number}")]
    images = [part for _ in range(count) for part in ({"height": 24}, None)]
    return json.dumps({"texts": texts, "images": images}).encode()


def test_each_picture_of_a_page_stands_before_its_text(tmp_path: Path) -> None:
    members = [("p.json", page(12)), *((f"p.{number}.jpg", picture(number)) for number in range(12))]
    corpus = Corpus(str(tar_of(tmp_path / "a.tar", members)), ("caption",), 2)
    assert [(clip.text, clip.images) for clip in corpus.clips(0)] == [
        (f"text {number}", (picture(number),)) for number in range(12)
    ]


def test_a_page_whose_pictures_do_not_fit_is_no_sample_and_says_why(tmp_path: Path) -> None:
    members = [("p.json", page(3)), ("p.0.jpg", picture(0)), ("p.2.jpg", picture(2))]
    texts, bad = read(tmp_path / "a.tar", members)
    assert texts == [] and "no picture of its name or number" in next(iter(bad))


def test_a_damaged_picture_costs_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    infos = [
        {"matched_text_index": number, "image_base64": base64.b64encode(picture(number)).decode()}
        for number in range(3)
    ]
    infos[1]["image_base64"] = "%%"
    record = {
        "text_list": ["a", "b", "c"],
        "image_info": infos,
        "similarity_matrix": [[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]],
    }
    with caplog.at_level(logging.WARNING):
        corpus = Corpus(str(tar_of(tmp_path / "a.tar", [("p.json", json.dumps(record).encode())])), ("caption",), 2)
    assert [(clip.text, clip.images) for clip in corpus.clips(0)] == [("a b", (picture(0),)), ("c", (picture(2),))]
    assert [record.getMessage() for record in caplog.records] == [
        "a.tar: 1 pictures missing from pages: image_base64 is not base64 (for example p)"
    ]


def test_a_sample_of_several_pictures_without_a_document_is_not_guessed(tmp_path: Path) -> None:
    members = [("k.left.jpg", picture(0)), ("k.right.jpg", picture(1)), ("k.txt", b"a pot")]
    texts, bad = read(tmp_path / "a.tar", members)
    assert texts == [] and "holds 2 images" in next(iter(bad))
